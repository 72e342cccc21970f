"""Which change it is with which an order comes, in each of the four services; and what waits for one names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.notifications.domain import Correspondence
from services.payments.domain import Payment
from services.shipping.domain import Shipment
from shared.contracts.aggregate import Aggregate
from shared.contracts.errors import TryLater
from shared.delivery.endings import ending_of
from shared.delivery.work import Delivery, Recorder
from tests.builders import AT, KEY, a_correspondence, a_payment, a_shipment, an_envelope, an_order


def payment_with_a_used_reference() -> Payment:
    payment = Payment(key=KEY)
    payment.refuse_reference(AT)
    return payment


def refused_payment() -> Payment:
    payment = Payment(key=KEY)
    payment.refuse_billing(("sealed_for_another",))
    return payment


def refused_shipment() -> Shipment:
    shipment = Shipment(key=KEY)
    shipment.refuse_recipient(("sealed_for_another",), AT)
    return shipment


def refused_correspondence() -> Correspondence:
    correspondence = Correspondence(key=KEY)
    correspondence.refuse_contact(("sealed_for_another",))
    return correspondence


COMING: tuple[Callable[[], Any], ...] = (
    *(an_order, a_payment, a_shipment, a_correspondence),
    *(payment_with_a_used_reference, refused_payment, refused_shipment, refused_correspondence),
)


def remembered(item: Any) -> list[Any]:
    recorder = Recorder("orders", AT)
    recorder.remember(item, KEY)
    return recorder.come


@pytest.mark.parametrize("come", COMING)
def test_an_order_comes_once(come: Callable[[], Any]) -> None:
    item = come()
    assert remembered(item) == [KEY]
    assert remembered(item) == [], "what is saved again has come before"


def test_what_is_told_of_an_order_before_it_comes_does_not_make_it_come() -> None:
    payment, shipment, correspondence = Payment(key=KEY), Shipment(key=KEY), Correspondence(key=KEY)
    payment.note_label()
    shipment.note_paid(AT)
    correspondence.owe_confirmation()
    for item in (payment, shipment, correspondence):
        assert remembered(item) == []


def test_what_a_handler_takes_back_has_not_come() -> None:
    recorder = Recorder("orders", AT)
    for is_taken_back in (False, True):
        recorder.mark(None)
        item = Aggregate()
        item.has_come = True
        recorder.remember(item, KEY)
        if is_taken_back:
            recorder.rollback()
    assert recorder.come == [KEY]


@pytest.mark.parametrize(
    "correct",
    [
        lambda: Payment(key=KEY).correct_billing(an_envelope(), AT),
        lambda: Shipment(key=KEY).correct_recipient(AT),
        lambda: Correspondence(key=KEY).correct_contact(),
    ],
)
def test_a_correction_that_comes_before_one_of_its_orders_names_it(correct: Callable[[], object]) -> None:
    with pytest.raises(TryLater) as caught:
        correct()
    ending = ending_of(caught.value, Delivery("", None, lambda _ending: None))
    assert (ending.kind, ending.awaits) == ("later", KEY)
