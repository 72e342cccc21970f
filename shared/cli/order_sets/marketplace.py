"""The Brazilian marketplace's orders (Olist) with their items, in BRL, sent to an invented buyer in the real order's state.

The set has no titles: a product is called by its category. Freight is the shipping price. What the set's buyers paid on top of
items and freight (interest of instalments) is nobody's price and is not carried over; payments are made anew in the sandbox.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.cli.order_sets.wording import Line, Making, money, order_data, order_number
from shared.contracts.values import Money

ORDERS_FILE_NAME = "olist_orders_dataset.csv"
_CURRENCY, _HOME = "BRL", "BR"


@dataclass(frozen=True, slots=True)
class ProductSize:
    """What one piece weighs and measures, as the crew needs it to pack."""

    weight_grams: int
    length_mm: int
    width_mm: int
    height_mm: int


@dataclass(frozen=True, slots=True)
class _Item:
    product: str
    price: Money
    freight: Money


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _items(folder: Path) -> Mapping[str, list[_Item]]:
    items: dict[str, list[_Item]] = defaultdict(list)
    for row in _rows(folder / "olist_order_items_dataset.csv"):
        price, freight = money(row["price"], _CURRENCY), money(row["freight_value"], _CURRENCY)
        items[row["order_id"]].append(_Item(row["product_id"], price, freight))
    return items


def _categories(folder: Path) -> Mapping[str, str]:
    english = {
        row["product_category_name"]: row["product_category_name_english"]
        for row in _rows(folder / "product_category_name_translation.csv")
    }
    return {
        row["product_id"]: english.get(row["product_category_name"], row["product_category_name"])
        for row in _rows(folder / "olist_products_dataset.csv")
    }


def orders(folder: Path, making: Making, *, lap: int = 0) -> Iterator[dict[str, Any]]:
    """Every order of the set, in its order, as the `data` of an `order_placed`.

    Pieces of one product at one price are one line.
    """
    items, categories = _items(folder), _categories(folder)
    states = {row["customer_id"]: row["customer_state"] for row in _rows(folder / "olist_customers_dataset.csv")}
    for row in _rows(folder / ORDERS_FILE_NAME):
        order_id, customer_id = row["order_id"], row["customer_id"]
        pieces: dict[tuple[str, Money], int] = {}
        freight = Money(0, _CURRENCY)
        for item in items.get(order_id, []):
            pieces[item.product, item.price] = pieces.get((item.product, item.price), 0) + 1
            freight += item.freight
        yield order_data(
            making,
            number=order_number("BR", order_id[:20], making, lap),
            customer_id=f"br-{customer_id}",
            currency=_CURRENCY,
            lines=[
                Line(product, _title(categories.get(product, ""), product), quantity, price, categories.get(product, ""))
                for (product, price), quantity in pieces.items()
            ],
            country=_HOME,
            home=_HOME,
            state=states.get(customer_id),
            shipping_price=freight,
        )


def _title(category: str, product: str) -> str:
    return f"{(category or 'article').replace('_', ' ').capitalize()}, model {product[:6].upper()}"


def product_sizes(folder: Path) -> dict[str, ProductSize]:
    """SKU to weight and size; products without all four are left out."""
    sizes: dict[str, ProductSize] = {}
    for row in _rows(folder / "olist_products_dataset.csv"):
        weight, *lengths = (row[f"product_{name}"] for name in ("weight_g", "length_cm", "width_cm", "height_cm"))
        if weight and all(lengths):
            length, width, height = (round(float(value) * 10) for value in lengths)
            sizes[row["product_id"]] = ProductSize(max(1, round(float(weight))), length, width, height)
    return sizes
