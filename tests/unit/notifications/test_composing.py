"""From an intent and what is kept of the order to the letter: the same however often it is composed, and each amount exact."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from services.notifications import handlers
from services.notifications.composing import compose, reader_of_order_mail
from services.notifications.domain import DELIVERY, ORDER_CONFIRMATION, SHIPMENT
from services.notifications.gate import Reader
from services.notifications.letters import DeliveryMail, OrderConfirmation, ShipmentMail, Shop
from shared.contracts.values import Money
from tests.builders import (
    AT,
    KEY,
    TRACKING_NUMBER,
    contact_entrusted,
    payment_authorised,
    shipment_delivered,
    shipment_dispatched,
    taken_in,
)
from tests.fakes import FakeCorrespondences

SHOP = Shop("Astro Jewelry", "orders@astrojewelry.example")


@dataclass(frozen=True)
class Person:
    name: str = "Zoë"
    email: str = "zoe@shop.example"
    language: str = "de-AT"


def details() -> dict[str, dict[str, Any]]:
    """What the domain's intents hold, by kind, and what is kept of the order: as the door puts them together."""
    store = FakeCorrespondences()
    handlers.take_contact(contact_entrusted(), taken_in(), store)
    handlers.confirm(payment_authorised(), store)
    handlers.tell_of_dispatch(shipment_dispatched(), store)
    handlers.tell_of_delivery(shipment_delivered(), store, AT)
    kept = store.entrusted()
    assert kept is not None
    return {intent.details["kind"]: {**intent.details, "order": kept.order} for intent in store.asked}


def test_the_confirmation_holds_the_order_to_the_cent() -> None:
    letter = compose(KEY, details()[ORDER_CONFIRMATION], Person(), SHOP)
    assert isinstance(letter, OrderConfirmation)
    assert letter.placed_at == AT
    assert [(line.line, line.title, line.quantity, line.unit_price) for line in letter.lines] == [
        (1, "Ring", 1, Money(6400, "EUR"))
    ]
    amounts = [letter.discount, letter.shipping, letter.tax, letter.total]
    assert amounts == [Money(minor, "EUR") for minor in (500, 490, 1554, 7944)]
    assert (letter.to_name, letter.to_email, letter.language) == ("Zoë", "zoe@shop.example", "de-AT")


def test_the_shipment_mail_holds_where_the_parcel_can_be_followed() -> None:
    letter = compose(KEY, details()[SHIPMENT], Person(), SHOP)
    assert isinstance(letter, ShipmentMail)
    assert letter.tracking_number == TRACKING_NUMBER


def test_each_kind_has_its_letter_and_a_message_id_of_its_own_that_stays() -> None:
    letters = {kind: compose(KEY, told, Person(), SHOP) for kind, told in details().items()}
    assert isinstance(letters[DELIVERY], DeliveryMail)
    assert len({letter.message_id for letter in letters.values()}) == 3
    assert letters == {kind: compose(KEY, told, Person(), SHOP) for kind, told in details().items()}


def test_an_unknown_kind_is_a_programmer_s_error() -> None:
    with pytest.raises(KeyError):
        compose(KEY, {"kind": "birthday"}, Person(), SHOP)


@pytest.mark.parametrize(
    ("kind", "is_ended", "is_open"),
    [
        ("order_confirmation", False, True),
        ("order_confirmation", True, False),
        ("shipment", True, False),
        ("delivery", True, True),
    ],
)
def test_the_gate_hears_whether_the_order_is_open_and_its_end_belongs_to_it(kind: str, is_ended: bool, is_open: bool) -> None:
    opened, known = SimpleNamespace(person_state="deactivated"), SimpleNamespace(communication="none", is_ended=is_ended)
    assert reader_of_order_mail(kind, opened, known) == Reader("deactivated", "none", is_open)
