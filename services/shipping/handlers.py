"""One short function per message: load, one verb of the domain, save."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from services.shipping.commands import HandOver, NoteTracking, Pack, Pick
from services.shipping.domain import BoughtLabel, NoLabel, Package, Shipment
from shared.contracts.errors import TryLater
from shared.contracts.events import (
    OrderCancelled,
    OrderHeld,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    RecipientEntrusted,
)
from shared.contracts.values import OrderKey


class Shipments(Protocol):
    """What the handlers need of the store."""

    def shipment(self, key: OrderKey) -> Shipment: ...

    def key_of_tracking(self, tracking_number: str) -> OrderKey | None: ...

    def save(self, shipment: Shipment) -> None: ...

    def keep_label(self, shipment: Shipment, key_id: str, box: bytes) -> None: ...


def take_recipient(event: RecipientEntrusted, recipient_faults: tuple[str, ...], store: Shipments, at: datetime) -> None:
    """The recipient of an accepted order is known; once it is paid too, its pick list is issued."""
    shipment = store.shipment(event.about())
    if recipient_faults:
        shipment.refuse_recipient(recipient_faults, at)
    else:
        shipment.entrust(
            customer_id=event.customer_id,
            placed_at=event.placed_at,
            shipping_service=event.shipping_service,
            lines=tuple(line.model_dump() for line in event.lines),
            recipient=event.recipient.model_dump(),
            at=at,
        )
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


def hold(event: OrderHeld, store: Shipments, at: datetime) -> None:
    """The order is on hold: what has no label yet stops."""
    shipment = store.shipment(event.about())
    shipment.hold(at)
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
                store.keep_label(shipment, outcome.key_id, outcome.box)
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
