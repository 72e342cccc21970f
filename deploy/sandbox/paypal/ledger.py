"""What PayPal knows: orders, authorisations, captures, refunds, and the request ids that make a repeat harmless."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from deploy.sandbox.paypal.money import text


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def in_days(days: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * 86400))


@dataclass(slots=True)
class Refund:
    id: str
    capture: Capture
    amount_minor: int
    invoice_id: str | None
    created: str = field(default_factory=now)


@dataclass(slots=True)
class Capture:
    id: str
    authorisation: Authorisation
    amount_minor: int
    final: bool
    invoice_id: str | None
    refunds: list[Refund] = field(default_factory=list)
    created: str = field(default_factory=now)

    @property
    def refunded_minor(self) -> int:
        return sum(refund.amount_minor for refund in self.refunds)

    @property
    def status(self) -> str:
        refunded = self.refunded_minor
        if not refunded:
            return "COMPLETED"
        return "REFUNDED" if refunded >= self.amount_minor else "PARTIALLY_REFUNDED"


@dataclass(slots=True)
class Authorisation:
    id: str
    order: Order
    amount_minor: int
    currency: str
    invoice_id: str | None
    custom_id: str | None
    status: str = "CREATED"
    captures: list[Capture] = field(default_factory=list)
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)
    expires: str = field(default_factory=lambda: in_days(29))

    @property
    def captured_minor(self) -> int:
        return sum(capture.amount_minor for capture in self.captures)


@dataclass(slots=True)
class Order:
    id: str
    intent: str
    units: list[dict[str, Any]]
    amount_minor: int
    currency: str
    status: str = "CREATED"
    decline: bool | None = None
    authorisation: Authorisation | None = None
    voids: int = 0
    created: str = field(default_factory=now)

    @property
    def reference(self) -> str:
        return str(self.units[0]["reference_id"])


@dataclass(slots=True)
class Ledger:
    orders: dict[str, Order] = field(default_factory=dict)
    authorisations: dict[str, Authorisation] = field(default_factory=dict)
    captures: dict[str, Capture] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    keys: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    """(operation, resource, PayPal-Request-Id) to what the first request made."""
    invoices: set[tuple[str, str]] = field(default_factory=set)
    """(operation, invoice_id): an invoice is authorised, captured and refunded once."""
    declined: int = 0

    def as_books(self) -> dict[str, Any]:
        return {"orders": {order.id: _order_in_books(order) for order in self.orders.values()}, "declined": self.declined}


def _order_in_books(order: Order) -> dict[str, Any]:
    authorisation = order.authorisation
    captures = authorisation.captures if authorisation else []
    return {
        "reference": order.reference,
        "amount": text(order.amount_minor, order.currency),
        "currency": order.currency,
        "status": order.status,
        "authorisations": [
            {
                "id": authorisation.id,
                "amount": text(authorisation.amount_minor, order.currency),
                "status": authorisation.status,
                "invoice_id": authorisation.invoice_id,
            }
        ]
        if authorisation
        else [],
        "captures": [
            {
                "id": capture.id,
                "amount": text(capture.amount_minor, order.currency),
                "final": capture.final,
                "invoice_id": capture.invoice_id,
                "refunded": text(capture.refunded_minor, order.currency),
            }
            for capture in captures
        ],
        "voids": order.voids,
    }
