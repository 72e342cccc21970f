"""All SQL about what shipping lets go of: recipients, labels, lines and the carrier's numbers of shipments that came to their end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shared.contracts.values import OrderKey
from shared.database import type_of_connection
from shared.delivery import person_traces
from shared.retention import Due, Ended, Standing, is_held

PARCELS = "parcels"
CLEARINGS = {PARCELS: ("recipient", "purchase")}
ENDS = {PARCELS: {"shipment_delivered", "order_cancelled"}}
"""The events that start a clearing's time: their last one is when an order ended, in the column `ended`."""

_THESE = "unnest(%b::text[], %b::text[]) as these (shop, order_number)"
# `ended` is text: times as they stand in `facts`, in the order of time.
_LIMIT = Due.limit_of("recipient")
_DUE = f"is_kept and ended is not null and ended <= %(latest_text)s and ended::timestamptz <= {_LIMIT}"
_DROP = (
    # A scan that waits names the order by its label alone: with the label gone, no erasure would find it.
    f"""
    delete from held using labels join {_THESE} using (shop, order_number)
    where held.body is not null and held.body::json ->> 'tracking_number' = labels.tracking_number
    """,
    f"delete from labels using shipments join {_THESE} using (shop, order_number) where labels.parcel = shipments.parcel",
    f"delete from recipients using {_THESE} where recipients.shop = these.shop and recipients.order_number = these.order_number",
    f"""
    delete from shipment_lines using {_THESE}
    where shipment_lines.shop = these.shop and shipment_lines.order_number = these.order_number
    """,
)
_NOTE = f"""
    update shipments set is_kept = false, tracking_number = null, tracking_url = null, label_id = null from {_THESE}
    where shipments.shop = these.shop and shipments.order_number = these.order_number
"""


class ShippingRetention:
    """See `shared.retention.RetainedRows`."""

    def ended(self, connection: type_of_connection, clearing: str, due: Due, limit: int) -> list[Ended]:
        rows = connection.execute(
            f"""
            select shop, order_number, customer_id, ended
            from shipments left join recipients using (shop, order_number)
            where {_DUE} and not {is_held("shipments")} order by ended limit %(limit)s for update of shipments skip locked
            """,
            _values(due) | {"limit": limit},
        )
        return [Ended(OrderKey(shop, number), customer, datetime.fromisoformat(at)) for shop, number, customer, at in rows]

    def standing(self, connection: type_of_connection, clearing: str, due: Due) -> Standing:
        row: Any = connection.execute(
            f"""
            select count(*) filter (where not held), count(*) filter (where held), min(ended) filter (where not held)
            from (
                select ended::timestamptz - ({_LIMIT} - %(before)s) as ended, {is_held("shipments")} as held
                from shipments left join recipients using (shop, order_number) where {_DUE}
            ) as due
            """,
            _values(due),
        ).fetchone()
        return Standing(*row)

    def let_go(self, connection: type_of_connection, clearing: str, orders: Sequence[OrderKey]) -> None:
        for statement in (*_DROP, _NOTE):
            connection.execute(statement.encode(), _columns(orders))
        person_traces.drop_calls_of(connection, orders)


def _values(due: Due) -> dict[str, Any]:
    values = due.values
    return values | {"latest_text": values["latest"].isoformat()}


def _columns(orders: Sequence[OrderKey]) -> list[list[str]]:
    return [list(column) for column in zip(*orders, strict=True)]
