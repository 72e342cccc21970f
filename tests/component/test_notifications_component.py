"""Notifications through its doors: the test plays its colleagues; the mailbox is the sandbox."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.component.events import CARD, Canary, order_placed
from tests.integration.facts import ask, wait_for
from tests.integration.scene import SHOP, UNHURRIED, Sandbox, Scene, Service, new_number, seal
from tests.integration.wire import Ear

KINDS = {"order_confirmation", "shipment", "delivery"}


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


class Customer:
    """One order's customer."""

    def __init__(self, scene: Scene, mailbox: Sandbox, notifications: Service, key: dict[str, str]) -> None:
        self.scene, self.mailbox, self.notifications, self.key = scene, mailbox, notifications, key
        self.number = new_number("M")
        self.named = {"shop": SHOP, "order_number": self.number}
        self.canary = Canary()
        self.customer_id = "m-7781"

    def entrust(self, contact: dict[str, Any] | None = None, box: dict[str, str] | None = None) -> None:
        data = order_placed(self.number)["data"]
        lines = [{name: line[name] for name in ("line", "title", "quantity", "unit_price")} for line in data["lines"]]
        amounts = ("currency", "discount", "shipping_price", "tax", "total")
        told = {name: data[name] for name in ("policy_version", "placed_at", *amounts)} | {"customer_id": self.customer_id}
        sealed = box or seal(contact or self.canary.contact, self.key, bound_to=self.number)
        self.scene.wire.say(
            "orders", "contact_entrusted", {**self.named, **told, "lines": lines, "contact": sealed}, exchange="orders.parts"
        )

    def say(self, *kinds: str) -> None:
        more: dict[str, tuple[str, dict[str, Any]]] = {
            "payment_authorised": ("payments", {"currency": "USD", "amount": "187.65"}),
            "shipment_dispatched": (
                "shipping",
                {"parcel": "PC-1", "carrier": "ups", "tracking_number": "1Z9", "tracking_url": "https://ups.example/1Z9"},
            ),
            "shipment_delivered": ("shipping", {"parcel": "PC-1"}),
            "order_cancelled": ("orders", {"reasons": [{"code": "amount_mismatch", "path": "/data/payment"}]}),
        }
        for kind in kinds:
            speaker, data = more[kind]
            self.scene.wire.say(speaker, kind, {**self.named, **data})

    def mails(self) -> list[dict[str, Any]]:
        return [mail for mail in self.mailbox.books()["mails"].values() if mail["order"] == self.number]

    def kinds(self) -> list[str]:
        return sorted(mail["kind"] for mail in self.mails())


COURSE = ("payment_authorised", "shipment_dispatched", "shipment_delivered")


@pytest.fixture
def customer(scene: Scene, mailbox: Sandbox, notifications: Service, key: dict[str, str]) -> Customer:
    return Customer(scene, mailbox, notifications, key)


def test_three_mails_go_out_once_each(customer: Customer, everybody: Ear) -> None:
    customer.entrust()
    customer.entrust()
    customer.say(*COURSE, *COURSE)
    everybody.hear("mail_sent", customer.number, times=3)
    customer.notifications.settled()
    assert set(customer.kinds()) == KINDS
    assert [mail["times"] for mail in customer.mails()] == [1, 1, 1]
    assert len(everybody.all("mail_sent", customer.number)) == 3
    assert customer.canary.in_text(customer.scene.texts() + customer.notifications.log()) == []


def test_facts_before_the_contact_and_backwards_send_the_same(customer: Customer, everybody: Ear) -> None:
    customer.say(*reversed(COURSE))
    wait_for(
        lambda: customer.notifications.rows(
            "select 1 from correspondences where order_number = %s and mails::text like '%%order_confirmation%%'", customer.number
        ),
        "the facts to be noted",
    )
    customer.entrust()
    everybody.hear("mail_sent", customer.number, times=3)
    customer.notifications.settled()
    assert set(customer.kinds()) == KINDS


def test_a_mail_says_what_was_bought_and_to_whom_it_goes(customer: Customer, everybody: Ear, mailbox: Sandbox) -> None:
    customer.entrust()
    customer.say("payment_authorised", "shipment_dispatched")
    everybody.hear("mail_sent", customer.number, times=2)
    pages = {
        mail["kind"]: ask("GET", f"{mailbox.url}/_sandbox/mails/{mail['number']}").body.decode() for mail in customer.mails()
    }
    assert "187.65" in pages["order_confirmation"]
    assert customer.number in pages["order_confirmation"]
    assert customer.canary.contact["name"] in pages["order_confirmation"]
    assert "1Z9" in pages["shipment"]


def test_an_answer_that_is_lost_sends_the_same_mail_again_and_no_other(
    customer: Customer, everybody: Ear, mailbox: Sandbox
) -> None:
    mailbox.control("switches", {"lose_answers": 1.0}, method="PUT")
    try:
        customer.entrust()
        customer.say("payment_authorised")
        wait_for(customer.mails, "the first mail, whose answer is lost")
        everybody.hear("mail_sent", customer.number)
    finally:
        mailbox.control("switches", {"lose_answers": 0.0}, method="PUT")
    assert customer.kinds() == ["order_confirmation"], "one Message-ID only"


def test_an_address_that_is_refused_blocks_nobody(
    scene: Scene, mailbox: Sandbox, notifications: Service, key: dict[str, str], everybody: Ear
) -> None:
    """A quoted local part is sound by RFC 5321, and nothing that our mailbox hands over."""
    refused, good = (Customer(scene, mailbox, notifications, key) for _ in range(2))
    refused.entrust({**refused.canary.contact, "email": '"a b"@post.example'})
    refused.say("payment_authorised")
    good.entrust()
    good.say(*COURSE)
    everybody.hear("mail_sent", good.number, times=3)
    notifications.settled()
    assert refused.mails() == []
    assert everybody.all("mail_sent", refused.number) == []


@pytest.fixture
def impatient(notifications: Service) -> Iterator[Service]:
    """The service, soon done with a mail server that is silent; what it gives up too soon it tries again."""
    before = dict(notifications.environment)
    notifications.stop()
    notifications.environment.update(SMTP_TIMEOUT_SECONDS="2", CALL_SECONDS="3")
    notifications.start()
    yield notifications
    notifications.stop()
    notifications.environment.update(before)
    notifications.start()


def test_a_mail_server_that_is_away_holds_the_mail_until_it_is_back(
    impatient: Service, customer: Customer, everybody: Ear, mailbox: Sandbox, scene: Scene
) -> None:
    pid = mailbox.program.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        customer.entrust()
        customer.say("payment_authorised")
        wait_for(
            lambda: customer.notifications.rows("select 1 from intents where order_number = %s and tries > 1", customer.number),
            "the mail to be tried again",
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    everybody.hear("mail_sent", customer.number)
    assert customer.kinds() == ["order_confirmation"]


def test_a_cancelled_order_gets_no_further_mail_but_word_of_that(customer: Customer, everybody: Ear) -> None:
    customer.say("order_cancelled")
    wait_for(
        lambda: customer.notifications.rows(
            "select 1 from correspondences where order_number = %s and is_cancelled", customer.number
        ),
        "it",
    )
    customer.entrust()
    customer.say(*COURSE)
    other = Customer(customer.scene, customer.mailbox, customer.notifications, customer.key)
    other.entrust()
    other.say("payment_authorised")
    everybody.hear("mail_sent", other.number)
    customer.notifications.settled()
    assert customer.kinds() == ["cancellation"]


@pytest.mark.parametrize("what", ["for another order", "with a card number", "without an address"])
def test_a_box_that_cannot_be_used_is_told_and_destroyed(what: str, customer: Customer, everybody: Ear) -> None:
    contact, bound_to, code = {
        "for another order": (customer.canary.contact, "another", "sealed_for_another"),
        "with a card number": ({**customer.canary.contact, "name": CARD}, customer.number, "card_number"),
        "without an address": ({"name": "N"}, customer.number, "missing"),
    }[what]
    box = seal(contact, customer.key, bound_to=bound_to)
    customer.entrust(box=box)
    customer.say(*COURSE)
    refused = everybody.hear("part_refused", customer.number)["data"]
    assert refused["part"] == "contact"
    assert code in refused["codes"]
    customer.notifications.settled()
    texts = customer.scene.texts()
    assert customer.mails() == []
    assert box["box"] not in texts
    assert CARD not in texts + customer.notifications.log()
