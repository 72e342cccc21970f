"""The record of openings: each entry's hash covers the one before, so that an entry that was changed or taken out shows.

Where the record ends says its head, which is sealed under a key of the service: an end that was cut off shows by it.

The hash of entry n is SHA-256 over the hash of entry n - 1 and entry n as canonical JSON, its salt included; positions have no gap. Who
could rewrite the whole table could rewrite all hashes too: so a hash is kept elsewhere from time to time (`anchors`), and the record is
held against it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from shared.custody.keys import Entry, Head, RecordEnd

FIRST = ""  # what the first entry is bound to
UNSEALED = "unsealed"
_NEVER_SEALED = Head(0, FIRST, "")


@dataclass(frozen=True, slots=True)
class Break:
    """Where the record does not hold.

    `missing`: a position is not there; `changed`: the hash does not fit; `rewritten`: it is not what was anchored; `unsealed`: the head,
    which says how far the record goes, is gone or not what the service wrote, so that the entries behind may be too.
    """

    position: int
    kind: str


class Seal:
    """What one service seals its record's head with. Who does not have its `key` makes no head that counts."""

    def __init__(self, service: str, key: bytes) -> None:
        self._service, self._key = service, key

    def head(self, position: int, hash_: str) -> Head:
        """The head of a record that ends with this entry."""
        words = f"record head\0{self._service}\0{position}\0{hash_}"
        return Head(position, hash_, hmac.digest(self._key, words.encode(), "sha256").hex())

    def is_right(self, head: Head) -> bool:
        return hmac.compare_digest(self.head(head.position, head.hash).seal.encode(), head.seal.encode())


def fault_of(end: RecordEnd, seal: Seal | None) -> Break | None:
    """What is wrong with the end of a record. `seal` is None where the service has no key for it yet: then it has written no entry.

    Entries behind the head are none: an older release that still runs wrote them.
    """
    if end.head == _NEVER_SEALED and end.position == 0:
        return None
    if end.head is None or seal is None or not seal.is_right(end.head):
        return Break(end.position, UNSEALED)
    if end.hash_at_head != end.head.hash:
        return Break(end.head.position, "missing" if end.hash_at_head is None else "rewritten")
    return None


def continued(end: RecordEnd, seal: Seal, known: Head | None) -> tuple[int, str, bool]:
    """(position, hash) that the next entry is bound to, and whether the head goes with it. `known` is a head that this process wrote.

    What was cut off is never closed over: the next entry comes where it would have come, and the gap stays for whoever looks. A head that
    is not the service's own stays too.
    """
    if known is not None and known.position > end.position and (end.head is None or end.head.position < known.position):
        return known.position, known.hash, True
    fault = fault_of(end, seal)
    if fault is None or end.head is None or fault.kind == UNSEALED:
        return end.position, end.hash, fault is None
    if end.position > end.head.position:
        return end.position, end.hash, False
    return end.head.position, end.head.hash, True


def hash_of(entry: Entry, before: str) -> str:
    """The hash that this entry must have behind one with the hash `before`."""
    told = entry._asdict()
    del told["hash"]
    told["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(before.encode() + b"\n" + orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def chained(entries: Sequence[Entry], last_position: int, last_hash: str) -> list[Entry]:
    """The entries with their places and hashes behind the last one that stands."""
    bound = []
    for position, entry in enumerate(entries, last_position + 1):
        placed = entry._replace(position=position, salt=secrets.token_hex(8))
        last_hash = hash_of(placed, last_hash)
        bound.append(placed._replace(hash=last_hash))
    return bound


def breaks(entries: Iterable[Entry], anchors: Mapping[int, str], *, after: int = 0, before: str = FIRST) -> Iterator[Break]:
    """Every place where the record does not hold. `anchors` are hashes by position that were kept elsewhere.

    `entries` begin behind the position `after`, whose entry has the hash `before`: the whole record, unless told.
    """
    expected = after + 1
    for entry in entries:
        if entry.position != expected:
            yield Break(expected, "missing")
        elif hash_of(entry, before) != entry.hash:
            yield Break(entry.position, "changed")
        if anchors.get(entry.position, entry.hash) != entry.hash:
            yield Break(entry.position, "rewritten")
        expected, before = entry.position + 1, entry.hash
    for position in sorted(anchors):
        if position >= expected:
            yield Break(position, "missing")


def entry_of(
    at: datetime, *, actor: str, purpose: str, part: str, form: str, person: str, item: str, policy_version: str, ending: str
) -> Entry:
    """An entry that has no place yet."""
    # The clock of the database keeps microseconds and no more: so must what is hashed.
    return Entry(0, at, actor, purpose, part, form, person, item, policy_version, ending, "", "")
