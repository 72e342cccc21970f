"""Trouble through the doors: told once, opened for that purpose alone, to those who refused mailings too, and not to the erased (clause 11)."""

from __future__ import annotations

from email import message_from_bytes, policy
from typing import Any

import pytest

from services.notifications.difficulties import DIFFICULTIES
from tests.component.test_notifications_component import COURSE, Customer
from tests.integration.facts import rows, wait_for
from tests.integration.scene import SHOP, UNHURRIED, Sandbox, Scene, Service
from tests.integration.wire import Ear

PHONE = "+1 303 555 0142"
HELD_AT = "2026-11-25T10:00:00Z"


@pytest.fixture(scope="module")
def mailbox(scene: Scene) -> Sandbox:
    return scene.sandbox("mailbox")


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def notifications(scene: Scene, mailbox: Sandbox, everybody: Ear) -> Service:
    service = scene.service("notifications", SMTP_TIMEOUT_SECONDS="15", **UNHURRIED)
    service.start()
    return service


@pytest.fixture(scope="module")
def key(notifications: Service, everybody: Ear) -> dict[str, str]:
    data: dict[str, str] = everybody.hear("intake_key_published")["data"]
    return data


class Buyer(Customer):
    """A customer whose order runs into trouble."""

    def declined(self, reason: str = "declined") -> None:
        self.scene.wire.say("payments", "payment_declined", {**self.named, "reason": reason})

    def held(self, part: str) -> None:
        reasons = [{"code": f"{part}_invalid", "path": f"/data/{part}"}]
        self.scene.wire.say("orders", "order_held", {**self.named, "reasons": reasons, "held_at": HELD_AT})

    def openings(self) -> dict[str, int]:
        """Purpose → how often this service's record says that something was opened since the last look."""
        found = rows(
            self.notifications.environment["KEYRING_DATABASE_URL"],
            "select purpose, count(*) from openings where ending = 'opened' group by purpose",
        )
        return dict(found)  # type: ignore[arg-type]


@pytest.fixture
def buyer(scene: Scene, mailbox: Sandbox, notifications: Service, key: dict[str, str]) -> Buyer:
    return Buyer(scene, mailbox, notifications, key)


def bodies_of(scene: Scene, stem: str) -> list[str]:
    """Every body of a mail as the mailbox has it, decoded."""
    file = wait_for(lambda: next(scene.folder.rglob(f"{stem}.eml"), None), f"the file of {stem}")
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    return [part.get_content() for part in mail.walk() if not part.is_multipart()]


def test_each_trouble_is_told_once_and_opens_the_contact_for_that_alone(buyer: Buyer, everybody: Ear) -> None:
    before = buyer.openings()
    buyer.entrust()
    for _ in range(2):
        buyer.declined()
        buyer.held("recipient")
        buyer.held("billing")
        buyer.say("order_cancelled")
    everybody.hear("mail_sent", buyer.number, times=4)
    buyer.notifications.settled()
    assert set(buyer.kinds()) == DIFFICULTIES
    assert [mail["times"] for mail in buyer.mails()] == [1] * 4
    after = buyer.openings()
    # Opened once for what is written in one go.
    assert 1 <= after["order_difficulty"] - before.get("order_difficulty", 0) <= 4
    assert after.get("order_news", 0) == before.get("order_news", 0)
    for mail in buyer.mails():
        bodies = bodies_of(buyer.scene, f"{mail['number']}-{mail['kind']}")
        assert len(bodies) == 2, "text and page"
        for body in bodies:
            assert buyer.number in body
            assert buyer.canary.contact["name"] in body
            assert not [sign for sign in (PHONE, "555 0142", "5550142", "http", "187.65", "declined") if sign in body]
    assert buyer.canary.in_text(buyer.scene.texts() + buyer.notifications.log()) == []


def test_the_happy_path_opens_the_contact_for_no_trouble(buyer: Buyer, everybody: Ear) -> None:
    before = buyer.openings()
    buyer.entrust()
    buyer.say(*COURSE)
    everybody.hear("mail_sent", buyer.number, times=3)
    buyer.notifications.settled()
    after = buyer.openings()
    assert after.get("order_difficulty", 0) == before.get("order_difficulty", 0)
    # Letters of one order that go out together are written from one opening.
    assert 1 <= after["order_news"] - before.get("order_news", 0) <= 3


def person(customer_id: str, kind: str, request: str, **more: Any) -> dict[str, Any]:
    return {"shop": SHOP, "customer_id": customer_id, "kind": kind, "request": request, **more}


def test_who_refused_all_mailings_is_told_and_who_was_erased_is_not(
    scene: Scene, mailbox: Sandbox, notifications: Service, key: dict[str, str], everybody: Ear
) -> None:
    silent, gone = (Buyer(scene, mailbox, notifications, key) for _ in range(2))
    for buyer, customer in ((silent, "m-silent"), (gone, "m-gone")):
        buyer.customer_id = customer
        buyer.entrust()
    wait_for(
        lambda: len(notifications.rows("select 1 from contacts where customer_id in ('m-silent', 'm-gone')")) == 2,
        "both contacts",
    )
    chosen = {"chosen_at": HELD_AT, "policy_version": "2013-08-19", "communication": "none", "policy_choice": None}
    scene.wire.say("orders", "preferences_noted", person("m-silent", "preferences", "p-1", **chosen))
    scene.wire.say("orders", "erasure_ordered", person("m-gone", "erasure", "e-1"))
    everybody.hear("request_receipted", where=lambda it: it["data"]["deed"] == "erased")
    everybody.hear("request_receipted", where=lambda it: it["data"]["deed"] == "noted")
    for buyer in (gone, silent):
        buyer.declined()
        buyer.held("recipient")
    everybody.hear("mail_sent", silent.number, times=2)
    notifications.settled()
    assert silent.kinds() == ["address_difficulty", "payment_difficulty"]
    assert gone.mails() == []


def test_a_mail_about_trouble_in_doubt_goes_again_under_the_same_id(buyer: Buyer, everybody: Ear, mailbox: Sandbox) -> None:
    mailbox.control("switches", {"lose_answers": 1.0}, method="PUT")
    try:
        buyer.entrust()
        buyer.declined()
        wait_for(buyer.mails, "the mail, whose answer is lost")
        everybody.hear("mail_sent", buyer.number)
    finally:
        mailbox.control("switches", {"lose_answers": 0.0}, method="PUT")
    assert buyer.kinds() == ["payment_difficulty"], "one Message-ID only"
