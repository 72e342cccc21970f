"""Everything that can happen, in the past tense, grouped by who says it.

These are the words the services have in common. Writers are strict, readers lenient: an unknown member is ignored, a member is
never removed. No event holds a personal datum in the clear: a part travels as the sealed box that came (`SealedBox`). A box and
every pseudonym of a person stand in the policy: what is compiled from it (`personal`) is inherited here, and only the rest written.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.contracts.errand_events import ERRAND_EVENTS
from shared.contracts.person_events import PERSON_EVENTS
from shared.contracts.personal import (
    PersonalBillingEntrusted,
    PersonalContactEntrusted,
    PersonalLabelCreated,
    PersonalOrderLine,
    PersonalParcelPacked,
    PersonalPaymentAuthorised,
    PersonalPaymentCaptured,
    PersonalPaymentReference,
    PersonalPickListIssued,
    PersonalPricedLine,
    PersonalRecipientEntrusted,
    PersonalShipmentDelivered,
    PersonalShipmentDispatched,
)
from shared.contracts.policy_events import POLICY_EVENTS
from shared.contracts.words import Event, OrderEvent, Reason, SealedBox, Word


class OrderLine(PersonalOrderLine):
    """One line of an order, as the warehouse needs it."""


class PricedLine(PersonalPricedLine):
    """One line of an order, as the customer reads it; `unit_price` is a decimal string of the order's currency."""


class PaymentReference(PersonalPaymentReference):
    """What stands for a payment at its provider; `provider` is `paypal` or `2checkout`."""

    provider: str


# ── orders says, to one service each ─────────────────────────────────────────────────────────────────────────────────────────


class RecipientEntrusted(OrderEvent, PersonalRecipientEntrusted):
    """Shipping's part of an accepted order."""

    type = "recipient_entrusted"
    exchange = "orders.parts"
    policy_version: str
    shipping_service: str
    lines: list[OrderLine]


class ContactEntrusted(OrderEvent, PersonalContactEntrusted):
    """Notifications' part of an accepted order. Amounts are decimal strings of `currency`."""

    type = "contact_entrusted"
    exchange = "orders.parts"
    policy_version: str
    lines: list[PricedLine]


class BillingEntrusted(OrderEvent, PersonalBillingEntrusted):
    """Payments' part of an accepted order; `billing` only where the provider needs it."""

    type = "billing_entrusted"
    exchange = "orders.parts"
    policy_version: str
    payment: PaymentReference


# ── orders says, to all ──────────────────────────────────────────────────────────────────────────────────────────────────────


class OrderAccepted(OrderEvent):
    type = "order_accepted"
    exchange = "orders.events"


class OrderHeld(OrderEvent):
    """`held_at` tells a hold from an earlier one that was ended: the later of the two words counts."""

    type = "order_held"
    exchange = "orders.events"
    reasons: list[Reason]
    held_at: datetime | None = None


class OrderReleased(OrderEvent):
    """Every part that the order was held for is sound by now."""

    type = "order_released"
    exchange = "orders.events"
    released_at: datetime


class OrderCancelled(OrderEvent):
    type = "order_cancelled"
    exchange = "orders.events"
    reasons: list[Reason]


class OrderCompleted(OrderEvent):
    type = "order_completed"
    exchange = "orders.events"


class LegalHoldPlaced(OrderEvent):
    """What is kept of this order must stay, whatever its time. `clause` is the promise of the policy, or the addendum, that lets it."""

    type = "legal_hold_placed"
    exchange = "orders.events"
    clause: str
    said_at: datetime


class LegalHoldLifted(OrderEvent):
    """The order's data goes in its time again."""

    type = "legal_hold_lifted"
    exchange = "orders.events"
    clause: str
    said_at: datetime


# ── payments says ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class PaymentAuthorised(OrderEvent, PersonalPaymentAuthorised):
    type = "payment_authorised"
    exchange = "payments.events"


class PaymentDeclined(OrderEvent):
    """Nothing was taken. `reason` is a stable code, e.g. `declined`, `amount_mismatch`, `token_expired`."""

    type = "payment_declined"
    exchange = "payments.events"
    reason: str


class PaymentCaptured(OrderEvent, PersonalPaymentCaptured):
    type = "payment_captured"
    exchange = "payments.events"


class PaymentCaptureFailed(OrderEvent):
    type = "payment_capture_failed"
    exchange = "payments.events"
    reason: str


# ── shipping says ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class PickListIssued(OrderEvent, PersonalPickListIssued):
    type = "pick_list_issued"
    exchange = "shipping.events"


class ParcelPacked(OrderEvent, PersonalParcelPacked):
    type = "parcel_packed"
    exchange = "shipping.events"


class LabelCreated(OrderEvent, PersonalLabelCreated):
    type = "label_created"
    exchange = "shipping.events"
    carrier: str


class ShipmentDispatched(OrderEvent, PersonalShipmentDispatched):
    """The parcel is the carrier's: staff handed it over, or the carrier scanned it first."""

    type = "shipment_dispatched"
    exchange = "shipping.events"
    carrier: str


class ShipmentDelivered(OrderEvent, PersonalShipmentDelivered):
    type = "shipment_delivered"
    exchange = "shipping.events"


# ── notifications says ───────────────────────────────────────────────────────────────────────────────────────────────────────


class MailSent(OrderEvent):
    """A mail of this `kind` (`order_confirmation`, `shipment`, `delivery`, or one about trouble) was taken by the customer's mail server."""

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


class RecordAnchored(Event):
    """Where a service's record of openings stands: the hash of the entry at `position`, kept elsewhere so that a rewritten record shows."""

    type = "record_anchored"
    exchange = ""
    service: str
    position: int
    hash: str


class IncidentNoticed(Event):
    """Something that must not be was noticed: `kind` is `envelope_broken` or `record_broken`, `place` tells repeats apart and names nobody."""

    type = "incident_noticed"
    exchange = ""
    service: str
    kind: str
    place: str
    noticed_at: datetime


class DataReleased(OrderEvent):
    """A part of this order was given to an authority, sealed to its key, by two members of staff (clause 53, addendum A-10).

    `dossier` is the authority's own number of what it asked; `approved_by` the accounts of both; what was given is not here.
    """

    type = "data_released"
    exchange = ""
    part: str
    clause: str
    dossier: str
    release: str
    approved_by: list[str]
    given_at: datetime


# ── to the storefront ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Answer(Event):
    """An answer of the storefront's contract; `answer` is its type, `data` what the contract names, never personal."""

    type = "answer"
    exchange = "storefront.answers"
    answer: str
    data: dict[str, Any]


EVENTS: dict[str, type[Event]] = {event.type: event for event in (*PERSON_EVENTS, *POLICY_EVENTS, *ERRAND_EVENTS)} | {
    event.type: event
    for event in (
        RecipientEntrusted,
        ContactEntrusted,
        BillingEntrusted,
        OrderAccepted,
        OrderHeld,
        OrderReleased,
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
        LegalHoldPlaced,
        LegalHoldLifted,
        RecordAnchored,
        IncidentNoticed,
        DataReleased,
    )
}
"""Every internal event by its wire name, which is chosen and never derived."""

__all__ = ["EVENTS", "Event", "OrderEvent", "Reason", "SealedBox", "Word"]
