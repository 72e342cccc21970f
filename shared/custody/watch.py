"""The watch that a service keeps over its own record of openings: what is new is checked and anchored elsewhere, what is old gone through anew.

What must not be becomes an incident: an envelope that was broken when it was to be opened, a record that does not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.custody import keys
from shared.custody.keys import Entry
from shared.custody.record import FIRST, UNSEALED, Break, Seal, breaks, fault_of
from shared.database import Database, type_of_connection

ANCHOR_EVERY = timedelta(minutes=10)
BROKEN_ENVELOPE, BROKEN_RECORD = "envelope_broken", "record_broken"
_PAGE = 500
_MOST_PAGES = 20  # of the new part, in one look
_MARK = "anchored"
_WATCH_LOCK = 0x7761746368  # "watch": one process of a service looks at a time


@dataclass(frozen=True, slots=True)
class Noticed:
    """What was noticed, and where: a place in the record, which names nobody."""

    kind: str
    place: str


@dataclass(slots=True)
class Look:
    """How far the record was seen in order, and what was noticed on the way."""

    position: int = 0
    hash: str = FIRST
    noticed: list[Noticed] = field(default_factory=list)
    is_unsealed: bool = False


class RecordWatch:
    """See the module. `pause` lets others go on between two pages."""

    def __init__(self, database: Database, seal: Seal, pause: Callable[[], None] = lambda: None) -> None:
        self._database, self._seal, self._pause = database, seal, pause
        self._told: set[Noticed] = set()
        self._seen: Look | None = None
        self._patrol = (0, FIRST)
        self._anchored_at: datetime | None = None

    def look(self, at: datetime) -> Look | None:
        """What should be told elsewhere now: where the record stands, and every incident since; None where there is nothing to tell.

        Looks through what is new and through a piece of what is old. Raises TryLater where the keyring does not answer.
        """
        with self._database.begin() as connection:
            row = connection.execute("select pg_try_advisory_xact_lock(%s)", (_WATCH_LOCK,)).fetchone()
            if not (row and row[0]):
                return None
            position, hash_ = keys.mark(connection, _MARK)
            if self._seen is None or self._seen.position < position:
                self._seen = Look(position, hash_)
            seen = self._seen
            self._look_at_end(connection, seen)
        for _ in range(_MOST_PAGES):
            if not self._read_on(seen):
                break
            self._pause()
        seen.noticed += self._go_round(seen.position)
        is_time = self._anchored_at is None or at - self._anchored_at >= ANCHOR_EVERY
        return seen if seen.noticed or (is_time and seen.position > position) else None

    def note_told(self, look: Look, at: datetime) -> None:
        """What `look` gave is safe elsewhere. Not called after a crash: then it is told again, which is harmless."""
        with self._database.begin() as connection:
            keys.set_mark(connection, _MARK, look.position, look.hash)
            if look.is_unsealed:
                self._seal_anew(connection)
        self._told.update(look.noticed)
        self._seen, self._anchored_at = Look(look.position, look.hash), at

    def _look_at_end(self, connection: type_of_connection, seen: Look) -> None:
        """Whether what was seen before stands still, and the record goes as far as its head says; each is noticed once."""
        faults = []
        if seen.position and keys.hash_at(connection, seen.position) != seen.hash:
            faults.append(Break(seen.position, "rewritten"))
        if (fault := fault_of(keys.record_end(connection), self._seal)) is not None:
            faults.append(fault)
            seen.is_unsealed = fault.kind == UNSEALED
        noticed = [Noticed(BROKEN_RECORD, f"{it.kind} {it.position}") for it in faults]
        seen.noticed += [it for it in noticed if it not in self._told and it not in seen.noticed]

    def _seal_anew(self, connection: type_of_connection) -> None:
        """It was told elsewhere that the head is not ours: from here on the end is guarded again."""
        keys.lock_record(connection)
        end = keys.record_end(connection)
        if (fault := fault_of(end, self._seal)) is not None and fault.kind == UNSEALED:
            keys.set_head(connection, self._seal.head(end.position, end.hash))

    def _read_on(self, seen: Look) -> bool:
        """Go on by a page; whether there may be more."""
        page = self._page(seen.position)
        seen.noticed += _told(page, seen.position, seen.hash)
        seen.noticed += [Noticed(BROKEN_ENVELOPE, str(it.position)) for it in page if it.ending == BROKEN_ENVELOPE]
        if page:
            seen.position, seen.hash = page[-1].position, page[-1].hash
        return len(page) == _PAGE

    def _go_round(self, end: int) -> list[Noticed]:
        """A page of what was seen before: whoever changes an old entry is found when the watch comes by."""
        after, before = self._patrol
        page = [entry for entry in self._page(after) if entry.position <= end]
        self._patrol = (page[-1].position, page[-1].hash) if page else (0, FIRST)
        return _told(page, after, before)

    def _page(self, after: int) -> list[Entry]:
        with self._database.begin() as connection:
            return keys.entries(connection, after, _PAGE)


def _told(page: list[Entry], after: int, before: str) -> list[Noticed]:
    return [Noticed(BROKEN_RECORD, f"{it.kind} {it.position}") for it in breaks(page, {}, after=after, before=before)]
