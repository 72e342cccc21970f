"""All SQL of shipping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from services.shipping import persons
from services.shipping.commands import NoteTracking
from services.shipping.domain import Package, Shipment, State, pick_list_of
from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection
from shared.delivery.shelf import Row, Shelf, Table, read_rows
from shared.delivery.work import Delivery, Recorder, Store

# What changes with every fact is kept small; what an order brings once stands in tables that are only ever added to.
SHIPMENTS = Table(
    "shipments",
    key=("shop", "order_number"),
    columns={
        "pick_list": "text",
        "parcel": "text",
        "state": "text",
        "placed_at": "timestamptz",
        "shipping_service": "text",
        "package": "jsonb",
        "label_id": "text",
        "carrier": "text",
        "tracking_number": "text",
        "tracking_url": "text",
        "reason": "text",
        "facts": "jsonb",
        "is_kept": "boolean",
    },
    changing=(
        *("state", "placed_at", "shipping_service", "package", "label_id", "carrier", "tracking_number", "tracking_url"),
        *("reason", "facts"),
    ),
)
RECIPIENTS = Table("recipients", key=("shop", "order_number"), columns={"customer_id": "text", "recipient": "jsonb"})
LINES = Table("shipment_lines", key=("shop", "order_number"), columns={"lines": "jsonb"})
LABELS = Table("labels", key=("shop", "order_number", "parcel"), columns={"tracking_number": "text", "paper": "jsonb"})


@dataclass(frozen=True, slots=True)
class SealedLabel:
    """The paper of a parcel's label, sealed: it shows an address."""

    parcel: str
    key: OrderKey
    tracking_number: str
    paper: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What a packer sees of a shipment: no price, no person."""

    pick_list: str
    parcel: str
    order_number: str
    shipping_service: str
    placed_at: datetime
    tracking_number: str | None
    lines: tuple[dict[str, Any], ...]


class ShippingStore(Store):
    def __init__(self, connection: type_of_connection, recorder: Recorder) -> None:
        super().__init__(connection, recorder)
        self._shipments: Shelf[OrderKey, Shipment] = Shelf(
            connection, SHIPMENTS, key_of=lambda shipment: shipment.key, to_row=_to_row, from_row=_from_row
        )
        self._recipients: Shelf[OrderKey, Shipment] = Shelf(
            connection, RECIPIENTS, key_of=lambda shipment: shipment.key, to_row=_recipient_row
        )
        self._lines: Shelf[OrderKey, Shipment] = Shelf(connection, LINES, key_of=lambda shipment: shipment.key, to_row=_lines_row)
        self._labels: Shelf[tuple[str, ...], SealedLabel] = Shelf(
            connection, LABELS, key_of=lambda label: (*label.key, label.parcel), to_row=_label_row
        )
        self._tracked: dict[str, OrderKey] = {}

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        return (self._shipments, self._recipients, self._lines, self._labels)

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        numbers = [delivery.message.tracking_number for delivery in deliveries if isinstance(delivery.message, NoteTracking)]
        if numbers:
            rows = self.connection.execute(
                # A number that was used before belongs to the newest parcel: the last row of each wins below.
                """
                select tracking_number, shop, order_number from labels where tracking_number = any(%b::text[]) order by labelled_at
                """,
                (numbers,),
            )
            self._tracked = {number: OrderKey(shop, order_number) for number, shop, order_number in rows}
        self._shipments.prefetch([*(delivery.about for delivery in deliveries if delivery.about), *self._tracked.values()])

    def key_of_tracking(self, tracking_number: str) -> OrderKey | None:
        """The order whose parcel has this tracking number, as the batch began; None where its label is not written down yet."""
        return self._tracked.get(tracking_number)

    def shipment(self, key: OrderKey) -> Shipment:
        """The shipment of this order; a new, waiting one where nothing is known of it yet."""
        return self._shipments.get(key) or Shipment(key=key)

    def save(self, shipment: Shipment) -> None:
        """Saving tells: what the shipment remembers goes to the outbox and the intents of this transaction."""
        self.recorder.remember(shipment, shipment.key)
        self._shipments.save(shipment)
        if shipment.entrusted is not None:
            self._recipients.save(shipment)
            self._lines.save(shipment)

    def replace_recipient(self, key: OrderKey, recipient: dict[str, Any]) -> bool:
        """Whether the order's recipient was there to be replaced; written at once."""
        return persons.replace_recipient(self.connection, key, recipient)

    def keep_label(self, shipment: Shipment, paper: dict[str, Any]) -> None:
        """Keep the sealed paper of a label that was just written down; once for a parcel."""
        self._labels.save(SealedLabel(shipment.parcel, shipment.key, str(shipment.tracking_number), paper))


class ShippingReads:
    """What the doors read beside the handlers; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keys_of(self, column: str, names: Sequence[str]) -> dict[str, OrderKey]:
        """The orders that these pick lists or parcels belong to; unknown ones are left out."""
        if column not in ("pick_list", "parcel"):
            raise ValueError(column)
        if not names:
            return {}
        # A parcel is found by its pick list: the two bear one code, and one index is less to write and to keep in memory.
        codes = [pick_list_of(name) for name in names] if column == "parcel" else list(names)
        statement = f"select {column}, shop, order_number from shipments where pick_list = any(%b::text[])"  # noqa: S608 - one of two
        with self._database.single() as connection:
            found = {name: OrderKey(shop, number) for name, shop, number in connection.execute(statement, (codes,)).fetchall()}
        return {name: found[name] for name in names if name in found}

    def work(self, state: str, limit: int) -> list[WorkItem]:
        """What waits for staff in this state, oldest first."""
        with self._database.single() as connection:
            rows = connection.execute(
                """
                select pick_list, parcel, order_number, shipping_service, placed_at, tracking_number, lines
                from shipments join shipment_lines using (shop, order_number)
                where state = %s and state in ('to_pick', 'to_pack', 'to_hand_over') order by placed_at limit %s
                """,
                (state, limit),
            )
            return [_work_item(row) for row in rows.fetchall()]

    def pick_list(self, pick_list: str) -> tuple[WorkItem, datetime] | None:
        """A pick list and when it was issued."""
        with self._database.single() as connection:
            row = connection.execute(
                """
                select pick_list, parcel, order_number, shipping_service, placed_at, tracking_number, lines, facts ->> 'pick_list_issued'
                from shipments join shipment_lines using (shop, order_number) where pick_list = %s
                """,
                (pick_list,),
            ).fetchone()
        if row is None or row[7] is None:
            return None
        return _work_item(row), datetime.fromisoformat(row[7])

    def to_engrave(self, pick_list: str) -> tuple[OrderKey, str, dict[str, Any]] | None:
        """Whose it is (order and customer), and the recipient in its envelope; None where the pick list is not one to be packed now."""
        with self._database.single() as connection:
            row = connection.execute(
                """
                select shop, order_number, customer_id, recipient from shipments join recipients using (shop, order_number)
                where pick_list = %s and state = 'to_pack' and recipient is not null
                """,
                (pick_list,),
            ).fetchone()
        return (OrderKey(row[0], row[1]), row[2], row[3]) if row else None

    def label(self, parcel: str) -> tuple[OrderKey, str, dict[str, Any]] | None:
        """Whose it is (order and customer), and the paper of a parcel's label in its envelope."""
        with self._database.single() as connection:
            row = connection.execute(
                """
                select shop, order_number, customer_id, paper
                from shipments join labels using (shop, order_number, parcel) join recipients using (shop, order_number)
                where pick_list = %s and parcel = %s
                """,
                (pick_list_of(parcel), parcel),
            ).fetchone()
        return (OrderKey(row[0], row[1]), row[2], row[3]) if row else None

    def recipients(self, keys: Sequence[OrderKey]) -> dict[OrderKey, tuple[str, dict[str, Any]]]:
        """(customer_id, recipient in its envelope) of these orders; where there is none, no entry."""
        with self._database.single() as connection:
            rows = list(read_rows(connection, RECIPIENTS, keys))
        return {
            OrderKey(row["shop"], row["order_number"]): (row["customer_id"], row["recipient"])
            for row in rows
            if row["recipient"] is not None
        }


def _work_item(row: tuple[Any, ...]) -> WorkItem:
    pick_list, parcel, order_number, shipping_service, placed_at, tracking_number, lines = row[:7]
    return WorkItem(pick_list, parcel, order_number, shipping_service, placed_at, tracking_number, tuple(lines))


def _to_row(shipment: Shipment) -> Row:
    return {
        "shop": shipment.key.shop,
        "order_number": shipment.key.order_number,
        "pick_list": shipment.pick_list,
        "parcel": shipment.parcel,
        "state": shipment.state,
        "placed_at": shipment.placed_at,
        "shipping_service": shipment.shipping_service,
        "package": asdict(shipment.package) if shipment.package else None,
        "label_id": shipment.label_id,
        "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
        "tracking_url": shipment.tracking_url,
        "reason": shipment.reason,
        "facts": shipment.facts or {},
        "is_kept": shipment.is_kept,
    }


def _from_row(row: Row) -> Shipment:
    return Shipment(
        key=OrderKey(row["shop"], row["order_number"]),
        state=State(row["state"]),
        placed_at=row["placed_at"],
        shipping_service=row["shipping_service"],
        package=Package(**row["package"]) if row["package"] else None,
        label_id=row["label_id"],
        carrier=row["carrier"],
        tracking_number=row["tracking_number"],
        tracking_url=row["tracking_url"],
        reason=row["reason"],
        facts={fact: datetime.fromisoformat(at) for fact, at in row["facts"].items()},
        is_kept=row["is_kept"],
    )


def _recipient_row(shipment: Shipment) -> Row:
    entrusted: Any = shipment.entrusted
    return {**shipment.key._asdict(), "customer_id": entrusted.customer_id, "recipient": entrusted.recipient}


def _lines_row(shipment: Shipment) -> Row:
    entrusted: Any = shipment.entrusted
    return {**shipment.key._asdict(), "lines": entrusted.lines}


def _label_row(label: SealedLabel) -> Row:
    return {**label.key._asdict(), "parcel": label.parcel, "tracking_number": label.tracking_number, "paper": label.paper}
