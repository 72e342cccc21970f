"""What tests are about, valid as it comes: each builder takes what the test wants to be different."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from services.notifications.domain import Correspondence
from services.orders.domain import Order
from services.payments.domain import Payment
from services.shipping.domain import BoughtLabel, Package, Shipment
from shared.contracts.events import (
    BillingEntrusted,
    ContactEntrusted,
    LabelCreated,
    OrderCancelled,
    OrderHeld,
    OrderLine,
    PartRefused,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentReference,
    PricedLine,
    Reason,
    RecipientEntrusted,
    SealedBox,
    ShipmentDelivered,
    ShipmentDispatched,
)
from shared.contracts.storefront import StorefrontEvent
from shared.contracts.values import KeptPart, Money, OrderKey
from shared.custody.envelopes import Envelope
from tests.unit.contracts.storefront_samples import SOURCE, read, sealed_order

AT = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
LATER = datetime(2026, 3, 6, 10, 30, tzinfo=UTC)
KEY = OrderKey(SOURCE, "SH-1")
POLICY_VERSION = "2013-08-19"
CARRIER, TRACKING_NUMBER, TRACKING_URL = "ups", "1Z999AA10123456784", "https://carrier.example/1Z999AA10123456784"


def named(key: OrderKey = KEY) -> dict[str, str]:
    return {"shop": key.shop, "order_number": key.order_number}


def a_box(service: str) -> SealedBox:
    return SealedBox(sealed_for=service, key_id=f"{service}-2026-10", box=base64.b64encode(b"\xfb" * 90).decode())


def an_envelope(form: str = "part", box: bytes = b"\xfb" * 92) -> dict[str, Any]:
    """A part at rest, as a store keeps it. Nobody has its key."""
    return Envelope(box, POLICY_VERSION, form).as_json()


def taken_in(*codes: str) -> KeptPart:
    """What was taken in of a part: an envelope, or the codes that say why it cannot be used."""
    return KeptPart(None, codes) if codes else KeptPart(an_envelope())


# ── aggregates ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def an_order(key: OrderKey = KEY, **changes: Any) -> Order:
    """An order that was accepted, with nothing left to say."""
    order = Order.accept(
        **{
            "key": key,
            "event_id": "e-1",
            "customer_id": "c-1",
            "policy_version": POLICY_VERSION,
            "data_digest": "0" * 64,
            "placed_at": AT,
            "at": AT,
            **changes,
        }
    )
    order.events = []
    return order


def a_payment(key: OrderKey = KEY, **entrusted: Any) -> Payment:
    """A payment whose authorisation is asked for, with nothing left to say."""
    payment = Payment(key=key)
    payment.entrust(**{**_PAYMENT, **entrusted})
    payment.intents = []
    return payment


_PAYMENT: dict[str, Any] = {
    "customer_id": "c-1",
    "provider": "2checkout",
    "reference": "tok_1",
    "money": Money(10399, "EUR"),
    "billing": an_envelope(),
    "at": AT,
}


def an_authorised_payment(key: OrderKey = KEY, **entrusted: Any) -> Payment:
    payment = a_payment(key, **entrusted)
    payment.note_authorised("AUTH-1", AT)
    payment.events = []
    return payment


def a_shipment(key: OrderKey = KEY, **entrusted: Any) -> Shipment:
    """A shipment whose recipient is known, with nothing left to say."""
    shipment = Shipment(key=key)
    shipment.entrust(
        **{
            "customer_id": "c-1",
            "placed_at": AT,
            "shipping_service": "ground",
            "lines": ({"line": 1, "sku": "RNG", "title": "Ring", "department": "Rings", "quantity": 1},),
            "recipient": an_envelope(),
            "at": AT,
            **entrusted,
        }
    )
    return shipment


def a_shipment_to_pick(key: OrderKey = KEY) -> Shipment:
    shipment = a_shipment(key)
    shipment.note_paid(AT)
    shipment.events = []
    return shipment


def a_packed_shipment(key: OrderKey = KEY) -> Shipment:
    """A shipment whose label is asked for, with nothing left to say."""
    shipment = a_shipment_to_pick(key)
    shipment.pick(AT)
    shipment.pack(a_package(), AT)
    shipment.events, shipment.intents = [], []
    return shipment


def a_labelled_shipment(key: OrderKey = KEY) -> Shipment:
    shipment = a_packed_shipment(key)
    shipment.note_label(a_label(), AT)
    shipment.events = []
    return shipment


def a_package(**changes: Any) -> Package:
    return replace(Package(weight_grams=250, length_mm=200, width_mm=150, height_mm=40), **changes)


def a_label(**changes: Any) -> BoughtLabel:
    return replace(BoughtLabel("se-1", CARRIER, TRACKING_NUMBER, TRACKING_URL, an_envelope("label")), **changes)


def a_correspondence(key: OrderKey = KEY, **entrusted: Any) -> Correspondence:
    """A correspondence whose contact is known, with nothing owed."""
    correspondence = Correspondence(key=key)
    correspondence.entrust(**{"customer_id": "c-1", "order": {"currency": "EUR"}, "contact": an_envelope(), **entrusted})
    return correspondence


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def order_placed(order_number: str = KEY.order_number, event_id: str = "e-1", **data: Any) -> StorefrontEvent:
    """A sound order as the door reads it, every part sealed."""
    event = sealed_order(order_number=order_number, **data)
    event["id"] = event_id
    return read(event)


def recipient_entrusted(key: OrderKey = KEY, **changes: Any) -> RecipientEntrusted:
    lines = [OrderLine(line=1, sku="RNG", title="Ring", department="Rings", quantity=1)]
    told = {
        "customer_id": "c-1",
        "policy_version": POLICY_VERSION,
        "placed_at": AT,
        "shipping_service": "ground",
        "lines": lines,
        "recipient": a_box("shipping"),
    }
    return RecipientEntrusted(**{**named(key), **told, **changes})


def contact_entrusted(key: OrderKey = KEY, **changes: Any) -> ContactEntrusted:
    amounts = {"currency": "EUR", "discount": "5.00", "shipping_price": "4.90", "tax": "15.54", "total": "79.44"}
    lines = [PricedLine(line=1, title="Ring", quantity=1, unit_price="64.00")]
    told = {
        "customer_id": "c-1",
        "policy_version": POLICY_VERSION,
        "placed_at": AT,
        "lines": lines,
        "contact": a_box("notifications"),
    }
    return ContactEntrusted(**{**named(key), **amounts, **told, **changes})


def billing_entrusted(key: OrderKey = KEY, **changes: Any) -> BillingEntrusted:
    payment = PaymentReference(provider="2checkout", reference="tok_1")
    told = {
        "customer_id": "c-1",
        "policy_version": POLICY_VERSION,
        "placed_at": AT,
        "currency": "EUR",
        "total": "103.99",
        "payment": payment,
    }
    return BillingEntrusted(**{**named(key), **told, "billing": a_box("payments"), **changes})


def payment_authorised(key: OrderKey = KEY) -> PaymentAuthorised:
    return PaymentAuthorised(**named(key), currency="EUR", amount="103.99")


def payment_declined(reason: str = "declined", key: OrderKey = KEY) -> PaymentDeclined:
    return PaymentDeclined(**named(key), reason=reason)


def payment_captured(key: OrderKey = KEY) -> PaymentCaptured:
    return PaymentCaptured(**named(key), currency="EUR", amount="103.99")


def payment_capture_failed(reason: str = "authorisation_expired", key: OrderKey = KEY) -> PaymentCaptureFailed:
    return PaymentCaptureFailed(**named(key), reason=reason)


def label_created(key: OrderKey = KEY) -> LabelCreated:
    return LabelCreated(**named(key), parcel="PC-AAAAAAAAAAAA-1", carrier=CARRIER, tracking_number=TRACKING_NUMBER)


def shipment_dispatched(key: OrderKey = KEY) -> ShipmentDispatched:
    told = {"carrier": CARRIER, "tracking_number": TRACKING_NUMBER, "tracking_url": TRACKING_URL}
    return ShipmentDispatched(**named(key), parcel="PC-AAAAAAAAAAAA-1", **told)


def shipment_delivered(key: OrderKey = KEY) -> ShipmentDelivered:
    return ShipmentDelivered(**named(key), parcel="PC-AAAAAAAAAAAA-1")


def part_refused(part: str, *codes: str, key: OrderKey = KEY) -> PartRefused:
    return PartRefused(**named(key), part=part, codes=list(codes or ("box_unopenable",)))


def order_held(key: OrderKey = KEY) -> OrderHeld:
    return OrderHeld(**named(key), reasons=[Reason(code="contact_invalid", path="/data/contact")])


def order_cancelled(key: OrderKey = KEY) -> OrderCancelled:
    return OrderCancelled(**named(key), reasons=[Reason(code="amount_mismatch", path="/data/payment")])
