"""The workload: orders of three lines, sealed at the source and approved at PayPal, ready to publish before any clock starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from shared.cli.approvals import Approvals
from shared.cli.doors import Door
from shared.cli.sealed_parts import Keys

SOURCE = "https://www.astrojewelry.com"
PLACED = "order_placed"
_AT_ONCE = 500
_LINES = (
    ("BND-ELV-007", "Leaf-vine band, size 9", "Elvish", 1, "129.00"),
    ("PLR-0042", "Chain-nose pliers", "Pliers & Cutters", 2, "18.50"),
    ("CLS-0007", "Lobster clasp, 12 mm", "Clasps", 5, "2.00"),
)


@dataclass(frozen=True, slots=True)
class Ready:
    """An `order_placed`, ready for the wire."""

    order_number: str
    id: str
    body: bytes


def order_data(number: str, reference: str, at: datetime) -> dict[str, Any]:
    """An order of three lines; its buyer is invented."""
    address = {"line1": "12 Bench Street", "city": "Denver", "region": "CO", "postal_code": "80202", "country": "US"}
    return {
        "order_number": number,
        "placed_at": at.isoformat(),
        "customer_id": f"m-{number}",
        "policy_version": "2013-08-19",
        "currency": "USD",
        "lines": [
            {"line": place, "sku": sku, "title": title, "department": department, "quantity": quantity, "unit_price": unit_price}
            for place, (sku, title, department, quantity, unit_price) in enumerate(_LINES, 1)
        ],
        "discount": "0.00",
        "shipping_price": "7.95",
        "tax": "13.70",
        "total": "197.65",
        "shipping_service": "ground",
        "payment": {"provider": "paypal", "reference": reference},
        "recipient": {"name": "Bench Buyer", "address": address},
        "contact": {"name": "Bench Buyer", "email": f"{number.lower()}@buyers.example", "language": "en"},
    }


def prepared(env: Mapping[str, str], orders: int, run: str, *, at_paypal: bool) -> list[Ready]:
    """So many events; `run` tells their order numbers apart from other runs'.

    With `at_paypal` each has a payment that its buyer approved at the sandbox; without, a reference that only memory's edge takes.
    """
    keys = Keys(Door("Orders", env["ORDERS_HTTP_URL"]))
    at = datetime.now(UTC)
    data = [order_data(f"B-{run}-{place:06}", f"memory-{run}-{place}", at) for place in range(orders)]
    if at_paypal:
        approvals = Approvals(Door("PayPal", env["PAYPAL_SANDBOX_URL"]), None)
        data = [order for start in range(0, orders, _AT_ONCE) for order in approvals.approve(data[start : start + _AT_ONCE])]
    return [_ready(keys.seal(order), at) for order in data]


def _ready(data: Mapping[str, Any], at: datetime) -> Ready:
    identity = str(uuid4())
    event = {
        "specversion": "1.0",
        "id": identity,
        "source": SOURCE,
        "type": PLACED,
        "time": at.isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
    return Ready(data["order_number"], identity, json.dumps(event, separators=(",", ":")).encode())
