"""Rows of one table on behalf of many handlers: read once, written once, and one handler's failure is its own."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.shelf import Shelf, Table

Key = tuple[str, str]


@dataclass
class Thing:
    key: Key
    size: int = 0


THINGS = Table("things", key=("one", "two"), columns={"size": "integer"}, changing=("size",))
FOR_EVER = Table("things", key=("one", "two"), columns={"size": "integer"})


class Found(list[tuple[Any, ...]]):
    """What a statement found."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self)


class Connection:
    """A connection to one table, that notes every statement by its first word, with its parameters."""

    def __init__(self, rows: dict[Key, int] | None = None) -> None:
        self.rows = dict(rows or {})
        self.statements: list[tuple[str, Any]] = []

    def execute(self, statement: str, parameters: tuple[Any, ...], **_how: bool) -> Found:
        verb = statement.split(maxsplit=1)[0]
        if verb == "select":
            keys = list(zip(*parameters, strict=True))
            self.statements.append((verb, keys))
            return Found((*key, self.rows[key]) for key in reversed(keys) if key in self.rows)  # in no particular order
        [sent] = (json.loads(parameter) for parameter in parameters)
        self.statements.append((verb, sent))
        for row in sent:
            self.rows[(row["one"], row["two"])] = row["size"]
        return Found()

    def of(self, statement: str) -> list[Any]:
        return [sent for name, sent in self.statements if name == statement]


def a_shelf(connection: Connection, table: Table = THINGS) -> Shelf[Key, Thing]:
    its: Any = connection
    return Shelf(
        its,
        table,
        key_of=lambda thing: thing.key,
        to_row=lambda thing: {"one": thing.key[0], "two": thing.key[1], "size": thing.size},
        from_row=lambda row: Thing((row["one"], row["two"]), row["size"]),
    )


A, B, C = ("s", "a"), ("s", "b"), ("s", "c")


def change(shelf: Shelf[Key, Thing], key: Key, size: int) -> None:
    thing = shelf.get(key) or Thing(key)
    thing.size = size
    shelf.save(thing)


def test_prefetched_rows_are_read_in_one_statement_in_the_order_of_their_keys() -> None:
    table = Connection({A: 1, C: 3})
    shelf = a_shelf(table)
    shelf.prefetch([C, A, B, A])
    assert [shelf.get(key) for key in (A, B, C)] == [Thing(A, 1), None, Thing(C, 3)]
    assert table.statements == [("select", [A, B, C])]


def test_nothing_is_read_twice_and_nothing_without_need() -> None:
    table = Connection({A: 1})
    shelf = a_shelf(table)
    shelf.prefetch([])
    shelf.prefetch([A])
    shelf.prefetch([A, B])
    shelf.prefetch([A, B])
    assert table.of("select") == [[A], [B]]


def test_what_was_not_prefetched_is_read_when_it_is_asked_for() -> None:
    table = Connection({A: 1})
    shelf = a_shelf(table)
    assert shelf.get(A) == Thing(A, 1)
    assert shelf.get(A) == Thing(A, 1)
    assert len(table.of("select")) == 1


def test_each_get_gives_an_object_of_its_own() -> None:
    shelf = a_shelf(Connection({A: 1}))
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
    table = Connection({A: 1})
    shelf = a_shelf(table)
    change(shelf, A, 2)
    change(shelf, B, 3)
    assert table.rows == {A: 1}
    shelf.flush()
    assert table.rows == {A: 2, B: 3}


def test_a_flush_writes_new_rows_in_one_statement_and_changed_ones_in_another() -> None:
    table = Connection({A: 1, B: 2})
    shelf = a_shelf(table)
    for key in (A, B, C, ("s", "d")):
        for size in (7, 8):
            change(shelf, key, size)
    shelf.flush()
    assert [sorted(row["two"] for row in sent) for sent in table.of("insert")] == [["c", "d"]]
    assert [sorted(row["two"] for row in sent) for sent in table.of("update")] == [["a", "b"]]
    assert {row["size"] for sent in (*table.of("insert"), *table.of("update")) for row in sent} == {8}, "only the last state"


def test_a_flush_of_nothing_says_nothing_and_a_second_one_neither() -> None:
    table = Connection({A: 1})
    shelf = a_shelf(table)
    shelf.flush()
    assert table.statements == []
    change(shelf, A, 2)
    shelf.flush()
    shelf.flush()
    assert len(table.of("update")) == 1


def test_a_table_whose_rows_stand_for_ever_is_never_updated() -> None:
    shelf = a_shelf(Connection({A: 1}), FOR_EVER)
    change(shelf, A, 2)
    with pytest.raises(TypeError, match=r"^rows of this table are never changed$"):
        shelf.flush()


def test_a_table_without_an_update_takes_new_rows() -> None:
    table = Connection()
    shelf = a_shelf(table, FOR_EVER)
    change(shelf, A, 2)
    shelf.flush()
    assert table.rows == {A: 2}


class Named(NamedTuple):
    one: str
    two: str


def test_a_named_key_is_the_same_key() -> None:
    """The stores' keys are named tuples, the rows' are not."""
    table = Connection({A: 1})
    shelf = a_shelf(table)
    shelf.prefetch([Named(*A)])
    assert shelf.get(A) == shelf.get(Named(*A)) == Thing(A, 1)
    shelf.save(Thing(Named(*A), 2))
    assert shelf.get(A) == Thing(A, 2)
    shelf.flush()
    assert (table.rows, table.of("insert"), len(table.of("select"))) == ({A: 2}, [], 1)


def test_a_key_of_one_column_need_not_be_a_tuple() -> None:
    asked: list[tuple[Any, ...]] = []

    class Labels:
        def execute(self, statement: str, parameters: tuple[Any, ...], **_how: bool) -> Found:
            asked.append((statement.split(maxsplit=1)[0], *parameters))
            return Found([("b", 2)])

    connection: Any = Labels()
    table = Table("labels", key=("name",), columns={"size": "integer"})
    shelf: Shelf[str, tuple[str, int]] = Shelf(
        connection,
        table,
        key_of=lambda label: label[0],
        to_row=lambda label: {"name": label[0], "size": label[1]},
        from_row=lambda row: (row["name"], row["size"]),
    )
    shelf.prefetch(["b", "a"])
    assert [shelf.get(name) for name in ("a", "b")] == [None, ("b", 2)]
    shelf.save(("a", 1))
    shelf.flush()
    assert asked == [("select", ["a", "b"]), ("insert", '[{"name":"a","size":1}]')]


def test_rows_that_change_are_locked_in_the_order_of_their_keys_and_others_are_not() -> None:
    assert THINGS.select.endswith("order by one, two for update of things")
    assert "for update" not in FOR_EVER.select
    assert "order by" not in FOR_EVER.select


def test_an_update_writes_the_columns_that_change_and_no_other() -> None:
    table = Table(
        "things", key=("one",), columns={"size": "integer", "made": "text", "order": "jsonb"}, changing=("size", "order")
    )
    assert table.names == ("one", "size", "made", "order")
    assert table.update.startswith('update things set "size" = rows."size", "order" = rows."order" from ')
    assert '"one" text, "size" integer, "order" jsonb' in table.update
    assert "made" not in table.update
    assert '("one", "size", "made", "order") select' in table.insert


def test_a_rollback_takes_back_one_handler_s_work_and_leaves_its_neighbours() -> None:
    table = Connection({A: 1})
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
    shelf = a_shelf(Connection())
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
    table, wanted = Connection(stored), dict(stored)
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
    inserted = {(row["one"], row["two"]) for sent in table.of("insert") for row in sent}
    assert not inserted & stored.keys(), "what stands is updated, never inserted"
