"""The erasure journal: who was erased, kept outside of every backup, so that a restored backup brings nobody back.

One file for each service, only ever added to. A line names a person by the digest under which this service knows them, and nothing else
about them. It is written before the first key is destroyed; a service applies the whole of it before it is ready.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from shared.contracts.errors import BrownPaperError
from shared.custody import keys
from shared.custody.permits import ERASED
from shared.database import Database, type_of_connection

_CHECK_DIGITS = 12
_PIECE = 200  # persons in one transaction, for which intake waits


class JournalBroken(BrownPaperError):
    """A line of the journal is not as it was written: a person must look before the service may start."""

    def __init__(self, line: int) -> None:
        super().__init__(f"erasure_journal_broken at line {line}")


@dataclass(frozen=True, slots=True)
class Erased:
    """A person who was erased, by digest, and when."""

    person: str
    at: datetime


@dataclass(frozen=True, slots=True)
class JournalMark:
    """How far a journal went at some time: how many lines, and a digest over all of them. It names nobody."""

    lines: int
    head: str


class ErasureJournal:
    """See the module. Safe to use from several processes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def append(self, person_digest: str, at: datetime) -> None:
        """Write a person down; on the disk when this returns. Safe to repeat: a second line says the same. Raises OSError."""
        text = f"{at.astimezone(UTC).isoformat(timespec='seconds')} {person_digest}"
        line = f"{text} {_check(text)}\n".encode()
        is_new = not self._file.exists()
        with os.fdopen(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            length = file.seek(0, os.SEEK_END)
            if length:
                file.seek(length - 1)
                if file.read(1) != b"\n":
                    line = b"\n" + line  # behind a line that a power cut left unfinished
            file.write(line)
            os.fsync(file.fileno())
        if is_new:
            folder = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def read(self) -> list[Erased]:
        """Everybody in it, in order; nobody where there is no file yet.

        Raises JournalBroken for a line that was changed. A line that was never finished is passed over: nothing was destroyed for it.
        """
        if not self._file.exists():
            return []
        found = []
        lines = self._file.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            words = line.decode("ascii", "replace").split(" ")
            if len(words) == 3 and words[2] == _check(f"{words[0]} {words[1]}"):
                found.append(Erased(words[1], datetime.fromisoformat(words[0])))
            elif line and len(line) >= _FULL_LENGTH:
                raise JournalBroken(number)
        return found

    def mark(self) -> JournalMark:
        """How far it goes now. Raises JournalBroken."""
        return _mark(self.read())

    def extends(self, mark: JournalMark) -> bool:
        """Whether everything is in it, in its place, that was in it at that time. Raises JournalBroken."""
        erased = self.read()
        return len(erased) >= mark.lines and _mark(erased[: mark.lines]) == mark


_FULL_LENGTH = len("2026-01-01T00:00:00+00:00") + 1 + 32 + 1 + _CHECK_DIGITS


def _mark(erased: Sequence[Erased]) -> JournalMark:
    lines = "".join(f"{it.at.isoformat()} {it.person}\n" for it in erased)
    return JournalMark(len(erased), hashlib.sha256(lines.encode()).hexdigest())


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_CHECK_DIGITS]


def apply_to_keys(keyring: Database, erased: Sequence[Erased]) -> int:
    """Mark everybody as erased and destroy their keys, in pieces; how many keys there still were. Safe to repeat, also half done.

    Intake stands still for each piece alone, and not at all where nothing is news: so it is at nearly every start. Raises TryLater.
    """
    first = {it.person: it for it in reversed(erased)}
    with keyring.begin() as connection:
        news = [first[person] for person in keys.standing_among(connection, list(first))]
    destroyed = 0
    for start in range(0, len(news), _PIECE):
        piece = news[start : start + _PIECE]
        with keyring.begin() as connection:
            for it in piece:
                keys.set_person(connection, it.person, ERASED, it.at)
                keys.forget_choices(connection, it.person)
            destroyed += sum(keys.destroy_keys(connection, it.person) for it in piece)
    return destroyed


class HeldRows(Protocol):
    """What a service's own tables hold of persons. Every function works on the caller's transaction."""

    def persons(self, connection: type_of_connection) -> Iterable[tuple[str, str]]:
        """Every (shop, customer_id) of whom something stands, in any table."""

    def orders_of(self, connection: type_of_connection, shop: str, customer_id: str) -> list[str]:
        """The numbers of the person's orders."""

    def sweep(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> None:
        """Clear and delete what names the person, as an erasure does. Safe to repeat."""


def apply_to_rows(
    connection: type_of_connection, erased: Sequence[Erased], rows: HeldRows, digest: Callable[[str, str], str]
) -> int:
    """Sweep the rows of everybody in the journal, in the caller's transaction; how many persons still had some. Safe to repeat.

    Who it is has to be found by trying: a digest cannot be turned back.
    """
    gone = {it.person for it in erased}
    found = [(shop, customer) for shop, customer in rows.persons(connection) if digest(shop, customer) in gone]
    for shop, customer in found:
        rows.sweep(connection, shop, customer, rows.orders_of(connection, shop, customer))
    return len(found)


def apply(
    journal: ErasureJournal, keyring: Database | None, data: Database, rows: HeldRows, digest: Callable[[str, str], str]
) -> int:
    """Apply the whole journal to a service's keyring, if it has one, and, where its tables have not seen all of it, to its rows. Keys go first.

    How many persons had come back and are gone again. Safe to repeat, also half done. Raises JournalBroken, TryLater.
    """
    erased = journal.read()
    if not erased:
        return 0
    destroyed = 0
    if keyring is not None:
        destroyed = apply_to_keys(keyring, erased)
    with data.begin() as connection:
        # The restored tables say themselves how much of the journal they have seen.
        row = connection.execute("select applied from erasures_applied for update").fetchone()
        if row is not None and row[0] >= len(erased) and not destroyed:
            return 0
        found = apply_to_rows(connection, erased, rows, digest)
        connection.execute("update erasures_applied set applied = %s", (len(erased),))
    return found


__all__ = ["Erased", "ErasureJournal", "HeldRows", "JournalBroken", "JournalMark", "apply", "apply_to_keys", "apply_to_rows"]
