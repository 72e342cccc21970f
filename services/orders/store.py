"""All SQL of orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.orders.domain import Order, State
from services.orders.intake import Answered, NotTaken
from shared.contracts.events import Event, Reason
from shared.contracts.storefront import StorefrontEvent
from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection
from shared.delivery.shelf import Row, Shelf, Table
from shared.delivery.work import Delivery, Recorder, Store
from shared.sealing import IntakeKey

ORDERS = Table(
    "orders",
    key=("shop", "order_number"),
    columns={
        "event_id": "text",
        "customer_id": "text",
        "policy_version": "text",
        "data_digest": "text",
        "placed_at": "timestamptz",
        "state": "text",
        "reasons": "jsonb",
        "facts": "jsonb",
        "sales": "jsonb",
    },
    changing=("state", "reasons", "facts"),
)
ANSWERS = Table("answers", key=("source", "event_id"), columns={"kind": "text", "order_number": "text", "reasons": "jsonb"})


class OrdersStore(Store):
    def __init__(self, connection: type_of_connection, recorder: Recorder) -> None:
        super().__init__(connection, recorder)
        self._orders: Shelf[OrderKey, Order] = Shelf(
            connection, ORDERS, key_of=lambda order: order.key, to_row=_to_row, from_row=_from_row
        )
        self._answers: Shelf[tuple[str, str], Answered] = Shelf(
            connection,
            ANSWERS,
            key_of=lambda answered: (answered.source, answered.event_id),
            to_row=_answer_to_row,
            from_row=_answer_from_row,
        )

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        return (self._orders, self._answers)

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        self._orders.prefetch(delivery.about for delivery in deliveries if delivery.about)
        asked = [delivery.message for delivery in deliveries if isinstance(delivery.message, StorefrontEvent | NotTaken)]
        self._answers.prefetch((event.source, event.id) for event in asked if event.source and event.id)

    def order(self, key: OrderKey) -> Order | None:
        return self._orders.get(key)

    def save(self, order: Order) -> None:
        """Saving tells: what the order remembers goes to the outbox of this transaction."""
        self.recorder.remember(order, order.key)
        self._orders.save(order)

    def answered(self, source: str, event_id: str) -> Answered | None:
        """The answer that this event got before, or None."""
        return self._answers.get((source, event_id))

    def save_answer(self, answered: Answered) -> None:
        """Saving tells; an answer stands once and is never changed."""
        self.recorder.remember(answered, OrderKey(answered.source, answered.order_number or ""))
        if self._answers.get((answered.source, answered.event_id)) is None:
            self._answers.save(answered)

    def tell(self, event: Event) -> None:
        self.recorder.tell(event)

    def keep_intake_key(self, key: IntakeKey, at: datetime) -> None:
        """A service's public key, announced for the first time or again; rare, so written at once."""
        self.connection.execute(
            """
            insert into intake_keys (service, key_id, public_key, expires_at, announced_at) values (%s, %s, %s, %s, %s)
            on conflict (service, key_id) do update set announced_at = excluded.announced_at
            """,
            (key.service, key.key_id, key.public_key, key.expires_at, at),
        )


class OrdersReads:
    """What the doors read beside the handlers; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def intake_keys(self, at: datetime) -> list[IntakeKey]:
        """The services' keys that have not expired, the last announced of each service first."""
        with self._database.single() as connection:
            rows = connection.execute(
                "select service, key_id, public_key, expires_at from intake_keys where expires_at > %s order by service, announced_at desc",
                (at,),
            )
            return [IntakeKey(*row) for row in rows]

    def order(self, key: OrderKey) -> Order | None:
        columns = ", ".join(ORDERS.names)
        with self._database.single() as connection:
            row = connection.execute(
                f"select {columns} from orders where shop = %s and order_number = %s",  # noqa: S608 - names of ours
                key,
            ).fetchone()
        return _from_row(dict(zip(ORDERS.names, row, strict=True))) if row else None


def _to_row(order: Order) -> Row:
    return {
        "shop": order.key.shop,
        "order_number": order.key.order_number,
        "event_id": order.event_id,
        "customer_id": order.customer_id,
        "policy_version": order.policy_version,
        "data_digest": order.data_digest,
        "placed_at": order.placed_at,
        "state": order.state,
        "reasons": [reason.model_dump() for reason in order.reasons],
        "facts": order.facts or {},
        "sales": order.sales,
    }


def _from_row(row: Row) -> Order:
    return Order(
        key=OrderKey(row["shop"], row["order_number"]),
        event_id=row["event_id"],
        customer_id=row["customer_id"],
        policy_version=row["policy_version"],
        data_digest=row["data_digest"],
        placed_at=row["placed_at"],
        state=State(row["state"]),
        reasons=tuple(Reason(**reason) for reason in row["reasons"]),
        facts={fact: datetime.fromisoformat(at) for fact, at in row["facts"].items()},
        sales=row["sales"],
    )


def _answer_to_row(answered: Answered) -> Row:
    return {
        "source": answered.source,
        "event_id": answered.event_id,
        "kind": answered.kind,
        "order_number": answered.order_number,
        "reasons": [reason.model_dump() for reason in answered.reasons],
    }


def _answer_from_row(row: Row) -> Answered:
    return Answered(
        source=row["source"],
        event_id=row["event_id"],
        kind=row["kind"],
        order_number=row["order_number"],
        reasons=tuple(Reason(**reason) for reason in row["reasons"]),
    )
