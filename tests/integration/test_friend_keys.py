"""A friend's key goes when nothing is kept of the friend, also where it was made by a process that died before its commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from tests.fix_servers import DatabaseUrl
from tests.integration.custody_bench import AT, SHOP, VERSION, Custody, a_master_file
from tests.integration.facts import rows

# isort: split
from services.notifications.friend_door import FriendDoor, take_friend
from services.notifications.store import NotificationsStore
from shared.contracts.errand_events import FriendEntrusted, ReferredItem
from shared.contracts.events import SealedBox
from shared.database import Database
from shared.delivery.work import Delivery, Recorder, Work

BOX = SealedBox(sealed_for="notifications", key_id="k", box="AAAA")
RING = ReferredItem(title="Ring", url=SHOP)


class Referrals:
    """The friend's door, with one friend whom several members name."""

    def __init__(self, url: str, custody: Custody) -> None:
        self.url, self.custody, self.data = url, custody, Database(url, name="test")
        self.door = cast(Any, object.__new__(FriendDoor))
        self.door.parts = SimpleNamespace(keyring=self, vault=custody.vault)
        self.door.person_database = self.data

    def unseal(self, _box: SealedBox) -> bytes:
        return orjson.dumps({"email": "friend@friends.example", "name": "F"})

    def comes(self, member: str, referral: str) -> Delivery:
        """It is taken in, before its transaction."""
        named = {"shop": SHOP, "customer_id": member, "referral": referral, "policy_version": VERSION}
        delivery = Delivery("friend_entrusted", FriendEntrusted(**named, item=RING, friend=BOX), lambda _ending: None)
        self.door.keep_parts([delivery])
        return delivery

    def commits(self, delivery: Delivery) -> None:
        with self.data.begin() as connection:
            store = NotificationsStore(connection, Recorder("notifications", AT))
            take_friend(delivery.message, delivery.kept, Work(store, AT, delivery.kept))

    def keys(self) -> int:
        ((count,),) = rows(self.custody.url, "select count(*) from part_keys")
        return cast(int, count)


@pytest.fixture
def referrals(
    database_url: DatabaseUrl, keyring_database_url: DatabaseUrl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Referrals]:
    friend = SimpleNamespace(email="friend@friends.example")
    monkeypatch.setattr("services.notifications.entrusting.read_part", lambda *_, **__: friend)
    custody = Custody(keyring_database_url("notifications"), a_master_file(tmp_path), "notifications")
    it = Referrals(database_url("notifications"), custody)
    yield it
    it.data.close()
    custody.close()


def test_the_key_of_a_process_that_died_goes_where_another_member_was_sooner(referrals: Referrals) -> None:
    referrals.comes("m-1", "R-1")  # and its process dies before the commit
    referrals.commits(referrals.comes("m-2", "R-2"))
    assert referrals.keys() == 2
    referrals.commits(referrals.comes("m-1", "R-1"))
    assert referrals.keys() == 1
    assert rows(referrals.url, "select referral from invitations") == [("R-2",)]


def test_a_repeat_while_the_invitation_stands_leaves_its_key(referrals: Referrals) -> None:
    referrals.commits(referrals.comes("m-2", "R-2"))
    referrals.commits(referrals.comes("m-2", "R-2"))
    assert referrals.keys() == 1
