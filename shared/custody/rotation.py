"""A new master key: everything that stands is wrapped anew in small transactions, then the old master is destroyed.

A crash at any point is gone on from by running it again. Services run meanwhile: they find the new master by themselves, and what one of
them still wraps under the old one is either wrapped anew or not written at all (`masters.retired_at`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.contracts.errors import TryLater
from shared.custody import masters
from shared.custody.keys import KeyName
from shared.custody.master import Master, MasterKeyGone, MasterKeyInvalid
from shared.custody.vault import part_key_context, service_key_context
from shared.database import type_of_connection
from shared.keyring import intake_key_context

MOST_AT_ONCE = 500


class Transactions(Protocol):
    """A keyring's database."""

    def begin(self) -> AbstractContextManager[type_of_connection]: ...


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did to one keyring: keys wrapped anew, and keys that no master opens any more, left as they are."""

    wrapped: int
    unreadable: int


def rotate(
    master: Master, keyrings: Mapping[str, Transactions], at: datetime, reached: Callable[[str], None] = lambda _point: None
) -> dict[str, Rotated]:
    """Give all keyrings (service → database) of one master a new master key, and destroy the others.

    Safe to repeat and to break off anywhere. `reached` hears the points where it could break off. Raises TryLater, MasterKeyInvalid.
    """
    current = master.begin_rotation()
    reached("begun")
    done = {service: _wrap_all(master, service, keyring, current, at, reached) for service, keyring in keyrings.items()}
    reached("wrapped")
    master.destroy_others(current)
    reached("destroyed")
    return done


def _wrap_all(
    master: Master, service: str, keyring: Transactions, current: str, at: datetime, reached: Callable[[str], None]
) -> Rotated:
    with keyring.begin() as connection:
        masters.hold_master(connection, current, at)
        olds = masters.other_masters(connection, current)
    wrapped = sum(_wrap_under(master, service, keyring, old, reached) for old in olds)
    with keyring.begin() as connection:
        masters.retire_masters(connection, current, at)
    reached("retired")
    # Between the two a service may have wrapped something under an old master, and another may have come to be known.
    with keyring.begin() as connection:
        olds = masters.other_masters(connection, current)
    wrapped += sum(_wrap_under(master, service, keyring, old, reached) for old in olds)
    with keyring.begin() as connection:
        left = {old: masters.count_under(connection, old) for old in olds}
        unreadable = {old: count for old, count in left.items() if count and _is_gone(master, service, connection, old)}
    if sum(left.values()) > sum(unreadable.values()):
        raise TryLater("master_still_in_use")  # somebody holds a row; once more finds it
    return Rotated(wrapped, sum(unreadable.values()))


def _wrap_under(master: Master, service: str, keyring: Transactions, old: str, reached: Callable[[str], None]) -> int:
    """Wrap anew what stands under this master, in small transactions; how many keys. Nothing where that master is gone."""
    total = 0
    while True:
        with keyring.begin() as connection:
            found = masters.wrapped_under(connection, old, MOST_AT_ONCE)
            if not found:
                return total
            contexts = [_context(service, table, name) for table, name, _ in found]
            opened = master.unwrap_many([(it, context) for (_, _, it), context in zip(found, contexts, strict=True)])
            plain = [key for key in opened if isinstance(key, bytes)]
            if any(isinstance(key, MasterKeyGone) for key in opened):
                return total  # destroyed before: nothing can be done for what stands under it
            if len(plain) < len(opened):
                raise MasterKeyInvalid  # somebody changed a row: a person must look
            anew = master.wrap_many(list(zip(plain, contexts, strict=True)))
            for (table, name, _), it in zip(found, anew, strict=True):
                masters.put_wrapped(connection, table, name, it)
        total += len(found)
        reached("batch")


def _is_gone(master: Master, service: str, connection: type_of_connection, old: str) -> bool:
    found = masters.wrapped_under(connection, old, 1)
    return bool(found) and isinstance(master.unwrap_many([(found[0][2], _context(service, *found[0][:2]))])[0], MasterKeyGone)


def _context(service: str, table: str, name: tuple[str, ...]) -> bytes:
    match table:
        case "part_keys":
            return part_key_context(service, KeyName(*name))
        case "service_keys":
            return service_key_context(service, name[0])
        case _:
            return intake_key_context(service, name[0])


__all__ = ["Rotated", "Transactions", "rotate"]
