"""Outbox rows that the broker has confirmed and that still stand: a batch's next transaction deletes them, or the relay does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from uuid import UUID

from shared.delivery.steps import reach

IN_TABLE_ORDER = attrgetter("int")  # the order of UUIDs, found faster than by comparing them


class Confirmed:
    """The relay notes them here. A batch takes them into its transaction, which is made anyway; the relay does, when no batch comes soon.

    A row that is forgotten late, or never because the process dies, is published twice at worst: the hearers' inboxes know it.
    """

    def __init__(self) -> None:
        self._ids: list[UUID] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Iterable[UUID]) -> None:
        self._ids.extend(ids)

    @contextmanager
    def taken(self) -> Iterator[list[UUID]]:
        """All of them, to be deleted and committed by the end; where that fails they are here again."""
        ids, self._ids = sorted(self._ids, key=IN_TABLE_ORDER), []
        try:
            yield ids
        except BaseException:
            self._ids.extend(ids)
            raise
        if ids:
            reach("forgotten")
