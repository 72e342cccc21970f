"""Personal parts on their way through: sealed at the door where they came in the clear, passed on unread, kept nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from shared.contracts.events import (
    BillingEntrusted,
    ContactEntrusted,
    Event,
    OrderLine,
    PaymentReference,
    PricedLine,
    RecipientEntrusted,
    SealedBox,
)
from shared.contracts.storefront import PART_SERVICES, SealedPart, StorefrontEvent, part_to_json


def seal_clear_parts(event: StorefrontEvent, seal: Callable[[str, bytes], SealedPart]) -> StorefrontEvent:
    """The same event with every part sealed: `seal(service, plaintext)` seals to that service's current key."""
    parts: dict[str, Any] = {
        name: part if isinstance(part, SealedPart) else seal(PART_SERVICES[name], part_to_json(part, str(event.sealed_for_key)))
        for name, part in event.parts.items()
    }
    return replace(event, parts=parts)


def sealed_body(body: bytes, parts: Mapping[str, Any]) -> bytes:
    """The event's body with the sealed parts in the place of those that came, and without parts that were dropped."""
    event = orjson.loads(body)
    data = {name: value for name, value in event["data"].items() if name not in PART_SERVICES}
    data.update({name: part.as_dict() for name, part in parts.items()})
    kept = (
        "specversion",
        "id",
        "source",
        "type",
        "time",
        "datacontenttype",
    )  # other members of the envelope are nobody's to keep
    return orjson.dumps({**{name: event[name] for name in kept if name in event}, "data": data})


def entrust_parts(event: StorefrontEvent) -> list[Event]:
    """An accepted order's parts, each with what else its one service needs of the order."""
    data: Any = event.data
    named = {
        "shop": event.source,
        "order_number": data.order_number,
        "customer_id": data.customer_id,
        "policy_version": data.policy_version,
        "placed_at": data.placed_at,
    }
    billing = event.parts.get("billing")
    return [
        BillingEntrusted(
            **named,
            currency=data.currency,
            total=data.total,
            payment=PaymentReference(provider=data.payment.provider, reference=data.payment.reference),
            billing=_box(billing) if billing is not None else None,
        ),
        RecipientEntrusted(
            **named,
            shipping_service=data.shipping_service,
            lines=[
                OrderLine(line=line.line, sku=line.sku, title=line.title, department=line.department, quantity=line.quantity)
                for line in data.lines
            ],
            recipient=_box(event.parts["recipient"]),
        ),
        ContactEntrusted(
            **named,
            currency=data.currency,
            discount=data.discount,
            shipping_price=data.shipping_price,
            tax=data.tax,
            total=data.total,
            lines=[
                PricedLine(line=line.line, title=line.title, quantity=line.quantity, unit_price=line.unit_price)
                for line in data.lines
            ],
            contact=_box(event.parts["contact"]),
        ),
    ]


def _box(part: Any) -> SealedBox:
    return SealedBox(**part.as_dict())
