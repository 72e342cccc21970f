"""Rows of one table, read and written many at a time on behalf of handlers that handle one message.

A handler gets a fresh object made from the row, changes it and saves it; nothing reaches the database before `flush`. What a failed
handler saved is taken back (`rollback`) without undoing its neighbours. Rows are locked when read, in the order of their keys, so that two
processes never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import orjson

from shared.database import type_of_connection, type_of_cursor

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table as a store names it, once: the columns of its key (all of them text) and its other columns with their SQL types.

    `changing` are the columns that an update writes; a table without any is only ever added to. Rows of a table that is only added to are not
    locked when they are read: nobody changes them.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    changing: tuple[str, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All columns, the key's first: the order in which rows are read."""
        return (*self.key, *self.columns)

    @cached_property
    def select(self) -> str:
        """One parameter for each column of the key: an array. The rows that there are, in no particular order."""
        wanted = ", ".join(["%b::text[]"] * len(self.key))
        columns = ", ".join(f'{self.name}."{name}"' for name in self.names)
        lock = f" order by {', '.join(self.key)} for update of {self.name}" if self.changing else ""
        using = ", ".join(self.key)
        return f"select {columns} from unnest({wanted}) as wanted ({using}) join {self.name} using ({using}){lock}"  # noqa: S608

    @cached_property
    def insert(self) -> str:
        """One parameter, a JSON array of rows. Fails on a row that exists: another process was faster, and the batch is tried again."""
        columns = ", ".join(f'"{name}"' for name in self.names)
        return f"insert into {self.name} ({columns}) select {columns} from {self._rows(self.names)}"  # noqa: S608 - names of ours

    @cached_property
    def update(self) -> str:
        """One parameter, a JSON array of rows that exist."""
        if not self.changing:
            raise TypeError("rows of this table are never changed")
        sets = ", ".join(f'"{name}" = rows."{name}"' for name in self.changing)
        same = " and ".join(f"{self.name}.{name} = rows.{name}" for name in self.key)
        return f"update {self.name} set {sets} from {self._rows((*self.key, *self.changing))} where {same}"  # noqa: S608 - names of ours

    def _rows(self, names: Iterable[str]) -> str:
        types = ", ".join(f'"{name}" {self.columns.get(name, "text")}' for name in names)
        return f"json_to_recordset(%s::json) as rows ({types})"


def read_rows(connection: type_of_connection, table: Table, keys: Sequence[tuple[str, ...]]) -> Iterable[Row]:
    """The rows under these keys that there are, by column, asked for in one statement; locked, where the table's rows change."""
    if not keys:
        return ()
    columns = tuple(list(column) for column in zip(*keys, strict=True))
    return _by_column(table, connection.execute(table.select, columns, binary=True))


def _by_column(table: Table, asked: type_of_cursor) -> Iterator[Row]:
    # All are fetched when the first is wanted: one by one, psycopg would be asked for each in Python.
    for row in asked.fetchall():
        yield dict(zip(table.names, row, strict=True))


class Shelf(Generic[K, T]):
    """One table of a store on one transaction.

    `key_of` reads an object's key, `to_row` makes its row (every column by name), `from_row` makes the object from such a row; there is none
    where handlers only add to the table.
    """

    def __init__(
        self,
        connection: type_of_connection,
        table: Table,
        *,
        key_of: Callable[[T], K],
        to_row: Callable[[T], Row],
        from_row: Callable[[Row], T] | None = None,
    ) -> None:
        self._connection, self._table = connection, table
        self._key_of, self._to_row, self._from_row = key_of, to_row, from_row
        self._loaded: dict[Any, Row | None] = {}
        self._asked: list[Iterable[Row]] = []
        self._saved: dict[Any, T] = {}
        self._undo: list[tuple[Any, T | None]] = []

    def prefetch(self, keys: Iterable[K]) -> None:
        """Ask for these rows, those not asked for yet, in one statement; and lock them, where the table's rows change."""
        wanted = sorted({_plain(key) for key in keys} - self._loaded.keys())
        if wanted:
            self._loaded.update(dict.fromkeys(wanted))
            self._asked.append(read_rows(self._connection, self._table, wanted))

    def get(self, key: K) -> T | None:
        """The object under this key as it was last saved in this transaction, or None."""
        if self._from_row is None:
            raise TypeError("the handlers only add to this table")
        plain = _plain(key)
        saved = self._saved.get(plain)
        if saved is not None:
            # A shallow copy keeps handlers apart: domain objects replace their members and never change one in place.
            return copy(saved)
        if plain not in self._loaded:
            self.prefetch([key])
        row = self._rows()[plain]
        return None if row is None else self._from_row(dict(row))

    def save(self, item: T) -> None:
        """Write this object when the transaction ends well."""
        key = _plain(self._key_of(item))
        self._undo.append((key, self._saved.get(key)))
        self._saved[key] = item

    def saved(self) -> list[T]:
        """What was saved in this transaction and is not written yet."""
        return list(self._saved.values())

    def mark(self) -> None:
        """From here on `rollback` takes back what is saved."""
        self._undo.clear()

    def rollback(self) -> None:
        while self._undo:
            key, before = self._undo.pop()
            if before is None:
                self._saved.pop(key, None)
            else:
                self._saved[key] = before

    def flush(self) -> None:
        """Write all saved objects: one statement for new rows, one for changed ones."""
        saved, rows = sorted(self._saved.items()), self._rows()
        fresh = [self._to_row(item) for key, item in saved if rows.get(key) is None]
        changed = [self._to_row(item) for key, item in saved if rows.get(key) is not None]
        if fresh:
            self._connection.execute(self._table.insert, (orjson.dumps(fresh).decode(),))
        if changed:
            self._connection.execute(self._table.update, (orjson.dumps(changed).decode(),))
        self._saved.clear()

    def _rows(self) -> dict[Any, Row | None]:
        """What there is under the keys that were asked for; waited for when it is first needed."""
        for asked in self._asked:
            for row in asked:
                self._loaded[tuple(row[name] for name in self._table.key)] = row
        self._asked.clear()
        return self._loaded

    def forget(self) -> None:
        """Write what is saved and read everything anew, before rows are changed past this shelf and before this handler saves anything."""
        self.flush()
        self._loaded.clear()


def _plain(key: Any) -> tuple[Any, ...]:
    """The key as rows begin with it: a plain tuple hashes and sorts faster than a named one."""
    return tuple(key) if isinstance(key, tuple) else (key,)
