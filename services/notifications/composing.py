"""From what an intent holds to the letter that is rendered."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from services.notifications.difficulties import CANCELLATION
from services.notifications.difficulty_letters import DIFFICULTY_LETTERS
from services.notifications.domain import DELIVERY, ORDER_CONFIRMATION, SHIPMENT
from services.notifications.gate import Communication, Reader
from services.notifications.letters import DeliveryMail, Letter, LetterLine, OrderConfirmation, ShipmentMail, Shop, message_id
from shared.contracts.values import Money, OrderKey


class Contact(Protocol):
    """What a letter needs of the contact part."""

    @property
    def name(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def language(self) -> str: ...


class Known(Protocol):
    """What the gate needs of the order's row."""

    @property
    def communication(self) -> Communication | None: ...
    @property
    def is_ended(self) -> bool: ...


class State(Protocol):
    """What the gate needs of the opened contact."""

    @property
    def person_state(self) -> Any: ...


def reader_of_order_mail(kind: str, opened: State, known: Known) -> Reader:
    """Who would read a mail about an order. The word of its arrival or its end is the order's last: it still belongs to it."""
    return Reader(opened.person_state, known.communication, has_open_order=kind in (DELIVERY, CANCELLATION) or not known.is_ended)


def compose(about: OrderKey, details: dict[str, Any], contact: Contact, shop: Shop) -> Letter:
    """The letter of this kind; its Message-ID is the same however often it is composed. Raises KeyError for an unknown kind."""
    kind = details["kind"]
    common: dict[str, Any] = {
        "message_id": message_id(shop.domain, kind, about),
        "order_number": about.order_number,
        "to_name": contact.name,
        "to_email": contact.email,
        "language": contact.language,
    }
    if kind in DIFFICULTY_LETTERS:
        return DIFFICULTY_LETTERS[kind](**common)
    return {ORDER_CONFIRMATION: _confirmation, SHIPMENT: _shipment, DELIVERY: _delivery}[kind](details, common)


def _confirmation(details: dict[str, Any], common: dict[str, Any]) -> Letter:
    order = details["order"]

    def money(amount: str) -> Money:
        return Money.parse(amount, order["currency"])

    return OrderConfirmation(
        **common,
        placed_at=datetime.fromisoformat(order["placed_at"]),
        lines=tuple(
            LetterLine(line["line"], line["title"], line["quantity"], money(line["unit_price"])) for line in order["lines"]
        ),
        discount=money(order["discount"]),
        shipping=money(order["shipping_price"]),
        tax=money(order["tax"]),
        total=money(order["total"]),
    )


def _shipment(details: dict[str, Any], common: dict[str, Any]) -> Letter:
    return ShipmentMail(**common, **details["tracking"])


def _delivery(_details: dict[str, Any], common: dict[str, Any]) -> Letter:
    return DeliveryMail(**common)
