"""All SQL about what notifications lets go of: the contact of an order that came to its end, and what was bought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from shared.contracts.values import OrderKey
from shared.database import type_of_connection
from shared.retention import Ended, Standing, is_held

CONTACTS = "contacts"
CLEARINGS = {CONTACTS: ("contact", "purchase")}

_THESE = "unnest(%b::text[], %b::text[]) as these (shop, order_number)"
_DUE = "is_kept and ended_at is not null and ended_at <= %s"
_DROP = f"delete from contacts using {_THESE} where contacts.shop = these.shop and contacts.order_number = these.order_number"
_NOTE = f"""
    update correspondences set is_kept = false from {_THESE}
    where correspondences.shop = these.shop and correspondences.order_number = these.order_number
"""


class NotificationsRetention:
    """See `shared.retention.RetainedRows`."""

    def ended(self, connection: type_of_connection, clearing: str, before: datetime, limit: int) -> list[Ended]:
        rows = connection.execute(
            f"""
            select shop, order_number, customer_id, ended_at
            from correspondences left join contacts using (shop, order_number)
            where {_DUE} and not {is_held("correspondences")}
            order by ended_at limit %s for update of correspondences skip locked
            """,
            (before, limit),
        )
        return [Ended(OrderKey(shop, number), customer, at) for shop, number, customer, at in rows]

    def standing(self, connection: type_of_connection, clearing: str, before: datetime) -> Standing:
        row: Any = connection.execute(
            f"""
            select count(*) filter (where not held), count(*) filter (where held), min(ended_at) filter (where not held)
            from (select ended_at, {is_held("correspondences")} as held from correspondences where {_DUE}) as due
            """,
            (before,),
        ).fetchone()
        return Standing(*row)

    def let_go(self, connection: type_of_connection, clearing: str, orders: Sequence[OrderKey]) -> None:
        self.forget(connection, orders)
        connection.execute(_NOTE, _columns(orders))

    def persons(self, connection: type_of_connection) -> Iterable[tuple[str, str]]:
        return [(shop, customer) for shop, customer in connection.execute("select distinct shop, customer_id from contacts")]

    def orders_of(self, connection: type_of_connection, shop: str, customer_id: str) -> list[str]:
        rows = connection.execute("select order_number from contacts where shop = %s and customer_id = %s", (shop, customer_id))
        return [number for (number,) in rows]

    def forget(self, connection: type_of_connection, orders: Sequence[OrderKey]) -> None:
        if orders:
            connection.execute(_DROP, _columns(orders))


def _columns(orders: Sequence[OrderKey]) -> list[list[str]]:
    return [list(column) for column in zip(*orders, strict=True)]
