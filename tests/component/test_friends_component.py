"""Friends through the doors, from the storefront's event to the mailbox: one mail in a life, a way out, and nothing kept but a mark."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest

from tests.component.events import Canary, envelope
from tests.integration.facts import ask, everything_in, rows, wait_for
from tests.integration.scene import SHOP, UNHURRIED, Sandbox, Scene, Service, seal
from tests.integration.wire import Ear

RING = {"title": "Elvish band", "url": f"{SHOP}/rings/elvish-band"}
POLICY = "2013-08-19"


@pytest.fixture(scope="module")
def mailbox(scene: Scene) -> Sandbox:
    return scene.sandbox("mailbox")


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def orders(scene: Scene, everybody: Ear) -> Service:
    service = scene.service("orders")
    service.start()
    return service


@pytest.fixture(scope="module")
def notifications(scene: Scene, mailbox: Sandbox, everybody: Ear) -> Service:
    service = scene.service("notifications", SMTP_TIMEOUT_SECONDS="15", **UNHURRIED)
    service.start()
    return service


@pytest.fixture(scope="module")
def key(orders: Service, notifications: Service) -> dict[str, str]:
    def found() -> list[dict[str, str]]:
        return [it for it in orders.ask("GET", "/keys").json() if it["service"] == "notifications"]

    wait_for(found, "the sealing key of notifications")
    return found()[0]


class Friend:
    """Somebody who stands nowhere else in the world."""

    def __init__(self, scene: Scene, mailbox: Sandbox, orders: Service, notifications: Service, key: dict[str, str]) -> None:
        self.scene, self.mailbox, self.orders, self.notifications, self.key = scene, mailbox, orders, notifications, key
        self.canary = Canary()
        self.name, self.email = self.canary.contact["name"], self.canary.contact["email"]
        self.mails_before = set(mailbox.books()["mails"])

    def referred_by(self, customer_id: str, email: str | None = None, **item: str) -> dict[str, Any]:
        """The storefront's event, sealed at its source."""
        part = seal({"email": email or self.email, "name": self.name}, self.key, bound_to=customer_id)
        return envelope("friend_referred", {"customer_id": customer_id, "item": {**RING, **item}, "friend": part})

    def publish(self, event: dict[str, Any]) -> None:
        self.scene.wire.publish("storefront.events", event["type"], event)

    def entrusted(self, customer_id: str, referral: str, email: str | None = None) -> dict[str, Any]:
        part = seal({"email": email or self.email, "name": self.name}, self.key, bound_to=customer_id)
        named = {"shop": SHOP, "customer_id": customer_id, "referral": referral, "policy_version": POLICY}
        return {**named, "item": RING, "friend": part}

    def mails(self) -> dict[str, Any]:
        """Invitations that came since this friend was made."""
        found: dict[str, Any] = self.mailbox.books()["mails"]
        return {it: mail for it, mail in found.items() if it not in self.mails_before and mail["kind"] == "friend_invitation"}

    def settled(self) -> None:
        for queue, service in (("orders.intake", self.orders), ("notifications.events", self.notifications)):
            wait_for(lambda queue=queue: self.scene.wire.waiting(queue) == 0, f"{queue} to be empty")  # type: ignore[misc]
            service.settled()

    def rest_is_forgotten(self) -> None:
        """Nothing is left but marks: no row, no key, no call, no word in any table, in any keyring or in any log."""
        self.settled()
        keyring = self.notifications.environment["KEYRING_DATABASE_URL"]
        # What was just taken in has a key until its own call has destroyed it.
        wait_for(lambda: rows(keyring, "select count(*) from part_keys where part = 'friend'") == [(0,)], "no key to be left")
        wait_for(lambda: self.notifications.rows("select count(*) from invitations") == [(0,)], "no invitation to be left")
        assert self.canary.in_text(self.scene.texts() + self.notifications.log() + self.orders.log()) == []


@pytest.fixture
def friend(scene: Scene, mailbox: Sandbox, orders: Service, notifications: Service, key: dict[str, str]) -> Friend:
    return Friend(scene, mailbox, orders, notifications, key)


def sent(friend: Friend) -> Any:
    [mail] = friend.mails().values()
    raw = ask("GET", f"{friend.mailbox.url}/_sandbox/mails/{mail['number']}").body.decode()
    return mail, raw


def way_out(friend: Friend) -> str:
    """The word in the mail's link."""
    _, page = sent(friend)
    match = re.search(r"word=([A-Za-z0-9_-]{43})", page)
    assert match, "the mail shows the way out"
    return match[1]


@pytest.mark.parametrize("door", ["AMQP", "HTTPS"])
def test_a_friend_gets_one_mail_and_nothing_of_the_friend_is_kept_but_a_mark(door: str, friend: Friend, everybody: Ear) -> None:
    event = friend.referred_by("m-1")
    if door == "HTTPS":
        event["data"]["friend"] = {"email": friend.email, "name": friend.name}
        reply = friend.orders.ask("POST", "/events", event, token=friend.orders.environment["STOREFRONT_TOKEN"])
        assert (reply.status, reply.json()["answer"]) == (202, None)
    else:
        friend.publish(event)
        friend.publish(event)
    said = everybody.hear("friend_invited", where=lambda it: it["data"]["referral"] == event["id"])
    assert said["data"] == {"shop": SHOP, "referral": event["id"]}
    friend.rest_is_forgotten()
    mail, page = sent(friend)
    assert (mail["times"], mail["order"]) == (1, "")
    assert friend.name in page
    assert RING["url"] in page
    assert "m-1" not in page
    assert friend.email.partition("@")[0] not in page.partition("Subject")[2].replace(friend.email, ""), "in its headers alone"
    assert len(everybody.all("friend_invited")) == len({it["data"]["referral"] for it in everybody.all("friend_invited")})
    held = friend.orders.rows("select count(*) from held")
    assert held == [(0,)], "orders keeps nothing"


def test_two_members_many_deliveries_and_every_spelling_send_one_mail(friend: Friend) -> None:
    local, _, domain = friend.email.partition("@")
    spellings = [friend.email, friend.email.upper(), f"{local}+shop@{domain}", f'"{local}"@{domain}']
    for member, spelling in enumerate(spellings * 2):
        event = friend.referred_by(f"m-{member}", spelling)
        friend.publish(event)
        friend.publish(event)
    wait_for(friend.mails, "the one mail")
    friend.rest_is_forgotten()
    assert [mail["times"] for mail in friend.mails().values()] == [1]


def test_a_repeat_after_the_mail_leaves_no_key(friend: Friend) -> None:
    referral = str(uuid.uuid4())
    told = friend.scene.wire.say("orders", "friend_entrusted", friend.entrusted("m-1", referral), exchange="orders.parts")
    wait_for(friend.mails, "the mail")
    friend.rest_is_forgotten()
    friend.scene.wire.publish("orders.parts", "friend_entrusted", told)
    friend.settled()
    friend.rest_is_forgotten()
    assert [mail["times"] for mail in friend.mails().values()] == [1]


def test_who_opted_out_is_not_written_to_again_and_needs_no_login(friend: Friend) -> None:
    friend.publish(friend.referred_by("m-1"))
    wait_for(friend.mails, "the mail")
    word = way_out(friend)
    for _ in range(2):
        reply = friend.notifications.ask("POST", "/friends/opt-out", {"word": word})
        assert (reply.status, reply.json()) == (200, {"opted_out": True})
    [(marks,)] = friend.notifications.rows("select count(*) from remembered_friends where opted_out_at is not null")
    assert marks == 1
    # Whatever is lost but the key: the word alone is enough to be remembered anew.
    friend.notifications.rows("delete from remembered_friends")
    assert friend.notifications.ask("POST", "/friends/opt-out", {"word": word}).status == 200
    friend.publish(friend.referred_by("m-2"))
    friend.settled()
    other = Friend(friend.scene, friend.mailbox, friend.orders, friend.notifications, friend.key)
    other.publish(other.referred_by("m-2"))
    wait_for(other.mails, "a mail to somebody else")
    friend.rest_is_forgotten()
    assert len(friend.mails()) == 2, "to the first friend once, and to the other"


@pytest.mark.parametrize("body", [{}, {"word": "x" * 43}, {"word": 7}, {"word": "", "more": 1}, [], "word"])
def test_no_other_word_opts_anybody_out(body: Any, notifications: Service) -> None:
    before = notifications.rows("select count(*) from remembered_friends")
    assert notifications.ask("POST", "/friends/opt-out", body).status == 422
    assert notifications.rows("select count(*) from remembered_friends") == before


def test_a_lost_answer_sends_no_second_mail(friend: Friend, everybody: Ear) -> None:
    friend.mailbox.control("switches", {"lose_answers": 1.0}, method="PUT")
    try:
        event = friend.referred_by("m-1")
        friend.publish(event)
        wait_for(friend.mails, "the mail, whose answer is lost")
        friend.rest_is_forgotten()
    finally:
        friend.mailbox.control("switches", {"lose_answers": 0.0}, method="PUT")
    assert [mail["times"] for mail in friend.mails().values()] == [1]
    assert not [it for it in everybody.all("friend_invited") if it["data"]["referral"] == event["id"]], (
        "nobody knows that it came"
    )


@pytest.mark.parametrize("step", ["call_begun", "call_answered", "outcome_submitted", "outcome_committed"])
def test_a_death_between_the_mail_and_its_note_sends_no_second_one(step: str, friend: Friend) -> None:
    service = friend.notifications
    service.stop()
    before = dict(service.environment)
    service.environment.update(DIE_AT=step)
    service.start()
    friend.publish(friend.referred_by("m-1"))
    wait_for(lambda: service.program.pid is None, "it to die")
    service.environment.clear()
    service.environment.update(before)
    service.rows("update intents set leased_until = now()")  # the time of the dead one is over
    service.start()
    friend.publish(friend.referred_by("m-2"))
    friend.rest_is_forgotten()
    assert [mail["times"] for mail in friend.mails().values()] == [1]


def test_a_mail_server_that_is_away_holds_the_one_mail_until_it_is_back(friend: Friend) -> None:
    service = friend.notifications
    service.stop()
    url = service.environment["SMTP_URL"]
    service.environment["SMTP_URL"] = "smtp://127.0.0.1:9"
    service.start()
    friend.publish(friend.referred_by("m-1"))
    wait_for(lambda: service.rows("select 1 from intents where kind = 'send_invitation' and tries > 2"), "it to be tried again")
    service.stop()
    service.environment["SMTP_URL"] = url
    service.start()
    wait_for(friend.mails, "the mail")
    friend.rest_is_forgotten()
    assert [mail["times"] for mail in friend.mails().values()] == [1]


def test_a_member_who_was_erased_writes_to_nobody_and_the_mark_stays(friend: Friend, everybody: Ear) -> None:
    friend.publish(friend.referred_by("m-leaves"))
    wait_for(friend.mails, "the mail")
    friend.rest_is_forgotten()
    marks = friend.notifications.rows("select * from remembered_friends order by friend")
    erasure = {"shop": SHOP, "customer_id": "m-leaves", "kind": "erasure", "request": "e-1"}
    friend.scene.wire.say("orders", "erasure_ordered", erasure)
    receipt = everybody.hear("request_receipted", where=lambda it: it["data"]["deed"] == "erased")
    told = json.loads(receipt["data"]["signed"]["receipt"])
    assert told["rows_after"]["invitations"] == told["rows_after"]["invitation_calls"] == 0
    assert friend.notifications.rows("select * from remembered_friends order by friend") == marks
    another = Friend(friend.scene, friend.mailbox, friend.orders, friend.notifications, friend.key)
    another.scene.wire.say(
        "orders", "friend_entrusted", another.entrusted("m-leaves", str(uuid.uuid4())), exchange="orders.parts"
    )
    another.settled()
    another.rest_is_forgotten()
    assert another.mails() == {}


@pytest.mark.parametrize("spoil", ["bound to another", "more members", "no name"])
def test_a_part_that_cannot_be_used_writes_to_nobody_and_is_left_to_a_person(
    spoil: str, friend: Friend, notifications: Service
) -> None:
    part: dict[str, Any] = {"email": friend.email, "name": friend.name}
    part = {**part, "phone": "1"} if spoil == "more members" else {"email": friend.email} if spoil == "no name" else part
    told = friend.entrusted("m-1", str(uuid.uuid4()))
    told["friend"] = seal(part, friend.key, bound_to="m-2" if spoil == "bound to another" else "m-1")
    friend.scene.wire.say("orders", "friend_entrusted", told, exchange="orders.parts")
    parked = "select reason from held where type = 'friend_entrusted' and body::json #>> '{data,referral}' = %s"
    wait_for(lambda: notifications.rows(parked, told["referral"]) == [("friend_invalid",)], "it to be parked")
    assert friend.mails() == {}
    assert friend.canary.in_text(everything_in(notifications.database_url) + notifications.log()) == []


def test_a_link_that_could_name_somebody_is_refused_at_the_door(friend: Friend, everybody: Ear) -> None:
    event = friend.referred_by("m-1", url=f"{RING['url']}?for=ana")
    friend.publish(event)
    refused = everybody.hear("event_refused", where=lambda it: it["data"]["caused_by"]["id"] == event["id"])
    assert refused["data"]["reasons"] == [{"code": "link_unfit", "path": "/data/item/url"}]
    friend.notifications.settled()
    assert friend.mails() == {}
