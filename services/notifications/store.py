"""All SQL of notifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.notifications.domain import Correspondence
from shared.contracts.values import OrderKey
from shared.database import type_of_connection
from shared.delivery.shelf import Row, Shelf
from shared.delivery.work import Delivery, Recorder, Store

_COLUMNS = """shop text, order_number text, customer_id text, "order" jsonb, contact jsonb, contact_refused boolean, is_cancelled boolean,
    tracking jsonb, mails jsonb"""

_SELECT = """
    select shop, order_number, customer_id, "order", contact, contact_refused, is_cancelled, tracking, mails
    from correspondences
    where (shop, order_number) in (select key ->> 0, key ->> 1 from json_array_elements(%s::json) as keys (key))
    order by shop, order_number for update
"""
_INSERT = f"""
    insert into correspondences (shop, order_number, customer_id, "order", contact, contact_refused, is_cancelled, tracking, mails)
    select shop, order_number, customer_id, "order", contact, contact_refused, is_cancelled, tracking, mails
    from json_to_recordset(%s::json) as rows ({_COLUMNS})
"""  # noqa: S608 - the columns are ours
_UPDATE = f"""
    update correspondences set customer_id = rows.customer_id, "order" = rows."order", contact = rows.contact,
        contact_refused = rows.contact_refused, is_cancelled = rows.is_cancelled, tracking = rows.tracking, mails = rows.mails
    from json_to_recordset(%s::json) as rows ({_COLUMNS})
    where correspondences.shop = rows.shop and correspondences.order_number = rows.order_number
"""  # noqa: S608 - the columns are ours


class NotificationsStore(Store):
    def __init__(self, connection: type_of_connection, recorder: Recorder) -> None:
        super().__init__(connection, recorder)
        self._correspondences: Shelf[OrderKey, Correspondence] = Shelf(
            connection,
            select=_SELECT,
            insert=_INSERT,
            update=_UPDATE,
            key_of=lambda correspondence: correspondence.key,
            to_row=_to_row,
            from_row=_from_row,
            key_from_row=lambda row: OrderKey(row[0], row[1]),
        )

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        return (self._correspondences,)

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        self._correspondences.prefetch(delivery.about for delivery in deliveries if delivery.about)

    def correspondence(self, key: OrderKey) -> Correspondence:
        """The correspondence about this order; a new, silent one where nothing is known of it yet."""
        return self._correspondences.get(key) or Correspondence(key=key)

    def save(self, correspondence: Correspondence) -> None:
        """Saving tells: what the correspondence remembers goes to the outbox and the intents of this transaction."""
        self.recorder.remember(correspondence, correspondence.key)
        self._correspondences.save(correspondence)


def _to_row(correspondence: Correspondence) -> Row:
    return {
        "shop": correspondence.key.shop,
        "order_number": correspondence.key.order_number,
        "customer_id": correspondence.customer_id,
        "order": correspondence.order,
        "contact": correspondence.contact,
        "contact_refused": correspondence.contact_refused,
        "is_cancelled": correspondence.is_cancelled,
        "tracking": correspondence.tracking,
        "mails": correspondence.mails or {},
    }


def _from_row(row: tuple[Any, ...]) -> Correspondence:
    return Correspondence(
        key=OrderKey(row[0], row[1]),
        customer_id=row[2],
        order=row[3],
        contact=row[4],
        contact_refused=row[5],
        is_cancelled=row[6],
        tracking=row[7],
        mails=row[8],
    )
