"""All SQL about persons in orders: what they ask for, what is remembered of them, the pieces of their copies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.orders import oversight_store, persons
from services.orders.domain import Order
from services.orders.requests import Request, RequestKey, State
from services.orders.store import OrdersStore
from shared.contracts.events import Reason
from shared.contracts.person_events import DataPieceSealed, PreferencesNoted, ReceiptKeyPublished, RequestReceipted
from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection
from shared.delivery import person_traces
from shared.delivery.shelf import Row, Shelf, Table
from shared.delivery.work import Delivery, Recorder

REQUESTS = Table(
    "requests",
    key=("shop", "kind", "request"),
    columns={
        "event_id": "text",
        "person": "text",
        "customer_id": "text",
        "holders": "jsonb",
        "asked": "jsonb",
        "state": "text",
        "receipts": "jsonb",
        "orders": "jsonb",
        "legal_holds": "jsonb",
        "reasons": "jsonb",
        "certificate": "jsonb",
        "received_at": "timestamptz",
        "told_at": "timestamptz",
        "closed_at": "timestamptz",
    },
    changing=(
        "customer_id",
        "asked",
        "state",
        "receipts",
        "orders",
        "legal_holds",
        "reasons",
        "certificate",
        "told_at",
        "closed_at",
    ),
)
_OPEN = "state not in ('closed', 'refused')"


class RequestStore(OrdersStore):
    """The store of orders with what persons ask for. What is written at once is so without a handler that fails behind it."""

    def __init__(self, connection: type_of_connection, recorder: Recorder) -> None:
        super().__init__(connection, recorder)
        self._is_anybody_gone: bool | None = None
        self._requests: Shelf[RequestKey, Request] = Shelf(
            connection, REQUESTS, key_of=lambda request: request.key, to_row=_to_row, from_row=_from_row
        )

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        return (*super().shelves(), self._requests)

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        super().prefetch(deliveries)
        told = [it.message for it in deliveries if isinstance(it.message, RequestReceipted | DataPieceSealed)]
        self._requests.prefetch(RequestKey(one.shop, one.kind, one.request) for one in told)

    def request(self, key: RequestKey) -> Request | None:
        return self._requests.get(key)

    def save_request(self, request: Request) -> None:
        """Saving tells."""
        self._requests.prefetch([request.key])  # after a sweep its row is to be read anew
        self.recorder.remember(request, OrderKey(request.key.shop, ""))
        self._requests.save(request)

    # ── persons ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def is_anybody_gone(self) -> bool:
        """Whether any person was erased or is leaving: asked once in a transaction, so that a shop without any is not asked for each order."""
        if self._is_anybody_gone is None:
            row = self.connection.execute("select exists (select from persons where state <> 'deactivated')").fetchone()
            self._is_anybody_gone = bool(row and row[0])
        return self._is_anybody_gone

    def person_state(self, person: str) -> str:
        """active, deactivated, leaving or erased."""
        row = self.connection.execute("select state from persons where person = %s", (person,)).fetchone()
        return row[0] if row else "active"

    def set_person(self, person: str, state: str, at: datetime) -> None:
        """Written at once. Who was erased stays so."""
        self._is_anybody_gone = None
        self.connection.execute(
            """
            insert into persons (person, state, since) values (%s, %s, %s)
            on conflict (person) do update set state = excluded.state, since = excluded.since
                where persons.state <> 'erased' and persons.state <> excluded.state
            """,
            (person, state, at),
        )

    def open_orders(self, shop: str, customer_id: str) -> list[Order]:
        """The person's orders that have not come to their end, those of this very transaction included."""
        rows = self.connection.execute(
            "select shop, order_number from orders where shop = %s and customer_id = %s and is_open and customer_id <> ''",
            (shop, customer_id),
        )
        keys = {OrderKey(*row) for row in rows}
        keys |= {one.key for one in self._orders.saved() if (one.key.shop, one.customer_id) == (shop, customer_id)}
        found = (self.order(key) for key in sorted(keys))
        return [order for order in found if order is not None and order.is_open]

    def legal_holds(self, shop: str, customer_id: str) -> dict[str, str]:
        """The person's orders that must stay, each with the clause that keeps it.

        Whoever decides on it does so in turn with whoever says a word about holds: no word comes in between.
        """
        oversight_store.take_turns(self.connection)
        rows = self.connection.execute(
            """
            select order_number, clause from (
                select distinct on (order_number) order_number, deed, clause
                from hold_record join orders using (shop, order_number)
                where shop = %s and customer_id = %s and customer_id <> '' and deed in ('placed', 'lifted')
                order by order_number, position desc
            ) as last_words where deed = 'placed'
            """,
            (shop, customer_id),
        )
        return dict(rows.fetchall())

    def note_preferences(self, event: PreferencesNoted) -> None:
        """What a person chose, written at once; only ever added to."""
        self.connection.execute(
            """
            insert into preference_changes (shop, customer_id, request, chosen_at, policy_version, communication, policy_choice)
            values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing
            """,
            (
                *(event.shop, event.customer_id, event.request, event.chosen_at),
                *(event.policy_version, event.communication, event.policy_choice),
            ),
        )

    # ── receipts and pieces ──────────────────────────────────────────────────────────────────────────────────────────────────

    def keep_receipt_key(self, key: ReceiptKeyPublished, at: datetime) -> None:
        """Written at once; a key stands under its name for good."""
        self.connection.execute(
            "insert into receipt_keys (key_id, service, public_key, announced_at) values (%s, %s, %s, %s) on conflict do nothing",
            (key.key_id, key.service, key.public_key, at),
        )

    def receipt_keys(self) -> list[dict[str, str]]:
        """Every public key that a receipt was or is signed with."""
        return receipt_keys(self.connection)

    def keep_piece(self, shop: str, request: str, service: str, piece: str, until: datetime) -> None:
        """Written at once; the first piece of a service stands."""
        self.connection.execute(
            """
            insert into export_pieces (shop, request, service, piece, available_until) values (%s, %s, %s, %s, %s)
            on conflict do nothing
            """,
            (shop, request, service, piece, until),
        )

    def lengthen_pieces(self, shop: str, request: str, until: datetime) -> None:
        """The copy is whole: its time begins."""
        self.connection.execute(
            "update export_pieces set available_until = %s where shop = %s and request = %s", (until, shop, request)
        )

    def drop_old_pieces(self, at: datetime) -> None:
        self.connection.execute("delete from export_pieces where available_until <= %s", (at,))

    # ── what stands of a person ──────────────────────────────────────────────────────────────────────────────────────────────

    def counted(self, shop: str, customer_id: str) -> dict[str, int]:
        """Table → how many of its rows name the person."""
        found = {
            table: _number(
                self.connection, f"select count(*) from {table} where shop = %s and customer_id = %s", shop, customer_id
            )
            for table in ("orders", "preference_changes")
        }
        found["requests"] = _number(
            self.connection,
            "select count(*) from requests where shop = %s and customer_id = %s and kind <> 'erasure'",
            *(shop, customer_id),
        )
        return found | {"held": person_traces.count_messages(self.connection, shop, customer_id)}

    def sweep(self, shop: str, customer_id: str, person: str) -> None:
        """Clear and delete what names the person, at once, before the handler saves anything. Orders stand on, as nobody's."""
        self._requests.forget()
        persons.sweep(self.connection, shop, customer_id, person)

    def rows_about(self, shop: str, customer_id: str) -> dict[str, list[dict[str, Any]]]:
        """Table → its rows about the person, for the copy."""
        statements = {
            "orders": "select order_number, placed_at, policy_version, state, reasons, facts, sales from orders",
            "preference_changes": "select chosen_at, policy_version, communication, policy_choice from preference_changes",
            "requests": "select kind, request, state, received_at, closed_at from requests",
        }
        found = {}
        for table, statement in statements.items():
            rows = self.connection.execute(f"{statement} where shop = %s and customer_id = %s".encode(), (shop, customer_id))
            names = [column.name for column in rows.description or ()]
            found[table] = [dict(zip(names, row, strict=True)) for row in rows]
        return found


class RequestReads:
    """What the doors read beside the handlers; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_keys(self) -> list[RequestKey]:
        """The requests that have not come to their end, the oldest first."""
        with self._database.single() as connection:
            rows = connection.execute(f"select shop, kind, request from requests where {_OPEN} order by received_at")
            return [RequestKey(*row) for row in rows]

    def requests(self, *, also_ended: bool, limit: int) -> list[Request]:
        """The oldest first; those that have ended only where asked for."""
        columns = ", ".join(REQUESTS.names)
        where = "true" if also_ended else _OPEN
        with self._database.single() as connection:
            rows = connection.execute(f"select {columns} from requests where {where} order by received_at limit %s", (limit,))
            return [_from_row(dict(zip(REQUESTS.names, row, strict=True))) for row in rows]

    def has_old_pieces(self, at: datetime) -> bool:
        """Whether a copy's time is over whose pieces still stand."""
        with self._database.single() as connection:
            row = connection.execute("select exists (select from export_pieces where available_until <= %s)", (at,)).fetchone()
        return bool(row and row[0])

    def preferences(self, shop: str, customer_id: str) -> list[dict[str, Any]]:
        """What a person chose, the latest choice first."""
        with self._database.single() as connection:
            rows = connection.execute(
                """
                select chosen_at, policy_version, communication, policy_choice from preference_changes
                where shop = %s and customer_id = %s order by chosen_at desc
                """,
                (shop, customer_id),
            )
            names = ("chosen_at", "policy_version", "communication", "policy_choice")
            return [dict(zip(names, row, strict=True)) for row in rows]

    def receipt_keys(self) -> list[dict[str, str]]:
        """Every public key that a holder has announced for its receipts."""
        with self._database.single() as connection:
            return receipt_keys(connection)

    def certificates(self, request: str) -> list[dict[str, Any]]:
        """Of the erasures of this name, one for each shop that has one: shop, state, and the certificate once there is one."""
        with self._database.single() as connection:
            rows = connection.execute(
                "select shop, state, certificate from requests where kind = 'erasure' and request = %s order by shop", (request,)
            )
            return [{"source": shop, "state": state, "certificate": certificate} for shop, state, certificate in rows]

    def export(self, request: str, at: datetime) -> list[dict[str, Any]]:
        """The pieces of a copy that is whole and whose time is not over."""
        with self._database.single() as connection:
            rows = connection.execute(
                """
                select shop, service, piece, available_until from export_pieces join requests using (shop, request)
                where request = %s and kind = 'copy' and state = 'closed' and available_until > %s order by shop, service
                """,
                (request, at),
            )
            return [
                {"source": shop, "service": service, "box": piece, "available_until": until}
                for shop, service, piece, until in rows
            ]


def receipt_keys(connection: type_of_connection) -> list[dict[str, str]]:
    """Service, name and public half of every key that was announced, those of one service in the order of their coming."""
    rows = connection.execute("select service, key_id, public_key from receipt_keys order by service, announced_at, key_id")
    return [{"service": service, "key_id": key_id, "public_key": public_key} for service, key_id, public_key in rows]


def _number(connection: type_of_connection, statement: str, *values: object) -> int:
    row = connection.execute(statement.encode(), values).fetchone()
    return row[0] if row else 0


def _to_row(request: Request) -> Row:
    return {
        **request.key._asdict(),
        "event_id": request.event_id,
        "person": request.person,
        "customer_id": request.customer_id,
        "holders": request.holders,
        "asked": request.asked,
        "state": request.state,
        "receipts": request.receipts,
        "orders": list(request.orders),
        "legal_holds": request.legal_holds,
        "reasons": [reason.model_dump() for reason in request.reasons],
        "certificate": request.certificate,
        "received_at": request.received_at,
        "told_at": request.told_at,
        "closed_at": request.closed_at,
    }


def _from_row(row: Row) -> Request:
    key = RequestKey(row.pop("shop"), row.pop("kind"), row.pop("request"))
    reasons = tuple(Reason(**reason) for reason in row.pop("reasons"))
    return Request(key=key, state=State(row.pop("state")), orders=tuple(row.pop("orders")), reasons=reasons, **row)
