"""Rows of one table, read and written many at a time on behalf of handlers that handle one message.

A handler gets a fresh object made from the row, changes it and saves it; nothing reaches the database before `flush`. What a failed
handler saved is taken back (`rollback`) without undoing its neighbours. Rows are locked when read, in the order of their keys, so that two
processes never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from copy import copy
from typing import Any, Generic, TypeVar

import orjson

from shared.database import type_of_connection

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Row = dict[str, Any]


class Shelf(Generic[K, T]):
    """One table of a store.

    `select` takes one parameter, a JSON array of keys, locks and returns rows whose columns begin with those of the key; `insert` and
    `update` take one parameter, a JSON array of rows. `key_of` reads an object's key, `to_row` makes its row, `from_row` the object
    from a row. `insert` must fail on a row that exists: another process was faster, and the batch is tried again.
    """

    def __init__(
        self,
        connection: type_of_connection,
        *,
        select: str,
        insert: str,
        update: str | None,
        key_of: Callable[[T], K],
        to_row: Callable[[T], Row],
        from_row: Callable[[tuple[Any, ...]], T],
        key_from_row: Callable[[tuple[Any, ...]], K],
    ) -> None:
        self._connection = connection
        self._select, self._insert, self._update = select, insert, update
        self._key_of, self._to_row, self._from_row, self._key_from_row = key_of, to_row, from_row, key_from_row
        self._loaded: dict[K, tuple[Any, ...] | None] = {}
        self._saved: dict[K, T] = {}
        self._undo: list[tuple[K, T | None]] = []

    def prefetch(self, keys: Iterable[K]) -> None:
        """Read and lock these rows, those not read yet, in one statement."""
        wanted = sorted({key for key in keys if key not in self._loaded}, key=repr)
        if not wanted:
            return
        parameter = orjson.dumps([list(key) if isinstance(key, tuple) else [key] for key in wanted]).decode()
        self._loaded.update(dict.fromkeys(wanted))
        for row in self._connection.execute(self._select, (parameter,), binary=True):
            self._loaded[self._key_from_row(row)] = row

    def get(self, key: K) -> T | None:
        """The object under this key as it was last saved in this transaction, or None."""
        saved = self._saved.get(key)
        if saved is not None:
            # A shallow copy keeps handlers apart: domain objects replace their members and never change one in place.
            return copy(saved)
        if key not in self._loaded:
            self.prefetch([key])
        row = self._loaded[key]
        return None if row is None else self._from_row(row)

    def save(self, item: T) -> None:
        """Write this object when the transaction ends well."""
        key = self._key_of(item)
        self._undo.append((key, self._saved.get(key)))
        self._saved[key] = item

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
        saved = sorted(self._saved.items(), key=lambda entry: repr(entry[0]))
        fresh = [self._to_row(item) for key, item in saved if self._loaded.get(key) is None]
        changed = [self._to_row(item) for key, item in saved if self._loaded.get(key) is not None]
        if fresh:
            self._connection.execute(self._insert, (orjson.dumps(fresh).decode(),))
        if changed:
            if self._update is None:
                raise TypeError("rows of this table are never changed")
            self._connection.execute(self._update, (orjson.dumps(changed).decode(),))
        self._saved.clear()
