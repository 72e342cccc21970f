"""What stands in an order's way, as one service's own plumbing knows it: calls not settled, messages held, events not published.

All SQL of the question. It reads for a person and on no order's path: these tables are short, and are read whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from shared.contracts.values import OrderKey
from shared.database import type_of_connection


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One of them. `what` is `call`, `message` or `event`, `name` its kind or type; `code` says why, where that was written down.

    `again_at` is when it is tried again; None where it is parked, and a person must look.
    """

    about: OrderKey
    what: str
    name: str
    code: str | None
    tries: int
    again_at: datetime | None


# An outbox row's subject is its order's key.
_OBSTACLES = """
    with asked as (select key ->> 0 as shop, key ->> 1 as order_number from json_array_elements(%s::json) as keys (key))
    select shop, order_number, 'call', kind, parked, tries, case when parked is null then leased_until end as again_at
    from intents join asked using (shop, order_number)
    union all
    select shop, order_number, 'message', type, reason, tries, due_at
    from (select shop, order_number, coalesce(type, 'unreadable') as type, reason, tries, due_at from held) as messages
        join asked using (shop, order_number)
    union all
    select shop, order_number, 'event', type, null, tries, leased_until
    from outbox join asked on subject = shop || ' ' || order_number
    order by 1, 2, again_at nulls first, 3
"""


def obstacles(connection: type_of_connection, keys: Sequence[OrderKey]) -> Iterator[Obstacle]:
    """What stands in the way of these orders, by order, what is parked first. Works on the caller's transaction."""
    parameter = orjson.dumps([[key.shop, key.order_number] for key in keys]).decode()
    for shop, order_number, *rest in connection.execute(_OBSTACLES, (parameter,)):
        yield Obstacle(OrderKey(shop, order_number), *rest)
