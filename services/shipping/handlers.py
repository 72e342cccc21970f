"""One short function per message: load, one verb of the domain, save."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from services.shipping.commands import HandOver, NoteTracking, Pack, Pick
from services.shipping.domain import BoughtLabel, NoLabel, Package, Shipment
from shared.contracts.errors import TryLater
from shared.contracts.events import (
    OrderCancelled,
    OrderHeld,
    OrderReleased,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    RecipientEntrusted,
)
from shared.contracts.person_events import RecipientCorrected
from shared.contracts.values import KeptPart, OrderKey


class Shipments(Protocol):
    """What the handlers need of the store."""

    def shipment(self, key: OrderKey) -> Shipment: ...

    def key_of_tracking(self, tracking_number: str) -> OrderKey | None: ...

    def save(self, shipment: Shipment) -> None: ...

    def replace_recipient(self, key: OrderKey, recipient: dict[str, Any]) -> bool: ...

    def keep_label(self, shipment: Shipment, paper: dict[str, Any]) -> None: ...


def take_recipient(event: RecipientEntrusted, kept: KeptPart, store: Shipments, at: datetime) -> None:
    """The recipient of an accepted order is known; once it is paid too, its pick list is issued."""
    if kept.is_of_nobody:
        return
    shipment = store.shipment(event.about())
    told: dict[str, Any] = {
        "customer_id": event.customer_id,
        "placed_at": event.placed_at,
        "shipping_service": event.shipping_service,
        "lines": tuple(line.model_dump() for line in event.lines),
    }
    if kept.envelope is None:
        shipment.refuse_recipient(kept.codes, at, **told)
    else:
        shipment.entrust(**told, recipient=kept.envelope, at=at)
    store.save(shipment)


def note_paid(event: PaymentAuthorised, store: Shipments, at: datetime) -> None:
    """The order is paid; once its recipient is known too, its pick list is issued."""
    shipment = store.shipment(event.about())
    shipment.note_paid(at)
    store.save(shipment)


def note_captured(event: PaymentCaptured, store: Shipments, at: datetime) -> None:
    """The money is taken: the parcel may be handed over."""
    shipment = store.shipment(event.about())
    shipment.note_captured(at)
    store.save(shipment)


def note_capture_failed(event: PaymentCaptureFailed, store: Shipments, at: datetime) -> None:
    """The money could not be taken: the parcel stays."""
    shipment = store.shipment(event.about())
    shipment.note_capture_failed(at)
    store.save(shipment)


def correct_recipient(
    event: RecipientCorrected, envelopes: Mapping[str, dict[str, Any]], store: Shipments, at: datetime
) -> dict[str, str]:
    """A sound recipient for these open orders; what became of each."""
    shipments = [store.shipment(OrderKey(event.shop, order_number)) for order_number in envelopes]
    # First all that may have to wait, then what is written: a correction that must wait has changed nothing.
    endings = {shipment.key.order_number: shipment.correct_recipient(at) for shipment in shipments}
    for shipment in shipments:
        number = shipment.key.order_number
        if endings[number] == "replaced" and not store.replace_recipient(shipment.key, envelopes[number]):
            raise TryLater("recipient_unknown", awaits=shipment.key)
        store.save(shipment)
    return endings


def hold(event: OrderHeld, store: Shipments, at: datetime) -> None:
    """The order is on hold: what has no label yet stops."""
    shipment = store.shipment(event.about())
    shipment.hold(event.held_at or at)
    store.save(shipment)


def release(event: OrderReleased, store: Shipments) -> None:
    """The hold has ended: the shipment goes on where it was."""
    shipment = store.shipment(event.about())
    shipment.release(event.released_at)
    store.save(shipment)


def cancel(event: OrderCancelled, store: Shipments, at: datetime) -> None:
    """The order is cancelled: what has no label yet stops for good."""
    shipment = store.shipment(event.about())
    shipment.cancel(at)
    store.save(shipment)


def pick(command: Pick, store: Shipments, at: datetime) -> None:
    """Staff have picked all lines of a pick list."""
    shipment = store.shipment(command.about)
    shipment.pick(at)
    store.save(shipment)


def pack(command: Pack, store: Shipments, at: datetime) -> None:
    """Staff have packed a parcel and weighed it."""
    shipment = store.shipment(command.about)
    shipment.pack(Package(command.weight_grams, command.length_mm, command.width_mm, command.height_mm), at)
    store.save(shipment)


def hand_over(command: HandOver, store: Shipments, at: datetime) -> None:
    """Staff have handed a parcel to the carrier."""
    shipment = store.shipment(command.about)
    shipment.hand_over(at)
    store.save(shipment)


def note_label(key: OrderKey, outcome: BoughtLabel | NoLabel, store: Shipments, at: datetime) -> None:
    """What the carrier said to the purchase of a label."""
    shipment = store.shipment(key)
    match outcome:
        case BoughtLabel():
            if shipment.note_label(outcome, at):
                store.keep_label(shipment, outcome.paper)
        case NoLabel():
            shipment.note_no_label(outcome.codes, at)
    store.save(shipment)


def note_tracking(command: NoteTracking, store: Shipments, at: datetime) -> None:
    """The carrier has scanned a parcel. A scan of a parcel whose label is not written down yet waits."""
    key = store.key_of_tracking(command.tracking_number)
    if key is None:
        raise TryLater("tracking_number_unknown")
    shipment = store.shipment(key)
    shipment.note_tracking(command.status_code, at)
    store.save(shipment)
