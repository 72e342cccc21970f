"""One short function per message: load, one verb of the domain, save."""

from __future__ import annotations

from typing import Protocol

from services.notifications.domain import Correspondence, Handed, NotTaken
from shared.contracts.events import ContactEntrusted, OrderCancelled, PaymentAuthorised, ShipmentDelivered, ShipmentDispatched
from shared.contracts.values import OrderKey


class Correspondences(Protocol):
    """What the handlers need of the store."""

    def correspondence(self, key: OrderKey) -> Correspondence: ...

    def save(self, correspondence: Correspondence) -> None: ...


def take_contact(event: ContactEntrusted, contact_faults: tuple[str, ...], store: Correspondences) -> None:
    """The contact of an accepted order is known; mails that are owed already go out."""
    correspondence = store.correspondence(event.about())
    if contact_faults:
        correspondence.refuse_contact(contact_faults)
    else:
        told = {"placed_at", "currency", "discount", "shipping_price", "tax", "total", "lines"}
        correspondence.entrust(
            customer_id=event.customer_id, order=event.model_dump(mode="json", include=told), contact=event.contact.model_dump()
        )
    store.save(correspondence)


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


def tell_of_delivery(event: ShipmentDelivered, store: Correspondences) -> None:
    """The parcel has arrived: the customer gets word of it."""
    correspondence = store.correspondence(event.about())
    correspondence.owe_delivery()
    store.save(correspondence)


def fall_silent(event: OrderCancelled, store: Correspondences) -> None:
    """The order is cancelled: mails that are still owed are not sent."""
    correspondence = store.correspondence(event.about())
    correspondence.cancel()
    store.save(correspondence)


def note_mail(key: OrderKey, outcome: Handed | NotTaken, store: Correspondences) -> None:
    """What the customer's mail server said to a mail."""
    correspondence = store.correspondence(key)
    correspondence.note(outcome)
    store.save(correspondence)
