"""All SQL of what the shop published: policy versions and letters. Every function works on the caller's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import orjson

from services.orders.publications import ANNOUNCEMENT, COUNTED_DAYS, LetterToMany, Publication
from shared.database import Database, type_of_connection

LOOK_AGAIN_AFTER = timedelta(seconds=1)
FRESH_FOR = timedelta(seconds=10)  # another process may have published
_LOCK = 0x7075626C  # "publ": one at a time, so that each is held against the one before
_COLUMNS = "policy_version, previous_version, document, widened, noticed, is_mailed, said_by, published_at"


def lock(connection: type_of_connection) -> None:
    """Nobody else publishes until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))


def last(connection: type_of_connection) -> Publication | None:
    """The version that was published last; None where none was since the release's own."""
    row = connection.execute(f"select {_COLUMNS} from policies order by policy_version desc limit 1".encode()).fetchone()
    return _of(row) if row else None


def add(connection: type_of_connection, it: Publication) -> None:
    """Write a version down, for good."""
    connection.execute(
        f"insert into policies ({_COLUMNS}) values (%s, %s, %s, %s::jsonb, %s::jsonb, %s, %s, %s)".encode(),
        (
            *(it.version, it.previous, it.document, orjson.dumps(it.widened).decode(), orjson.dumps(it.noticed).decode()),
            *(it.is_mailed, it.said_by, it.published_at),
        ),
    )


def announced(connection: type_of_connection, name: str) -> datetime | None:
    """When this very letter was announced; None where it was not."""
    row = connection.execute("select announced_at from announcements where announcement = %s", (name,)).fetchone()
    return row[0] if row else None


def announcements_since(connection: type_of_connection, at: datetime) -> list[datetime]:
    """When announcements went out in the 30 days before; newsletters do not count."""
    rows = connection.execute(
        "select announced_at from announcements where kind = %s and announced_at > %s", (ANNOUNCEMENT, at - COUNTED_DAYS)
    )
    return [when for (when,) in rows]


def add_letter(connection: type_of_connection, letter: LetterToMany) -> None:
    """Write down that a letter was announced, and by whom; its text is told and not kept."""
    connection.execute(
        "insert into announcements (announcement, kind, subject, said_by, announced_at) values (%s, %s, %s, %s::jsonb, %s)",
        (letter.name, letter.kind, letter.subject, orjson.dumps(letter.said_by).decode(), letter.announced_at),
    )


class PublicationReads:
    """What the doors read beside the handlers; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def versions(self) -> frozenset[str]:
        """The name of every published version."""
        with self._database.single() as connection:
            return frozenset(name for (name,) in connection.execute("select policy_version from policies"))

    def publications(self) -> list[Publication]:
        """Every published version, the newest first."""
        with self._database.single() as connection:
            rows = connection.execute(f"select {_COLUMNS} from policies order by policy_version desc".encode())
            return [_of(row) for row in rows]


class KnownVersions:
    """The versions that a storefront may name: those of the settings, and every published one, read at most every ten seconds."""

    def __init__(self, told: frozenset[str], reads: PublicationReads) -> None:
        self._told, self._reads = told, reads
        self._known = told
        self._read_at: datetime | None = None

    def at(self, at: datetime) -> frozenset[str]:
        """Raises TryLater where the database does not answer."""
        if self._read_at is None or at - self._read_at > FRESH_FOR:
            self._known, self._read_at = self._told | self._reads.versions(), at
        return self._known

    def look_again(self, at: datetime) -> bool:
        """Whether it is worth another look for a version that is not known: not if the last one was within this second."""
        if self._read_at is None or at - self._read_at < LOOK_AGAIN_AFTER:
            return False
        self._read_at = None
        return True


def _of(row: tuple[Any, ...]) -> Publication:
    version, previous, document, widened, noticed, is_mailed, said_by, published_at = row
    return Publication(version, previous, document, tuple(widened), tuple(noticed), is_mailed, said_by, published_at)
