"""All SQL of shipping."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from services.shipping.commands import NoteTracking
from services.shipping.domain import Package, Shipment, State
from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection
from shared.delivery.shelf import Row, Shelf
from shared.delivery.work import Delivery, Recorder, Store

_COLUMNS = """shop text, order_number text, pick_list text, parcel text, state text, customer_id text, placed_at timestamptz,
    shipping_service text, lines jsonb, recipient jsonb, package jsonb, label_id text, carrier text, tracking_number text,
    tracking_url text, reason text, facts jsonb"""

_SELECT = """
    select shop, order_number, state, customer_id, placed_at, shipping_service, lines, recipient, package, label_id, carrier,
        tracking_number, tracking_url, reason, facts
    from shipments
    where (shop, order_number) in (select key ->> 0, key ->> 1 from json_array_elements(%s::json) as keys (key))
    order by shop, order_number for update
"""
_INSERT = f"""
    insert into shipments (shop, order_number, pick_list, parcel, state, customer_id, placed_at, shipping_service, lines, recipient,
        package, label_id, carrier, tracking_number, tracking_url, reason, facts)
    select shop, order_number, pick_list, parcel, state, customer_id, placed_at, shipping_service, lines, recipient, package, label_id,
        carrier, tracking_number, tracking_url, reason, facts
    from json_to_recordset(%s::json) as rows ({_COLUMNS})
"""  # noqa: S608 - the columns are ours
_UPDATE = f"""
    update shipments set state = rows.state, customer_id = rows.customer_id, placed_at = rows.placed_at,
        shipping_service = rows.shipping_service, lines = rows.lines, recipient = rows.recipient, package = rows.package,
        label_id = rows.label_id, carrier = rows.carrier, tracking_number = rows.tracking_number, tracking_url = rows.tracking_url,
        reason = rows.reason, facts = rows.facts
    from json_to_recordset(%s::json) as rows ({_COLUMNS})
    where shipments.shop = rows.shop and shipments.order_number = rows.order_number
"""  # noqa: S608 - the columns are ours

_LABELS_SELECT = """
    select parcel, key_id, box from labels where parcel in (select key ->> 0 from json_array_elements(%s::json) as keys (key))
"""
_LABELS_INSERT = """
    insert into labels (parcel, key_id, box)
    select parcel, key_id, decode(box, 'base64') from json_to_recordset(%s::json) as rows (parcel text, key_id text, box text)
    on conflict (parcel) do nothing
"""


@dataclass(frozen=True, slots=True)
class SealedLabel:
    parcel: str
    key_id: str
    box: bytes


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
            connection,
            select=_SELECT,
            insert=_INSERT,
            update=_UPDATE,
            key_of=lambda shipment: shipment.key,
            to_row=_to_row,
            from_row=_from_row,
            key_from_row=lambda row: OrderKey(row[0], row[1]),
        )
        self._tracked: dict[str, OrderKey] = {}
        self._labels: Shelf[str, SealedLabel] = Shelf(
            connection,
            select=_LABELS_SELECT,
            insert=_LABELS_INSERT,
            update=None,
            key_of=lambda label: label.parcel,
            to_row=lambda label: {"parcel": label.parcel, "key_id": label.key_id, "box": base64.b64encode(label.box).decode()},
            from_row=lambda row: SealedLabel(*row),
            key_from_row=lambda row: row[0],
        )

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        return (self._shipments, self._labels)

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        numbers = [delivery.message.tracking_number for delivery in deliveries if isinstance(delivery.message, NoteTracking)]
        if numbers:
            rows = self.connection.execute(
                # A number that was used before belongs to the newest parcel: the last row of each wins below.
                "select tracking_number, shop, order_number from shipments where tracking_number = any(%b::text[]) order by placed_at",
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

    def keep_label(self, parcel: str, key_id: str, box: bytes) -> None:
        """Keep a parcel's sealed label; the first one stays."""
        self._labels.save(SealedLabel(parcel, key_id, box))


class ShippingReads:
    """What the doors read beside the handlers; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keys_of(self, column: str, names: Sequence[str]) -> dict[str, OrderKey]:
        """The orders that these pick lists or parcels belong to; unknown ones are left out."""
        if column not in ("pick_list", "parcel"):
            raise ValueError(column)
        statement = f"select {column}, shop, order_number from shipments where {column} = any(%b::text[])"  # noqa: S608 - one of two
        with self._database.begin() as connection:
            return {name: OrderKey(shop, number) for name, shop, number in connection.execute(statement, (list(names),))}

    def work(self, state: str, limit: int) -> list[WorkItem]:
        """What waits for staff in this state, oldest first."""
        with self._database.begin() as connection:
            rows = connection.execute(
                """
                select pick_list, parcel, order_number, shipping_service, placed_at, tracking_number, lines from shipments
                where state = %s and state in ('to_pick', 'to_pack', 'to_hand_over') order by placed_at limit %s
                """,
                (state, limit),
            )
            return [_work_item(row) for row in rows]

    def pick_list(self, pick_list: str) -> tuple[WorkItem, datetime] | None:
        """A pick list and when it was issued."""
        with self._database.begin() as connection:
            row = connection.execute(
                """
                select pick_list, parcel, order_number, shipping_service, placed_at, tracking_number, lines, facts ->> 'pick_list_issued'
                from shipments where pick_list = %s
                """,
                (pick_list,),
            ).fetchone()
        if row is None or row[7] is None:
            return None
        return _work_item(row), datetime.fromisoformat(row[7])

    def label(self, parcel: str) -> SealedLabel | None:
        with self._database.begin() as connection:
            row = connection.execute("select parcel, key_id, box from labels where parcel = %s", (parcel,)).fetchone()
        return SealedLabel(*row) if row else None


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
        "customer_id": shipment.customer_id,
        "placed_at": shipment.placed_at,
        "shipping_service": shipment.shipping_service,
        "lines": shipment.lines,
        "recipient": shipment.recipient,
        "package": asdict(shipment.package) if shipment.package else None,
        "label_id": shipment.label_id,
        "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
        "tracking_url": shipment.tracking_url,
        "reason": shipment.reason,
        "facts": shipment.facts or {},
    }


def _from_row(row: tuple[Any, ...]) -> Shipment:
    return Shipment(
        key=OrderKey(row[0], row[1]),
        state=State(row[2]),
        customer_id=row[3],
        placed_at=row[4],
        shipping_service=row[5],
        lines=tuple(row[6]),
        recipient=row[7],
        package=Package(**row[8]) if row[8] else None,
        label_id=row[9],
        carrier=row[10],
        tracking_number=row[11],
        tracking_url=row[12],
        reason=row[13],
        facts={fact: datetime.fromisoformat(at) for fact, at in row[14].items()},
    )
