"""Which cells of a table of departments and currencies may be shown, so that nobody's can be worked out (clause 22).

Whoever reads the table knows every cell that is shown, each department's total and each currency's total. From these, by adding and
subtracting, comes the sum of any hidden cells that lie where some lines cross all the others: of everything that can be had in this way,
each must be the purchases of at least `least` persons together, or of nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeVar

OTHER = "other"
MOST_CURRENCIES = 6
Key = TypeVar("Key")
Cell = tuple[str, str]
"""(department, currency)"""
Persons = Mapping[Cell, Set[int]]


@dataclass(slots=True)
class Layout:
    """How a month is shown: each department's row (its own, or `other`), the columns, and the hidden cells. Empty cells count as hidden."""

    rows: dict[str, str]
    currencies: tuple[str, ...]
    persons: dict[Cell, frozenset[int]]
    """The cells of the shown rows and columns that are not empty."""
    hidden: set[Cell] = field(default_factory=set)

    @property
    def shown(self) -> set[Cell]:
        return self.persons.keys() - self.hidden


def laid_out(persons: Persons, least: int, catalogue: Collection[str] | None = None) -> Layout:
    """The layout of a month in which nothing of fewer than `least` persons can be worked out.

    `persons` are those who bought, by cell. A department that is not in the catalogue (where there is one) goes into `other`; so does the
    smallest while some row has too few, or no hiding helps. A currency with too few is left out of every sum.
    """
    rows = {name: name if name and (catalogue is None or name in catalogue) else OTHER for name, _ in persons}
    by_currency = _gathered((currency, who) for (_, currency), who in persons.items())
    large = [name for name, who in by_currency.items() if len(who) >= least]
    kept = sorted(sorted(large, key=lambda name: (-len(by_currency[name]), name))[:MOST_CURRENCIES])
    while True:
        cells = _gathered(((rows[name], currency), who) for (name, currency), who in persons.items() if currency in kept)
        sizes = {row: len(who) for row, who in _gathered((row, who) for (row, _), who in cells.items()).items()}
        layout = Layout(rows, tuple(kept), cells)
        if min(sizes.values(), default=least) >= least and _hide(layout, least):
            return layout
        smallest = min((row for row in sizes if row != OTHER), key=lambda row: (sizes[row], row))
        rows.update({name: OTHER for name, row in rows.items() if row == smallest})


def _hide(layout: Layout, least: int) -> bool:
    """Hide the small cells and what would give them away; False where no hiding helps."""
    layout.hidden = {cell for cell, who in layout.persons.items() if len(who) < least}
    while (open_ := next(_too_small(layout, least), None)) is not None:
        rows, columns = {row for row, _ in open_}, {column for _, column in open_}
        beside = [cell for cell in layout.shown if cell[0] in rows or cell[1] in columns]
        if not beside:
            return False
        layout.hidden.add(min(beside, key=lambda cell: (len(layout.persons[cell]), cell)))
    return True


def _too_small(layout: Layout, least: int) -> Iterator[set[Cell]]:
    """Every set of hidden cells whose sum can be worked out though too few persons stand behind it."""
    for found in can_be_worked_out(layout.hidden, layout.currencies):
        if found and len(frozenset[int]().union(*(layout.persons[cell] for cell in found))) < least:
            yield found


def can_be_worked_out(hidden: Collection[Cell], columns: Collection[str]) -> Iterator[set[Cell]]:
    """The smallest sets of hidden cells whose sums follow from the totals and the cells that are shown.

    The totals of some columns, less those of the rows that hide nothing outside of these columns, leave what these columns hide in the other
    rows. (Some rows less some columns is the same with the other columns.)
    """
    by_row: dict[str, set[str]] = defaultdict(set)
    for row, column in hidden:
        by_row[row].add(column)
    for row, its in by_row.items():
        yield {(row, column) for column in its}
    for size in range(1, len(columns) + 1):
        for some in map(set, combinations(sorted(columns), size)):
            yield {(row, column) for row, its in by_row.items() if not its <= some for column in its & some}


def _gathered(pairs: Iterable[tuple[Key, Set[int]]]) -> dict[Key, frozenset[int]]:
    """All who stand under each key; those under whom nobody stands are left out."""
    found: dict[Key, set[int]] = defaultdict(set)
    for key, who in pairs:
        found[key] |= who
    return {key: frozenset(who) for key, who in found.items() if who}
