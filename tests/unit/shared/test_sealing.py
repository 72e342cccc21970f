"""A part is readable by one service alone: boxes, the keyring that opens them, and what it keeps of a key."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey

from shared.contracts.events import SealedBox
from shared.keyring import LIFETIME, OVERLAP, Keyring, MasterKeyInvalid
from shared.parts import ANNOUNCE_EVERY, PartReader
from shared.sealing import BoxUnopenable, box_bytes, seal, seal_to_base64, unseal
from tests.builders import AT
from tests.unit.contracts.storefront_samples import EXAMPLE

CANARY = b"canary-personal"
MASTER = bytes(range(32))


def a_key() -> tuple[PrivateKey, str]:
    private = PrivateKey.generate()
    return private, base64.b64encode(bytes(private.public_key)).decode()


# ── boxes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.binary(max_size=300))
def test_what_was_sealed_is_opened_by_its_key_alone(plaintext: bytes) -> None:
    private, public = a_key()
    box = seal_to_base64(plaintext, public)
    assert unseal(box_bytes(box), private) == plaintext
    with pytest.raises(BoxUnopenable):
        unseal(box_bytes(box), PrivateKey.generate())


def test_the_same_part_sealed_twice_is_two_boxes() -> None:
    _, public = a_key()
    assert seal(CANARY, public) != seal(CANARY, public)


@given(st.data())
def test_a_changed_box_is_not_opened(data: st.DataObject) -> None:
    private, public = a_key()
    box = bytearray(seal(CANARY, public))
    box[data.draw(st.integers(0, len(box) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BoxUnopenable):
        unseal(bytes(box), private)


@given(st.binary(max_size=100))
def test_what_is_no_box_is_refused_without_a_word_of_it(box: bytes) -> None:
    with pytest.raises(BoxUnopenable) as caught:
        unseal(box, PrivateKey.generate())
    assert (caught.value.code, str(caught.value)) == ("box_unopenable", "box_unopenable at /")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("box", ["====", "a", "Zoë", "ab+c_-", " Ym94", "Ym94\n", "Ym94!"])
def test_what_is_no_base64_is_no_box(box: str) -> None:
    with pytest.raises(BoxUnopenable):
        box_bytes(box)


# ── the keyring ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Answer:
    def __init__(self, row: tuple[Any, ...] | None = None) -> None:
        self._row = row

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._row


class KeyTable:
    """Stands for the keyring's database: one table, three statements."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.is_locked = False

    @contextmanager
    def begin(self) -> Iterator[KeyTable]:
        yield self
        self.is_locked = False

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> Answer:
        match statement.split(maxsplit=1)[0]:
            case "lock":
                self.is_locked = True
                return Answer()
            case "insert":
                assert self.is_locked, "two processes would make two keys"
                self.rows.append(parameters)
                return Answer()
        if "where key_id" in statement:
            return Answer(next(((row[2],) for row in self.rows if row[0] == parameters[0]), None))
        lasting = [(row[0], row[1], row[4], row[2]) for row in self.rows if row[4] > parameters[0]]
        return Answer(max(lasting, key=lambda row: row[2]) if lasting else None)


def a_keyring(table: KeyTable, master: bytes = MASTER, service: str = "shipping") -> Keyring:
    database: Any = table
    return Keyring(service, database, master)


def sealed_to(keyring: Keyring, plaintext: bytes, at: datetime = AT) -> SealedBox:
    key = keyring.current(at)
    return SealedBox(sealed_for=key.service, key_id=key.key_id, box=seal_to_base64(plaintext, key.public_key))


def test_a_keyring_makes_its_first_key_and_opens_what_is_sealed_to_it() -> None:
    table = KeyTable()
    keyring = a_keyring(table)
    key = keyring.current(AT)
    assert key.service == "shipping"
    assert key.key_id.startswith("shipping-2026-10-")
    assert key.expires_at == AT + LIFETIME
    assert keyring.unseal(sealed_to(keyring, CANARY)) == CANARY
    assert len(table.rows) == 1


def test_another_process_of_the_service_finds_the_same_key() -> None:
    table = KeyTable()
    one, two = a_keyring(table), a_keyring(table)
    assert one.current(AT) == two.current(AT)
    assert two.unseal(sealed_to(one, CANARY)) == CANARY


def test_the_private_half_stands_in_no_row_in_the_clear() -> None:
    table = KeyTable()
    keyring = a_keyring(table)
    box = sealed_to(keyring, CANARY)
    private = keyring._private_key(box.key_id)
    assert all(bytes(private) not in bytes(value) for value in table.rows[0] if isinstance(value, bytes))
    with pytest.raises((CryptoError, MasterKeyInvalid)):
        a_keyring(table, master=bytes(32)).unseal(box)


def test_a_new_key_is_made_while_the_old_one_still_stands() -> None:
    table = KeyTable()
    keyring = a_keyring(table)
    first = keyring.current(AT)
    assert keyring.current(AT + LIFETIME - OVERLAP) == first
    second = keyring.current(AT + LIFETIME - OVERLAP + timedelta(seconds=1))
    assert second.key_id != first.key_id
    assert second.expires_at > first.expires_at
    old = SealedBox(sealed_for="shipping", key_id=first.key_id, box=seal_to_base64(CANARY, first.public_key))
    assert keyring.unseal(old) == CANARY, "what was sealed to the old key is opened as long as it is kept"


def test_keys_change_at_least_weekly_as_the_contract_says() -> None:
    assert timedelta(7) >= LIFETIME > OVERLAP > timedelta(0)


def test_a_key_nobody_has_opens_nothing() -> None:
    keyring = a_keyring(KeyTable())
    box = sealed_to(keyring, CANARY)
    with pytest.raises(BoxUnopenable):
        keyring.unseal(box.model_copy(update={"key_id": "shipping-2020-01-0000"}))


def test_what_is_sealed_for_rest_is_opened_by_the_same_service_alone() -> None:
    keyring = a_keyring(KeyTable())
    key_id, box = keyring.seal(CANARY, AT)
    assert CANARY not in box
    assert keyring.unseal_own(key_id, box) == CANARY
    with pytest.raises(BoxUnopenable):
        a_keyring(KeyTable(), service="payments").unseal_own(key_id, box)


@pytest.mark.parametrize("content", [None, b"", b"canary-not-base64!", base64.b64encode(bytes(31)), base64.b64encode(bytes(33))])
def test_a_master_key_that_is_none_is_refused_without_its_text(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "canary"
    if content is not None:
        file.write_bytes(content)
    database: Any = KeyTable()
    with pytest.raises(MasterKeyInvalid) as caught:
        Keyring.open("shipping", database, file)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_master_key_file_is_read(tmp_path: Path) -> None:
    table = KeyTable()
    (tmp_path / "master").write_bytes(base64.b64encode(MASTER))
    database: Any = table
    keyring = Keyring.open("shipping", database, tmp_path / "master")
    assert a_keyring(table).unseal(sealed_to(keyring, CANARY)) == CANARY


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_contact(**changes: Any) -> bytes:
    from shared.contracts.storefront import PART_FORMS, part_to_json

    return part_to_json(PART_FORMS["contact"].model_validate({**EXAMPLE["data"]["contact"], **changes}), "SH-1")


def test_a_part_is_opened_and_checked() -> None:
    keyring = a_keyring(KeyTable(), service="notifications")
    opened = PartReader(keyring).read("contact", sealed_to(keyring, a_contact()), "SH-1")
    assert opened.codes == ()
    assert opened.value is not None
    assert opened.value.email == "zoe@shop.example"


def test_a_part_of_another_order_is_not_used() -> None:
    keyring = a_keyring(KeyTable(), service="notifications")
    opened = PartReader(keyring).read("contact", sealed_to(keyring, a_contact()), "SH-2")
    assert (opened.value, opened.codes) == (None, ("sealed_for_another",))


@pytest.mark.parametrize(
    ("plaintext", "codes"),
    [(b"canary", ("malformed_json",)), (b"[]", ("not_an_object",)), (b'{"for":"SH-1"}', ("missing",))],
)
def test_an_unsound_part_is_told_by_codes_each_once(plaintext: bytes, codes: tuple[str, ...]) -> None:
    keyring = a_keyring(KeyTable(), service="notifications")
    opened = PartReader(keyring).read("contact", sealed_to(keyring, plaintext), "SH-1")
    assert (opened.value, opened.codes) == (None, codes)


def test_a_box_that_nobody_here_can_open_is_told_by_its_code() -> None:
    keyring = a_keyring(KeyTable(), service="notifications")
    stranger = sealed_to(a_keyring(KeyTable()), a_contact())
    assert PartReader(keyring).read("contact", stranger, "SH-1").codes == ("box_unopenable",)


def test_a_key_is_announced_when_it_is_new_and_every_hour() -> None:
    reader = PartReader(a_keyring(KeyTable()))
    key = reader.due_for_announcement(AT)
    assert key is not None
    assert reader.due_for_announcement(AT) == key, "an announcement that failed is due again"
    reader.note_announced(key, AT)
    assert reader.due_for_announcement(AT + ANNOUNCE_EVERY - timedelta(seconds=1)) is None
    assert reader.due_for_announcement(AT + ANNOUNCE_EVERY) == key
    reader.note_announced(key, AT + LIFETIME - OVERLAP)
    newer = reader.due_for_announcement(AT + LIFETIME - OVERLAP + timedelta(seconds=1))
    assert newer is not None
    assert newer.key_id != key.key_id
