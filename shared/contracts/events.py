"""Everything that can happen, in the past tense, grouped by who says it.

These are the words the services have in common. Writers are strict, readers lenient: an unknown member is ignored, a member is
never removed. No event holds a personal datum in the clear: a part travels as the sealed box that came (`SealedBox`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from shared.contracts.values import OrderKey


class Word(BaseModel):
    """A frozen value in an event; its errors never show what was sent."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class SealedBox(Word):
    """A personal part, readable by one service alone: libsodium's sealed box in base64 under the key `key_id`."""

    sealed_for: str
    key_id: str
    box: str

    def __repr__(self) -> str:
        return f"SealedBox(sealed_for={self.sealed_for!r}, key_id={self.key_id!r})"

    __str__ = __repr__


class Event(Word):
    """Something that happened. `exchange` is the speaker's; `type` is the routing key and the CloudEvent's type."""

    type: ClassVar[str]
    exchange: ClassVar[str]

    def about(self) -> OrderKey | None:
        """The order it is about, or None."""
        return None


class OrderEvent(Event):
    """Something that happened to one order: (`shop`, `order_number`) is the order's key."""

    shop: str
    order_number: str

    def about(self) -> OrderKey:
        return OrderKey(self.shop, self.order_number)


class OrderLine(Word):
    line: int
    sku: str
    title: str
    department: str
    quantity: int


class PricedLine(Word):
    line: int
    title: str
    quantity: int
    unit_price: str


class PaymentReference(Word):
    provider: str
    reference: str


class Reason(Word):
    code: str
    path: str = ""


# ── orders says, to one service each ─────────────────────────────────────────────────────────────────────────────────────────


class RecipientEntrusted(OrderEvent):
    """Shipping's part of an accepted order."""

    type = "recipient_entrusted"
    exchange = "orders.parts"
    customer_id: str
    placed_at: datetime
    shipping_service: str
    lines: list[OrderLine]
    recipient: SealedBox


class ContactEntrusted(OrderEvent):
    """Notifications' part of an accepted order. Amounts are decimal strings of `currency`."""

    type = "contact_entrusted"
    exchange = "orders.parts"
    customer_id: str
    placed_at: datetime
    currency: str
    discount: str
    shipping_price: str
    tax: str
    total: str
    lines: list[PricedLine]
    contact: SealedBox


class BillingEntrusted(OrderEvent):
    """Payments' part of an accepted order; `billing` only where the provider needs it."""

    type = "billing_entrusted"
    exchange = "orders.parts"
    customer_id: str
    placed_at: datetime
    currency: str
    total: str
    payment: PaymentReference
    billing: SealedBox | None = None


# ── orders says, to all ──────────────────────────────────────────────────────────────────────────────────────────────────────


class OrderAccepted(OrderEvent):
    type = "order_accepted"
    exchange = "orders.events"


class OrderHeld(OrderEvent):
    type = "order_held"
    exchange = "orders.events"
    reasons: list[Reason]


class OrderCancelled(OrderEvent):
    type = "order_cancelled"
    exchange = "orders.events"
    reasons: list[Reason]


class OrderCompleted(OrderEvent):
    type = "order_completed"
    exchange = "orders.events"


# ── payments says ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class PaymentAuthorised(OrderEvent):
    type = "payment_authorised"
    exchange = "payments.events"
    currency: str
    amount: str


class PaymentDeclined(OrderEvent):
    """Nothing was taken. `reason` is a stable code, e.g. `declined`, `amount_mismatch`, `token_expired`."""

    type = "payment_declined"
    exchange = "payments.events"
    reason: str


class PaymentCaptured(OrderEvent):
    type = "payment_captured"
    exchange = "payments.events"
    currency: str
    amount: str


class PaymentCaptureFailed(OrderEvent):
    type = "payment_capture_failed"
    exchange = "payments.events"
    reason: str


# ── shipping says ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class PickListIssued(OrderEvent):
    type = "pick_list_issued"
    exchange = "shipping.events"
    pick_list: str


class ParcelPacked(OrderEvent):
    type = "parcel_packed"
    exchange = "shipping.events"
    parcel: str


class LabelCreated(OrderEvent):
    type = "label_created"
    exchange = "shipping.events"
    parcel: str
    carrier: str
    tracking_number: str


class ShipmentDispatched(OrderEvent):
    """The parcel is the carrier's: staff handed it over, or the carrier scanned it first."""

    type = "shipment_dispatched"
    exchange = "shipping.events"
    parcel: str
    carrier: str
    tracking_number: str
    tracking_url: str | None = None


class ShipmentDelivered(OrderEvent):
    type = "shipment_delivered"
    exchange = "shipping.events"
    parcel: str


# ── notifications says ───────────────────────────────────────────────────────────────────────────────────────────────────────


class MailSent(OrderEvent):
    """A mail of this `kind` (`order_confirmation`, `shipment`, `delivery`) was taken by the customer's mail server."""

    type = "mail_sent"
    exchange = "notifications.events"
    kind: str


# ── payments, shipping and notifications say ─────────────────────────────────────────────────────────────────────────────────


class PartRefused(OrderEvent):
    """The service that opened a part cannot use it; the part was destroyed. `codes` name what is wrong, never a value."""

    type = "part_refused"
    exchange = ""  # each of the three says it on its own exchange
    part: str
    codes: list[str]


class IntakeKeyPublished(Event):
    """A service's public sealing key (base64 of 32 bytes); what is sealed to it is taken until `expires_at`."""

    type = "intake_key_published"
    exchange = ""
    service: str
    key_id: str
    public_key: str
    expires_at: datetime


# ── to the storefront ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Answer(Event):
    """An answer of the storefront's contract; `answer` is its type, `data` what the contract names, never personal."""

    type = "answer"
    exchange = "storefront.answers"
    answer: str
    data: dict[str, Any]


EVENTS: dict[str, type[Event]] = {
    event.type: event
    for event in (
        RecipientEntrusted,
        ContactEntrusted,
        BillingEntrusted,
        OrderAccepted,
        OrderHeld,
        OrderCancelled,
        OrderCompleted,
        PaymentAuthorised,
        PaymentDeclined,
        PaymentCaptured,
        PaymentCaptureFailed,
        PickListIssued,
        ParcelPacked,
        LabelCreated,
        ShipmentDispatched,
        ShipmentDelivered,
        MailSent,
        PartRefused,
        IntakeKeyPublished,
    )
}
"""Every internal event by its wire name, which is chosen and never derived."""
