"""The `data` of `order_placed`, put together from what a set knows: exact sums, numbers that never collide."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.cli.order_sets.buyers import Buyers
from shared.contracts.values import CURRENCIES, Money

POLICY_VERSION = "2013-08-19"
UNAPPROVED = "unapproved"
"""The payment reference of an order whose payment nobody has made yet: the sandbox must, before it is published."""

Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


def new_run() -> str:
    """Four letters or digits that mark the order numbers of one run, so that the next run's are others."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(4))


@dataclass(frozen=True, slots=True)
class Making:
    """What every converter needs: who buys, the run's mark, the time (an order of 2010 is placed again now)."""

    buyers: Buyers
    run: str
    clock: Clock = now


@dataclass(frozen=True, slots=True)
class Line:
    sku: str
    title: str
    quantity: int
    unit_price: Money
    department: str = ""


def money(amount: str | Decimal, currency: str) -> Money:
    """Exactly this amount ("18.0", "2.55"); raises ValueError where it has more digits than the currency."""
    minor = Decimal(amount).scaleb(CURRENCIES[currency])
    if minor != minor.to_integral_value():
        raise ValueError("more digits than the currency has")
    return Money(int(minor), currency)


def order_number(prefix: str, number: str, making: Making, lap: int = 0) -> str:
    """`UK-536365-r7k2`; on later laps through a set `UK-536365.2-r7k2`. At most 64 characters, in the contract's grammar."""
    again = f".{lap + 1}" if lap else ""
    return f"{prefix}-{number}{again}-{making.run}"


def order_data(
    making: Making,
    *,
    number: str,
    customer_id: str,
    currency: str,
    lines: Sequence[Line],
    country: str,
    home: str,
    state: str | None = None,
    shipping_price: Money | None = None,
    discount: Money | None = None,
    tax: Money | None = None,
) -> dict[str, Any]:
    """One order as the contract words it, with its buyer; the total is the exact sum of what it holds.

    What no shop could fulfil is worded all the same (no lines, a total of zero): the intake refuses it with its reason. A total
    below zero cannot be worded: the discount then ends at zero.
    """
    nothing = Money(0, currency)
    goods = sum((line.unit_price * line.quantity for line in lines), nothing)
    shipping_price, tax = shipping_price or nothing, tax or nothing
    before = goods + shipping_price + tax
    discount = Money(min((discount or nothing).amount_minor, before.amount_minor), currency)
    buyer = making.buyers.of(customer_id=customer_id, order=number, country=country, state=state, lines=len(lines))
    data: dict[str, Any] = {
        "order_number": number,
        "placed_at": making.clock().isoformat(timespec="seconds").replace("+00:00", "Z"),
        "customer_id": customer_id,
        "policy_version": POLICY_VERSION,
        "currency": currency,
        "lines": [
            {
                "line": place,
                "sku": line.sku,
                "title": line.title,
                "department": line.department,
                "quantity": line.quantity,
                "unit_price": str(line.unit_price),
            }
            for place, line in enumerate(lines, start=1)
        ],
        "discount": str(discount),
        "shipping_price": str(shipping_price),
        "tax": str(tax),
        "total": str(before - discount),
        "shipping_service": "ground" if country == home else "international",
        "payment": {"provider": buyer.provider, "reference": UNAPPROVED},
        "recipient": buyer.recipient,
        "contact": buyer.contact,
    }
    if buyer.billing is not None:
        data["billing"] = buyer.billing
    return data
