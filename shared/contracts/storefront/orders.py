"""`order_placed`: its form, and the checks that need the whole order or the shop's own lists."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from shared.contracts.errors import Fault
from shared.contracts.storefront.card_numbers import may_hold_card_number
from shared.contracts.storefront.forms import MAX_LINES, NotEmpty, PolicyVersion, ServiceName, Several
from shared.contracts.storefront.parts import card_faults
from shared.contracts.storefront.personal import PersonalLine, PersonalOrderPlaced, PersonalPayment
from shared.contracts.values import CURRENCIES, Money


class Line(PersonalLine):
    """One line of an order. `title` is catalogue text; what a buyer writes belongs to the recipient part."""


class Payment(PersonalPayment):
    """How the order is paid: `reference` is PayPal's approved order, or 2Checkout's one-time token."""

    provider: Literal["paypal", "2checkout"]


class OrderPlaced(PersonalOrderPlaced):
    """An order without its personal parts. Amounts are decimal strings as they came; `money` reads one."""

    policy_version: PolicyVersion
    lines: Annotated[Several[Line], NotEmpty]
    shipping_service: ServiceName
    payment: Payment

    def money(self, amount: str) -> Money:
        """One of this order's amounts, in its currency."""
        return Money.parse(amount, self.currency)


_NEGATIVE: Final = re.compile(r"-[0-9]+(?:\.[0-9]+)?", re.ASCII)
_SOME_AMOUNT: Final = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,4})?", re.ASCII)


def order_faults(data: dict[str, Any], *, shipping_services: frozenset[str], form_is_sound: bool) -> list[Fault]:
    """What is wrong with an order beyond the form of its members; `data` is as it came and may be of any shape. Never raises."""
    faults = _amount_faults(data)
    lines = data.get("lines")
    if isinstance(lines, list):
        numbers = [line.get("line") for line in lines if isinstance(line, dict)]
        whole = len(numbers) == len(lines) and all(type(number) is int for number in numbers)
        if whole and lines and set(numbers) != set(range(1, len(lines) + 1)):
            faults.append(Fault("line_numbers", "/data/lines"))
    if not form_is_sound or may_hold_card_number(
        "\n".join([text for line in data["lines"] for text in (line["title"], line["department"])])
    ):
        faults += card_faults({"lines": lines}, "/data")
    service = data.get("shipping_service")
    if isinstance(service, str) and service not in shipping_services:
        faults.append(Fault("shipping_service_unknown", "/data/shipping_service"))
    return faults


def _amount_faults(data: dict[str, Any]) -> list[Fault]:
    """Read every amount, and add them up where each could be read."""
    faults: list[Fault] = []
    currency = data.get("currency")
    known = currency if isinstance(currency, str) and currency in CURRENCIES else None
    expected: int | None = 0
    lines = data.get("lines")
    if not isinstance(lines, list) or len(lines) > MAX_LINES:
        lines, expected = [], None
    for index, line in enumerate(lines):
        price = _minor(line, "unit_price", known, f"/data/lines/{index}", faults) if isinstance(line, dict) else None
        quantity = line.get("quantity") if price is not None else None
        expected = expected + price * quantity if expected is not None and price is not None and type(quantity) is int else None
    discount = _minor(data, "discount", known, "/data", faults)
    shipping_price = _minor(data, "shipping_price", known, "/data", faults)
    tax = _minor(data, "tax", known, "/data", faults)
    total = _minor(data, "total", known, "/data", faults)
    if total == 0:
        faults.append(Fault("out_of_range", "/data/total"))
    if (
        expected is not None
        and discount is not None
        and shipping_price is not None
        and tax is not None
        and total is not None
        and total != expected - discount + shipping_price + tax
    ):
        faults.append(Fault("total_mismatch", "/data/total"))
    return faults


def _minor(parent: dict[str, Any], member: str, currency: str | None, root: str, faults: list[Fault]) -> int | None:
    """The amount in minor units, or None with a fault. One that is missing or no text is named by the form already."""
    amount = parent.get(member)
    if not isinstance(amount, str):
        return None
    if currency is None:
        if _SOME_AMOUNT.fullmatch(amount):
            return None
    else:
        try:
            return Money.parse(amount, currency).amount_minor
        except ValueError:
            pass
    faults.append(Fault("out_of_range" if _NEGATIVE.fullmatch(amount) else "amount_format", f"{root}/{member}"))
    return None
