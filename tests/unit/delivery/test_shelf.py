"""Rows of one table on behalf of many handlers: read once, written once, and one handler's failure is its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.shelf import Shelf

Key = tuple[str, str]


@dataclass
class Thing:
    key: Key
    size: int = 0


class Table:
    """A connection to one table, that notes every statement with its JSON parameter."""

    def __init__(self, rows: dict[Key, int] | None = None) -> None:
        self.rows = dict(rows or {})
        self.statements: list[tuple[str, Any]] = []

    def execute(self, statement: str, parameters: tuple[str], **_how: bool) -> list[tuple[Any, ...]]:
        [sent] = (json.loads(parameter) for parameter in parameters)
        self.statements.append((statement, sent))
        if statement == "select":
            keys = [tuple(key) for key in sent]
            return [(*key, self.rows[key]) for key in keys if key in self.rows]
        for row in sent:
            self.rows[(row["one"], row["two"])] = row["size"]
        return []

    def of(self, statement: str) -> list[Any]:
        return [sent for name, sent in self.statements if name == statement]


def a_shelf(table: Table, update: str | None = "update") -> Shelf[Key, Thing]:
    connection: Any = table
    return Shelf(
        connection,
        select="select",
        insert="insert",
        update=update,
        key_of=lambda thing: thing.key,
        to_row=lambda thing: {"one": thing.key[0], "two": thing.key[1], "size": thing.size},
        from_row=lambda row: Thing((row[0], row[1]), row[2]),
        key_from_row=lambda row: (row[0], row[1]),
    )


A, B, C = ("s", "a"), ("s", "b"), ("s", "c")


def change(shelf: Shelf[Key, Thing], key: Key, size: int) -> None:
    thing = shelf.get(key) or Thing(key)
    thing.size = size
    shelf.save(thing)


def test_prefetched_rows_are_read_in_one_statement_in_the_order_of_their_keys() -> None:
    table = Table({A: 1, C: 3})
    shelf = a_shelf(table)
    shelf.prefetch([C, A, B, A])
    assert [shelf.get(key) for key in (A, B, C)] == [Thing(A, 1), None, Thing(C, 3)]
    assert table.statements == [("select", [["s", "a"], ["s", "b"], ["s", "c"]])]


def test_nothing_is_read_twice_and_nothing_without_need() -> None:
    table = Table({A: 1})
    shelf = a_shelf(table)
    shelf.prefetch([])
    shelf.prefetch([A])
    shelf.prefetch([A, B])
    shelf.prefetch([A, B])
    assert table.of("select") == [[["s", "a"]], [["s", "b"]]]


def test_what_was_not_prefetched_is_read_when_it_is_asked_for() -> None:
    table = Table({A: 1})
    shelf = a_shelf(table)
    assert shelf.get(A) == Thing(A, 1)
    assert shelf.get(A) == Thing(A, 1)
    assert len(table.of("select")) == 1


def test_each_get_gives_an_object_of_its_own() -> None:
    shelf = a_shelf(Table({A: 1}))
    first = shelf.get(A)
    assert first is not None
    first.size = 99
    assert shelf.get(A) == Thing(A, 1), "what is not saved is not seen"
    shelf.save(first)
    again = shelf.get(A)
    assert again is not None
    again.size = 100
    assert shelf.get(A) == Thing(A, 99)


def test_nothing_reaches_the_database_before_the_flush() -> None:
    table = Table({A: 1})
    shelf = a_shelf(table)
    change(shelf, A, 2)
    change(shelf, B, 3)
    assert table.rows == {A: 1}
    shelf.flush()
    assert table.rows == {A: 2, B: 3}


def test_a_flush_writes_new_rows_in_one_statement_and_changed_ones_in_another() -> None:
    table = Table({A: 1, B: 2})
    shelf = a_shelf(table)
    for key in (A, B, C, ("s", "d")):
        for size in (7, 8):
            change(shelf, key, size)
    shelf.flush()
    assert [sorted(row["two"] for row in sent) for sent in table.of("insert")] == [["c", "d"]]
    assert [sorted(row["two"] for row in sent) for sent in table.of("update")] == [["a", "b"]]
    assert {row["size"] for sent in (*table.of("insert"), *table.of("update")) for row in sent} == {8}, "only the last state"


def test_a_flush_of_nothing_says_nothing_and_a_second_one_neither() -> None:
    table = Table({A: 1})
    shelf = a_shelf(table)
    shelf.flush()
    assert table.statements == []
    change(shelf, A, 2)
    shelf.flush()
    shelf.flush()
    assert len(table.of("update")) == 1


def test_a_table_whose_rows_stand_for_ever_is_never_updated() -> None:
    shelf = a_shelf(Table({A: 1}), update=None)
    change(shelf, A, 2)
    with pytest.raises(TypeError, match=r"^rows of this table are never changed$"):
        shelf.flush()


def test_a_table_without_an_update_takes_new_rows() -> None:
    table = Table()
    shelf = a_shelf(table, update=None)
    change(shelf, A, 2)
    shelf.flush()
    assert table.rows == {A: 2}


def test_a_rollback_takes_back_one_handler_s_work_and_leaves_its_neighbours() -> None:
    table = Table({A: 1})
    shelf = a_shelf(table)
    shelf.mark()
    change(shelf, A, 2)
    change(shelf, B, 2)
    shelf.mark()
    for size in (3, 4):
        change(shelf, A, size)
        change(shelf, C, size)
    shelf.rollback()
    assert [shelf.get(key) for key in (A, B, C)] == [Thing(A, 2), Thing(B, 2), None]
    shelf.flush()
    assert table.rows == {A: 2, B: 2}


def test_a_second_rollback_takes_back_nothing_more() -> None:
    shelf = a_shelf(Table())
    shelf.mark()
    change(shelf, A, 1)
    shelf.mark()
    change(shelf, A, 2)
    shelf.rollback()
    shelf.rollback()
    assert shelf.get(A) == Thing(A, 1)


SAVES = st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 99)), max_size=4)


@given(
    stored=st.dictionaries(st.sampled_from([A, B, C]), st.integers(100, 199)), handlers=st.lists(st.tuples(SAVES, st.booleans()))
)
def test_a_batch_is_what_its_good_handlers_would_have_done_alone(
    stored: dict[Key, int], handlers: list[tuple[list[tuple[Key, int]], bool]]
) -> None:
    table, wanted = Table(stored), dict(stored)
    shelf = a_shelf(table)
    for saves, fails in handlers:
        shelf.mark()
        seen = copy(wanted)
        for key, size in saves:
            thing = shelf.get(key)
            assert (thing.size if thing else None) == seen.get(key)
            change(shelf, key, size)
            seen[key] = size
        if fails:
            shelf.rollback()
        else:
            wanted = seen
    shelf.flush()
    assert table.rows == wanted
    inserted: list[Callable[[], Any]] = [row["two"] for sent in table.of("insert") for row in sent]
    assert not {("s", two) for two in inserted} & stored.keys(), "what stands is updated, never inserted"
