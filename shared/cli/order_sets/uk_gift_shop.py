"""The UK gift shop's invoices of December 2010 (UCI Online Retail) as orders.

An invoice is an order, decided line by line. Goods are lines of the order, also those at no price; the same row twice is two
lines. Postage and carriage are its shipping price, a discount its discount. What is neither (entries by hand, bank charges, a
marketplace's fees, samples, adjustments) and whatever has a quantity below one is left out and counted. A cancellation
invoice ("C…") has only such lines: it is published without any, so that the intake refuses it and says why.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from shared.cli.order_sets.places import COUNTRY_CODES
from shared.cli.order_sets.wording import Line, Making, money, order_data, order_number
from shared.contracts.values import Money

FILE_NAME = "online_retail_2010-12.csv"
_CURRENCY, _HOME = "GBP", "GB"
_POSTAGE = frozenset({"POST", "DOT", "C2"})
_DISCOUNT = frozenset({"D"})
_NO_GOODS = frozenset({"M", "BANK CHARGES", "AMAZONFEE", "S", "CRUK", "B", "PADS", "TEST001", "TEST002"})


def orders(path: Path, making: Making, *, lap: int = 0, left_out: Counter[str] | None = None) -> Iterator[dict[str, Any]]:
    """Every invoice of the file, in its order, as the `data` of an `order_placed`.

    `left_out` counts, by code, the rows that became part of no order. Rows of one invoice stand together in the file.
    """
    left_out = Counter() if left_out is None else left_out
    with path.open(encoding="utf-8-sig", newline="") as file:
        for invoice, rows in groupby(csv.DictReader(file), key=lambda row: row["InvoiceNo"]):
            yield _order(invoice, list(rows), making, lap, left_out)


def _order(invoice: str, rows: list[dict[str, str]], making: Making, lap: int, left_out: Counter[str]) -> dict[str, Any]:
    lines: list[Line] = []
    shipping_price = discount = Money(0, _CURRENCY)
    for row in rows:
        code, quantity, price = row["StockCode"].strip(), int(row["Quantity"]), money(row["UnitPrice"], _CURRENCY)
        kind = code.upper()
        if kind in _DISCOUNT and quantity < 0 and not invoice.startswith("C"):
            discount += price * -quantity
        elif quantity < 1 or price.amount_minor < 0 or kind in _NO_GOODS or kind in _DISCOUNT:
            left_out[code if quantity > 0 else "returned"] += 1
        elif kind in _POSTAGE:
            shipping_price += price * quantity
        else:
            lines.append(Line(code, row["Description"].strip(), quantity, price, "Gifts"))
    customer = row["CustomerID"].removesuffix(".0")
    return order_data(
        making,
        number=order_number("UK", invoice, making, lap),
        customer_id=f"uk-{customer}" if customer else f"guest-{invoice}-{making.run}",
        currency=_CURRENCY,
        lines=lines,
        country=COUNTRY_CODES.get(row["Country"].strip(), _HOME),
        home=_HOME,
        shipping_price=shipping_price,
        discount=discount,
    )
