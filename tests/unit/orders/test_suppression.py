"""Nothing of fewer persons than the least can be worked out of a month's table, by any adding and subtracting of what it shows."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orders import suppression
from services.orders.department_table import table_of
from services.orders.sales import Bought, Month, rounded, rounded_money
from services.orders.suppression import OTHER, Cell, Layout, laid_out

LEAST = 3
NAMES = ["Elvish", "Pliers", "Rings", "Wax", "Beads"]
COINS = ["EUR", "GBP", "USD"]
MONTH = Month.read("2026-10")

cells = st.tuples(st.sampled_from(NAMES), st.sampled_from(COINS))
crowds = st.dictionaries(cells, st.frozensets(st.integers(1, 12), min_size=1, max_size=7), max_size=12)


class Equations:
    """What a reader of a table can add and subtract: each line's hidden cells sum to a number that the reader knows."""

    def __init__(self, layout: Layout) -> None:
        self.cells = sorted(layout.hidden)
        lines = [[it for it in self.cells if it[0] == row] for row in {row for row, _ in layout.persons}]
        lines += [[it for it in self.cells if it[1] == column] for column in layout.currencies]
        self._basis: list[list[Fraction]] = []
        for line in lines:
            self._take(self._vector(line))

    def give(self, chosen: Iterable[Cell]) -> bool:
        """Whether the sum of these cells follows from what is known."""
        return not any(self._left_of(self._vector(chosen)))

    def _vector(self, chosen: Iterable[Cell]) -> list[Fraction]:
        wanted = set(chosen)
        return [Fraction(it in wanted) for it in self.cells]

    def _left_of(self, vector: list[Fraction]) -> list[Fraction]:
        for row in self._basis:
            lead = next(place for place, number in enumerate(row) if number)
            vector = [a - vector[lead] / row[lead] * b for a, b in zip(vector, row, strict=True)]
        return vector

    def _take(self, vector: list[Fraction]) -> None:
        left = self._left_of(vector)
        if any(left):
            self._basis.append(left)


def worked_out(layout: Layout, least: int) -> list[tuple[Cell, ...]]:
    """Every sum of hidden cells that can be worked out and is of fewer persons: by trying all of them."""
    known = Equations(layout)
    found = []
    for size in range(1, len(known.cells) + 1):
        for some in combinations(known.cells, size):
            if len(frozenset().union(*(layout.persons[it] for it in some))) < least and known.give(some):
                found.append(some)
    return found


def few_hidden(layout: Layout) -> bool:
    return len(layout.hidden) <= 11  # all sums of more are too many to try


@settings(max_examples=400, deadline=None)
@given(crowds)
def test_nothing_of_too_few_can_be_worked_out(persons: dict[Cell, frozenset[int]]) -> None:
    layout = laid_out(persons, LEAST)
    assert all(len(layout.persons[it]) >= LEAST for it in layout.shown)
    for lines in ({row for row, _ in layout.persons}, layout.currencies):
        for line in lines:
            assert len(frozenset().union(*(who for cell, who in layout.persons.items() if line in cell))) >= LEAST, (
                "a total is shown"
            )
    if few_hidden(layout):
        assert worked_out(layout, LEAST) == []


@settings(max_examples=200, deadline=None)
@given(crowds, st.data())
def test_one_person_more_or_less_never_shows_by_himself(persons: dict[Cell, frozenset[int]], data: Any) -> None:
    """Of two tables that differ in one person, whatever number differs and can be worked out is of many persons in either."""
    everybody = sorted(frozenset().union(*persons.values())) if persons else []
    if not everybody:
        return
    gone = data.draw(st.sampled_from(everybody))
    for crowd in (persons, {cell: who - {gone} for cell, who in persons.items()}):
        layout = laid_out(crowd, LEAST)
        assert not [cell for cell in layout.shown if len(layout.persons[cell]) < LEAST]
        if few_hidden(layout):
            assert worked_out(layout, LEAST) == []


def test_hiding_the_small_cells_alone_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what else must be hidden the check above finds the small ones out."""
    crowd = {
        ("Elvish", "USD"): frozenset(range(10)),
        ("Elvish", "EUR"): frozenset({1, 20}),
        ("Rings", "USD"): frozenset(range(30, 38)),
        ("Rings", "EUR"): frozenset(range(40, 48)),
    }
    assert worked_out(laid_out(crowd, LEAST), LEAST) == []
    monkeypatch.setattr(suppression, "can_be_worked_out", lambda *_: iter(()))
    layout = laid_out(crowd, LEAST)
    assert layout.hidden == {("Elvish", "EUR")}
    assert worked_out(layout, LEAST) == [(("Elvish", "EUR"),)]


def test_two_hidden_cells_in_a_line_are_not_enough_where_lines_cross() -> None:
    """Each line hides two or none, and yet a row and a column give the corner away that only they cross."""
    hidden = {("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("b", "z"), ("c", "z"), ("c", "w"), ("d", "z"), ("d", "w")}
    found = list(suppression.can_be_worked_out(hidden, ["w", "x", "y", "z"]))
    assert {("b", "z")} in found
    assert {("a", "x")} not in found


def test_a_department_that_is_small_unknown_or_renamed_goes_into_other() -> None:
    crowd = {
        ("Elvish", "USD"): frozenset(range(10)),
        ("Retired", "USD"): frozenset(range(20, 30)),
        ("", "USD"): frozenset({40}),
        ("Wax", "USD"): frozenset({50}),
    }
    assert laid_out(crowd, LEAST, {"Elvish", "Wax"}).rows == {"Elvish": "Elvish", "Retired": OTHER, "": OTHER, "Wax": OTHER}
    assert laid_out(crowd, LEAST).rows == {"Elvish": OTHER, "Retired": "Retired", "": OTHER, "Wax": OTHER}, (
        "two are too few: one more"
    )


def test_a_currency_of_too_few_is_in_no_sum() -> None:
    crowd = {("Elvish", "USD"): frozenset(range(10)), ("Elvish", "GBP"): frozenset({1, 2})}
    layout = laid_out(crowd, LEAST)
    assert layout.currencies == ("USD",)
    bought = [Bought(who, name, coin, 1, 1, 100) for (name, coin), whose in crowd.items() for who in whose]
    assert table_of(MONTH, "all", bought, least_persons=LEAST, catalogue=None)["total"]["units"] == 10


def test_a_month_of_too_few_shows_nothing() -> None:
    table = table_of(MONTH, "all", [Bought(1, "Elvish", "USD", 3, 9, 900)], least_persons=LEAST, catalogue=None)
    assert (table["departments"], table["total"]) == ([], {"units": 0, "by_currency": {}})


def test_many_orders_of_one_person_are_one_person() -> None:
    bought = [Bought(1, "Elvish", "USD", 400, 400, 1), *(Bought(who, "Rings", "USD", 1, 1, 1) for who in range(2, 9))]
    table = table_of(MONTH, "all", bought, least_persons=LEAST, catalogue=None)
    assert [row["department"] for row in table["departments"]] == [OTHER]


@given(st.integers(0, 10**9))
def test_what_is_shown_is_rounded(number: int) -> None:
    assert rounded(number) % 5 == 0
    assert abs(rounded(number) - number) * 2 <= 5
    assert rounded_money(number, "JPY") % 10 == 0
    assert abs(rounded_money(number, "USD") * 100 - number) * 2 <= 1000


@settings(max_examples=100, deadline=None)
@given(crowds)
def test_a_table_names_no_person_and_no_order(persons: dict[Cell, frozenset[int]]) -> None:
    bought = [Bought(who, name, coin, 1, 2, 1000) for (name, coin), whose in persons.items() for who in whose]
    table = table_of(MONTH, "all", bought, least_persons=LEAST, catalogue=None)
    assert set(table) == {"month", "cut", "least_persons", "rounded_to", "departments", "total"}
    for row in table["departments"]:
        assert set(row) == {"department", "orders", "units", "by_currency"}
        assert all(cell is None or set(cell) == {"orders", "units", "revenue"} for cell in row["by_currency"].values())
        assert row["department"] in {*NAMES, OTHER}
