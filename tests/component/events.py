"""An order like the contract's, made anew for each test: an order that is sound, and what a person in it is called."""

from __future__ import annotations

import copy
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from tests.integration.scene import SHOP, new_number

_DATA: dict[str, Any] = {
    "placed_at": "2026-11-22T10:14:58Z",
    "customer_id": "m-7781",
    "policy_version": "2013-08-19",
    "currency": "USD",
    "lines": [
        {"line": 1, "sku": "BND-ELV-007", "title": "", "department": "Elvish", "quantity": 1, "unit_price": "129.00"},
        {
            "line": 2,
            "sku": "PLR-0042",
            "title": "Chain-nose pliers",
            "department": "Pliers",
            "quantity": 2,
            "unit_price": "18.50",
        },
    ],
    "discount": "0.00",
    "shipping_price": "7.95",
    "tax": "13.70",
    "total": "187.65",
    "shipping_service": "ground",
    "payment": {"provider": "paypal", "reference": "5O190127TN364715T"},
    "recipient": {
        "name": "Ana Müller",
        "address": {
            "line1": "12 Larimer St",
            "line2": "Apt 4",
            "city": "Denver",
            "region": "CO",
            "postal_code": "80202",
            "country": "US",
        },
        "personalisation": [{"line": 1, "text": "A & J 2026"}],
        "gift_message": "For the long way.",
    },
    "contact": {"name": "Ana Müller", "email": "ana@post.example", "phone": "+1 303 555 0142", "language": "en"},
}

CARD = "4111 1111 1111 1111"


def envelope(kind: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": SHOP,
        "type": kind,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": data,
        **more,
    }


def order_placed(order_number: str | None = None, *, title: str = "Elvish band, size 9", **data: Any) -> dict[str, Any]:
    """A sound `order_placed` with its parts in the clear; `data` replaces members."""
    whole = copy.deepcopy(_DATA) | {
        "order_number": order_number or new_number(),
        "payment": {"provider": "paypal", "reference": new_number("P")},
        **data,
    }
    whole["lines"][0]["title"] = title
    return envelope("order_placed", whole)


class Canary:
    """A buyer whose name, address and words stand nowhere else in the world: where one of them turns up, a part leaked."""

    def __init__(self) -> None:
        self.words = [f"Qx{secrets.token_hex(4)}" for _ in range(8)]
        name, line1, line2, city, gift, mail, engraving, billing = self.words
        address = {"line1": line1, "line2": line2, "city": city, "region": "CO", "postal_code": "80202", "country": "US"}
        self.recipient = {
            "name": name,
            "address": address,
            "personalisation": [{"line": 1, "text": engraving}],
            "gift_message": gift,
        }
        self.contact = {"name": name, "email": f"{mail}@post.example", "phone": "+1 303 555 0142", "language": "en"}
        self.billing = {"given_name": billing, "family_name": name, "email": f"{mail}@post.example", "address": address}

    def in_text(self, text: str) -> list[str]:
        return [word for word in self.words if word in text]
