"""The statistics that may be shared: which month may be let out, and what of its sums (clauses 21 and 22).

A month is let out once, when it is over. So no order stands in two tables, and no two of them can be held against each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from shared.contracts.errors import Fault, Refused
from shared.contracts.values import CURRENCIES, Money

SETTLES = timedelta(days=3)
"""How long after its end a month still takes orders that were long on their way."""
EVERY_SHOP = "all"
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])", re.ASCII)


class Line(Protocol):
    """A line of an order, as far as it is counted."""

    department: str
    quantity: int
    unit_price: str


def sales_of(currency: str, lines: Iterable[Line]) -> dict[str, Any]:
    """What an order sells: `{"currency", "departments": {name: [units, amount in minor units]}}`, at the lines' own prices."""
    departments: dict[str, list[int]] = {}
    for line in lines:
        sums = departments.setdefault(line.department.strip(), [0, 0])
        sums[0] += line.quantity
        sums[1] += line.quantity * Money.parse(line.unit_price, currency).amount_minor
    return {"currency": currency, "departments": departments}


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC."""

    name: str

    @classmethod
    def read(cls, text: str) -> Month:
        """`2026-10`. Raises Refused for anything else: no other stretch of time is ever counted."""
        if _MONTH.fullmatch(text) is None or text < "1970":
            raise Refused([Fault("month_malformed", "/month")])
        return cls(text)

    @property
    def begins(self) -> datetime:
        year, month = map(int, self.name.split("-"))
        return datetime(year, month, 1, tzinfo=UTC)

    @property
    def ends(self) -> datetime:
        """The first moment that is not of it."""
        return (self.begins + timedelta(days=32)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Release:
    """A month's table as it was let out; `cut` says whose orders it counts: every shop's, or one's."""

    month: str
    cut: str
    least_persons: int
    document: dict[str, Any]
    released_at: datetime


def refuse_unless_due(month: Month, cut: str, before: Release | None, at: datetime) -> None:
    """Raise Refused where the month is not over, or was let out in another cut. The same cut may be shown again, as it was."""
    if at < month.ends + SETTLES:
        raise Refused([Fault("month_open", "/month")])
    if before is not None and before.cut != cut:
        raise Refused([Fault("month_released_before", "/source")])


@dataclass(frozen=True, slots=True)
class Bought:
    """What one person bought of one department in one currency within the month. `person` is a number of this count alone."""

    person: int
    department: str
    currency: str
    orders: int
    units: int
    amount_minor: int


@dataclass(slots=True)
class Sums:
    """Orders, units and money of one currency."""

    orders: int = 0
    units: int = 0
    amount_minor: int = 0

    def add(self, bought: Bought) -> None:
        self.orders += bought.orders
        self.units += bought.units
        self.amount_minor += bought.amount_minor


COUNTS_TO, MONEY_TO = 5, 10
"""Numbers are rounded to the nearest multiple of these; money in the currency's major unit."""


def rounded(number: int, to: int = COUNTS_TO) -> int:
    """The nearest multiple, a half upwards."""
    return (2 * number + to) // (2 * to) * to


def rounded_money(amount_minor: int, currency: str) -> int:
    """In major units, to the nearest multiple of `MONEY_TO`."""
    scale: int = 10 ** CURRENCIES[currency]
    return rounded(amount_minor, MONEY_TO * scale) // scale
