"""All SQL of the table `held`: messages that wait to be tried again, and those that are parked.

Every function works on the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from shared.contracts.errors import Fault
from shared.contracts.values import OrderKey
from shared.database import Awaited, type_of_connection, type_of_cursor
from shared.delivery.tables import MOST_TAKES
from shared.delivery.work import Delivery, Ending, RawMessage


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A message that waits (`later`) or is `parked`. `body` only where it validated with every part sealed.

    `shop` and `order_number` name the order that it is about, or waits for.
    """

    id: UUID
    state: str
    queue: str
    source: str | None
    event_id: str | None
    type: str | None
    reason: str
    faults: tuple[Fault, ...]
    body: str | None
    length: int
    headers: dict[str, Any]
    tries: int
    first_at: datetime
    last_at: datetime
    due_at: datetime | None
    shop: str | None = None
    order_number: str | None = None

    def as_message(self) -> RawMessage:
        """The message as it came, to be tried again."""
        return RawMessage(
            self.queue,
            (self.body or "").encode(),
            self.headers.get("exchange", ""),
            self.headers.get("routing_key", ""),
            "application/json",
            received_at=self.first_at,
        )

    def as_delivery(self) -> Delivery:
        """The message as it came, for whoever leased it to try again."""
        return Delivery("", None, _ignore, held_id=self.id, tries=self.tries, first_at=self.first_at, raw=self.as_message())


_HELD_COLUMNS = """id, state, queue, source, event_id, type, reason, faults, body, length, headers, tries, first_at, last_at, due_at,
    shop, order_number"""


def hold(connection: type_of_connection, row: HeldRow) -> None:
    """Write or rewrite a held message."""
    connection.execute(
        f"""
        insert into held ({_HELD_COLUMNS})
        values (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s::jsonb, %s, %s, %s, %s, %s, %s)
        on conflict (id) do update set state = excluded.state, reason = excluded.reason, faults = excluded.faults,
            tries = excluded.tries, takes = 0, last_at = excluded.last_at, due_at = excluded.due_at,
            shop = coalesce(excluded.shop, held.shop), order_number = coalesce(excluded.order_number, held.order_number)
        """,  # noqa: S608 - the columns are ours
        (
            row.id,
            row.state,
            row.queue,
            row.source,
            row.event_id,
            row.type,
            row.reason,
            orjson.dumps([fault.as_dict() for fault in row.faults]).decode(),
            row.body,
            row.length,
            orjson.dumps(row.headers).decode(),
            row.tries,
            row.first_at,
            row.last_at,
            row.due_at,
            row.shop,
            row.order_number,
        ),
    )


def lock_held(connection: type_of_connection, ids: Sequence[UUID]) -> Set[UUID]:
    """Lock these held messages and give those that still stand; what is not given back is done or discarded."""
    rows = connection.execute("select id from held where id = any(%b::uuid[]) order by id for update", (list(ids),))
    return Awaited(lambda: (identity for (identity,) in rows.fetchall()))


def release_held(connection: type_of_connection, ids: Sequence[UUID]) -> None:
    """Forget held messages that are done."""
    connection.execute("delete from held where id = any(%b::uuid[])", (list(ids),))


def lease_held(
    connection: type_of_connection, at: datetime, leased_until: datetime, limit: int, in_line: Iterable[UUID] = ()
) -> list[HeldRow]:
    """Lease messages whose time has come, those that came first in front; safe beside other processes.

    But those that this process has `in_line`, and those that were taken up too often without an ending.
    """
    rows = connection.execute(
        f"""
        update held set due_at = %s, takes = takes + 1
        where id in (
            select id from held where state = 'later' and due_at < %s and takes < %s and id <> all(%b::uuid[])
            order by due_at limit %s for update skip locked
        )
        returning {_HELD_COLUMNS}
        """,  # noqa: S608 - the columns are ours
        (leased_until, at, MOST_TAKES, list(in_line), limit),
    )
    return list(_held_rows(rows))


def lease_early(connection: type_of_connection, orders: Sequence[OrderKey], leased_until: datetime) -> Iterator[HeldRow]:
    """Lease what waits and is about these orders, which have come with this transaction; sent at once, awaited with the first row.

    Call it when the transaction has written its own. What another transaction tries at this moment is locked, and is waited for: either it
    sees the order, or it is put off when this statement goes on, and leased all the same. What another has not held yet when this looks
    is at its first try: it comes back after the ladder's first rung, and then the order is there.
    """
    shops, numbers = [order.shop for order in orders], [order.order_number for order in orders]
    # Not `state = 'later'`: the index of what is due would be taken then, and all that waits be read. Two that wait for each other are found
    # out as a deadlock, and what each did is tried again message by message.
    asked = connection.execute(
        f"""
        update held set due_at = %s, takes = takes + 1 from unnest(%b::text[], %b::text[]) as come (its_shop, its_number)
        where shop = its_shop and order_number = its_number and state <> 'parked' and takes < %s
        returning {_HELD_COLUMNS}
        """,  # noqa: S608 - the columns are ours
        (leased_until, shops, numbers, MOST_TAKES),
    )
    return _held_rows(asked)


def _held_rows(asked: type_of_cursor) -> Iterator[HeldRow]:
    """In the order of their coming: of two words about one thing the later one is said last."""
    yield from sorted(map(_held_row, asked.fetchall()), key=lambda row: (row.first_at, row.id))


def _held_row(row: tuple[Any, ...]) -> HeldRow:
    """The columns stand in the order of the fields."""
    values = list(row)
    values[7] = tuple(Fault(**fault) for fault in row[7])
    return HeldRow(*values)


def _ignore(_ending: Ending) -> None:
    return None
