"""The board of public keys: read seldom, read again when told, the longest-lasting key of each service first."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest
from nacl.public import PrivateKey

from services.orders.keyboard import FRESH_FOR, KeyBoard
from shared.contracts.errors import TryLater
from shared.sealing import IntakeKey, box_bytes, unseal
from tests.builders import AT

PRIVATE = PrivateKey.generate()
PUBLIC = base64.b64encode(bytes(PRIVATE.public_key)).decode()


class Reads:
    """The keys that have not expired, the newest of each service first, as the database gives them."""

    def __init__(self, *keys: IntakeKey) -> None:
        self.keys = list(keys)
        self.times = 0

    def intake_keys(self, at: datetime) -> list[IntakeKey]:
        self.times += 1
        standing = [key for key in self.keys if key.expires_at > at]
        return sorted(standing, key=lambda key: (key.service, -key.expires_at.timestamp()))


def a_key(key_id: str, days: float, service: str = "shipping") -> IntakeKey:
    return IntakeKey(service, key_id, PUBLIC, AT + timedelta(days=days))


def a_board(reads: Reads) -> KeyBoard:
    given: Any = reads
    return KeyBoard(given)


def test_all_standing_keys_are_taken_and_the_longest_lasting_is_sealed_to() -> None:
    board = a_board(Reads(a_key("old", 1), a_key("new", 6), a_key("gone", -1), a_key("p", 3, "payments")))
    assert board.expiries(AT) == {
        ("shipping", "old"): AT + timedelta(days=1),
        ("shipping", "new"): AT + timedelta(days=6),
        ("payments", "p"): AT + timedelta(days=3),
    }
    assert [key.key_id for key in board.current(AT)] == ["p", "new"]


def test_the_database_is_asked_at_most_every_ten_seconds() -> None:
    reads = Reads(a_key("k", 1))
    board = a_board(reads)
    for seconds in (0, 5, 10):
        board.expiries(AT + timedelta(seconds=seconds))
    assert (reads.times, FRESH_FOR) == (1, timedelta(seconds=10))
    board.expiries(AT + timedelta(seconds=11))
    assert reads.times == 2


def test_a_key_that_was_heard_of_is_known_at_once() -> None:
    reads = Reads(a_key("one", 1))
    board = a_board(reads)
    board.current(AT)
    reads.keys.append(a_key("two", 2))
    assert [key.key_id for key in board.current(AT)] == ["one"]
    board.forget()
    assert [key.key_id for key in board.current(AT)] == ["two"]


def test_a_part_is_sealed_to_its_service_s_key() -> None:
    sealed = a_board(Reads(a_key("k", 1))).seal("shipping", b"for shipping", AT)
    assert (sealed.sealed_for, sealed.key_id) == ("shipping", "k")
    assert unseal(box_bytes(sealed.box), PRIVATE) == b"for shipping"


def test_without_a_key_it_waits_and_looks_again_next_time() -> None:
    reads = Reads()
    board = a_board(reads)
    for _ in range(2):
        with pytest.raises(TryLater, match=r"^intake_key_missing$"):
            board.seal("shipping", b"", AT)
    assert reads.times == 2
    reads.keys.append(a_key("k", 1))
    assert board.seal("shipping", b"", AT).key_id == "k"


def test_an_expired_key_is_not_sealed_to_even_where_the_board_is_fresh() -> None:
    board = a_board(Reads(a_key("k", 0.00005)))
    assert board.current(AT)
    assert board.current(AT + timedelta(seconds=5)) == []
