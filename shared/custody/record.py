"""The record of openings: each entry's hash covers the one before, so that an entry that was changed or taken out shows.

The hash of entry n is SHA-256 over the hash of entry n - 1 and entry n as canonical JSON, its salt included; positions have no gap. Who
could rewrite the whole table could rewrite all hashes too: so a hash is kept elsewhere from time to time (`anchors`), and the record is
held against it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from shared.custody.keys import Entry

FIRST = ""  # what the first entry is bound to


@dataclass(frozen=True, slots=True)
class Break:
    """Where the record does not hold.

    `missing`: a position is not there; `changed`: the hash does not fit; `rewritten`: it is not what was anchored.
    """

    position: int
    kind: str


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
