"""One short function per message: load, one verb of the domain, save."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from services.notifications.difficulties import of_a_cancellation, of_a_decline, of_a_hold
from services.notifications.domain import Correspondence, Handed, NotTaken, Withheld
from shared.contracts.errors import TryLater
from shared.contracts.events import (
    ContactEntrusted,
    OrderCancelled,
    OrderHeld,
    OrderReleased,
    PaymentAuthorised,
    PaymentDeclined,
    ShipmentDelivered,
    ShipmentDispatched,
)
from shared.contracts.person_events import ContactCorrected
from shared.contracts.values import KeptPart, OrderKey


class Correspondences(Protocol):
    """What the handlers need of the store."""

    def correspondence(self, key: OrderKey) -> Correspondence: ...

    def save(self, correspondence: Correspondence) -> None: ...

    def replace_contact(self, key: OrderKey, contact: dict[str, Any]) -> bool: ...


def take_contact(event: ContactEntrusted, kept: KeptPart, store: Correspondences) -> None:
    """The contact of an accepted order is known; mails that are owed already go out."""
    if kept.is_of_nobody:
        return
    correspondence = store.correspondence(event.about())
    told = {"placed_at", "currency", "discount", "shipping_price", "tax", "total", "lines"}
    order = event.model_dump(mode="json", include=told)
    if kept.envelope is None:
        correspondence.refuse_contact(kept.codes, customer_id=event.customer_id, order=order)
    else:
        correspondence.entrust(customer_id=event.customer_id, order=order, contact=kept.envelope)
    store.save(correspondence)


def correct_contact(event: ContactCorrected, envelopes: Mapping[str, dict[str, Any]], store: Correspondences) -> dict[str, str]:
    """A sound contact for these open orders; what became of each."""
    correspondences = [store.correspondence(OrderKey(event.shop, order_number)) for order_number in envelopes]
    # First all that may have to wait, then what is written: a correction that must wait has changed nothing.
    endings = {it.key.order_number: it.correct_contact() for it in correspondences}
    for correspondence in correspondences:
        if not store.replace_contact(correspondence.key, envelopes[correspondence.key.order_number]):
            raise TryLater("contact_unknown", awaits=correspondence.key)
        store.save(correspondence)
    return endings


def confirm(event: PaymentAuthorised, store: Correspondences) -> None:
    """The order is paid: the customer gets its confirmation."""
    correspondence = store.correspondence(event.about())
    correspondence.owe_confirmation()
    store.save(correspondence)


def tell_of_dispatch(event: ShipmentDispatched, store: Correspondences) -> None:
    """The parcel is on its way: the customer gets the tracking link."""
    correspondence = store.correspondence(event.about())
    correspondence.owe_shipment(carrier=event.carrier, tracking_number=event.tracking_number, tracking_url=event.tracking_url)
    store.save(correspondence)


def tell_of_delivery(event: ShipmentDelivered, store: Correspondences, at: datetime) -> None:
    """The parcel has arrived: the customer gets word of it."""
    correspondence = store.correspondence(event.about())
    correspondence.owe_delivery(at)
    store.save(correspondence)


def tell_of_decline(event: PaymentDeclined, store: Correspondences) -> None:
    """The payment was not taken: the customer can pay in another way."""
    difficulty = of_a_decline(event.reason)
    if difficulty is not None:
        correspondence = store.correspondence(event.about())
        correspondence.owe_word_of(difficulty)
        store.save(correspondence)


def tell_of_hold(event: OrderHeld, store: Correspondences, at: datetime) -> None:
    """A part cannot be used: the customer can correct it."""
    difficulties = of_a_hold(event.reasons)
    if difficulties:
        correspondence = store.correspondence(event.about())
        correspondence.hold(difficulties, event.held_at or at)
        store.save(correspondence)


def note_release(event: OrderReleased, store: Correspondences) -> None:
    """The order goes on: nothing of its hold need be told."""
    correspondence = store.correspondence(event.about())
    correspondence.release(event.released_at)
    store.save(correspondence)


def fall_silent(event: OrderCancelled, store: Correspondences, at: datetime) -> None:
    """The order is cancelled: mails that are still owed are not sent, but the one that says so."""
    correspondence = store.correspondence(event.about())
    correspondence.cancel(at, of_a_cancellation(event.reasons))
    store.save(correspondence)


def note_mail(key: OrderKey, outcome: Handed | NotTaken | Withheld, store: Correspondences) -> None:
    """What the customer's mail server said to a mail."""
    correspondence = store.correspondence(key)
    correspondence.note(outcome)
    store.save(correspondence)
