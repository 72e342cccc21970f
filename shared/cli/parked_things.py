"""The services' databases, for what is parked in them: what a person asks for, found, counted and done in small transactions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg

from shared.cli import settings as cli_settings
from shared.cli.terminal import Misused, NotDone
from shared.database import connect_to_write, type_of_connection
from shared.delivery import parked
from shared.delivery.parked import Kept, ParkedThing, Tally, Verdict, Wanted

SERVICES = ("orders", "payments", "shipping", "notifications")
AT_A_TIME = 500
STAFF_ID = "BROWNPAPER_STAFF_ID"
Deed = Callable[[str, type_of_connection, Sequence[UUID]], set[UUID]]


class Databases:
    """Where the services keep what is parked. Every method raises NotDone where one of them does not answer or was not migrated.

    With `writes` each is asked where it takes writes, what is only read too: a standby may not have heard yet.
    """

    def __init__(self, urls: dict[str, str], *, writes: bool = False) -> None:
        self._urls, self._writes = urls, writes

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self._urls)

    @contextmanager
    def of(self, service: str) -> Iterator[type_of_connection]:
        """A connection to the database of this service; each statement is a transaction of its own unless one is begun."""
        url = self._urls[service]
        try:
            with (
                connect_to_write(url, autocommit=True)
                if self._writes
                else psycopg.connect(url, autocommit=True, connect_timeout=5)
            ) as connection:
                yield connection
        except psycopg.Error as error:
            # Its text may hold an address or a value.
            raise NotDone(f"The database of {service} did not do it ({type(error).__name__}).") from None

    def count(self, wanted: Wanted) -> list[tuple[str, Tally]]:
        """How many are meant, by service and sort."""
        counted: list[tuple[str, Tally]] = []
        for service in self._urls:
            with self.of(service) as connection:
                counted += [(service, tally) for tally in parked.count(connection, wanted)]
        return counted

    def find(self, wanted: Wanted, limit: int) -> list[tuple[str, ParkedThing]]:
        """So many of what is meant over all services, the one that has waited longest first."""
        found: list[tuple[str, ParkedThing]] = []
        for service in self._urls:
            with self.of(service) as connection:
                found += [(service, thing) for thing in parked.find(connection, wanted, limit)]
        return sorted(found, key=lambda it: (it[1].last_at, it[1].id))[:limit]

    def kept(self, service: str, thing: ParkedThing) -> Kept:
        """All else that is kept of it. Raises NotDone where it is gone meanwhile."""
        with self.of(service) as connection:
            whole = parked.kept(connection, thing)
        if whole is None:
            raise NotDone("It is not parked any more.")
        return whole

    def do(self, wanted: Wanted, deed: Deed, on_left: Callable[[str, ParkedThing], None]) -> int:
        """Do something to all that is meant and give to how many it was done; `on_left` hears of each that was left as it is.

        A few hundred in a transaction, so that what was done before a break is done. What is parked again meanwhile is not touched twice.
        """
        number = 0
        for service in self._urls:
            with self.of(service) as connection:
                for things in _chunks(connection, wanted):
                    with connection.transaction():
                        done = deed(service, connection, [thing.id for thing in things])
                    number += len(done)
                    for thing in things:
                        if thing.id not in done:
                            on_left(service, thing)
        return number


def _chunks(connection: type_of_connection, wanted: Wanted) -> Iterator[list[ParkedThing]]:
    """What is meant, a few hundred at a time; of what is found by a filter only what was parked before now."""
    if wanted.ids is not None:
        for start in range(0, len(wanted.ids), AT_A_TIME):
            yield parked.find(connection, replace(wanted, ids=wanted.ids[start : start + AT_A_TIME]), AT_A_TIME)
        return
    now, after = datetime.now(UTC), None
    bounded = replace(wanted, until=min(wanted.until, now) if wanted.until else now)
    while things := parked.find(connection, bounded, AT_A_TIME, after):
        yield things
        after = (things[-1].last_at, things[-1].id)


def databases_of(env: Path | None, service: str | None, *, writes: bool = False) -> Databases:
    """The databases of the running stack, or that of one service. Raises Misused for an unknown name and missing addresses."""
    if service is not None and service not in SERVICES:
        raise Misused(f"There is no such service; there are {', '.join(SERVICES)}.")
    settings = cli_settings.load(env)
    names = {name: f"{name.upper()}_DATABASE_URL" for name in SERVICES if service in (None, name)}
    settings.require(*names.values())
    return Databases({name: settings[setting] for name, setting in names.items()}, writes=writes)


def read_wish(
    ids: Sequence[str] | None,
    kind: str | None,
    type_: str | None,
    parked_for: str | None,
    order_number: str | None,
    since: str | None,
    until: str | None,
) -> Wanted:
    """What a person asked for. Raises Misused."""
    if kind not in (None, *parked.KINDS):
        raise Misused(f"--kind is one of {', '.join(parked.KINDS)}.")
    try:
        identities = tuple(dict.fromkeys(UUID(identity) for identity in ids)) if ids else None
    except ValueError:
        raise Misused("An id is one of those that `brownpaper parked list` shows.") from None
    return Wanted(identities, kind, type_, parked_for, order_number, read_time(since, "--since"), read_time(until, "--until"))


def read_time(text: str | None, option: str) -> datetime | None:
    """A date or a time, in UTC where it names no zone. Raises Misused."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Misused(f"{option} wants a date or a time, like 2026-11-24 or 2026-11-24T12:00:00Z.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def read_verdict(reason: str, ticket: str | None, by: str | None, env: Path | None) -> Verdict:
    """Why something is discarded, and who says so. Raises Misused; what was given is not repeated, for it may be a person's."""
    by = by or cli_settings.load(env).get(STAFF_ID)
    if not re.fullmatch("[a-z0-9_]{1,64}", reason):
        raise Misused(
            "--reason wants a code of small letters, digits and _, at most 64: it is kept for ever, so no words about a person."
        )
    if ticket is not None and not re.fullmatch("[A-Za-z0-9._#-]{1,64}", ticket):
        raise Misused("--ticket wants the id of a ticket: letters, digits and . _ # -, at most 64.")
    if by is None or not re.fullmatch("[A-Za-z0-9._-]{1,64}", by):
        raise Misused(f"--by (or {STAFF_ID}) wants your staff id, not your name: letters, digits and . _ -, at most 64.")
    return Verdict(reason, ticket, by)
