"""Payments through its doors: the test plays orders and shipping; PayPal and 2Checkout are the sandboxes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.events import CARD, Canary
from tests.integration.facts import wait_for
from tests.integration.scene import SHOP, UNHURRIED, Sandbox, Scene, Service, new_number, seal
from tests.integration.wire import Ear


@pytest.fixture(scope="module")
def paypal(scene: Scene) -> Sandbox:
    return scene.sandbox("paypal")


@pytest.fixture(scope="module")
def twocheckout(scene: Scene) -> Sandbox:
    return scene.sandbox("twocheckout")


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def payments(scene: Scene, paypal: Sandbox, twocheckout: Sandbox, everybody: Ear) -> Service:
    service = scene.service("payments", **UNHURRIED)
    service.start()
    return service


@pytest.fixture(scope="module")
def key(payments: Service, everybody: Ear) -> dict[str, str]:
    data: dict[str, str] = everybody.hear("intake_key_published")["data"]
    return data


class Purchase:
    """One order's payment."""

    def __init__(self, scene: Scene, paypal: Sandbox, twocheckout: Sandbox, payments: Service) -> None:
        self.scene, self.paypal, self.twocheckout, self.payments = scene, paypal, twocheckout, payments
        self.number = new_number("B")
        self.named = {"shop": SHOP, "order_number": self.number}
        self.canary = Canary()
        self.reference = ""

    def approve(self, amount: str = "187.65", **more: object) -> str:
        wish = {"reference_id": self.number, "amount": amount, "currency": "USD", **more}
        self.reference = self.paypal.control("orders", [wish])["orders"][0]["id"]
        return self.reference

    def entrust(self, provider: str = "paypal", billing: dict[str, str] | None = None, reference: str | None = None) -> None:
        said = {
            **self.named,
            "customer_id": "m-1",
            "policy_version": "2013-08-19",
            "placed_at": "2026-11-22T10:14:58Z",
            "currency": "USD",
            "total": "187.65",
            "payment": {"provider": provider, "reference": reference or self.reference},
            "billing": billing,
        }
        self.scene.wire.say("orders", "billing_entrusted", said, exchange="orders.parts")

    def labelled(self) -> None:
        said = {**self.named, "parcel": "PC-1", "carrier": "ups", "tracking_number": "1Z"}
        self.scene.wire.say("shipping", "label_created", said)

    def state(self) -> str:
        [(state,)] = self.payments.rows("select state from payments where order_number = %s", self.number) or [("unknown",)]
        return str(state)


@pytest.fixture
def purchase(scene: Scene, paypal: Sandbox, twocheckout: Sandbox, payments: Service) -> Purchase:
    return Purchase(scene, paypal, twocheckout, payments)


def booked(paypal: Sandbox, reference: str) -> dict[str, Any]:
    from shared.cli.books import read_paypal

    [payment] = [it for it in read_paypal(paypal.books()) if it.reference == reference]
    return {"authorised": payment.authorised, "captured": payment.captured}


def test_what_the_buyer_approved_is_authorised_and_captured_once_with_the_label(
    purchase: Purchase, everybody: Ear, paypal: Sandbox
) -> None:
    reference = purchase.approve()
    for _ in range(2):
        purchase.entrust()
    authorised = everybody.hear("payment_authorised", purchase.number)["data"]
    assert (authorised["currency"], authorised["amount"]) == ("USD", "187.65")
    assert booked(paypal, reference) == {"authorised": ("187.65",), "captured": ()}
    for _ in range(2):
        purchase.labelled()
    everybody.hear("payment_captured", purchase.number)
    purchase.payments.settled()
    assert booked(paypal, reference) == {"authorised": ("187.65",), "captured": ("187.65",)}
    assert len(everybody.all("payment_captured", purchase.number)) == 1


def test_a_label_that_is_heard_of_first_is_captured_after_all(purchase: Purchase, everybody: Ear, paypal: Sandbox) -> None:
    reference = purchase.approve()
    purchase.labelled()
    wait_for(lambda: purchase.state() == "expected", "the label to be noted")
    purchase.entrust()
    everybody.hear("payment_captured", purchase.number)
    assert booked(paypal, reference)["captured"] == ("187.65",)


def test_a_payment_that_the_provider_declines_is_told(purchase: Purchase, everybody: Ear, paypal: Sandbox) -> None:
    reference = purchase.approve(decline=True)
    purchase.entrust()
    assert everybody.hear("payment_declined", purchase.number)["data"]["reason"] == "declined"
    purchase.labelled()
    purchase.payments.settled()
    assert booked(paypal, reference) == {"authorised": (), "captured": ()}


def test_an_amount_that_the_buyer_did_not_approve_is_not_taken(purchase: Purchase, everybody: Ear, paypal: Sandbox) -> None:
    reference = purchase.approve("187.64")
    purchase.entrust()
    assert everybody.hear("payment_declined", purchase.number)["data"]["reason"] == "amount_mismatch"
    assert booked(paypal, reference) == {"authorised": (), "captured": ()}


def test_a_reference_that_nobody_knows_is_declined(purchase: Purchase, everybody: Ear) -> None:
    purchase.entrust(reference="5O190127TN364715T")
    assert everybody.hear("payment_declined", purchase.number)["data"]["reason"] == "reference_unknown"


@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_that_is_lost_after_its_effect_takes_nothing_twice(
    times: int, purchase: Purchase, everybody: Ear, paypal: Sandbox
) -> None:
    reference = purchase.approve()
    paypal.lose("POST", f"/v2/checkout/orders/{reference}/authorize", times)
    purchase.entrust()
    everybody.hear("payment_authorised", purchase.number)
    paypal.lose("POST", "/v2/payments/authorizations/", times)
    purchase.labelled()
    everybody.hear("payment_captured", purchase.number)
    purchase.payments.settled()
    assert booked(paypal, reference) == {"authorised": ("187.65",), "captured": ("187.65",)}


def test_a_provider_that_fails_for_a_while_is_asked_again(purchase: Purchase, everybody: Ear, paypal: Sandbox) -> None:
    reference = purchase.approve()
    paypal.control("faults", {"method": "POST", "path_prefix": f"/v2/checkout/orders/{reference}", "times": 4, "status": 503})
    purchase.entrust()
    everybody.hear("payment_authorised", purchase.number)
    assert booked(paypal, reference)["authorised"] == ("187.65",)


def test_with_2checkout_the_billing_part_is_opened_used_and_dropped(
    purchase: Purchase, everybody: Ear, twocheckout: Sandbox, key: dict[str, str]
) -> None:
    token = twocheckout.control("tokens", {"count": 1})["tokens"][0]
    box = seal(purchase.canary.billing, key, bound_to=purchase.number)
    purchase.entrust("2checkout", box, token)
    everybody.hear("payment_authorised", purchase.number)
    purchase.labelled()
    everybody.hear("payment_captured", purchase.number)
    purchase.payments.settled()
    texts = purchase.scene.texts()
    assert box["box"] not in texts
    kept = purchase.payments.rows("select billing from payments where order_number = %s", purchase.number)
    assert kept == [(None,)], "nothing is left of the part when the provider has answered"
    assert purchase.canary.in_text(texts + purchase.payments.log()) == []


def spoilt_boxes(purchase: Purchase, key: dict[str, str]) -> dict[str, tuple[dict[str, str], str]]:
    card = {**purchase.canary.billing, "family_name": CARD}
    return {
        "for another order": (seal(purchase.canary.billing, key, bound_to="another"), "sealed_for_another"),
        "with a card number": (seal(card, key, bound_to=purchase.number), "card_number"),
        "without a postal code": (
            seal(
                {**purchase.canary.billing, "address": {"line1": "a", "city": "b", "country": "US"}},
                key,
                bound_to=purchase.number,
            ),
            "postal_code_missing",
        ),
    }


@pytest.mark.parametrize("what", ["for another order", "with a card number", "without a postal code"])
def test_a_box_that_cannot_be_used_is_told_and_destroyed(
    what: str, purchase: Purchase, everybody: Ear, key: dict[str, str]
) -> None:
    box, code = spoilt_boxes(purchase, key)[what]
    purchase.entrust("2checkout", box, "tok-1")
    refused = everybody.hear("part_refused", purchase.number)["data"]
    assert refused["part"] == "billing"
    assert code in refused["codes"]
    purchase.payments.settled()
    texts = purchase.scene.texts()
    assert box["box"] not in texts
    assert CARD not in texts + purchase.payments.log()
