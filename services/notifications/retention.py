"""All SQL about what notifications lets go of: of an order that ended the contact, the purchase and the tracking; requests, invitations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.notifications import friend_store, inquiry_store
from shared.contracts.values import OrderKey
from shared.database import type_of_connection
from shared.delivery import person_traces
from shared.retention import Due, Ended, Standing, is_held

CONTACTS = "contacts"
REQUESTS, UNANSWERED = "requests", "unanswered"
INVITATIONS = "invitations"
CLEARINGS = {CONTACTS: ("contact", "purchase"), REQUESTS: ("request",)}
WAITING = {UNANSWERED: ("request",), INVITATIONS: ("friend",)}
ENDS = {CONTACTS: {"shipment_delivered", "order_cancelled"}, REQUESTS: {"special_request_answered"}}
"""The events that start a clearing's time: their last one is when it ended, in the column `ended_at`."""

_THESE = "unnest(%b::text[], %b::text[]) as these (shop, order_number)"
_LIMIT = Due.limit_of("contact")
_DUE = f"is_kept and ended_at is not null and ended_at <= %(latest)s and ended_at <= {_LIMIT}"
_DROP = f"delete from contacts using {_THESE} where contacts.shop = these.shop and contacts.order_number = these.order_number"
_NOTE = f"""
    update correspondences set is_kept = false, tracking = null from {_THESE}
    where correspondences.shop = these.shop and correspondences.order_number = these.order_number
"""


class NotificationsRetention:
    """See `shared.retention.RetainedRows`."""

    def ended(self, connection: type_of_connection, clearing: str, due: Due, limit: int) -> list[Ended]:
        if clearing == INVITATIONS:
            return friend_store.waiting(connection, due, limit)
        if clearing in (REQUESTS, UNANSWERED):
            return inquiry_store.ended(connection, due, limit, is_answered=clearing == REQUESTS)
        rows = connection.execute(
            f"""
            select shop, order_number, customer_id, ended_at
            from correspondences left join contacts using (shop, order_number)
            where {_DUE} and not {is_held("correspondences")}
            order by ended_at limit %(limit)s for update of correspondences skip locked
            """,
            due.values | {"limit": limit},
        )
        return [Ended(OrderKey(shop, number), customer, at) for shop, number, customer, at in rows]

    def standing(self, connection: type_of_connection, clearing: str, due: Due) -> Standing:
        if clearing == INVITATIONS:
            return friend_store.standing(connection, due)
        if clearing in (REQUESTS, UNANSWERED):
            return inquiry_store.standing(connection, due, is_answered=clearing == REQUESTS)
        row: Any = connection.execute(
            f"""
            select count(*) filter (where not held), count(*) filter (where held), min(ended_at) filter (where not held)
            from (
                select ended_at - ({_LIMIT} - %(before)s) as ended_at, {is_held("correspondences")} as held
                from correspondences left join contacts using (shop, order_number) where {_DUE}
            ) as due
            """,
            due.values,
        ).fetchone()
        return Standing(*row)

    def let_go(self, connection: type_of_connection, clearing: str, orders: Sequence[OrderKey]) -> None:
        if clearing == INVITATIONS:
            friend_store.let_go(connection, orders)
            return
        if clearing in (REQUESTS, UNANSWERED):
            inquiry_store.let_go(connection, orders)
            return
        connection.execute(_DROP.encode(), _columns(orders))
        connection.execute(_NOTE.encode(), _columns(orders))
        person_traces.drop_calls_of(connection, orders)


def _columns(orders: Sequence[OrderKey]) -> list[list[str]]:
    return [list(column) for column in zip(*orders, strict=True)]
