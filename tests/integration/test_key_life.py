"""The life of keys on a real keyring: intake keys come and go, a master is rotated under a running service, a crash loses nothing."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fix_servers import DatabaseUrl
from tests.integration.custody_bench import AT, SHOP, Custody, a_master_file
from tests.integration.facts import rows

# isort: split
from nacl.public import PrivateKey
from nacl.secret import SecretBox

from shared.contracts.events import SealedBox
from shared.custody.master import MasterKeyInvalid
from shared.custody.persons import Horizon, PersonKeys
from shared.custody.rotation import rotate
from shared.delivery.ladder import DEFAULT_RUNGS_SECONDS
from shared.keyring import GRACE, LIFETIME, OVERLAP, Keyring
from shared.sealing import BoxUnopenable, seal_to_base64

TEXT = b"canary-personal"
SOON = timedelta(seconds=1)


@pytest.fixture
def custody(keyring_database_url: DatabaseUrl, tmp_path: Path) -> Iterator[Custody]:
    it = Custody(keyring_database_url("shipping"), a_master_file(tmp_path))
    yield it
    it.close()


def another(custody: Custody) -> Custody:
    """Another process of the same service."""
    return Custody(custody.url, custody.file)


def sealed_to(keyring: Keyring, at: Any = AT) -> SealedBox:
    key = keyring.current(at)
    return SealedBox(sealed_for=key.service, key_id=key.key_id, box=seal_to_base64(TEXT, key.public_key))


# ── intake keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_processes_have_the_same_key_and_a_new_one_in_time(custody: Custody) -> None:
    one, two = custody.keyring, another(custody).keyring
    first = one.current(AT)
    assert first == two.current(AT)
    assert (first.service, first.expires_at) == ("shipping", AT + LIFETIME)
    assert first.key_id.startswith("shipping-2026-47-")
    assert two.unseal(sealed_to(one)) == TEXT
    assert one.current(AT + LIFETIME - OVERLAP) == first
    second = one.current(AT + LIFETIME - OVERLAP + SOON)
    assert second.key_id != first.key_id
    assert two.current(AT + LIFETIME - OVERLAP + SOON) == second


def test_keys_change_weekly_and_are_gone_after_twelve_days() -> None:
    assert timedelta(7) >= LIFETIME > OVERLAP > timedelta(0)
    assert timedelta(12) == LIFETIME + GRACE
    # A fact that has not arrived is asked for again until the ladder is over: the box must open as long, however late it was sealed.
    assert timedelta(seconds=1.2 * sum(DEFAULT_RUNGS_SECONDS)) < GRACE


def test_an_old_key_is_destroyed_everywhere_and_its_boxes_open_nowhere(custody: Custody) -> None:
    other = another(custody)
    at_first, at_last = sealed_to(custody.keyring), sealed_to(custody.keyring, AT + LIFETIME - OVERLAP)
    assert other.keyring.unseal(at_first) == TEXT, "and it remembers the key now"
    end = AT + LIFETIME + GRACE
    newer = sealed_to(custody.keyring, end - SOON)
    assert (custody.keyring.destroy_old(end - SOON), other.keyring.destroy_old(end - SOON)) == (0, 0)
    assert custody.keyring.unseal(at_last) == TEXT
    assert (custody.keyring.destroy_old(end), custody.keyring.destroy_old(end)) == (1, 0)
    other.keyring.destroy_old(end)
    for keyring in (custody.keyring, other.keyring, another(custody).keyring):
        with pytest.raises(BoxUnopenable):
            keyring.unseal(at_first)
        assert keyring.unseal(newer) == TEXT
    assert custody.keyring.current(end).key_id == newer.key_id


def test_the_date_of_an_erasure_is_behind_the_last_key_that_opens_a_box_from_before(custody: Custody) -> None:
    grace, every, rotation, backup = GRACE, timedelta(minutes=10), timedelta(days=3), timedelta(days=4)
    persons = PersonKeys(custody.database, custody.vault, Horizon(grace, every, rotation, backup))
    sealed_to(custody.keyring)
    box = sealed_to(custody.keyring, AT + LIFETIME - OVERLAP + SOON)  # the newest key opens what came just before the erasure
    done = persons.erase(SHOP, "c-1", AT + LIFETIME)
    last = rows(custody.url, "select max(expires_at) from intake_keys")[0][0]
    custody.keyring.destroy_old(last + grace - SOON)
    assert custody.keyring.unseal(box) == TEXT, "it still opens then"
    # A service looks every half a minute whether the time between two clearings is over.
    assert done.last_key_gone_at == last + grace + every + timedelta(seconds=30) + rotation
    assert done.last_backup_gone_at == done.last_key_gone_at + backup
    custody.keyring.destroy_old(done.last_key_gone_at)
    assert rows(custody.url, "select 1 from intake_keys where key_id = %s", box.key_id) == []
    assert persons.erase(SHOP, "c-1", last + timedelta(days=60)).last_key_gone_at == last + timedelta(days=60) + rotation


def test_the_private_half_stands_under_the_master_and_bound_to_its_name(custody: Custody) -> None:
    first = sealed_to(custody.keyring)
    second = sealed_to(custody.keyring, AT + LIFETIME)
    assert (
        bytes(custody.keyring._private_key(first.key_id)) not in rows(custody.url, "select private_sealed from intake_keys")[0][0]
    )
    with psycopg.connect(custody.url) as connection:
        connection.execute(
            "update intake_keys a set private_sealed = b.private_sealed from intake_keys b where a.key_id <> b.key_id"
        )
    for box in (first, second):
        with pytest.raises(MasterKeyInvalid):
            another(custody).keyring.unseal(box)


def test_what_an_older_release_sealed_is_wrapped_anew_at_the_start(custody: Custody) -> None:
    private = PrivateKey.generate()
    public = base64.b64encode(bytes(private.public_key)).decode()
    master = base64.b64decode(custody.file.read_bytes())
    with psycopg.connect(custody.url) as connection:
        connection.execute(
            "insert into intake_keys (key_id, public_key, private_sealed, created_at, expires_at) values ('shipping-old', %s, %s, %s, %s)",
            (public, bytes(SecretBox(master).encrypt(bytes(private))), AT, AT + LIFETIME),
        )
    box = SealedBox(sealed_for="shipping", key_id="shipping-old", box=seal_to_base64(TEXT, public))
    assert (custody.keyring.adopt_old(AT), custody.keyring.adopt_old(AT)) == (1, 0)
    assert custody.keyring.unseal(box) == TEXT
    assert custody.keyring.current(AT).key_id == "shipping-old"


# ── the master ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def filled(custody: Custody, count: int = 1203) -> list[Any]:
    """(name, envelope) of many parts: more than two transactions of a rotation."""
    names = [custody.name(f"c-{number % 300}", f"A-{number}") for number in range(count)]
    return list(zip(names, custody.keep(*names), strict=True))


def masters_in(custody: Custody) -> set[str]:
    statement = "select master_id from part_keys union select master_id from service_keys union select master_id from intake_keys"
    return {name for (name,) in rows(custody.url, statement)}


def test_a_rotation_wraps_everything_anew_and_destroys_the_old_master(custody: Custody) -> None:
    kept, box, person = filled(custody), sealed_to(custody.keyring), custody.vault.person(SHOP, "c-1")
    old_file, old = custody.file.read_bytes(), custody.master.current_id()
    hands = another(custody)
    done = rotate(hands.master, {"shipping": hands.database}, AT)
    assert (done["shipping"].wrapped, done["shipping"].unreadable) == (1203 + 2, 0)
    assert masters_in(custody) == {hands.master.current_id()} != {old}
    assert old_file.strip() not in custody.file.read_bytes()
    # The one who ran all the time, and one that starts now.
    for it in (custody, another(custody)):
        assert set(it.endings(kept)) == {"opened"}
        assert it.keyring.unseal(box) == TEXT
        assert it.vault.person(SHOP, "c-1") == person
        it.keep(it.name("c-new", "N-1"))
    assert masters_in(custody) == {hands.master.current_id()}
    assert rows(custody.url, "select count(*) from masters where retired_at is not null") == [(1,)]


def test_with_the_old_master_a_copy_from_before_opens_and_one_from_after_does_not(custody: Custody, tmp_path: Path) -> None:
    kept = filled(custody, 3)
    stolen = tmp_path / "stolen"
    stolen.write_bytes(custody.file.read_bytes())
    assert Custody(custody.url, stolen).endings(kept) == ["opened"] * 3
    rotate(another(custody).master, {"shipping": custody.database}, AT)
    with pytest.raises(MasterKeyInvalid):
        Custody(custody.url, stolen).endings(kept)
    assert custody.endings(kept) == ["opened"] * 3


class Crash(Exception):
    """The process that rotates is gone."""


@pytest.mark.parametrize("point", ["begun", "batch", "batch 3", "retired", "wrapped"])
def test_a_rotation_that_broke_off_is_gone_on_with(custody: Custody, point: str) -> None:
    kept, box = filled(custody), sealed_to(custody.keyring)
    seen = 0

    def reached(name: str) -> None:
        nonlocal seen
        seen += name == "batch"
        if name == point or (point == "batch 3" and seen == 3):
            raise Crash

    hands = another(custody)
    with pytest.raises(Crash):
        rotate(hands.master, {"shipping": hands.database}, AT, reached)
    # Between the two, a service that ran and one that starts both work, and take something in.
    for number, it in enumerate((custody, another(custody))):
        assert set(it.endings(kept)) == {"opened"}
        name = it.name("c-between", f"B-{number}")
        kept.append((name, it.keep(name)[0]))
    hands = another(custody)
    begun = hands.master.current_id()
    rotate(hands.master, {"shipping": hands.database}, AT)
    assert hands.master.current_id() == begun, "it is the same rotation, not another one"
    assert masters_in(custody) == {begun}
    assert len(custody.file.read_bytes().split()) == 1
    for it in (custody, another(custody)):
        assert set(it.endings(kept)) == {"opened"}
        assert it.keyring.unseal(box) == TEXT


def test_what_is_taken_in_during_a_rotation_is_never_lost(custody: Custody) -> None:
    kept, number = filled(custody, 600), 0

    def reached(name: str) -> None:
        nonlocal number
        number += 1
        if name != "destroyed":
            part = custody.name("c-during", f"D-{number}")
            kept.append((part, custody.keep(part)[0]))

    hands = another(custody)
    rotate(hands.master, {"shipping": hands.database}, AT, reached)
    assert number >= 4
    assert set(another(custody).endings(kept)) == {"opened"}
    assert masters_in(custody) == {hands.master.current_id()}


def test_two_keyrings_of_one_master_are_rotated_together(custody: Custody, keyring_database_url: DatabaseUrl) -> None:
    other = Custody(keyring_database_url("notifications"), custody.file, "notifications")
    name = other.name("c-1", "A-1")
    wish = (name, other.keep(name)[0])
    kept = filled(custody, 2)
    rotate(custody.master, {"shipping": custody.database, "notifications": other.database}, AT)
    assert (custody.endings(kept), other.endings([wish])) == (["opened"] * 2, ["opened"])
    other.close()


def test_keys_of_a_master_that_is_gone_are_left_and_counted(custody: Custody) -> None:
    kept = filled(custody, 4)
    stranger = base64.b64encode(os.urandom(32))
    with psycopg.connect(custody.url) as connection:
        connection.execute("insert into masters (master_id, first_used_at) values ('0123456789ab', now())")
        connection.execute("update part_keys set master_id = '0123456789ab' where item = %s", (custody.vault.item(SHOP, "A-3"),))
    done = rotate(another(custody).master, {"shipping": custody.database}, AT)
    assert done["shipping"].unreadable == 1
    assert stranger not in custody.file.read_bytes()
    assert another(custody).endings(kept) == ["opened"] * 3 + ["key_destroyed"]
