"""A month's table of departments as it is let out: sums of many persons, rounded, with no order and no person (clause 22)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from services.orders.sales import COUNTS_TO, MONEY_TO, Bought, Month, Sums, rounded, rounded_money
from services.orders.suppression import Cell, Layout, laid_out


def table_of(
    month: Month, cut: str, bought: Sequence[Bought], *, least_persons: int, catalogue: Collection[str] | None
) -> dict[str, Any]:
    """The document of a release. A cell is null where fewer than `least_persons` stand behind it, or where it would give another away.

    `orders` counts an order under each of its departments, so it has no total. Money is that of the lines, before discount, shipping and tax.
    """
    persons: dict[Cell, set[int]] = defaultdict(set)
    for it in bought:
        persons[it.department, it.currency].add(it.person)
    layout = laid_out(persons, least_persons, catalogue)
    cells: dict[Cell, Sums] = defaultdict(Sums)
    by_row: dict[str, Sums] = defaultdict(Sums)
    by_column: dict[str, Sums] = defaultdict(Sums)
    everything = Sums()
    for it in bought:
        if it.currency in layout.currencies:
            row = layout.rows[it.department]
            for sums in (cells[row, it.currency], by_row[row], by_column[it.currency], everything):
                sums.add(it)
    return {
        "month": month.name,
        "cut": cut,
        "least_persons": least_persons,
        "rounded_to": {"orders": COUNTS_TO, "units": COUNTS_TO, "revenue": MONEY_TO},
        "departments": [
            {
                "department": row,
                "orders": rounded(by_row[row].orders),
                "units": rounded(by_row[row].units),
                "by_currency": {it: _cell(layout, cells, (row, it)) for it in layout.currencies},
            }
            for row in sorted(by_row)
        ],
        "total": {
            "units": rounded(everything.units),
            "by_currency": {
                it: {"units": rounded(by_column[it].units), "revenue": rounded_money(by_column[it].amount_minor, it)}
                for it in layout.currencies
            },
        },
    }


def _cell(layout: Layout, cells: dict[Cell, Sums], cell: Cell) -> dict[str, int] | None:
    if cell not in layout.shown:
        return None
    sums = cells[cell]
    return {
        "orders": rounded(sums.orders),
        "units": rounded(sums.units),
        "revenue": rounded_money(sums.amount_minor, cell[1]),
    }
