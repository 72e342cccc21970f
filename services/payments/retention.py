"""All SQL about what payments lets go of: the key of a billing part once the provider has answered, and books that are old enough.

The billing part itself is cleared by the answer's own transaction; its key stands in another cluster, and follows here: no version can have
promised less time than none. The books name no version, and hold no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shared.contracts.values import OrderKey
from shared.database import type_of_connection
from shared.retention import Due, Ended, Standing, is_held

BILLINGS, BOOKS = "billings", "books"
CLEARINGS = {BILLINGS: ("billing",), BOOKS: ("purchase",)}
ENDS = {BILLINGS: {"payment_authorised", "payment_declined"}, BOOKS: {"payment_captured", "payment_refunded"}}
"""The events that start a clearing's time, in the column `settled_at`. Nobody says yet that a payment was refunded."""

_THESE = "unnest(%b::text[], %b::text[]) as these (shop, order_number)"
_ARE_THESE = "payments.shop = these.shop and payments.order_number = these.order_number"
# Whoever was answered has `settled_at`; a payment that was refused at the door never had a key.
_DUE = {
    BILLINGS: "is_kept and is_answered and settled_at <= %s",
    # A payment is settled after it came, so that the index by age narrows it down.
    BOOKS: "state = 'captured' and settled_at <= %s and entrusted_at <= %s",
}
_LET_GO = {
    BILLINGS: f"update payments set is_kept = false, billing = null from {_THESE} where {_ARE_THESE}",
    BOOKS: f"delete from payments using {_THESE} where {_ARE_THESE}",
}


class PaymentsRetention:
    """See `shared.retention.RetainedRows`."""

    def ended(self, connection: type_of_connection, clearing: str, due: Due, limit: int) -> list[Ended]:
        rows = connection.execute(
            f"""
            select shop, order_number, customer_id, settled_at from payments
            where {_DUE[clearing]} and not {is_held("payments")} order by entrusted_at limit %s for update skip locked
            """,
            (*_times(clearing, due.before), limit),
        )
        return [Ended(OrderKey(shop, number), customer or None, at) for shop, number, customer, at in rows]

    def standing(self, connection: type_of_connection, clearing: str, due: Due) -> Standing:
        row: Any = connection.execute(
            f"""
            select count(*) filter (where not held), count(*) filter (where held), min(settled_at) filter (where not held)
            from (select settled_at, {is_held("payments")} as held from payments where {_DUE[clearing]}) as due
            """,
            _times(clearing, due.before),
        ).fetchone()
        return Standing(*row)

    def let_go(self, connection: type_of_connection, clearing: str, orders: Sequence[OrderKey]) -> None:
        connection.execute(_LET_GO[clearing].encode(), _columns(orders))


def _times(clearing: str, before: datetime) -> tuple[datetime, ...]:
    return (before,) if clearing == BILLINGS else (before, before)


def _columns(orders: Sequence[OrderKey]) -> list[list[str]]:
    return [list(column) for column in zip(*orders, strict=True)]
