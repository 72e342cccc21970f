"""A database of dicts under the real batches and the services' real stores: transactions that commit, roll back or leave one in doubt.

It knows the statements that a `shelf.Table` makes of itself, and the two that stores write out; any other is an error. `MemoryTables`
stands for `shared.delivery.tables` and `shared.delivery.held_messages`, function by function. What the statements really do is tested on
PostgreSQL, in tests/integration.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from unittest.mock import patch
from uuid import UUID

from services.notifications.store import CONTACTS, CORRESPONDENCES, NotificationsStore
from services.orders.request_store import REQUESTS, RequestStore
from services.orders.store import ANSWERS, ORDERS
from services.payments.store import PAYMENTS, REFERENCES, PaymentsStore
from services.shipping.store import LABELS, LINES, RECIPIENTS, SHIPMENTS, ShippingStore
from shared.contracts.values import OrderKey
from shared.database import Contended, DatabaseUnavailable
from shared.delivery import batch, endings, held_messages
from shared.delivery.shelf import Table
from shared.delivery.work import IntentRow, OutboxRow, Store

STORES: dict[str, type[Store]] = {
    "orders": RequestStore,
    "payments": PaymentsStore,
    "shipping": ShippingStore,
    "notifications": NotificationsStore,
}
_TABLES = (ORDERS, ANSWERS, REQUESTS, PAYMENTS, REFERENCES, SHIPMENTS, RECIPIENTS, LINES, LABELS, CORRESPONDENCES, CONTACTS)
_SELECTS = {table.select: table for table in _TABLES}
_INSERTS = {table.insert: table for table in _TABLES}
_UPDATES = {table.update: table for table in _TABLES if table.changing}
Rows = dict[Hashable, Any]


class Trouble(StrEnum):
    """What may go wrong with the next transaction's commit."""

    NOTHING = "nothing"
    CONTENDED = "contended"
    LOST = "lost"
    IN_DOUBT = "in doubt"  # it was made, but the client does not learn it


class Found(list[tuple[Any, ...]]):
    """Rows as a cursor gives them."""

    def fetchall(self) -> Found:
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        return self[0] if self else None


class MemoryDatabase:
    """One service's database. `trouble` befalls the next commit, and only that one."""

    def __init__(self) -> None:
        self._tables: dict[str, Rows] = {}
        self.trouble = Trouble.NOTHING

    def rows(self, table: str) -> Rows:
        """The rows of a table by their keys: to look at, not to change."""
        return self._tables.setdefault(table, {})

    @contextmanager
    def together(self) -> Iterator[MemoryDatabase]:
        before = {name: dict(rows) for name, rows in self._tables.items()}
        try:
            yield self
            trouble, self.trouble = self.trouble, Trouble.NOTHING
            if trouble is Trouble.CONTENDED:
                raise Contended
            if trouble is Trouble.LOST:
                raise DatabaseUnavailable
        except BaseException:
            self._tables = before
            raise
        if trouble is Trouble.IN_DOUBT:
            raise DatabaseUnavailable

    @contextmanager
    def single(self) -> Iterator[MemoryDatabase]:
        """A statement on its own, which only reads here."""
        yield self

    def execute(self, statement: str, parameters: Sequence[Any] = (), **_how: bool) -> Found:
        if statement in _SELECTS:
            return self._select(_SELECTS[statement], zip(*parameters, strict=True))
        if statement in _INSERTS:
            return self._write(_INSERTS[statement], parameters[0], is_new=True)
        if statement in _UPDATES:
            return self._write(_UPDATES[statement], parameters[0], is_new=False)
        if "from labels where tracking_number = any" in statement:
            labels = [row for row in self.rows("labels").values() if row["tracking_number"] in parameters[0]]
            return Found((row["tracking_number"], row["shop"], row["order_number"]) for row in labels)
        if "join payments using" in statement:
            payments = ((key, self.rows("payments").get(key)) for key in zip(*parameters, strict=True))
            return Found((*key, row["customer_id"], row["billing"]) for key, row in payments if row and row["billing"])
        if "join contacts using" in statement:
            return Found(self._contacts(zip(*parameters, strict=True)))
        if "from persons where state" in statement:
            return Found([(False,)])  # nobody is erased here
        raise AssertionError(f"unknown here: {statement}")

    def _contacts(self, keys: Iterable[tuple[str, ...]]) -> Iterator[tuple[Any, ...]]:
        """What a mail needs; nobody has said anything of what they want to hear."""
        for key in keys:
            row, order = self.rows("contacts").get(key), self.rows("correspondences").get(key)
            if row and row["contact"]:
                is_ended = order is not None and order["ended_at"] is not None
                yield (*key, row["customer_id"], row["contact"], row["order"], None, is_ended)

    def _select(self, table: Table, keys: Iterable[tuple[str, ...]]) -> Found:
        rows = self.rows(table.name)
        kinds = {**dict.fromkeys(table.key, "text"), **table.columns}
        return Found(tuple(_read(kinds[name], rows[key][name]) for name in table.names) for key in keys if key in rows)

    def _write(self, table: Table, sent: str, *, is_new: bool) -> Found:
        rows = self.rows(table.name)
        for row in json.loads(sent):
            key = tuple(row[name] for name in table.key)
            assert (key not in rows) == is_new, f"a row of {table.name} that stands, or stands not"
            written = table.names if is_new else table.changing
            rows[key] = {**rows.get(key, {}), **{name: row[name] for name in written}}
        return Found()


def _read(kind: str, value: Any) -> Any:
    """A column as psycopg gives it; what is JSON is read anew, so that nobody changes what stands."""
    if kind == "timestamptz" and value is not None:
        return datetime.fromisoformat(value)
    return json.loads(json.dumps(value)) if kind == "jsonb" else value


# ── shared.delivery.tables, shared.delivery.held_messages ────────────────────────────────────────────────────────────────────


class MemoryTables:
    """Inbox, outbox, intents and held; `connection` is the database itself."""

    HeldRow = held_messages.HeldRow

    @staticmethod
    def claim(connection: MemoryDatabase, claims: Iterable[tuple[str, str]], at: datetime) -> set[tuple[str, str]]:
        inbox = connection.rows("inbox")
        fresh = {claim for claim in claims if claim not in inbox}
        inbox.update(dict.fromkeys(fresh, at))
        return fresh

    @staticmethod
    def write_outbox(
        connection: MemoryDatabase, rows: Sequence[OutboxRow], _at: datetime, _leased_until: datetime, _writer: UUID
    ) -> set[UUID]:
        """None must wait for another here: that they come out of order is what this is for."""
        connection.rows("outbox").update({row.id: row for row in rows})
        connection.rows("told").update({row.id: row for row in rows})  # what was ever in the outbox
        return set()

    @staticmethod
    def write_intents(connection: MemoryDatabase, rows: Sequence[IntentRow], _at: datetime, leased_until: datetime) -> set[UUID]:
        intents = connection.rows("intents")
        known = {(intent.kind, intent.key) for intent in intents.values()}
        fresh = [row for row in rows if (row.kind, row.key) not in known]
        intents.update({row.id: replace(row, leased_until=leased_until) for row in fresh})
        return {row.id for row in fresh}

    @staticmethod
    def lock_intents(connection: MemoryDatabase, ids: Sequence[UUID]) -> set[UUID]:
        return {identity for identity in ids if identity in connection.rows("intents")}

    @staticmethod
    def settle_intents(connection: MemoryDatabase, ids: Sequence[UUID]) -> None:
        for identity in ids:
            del connection.rows("intents")[identity]

    @staticmethod
    def put_off_intent(connection: MemoryDatabase, identity: UUID, lease: datetime | None, due_at: datetime) -> None:
        intents = connection.rows("intents")
        if intents[identity].leased_until == lease:
            intents[identity] = replace(intents[identity], leased_until=due_at)

    @staticmethod
    def park_intent(connection: MemoryDatabase, identity: UUID, _lease: datetime | None, code: str) -> None:
        connection.rows("parked intents")[identity] = code

    @staticmethod
    def hold(connection: MemoryDatabase, row: held_messages.HeldRow) -> None:
        connection.rows("held")[row.id] = row

    @staticmethod
    def lease_early(
        connection: MemoryDatabase, orders: Sequence[OrderKey], _leased_until: datetime
    ) -> list[held_messages.HeldRow]:
        held = connection.rows("held").values()
        return [row for row in held if row.state == "later" and (row.shop, row.order_number) in orders]

    @staticmethod
    def lock_held(connection: MemoryDatabase, ids: Sequence[UUID]) -> set[UUID]:
        return {identity for identity in ids if identity in connection.rows("held")}

    @staticmethod
    def release_held(connection: MemoryDatabase, ids: Sequence[UUID]) -> None:
        for identity in ids:
            del connection.rows("held")[identity]


@contextmanager
def tables_in_memory() -> Iterator[None]:
    """The batches write to databases of dicts meanwhile."""
    tables = MemoryTables()
    with (
        patch.object(batch, "tables", tables),
        patch.object(batch, "held_messages", tables),
        patch.object(endings, "tables", tables),
        patch.object(endings, "held_messages", tables),
    ):
        yield
