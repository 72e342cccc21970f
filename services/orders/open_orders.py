"""All SQL about the orders that have not come to their end: which of them have not moved in time.

They are found by the index `orders_open`, whatever number of orders has ended (decision 0022). Nothing here locks or writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson

from services.orders.deadlines import Deadlines, Stuck
from services.orders.domain import BEGUN_BY, State
from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection

# An order has been in its state since the fact that brings it; the times in `facts` are ISO 8601 with their zone.
_OVERDUE = """
    from orders
    join json_to_recordset(%s::json) as cutoffs (state text, fact text, cutoff timestamptz) using (state)
    where is_open and (facts ->> fact)::timestamptz < cutoff
"""
COUNT = f"select state, count(*) {_OVERDUE} group by state"
OLDEST = f"""
    select shop, order_number, state, facts, reasons {_OVERDUE}
    order by (facts ->> fact)::timestamptz, shop, order_number limit %s
"""


class OpenOrders:
    """Reads the unfinished orders that are beyond their deadlines."""

    def __init__(self, database: Database, deadlines: Deadlines) -> None:
        self._database, self._deadlines = database, deadlines

    def count_stuck(self, at: datetime) -> dict[State, int]:
        """How many orders are stuck at `at`, by state; states without one are left out. Raises DatabaseUnavailable."""
        with self._reading() as connection:
            return {State(state): count for state, count in connection.execute(COUNT, (self._cutoffs(at),))}

    def stuck(self, at: datetime, limit: int, state: State | None = None) -> list[Stuck]:
        """Those longest in their state first, at most `limit`, of one state or of all. Raises DatabaseUnavailable."""
        with self._reading() as connection:
            rows = connection.execute(OLDEST, (self._cutoffs(at, state), limit)).fetchall()
        found = (self._judged(row, at) for row in rows)
        return [stuck for stuck in found if stuck is not None]

    def close(self) -> None:
        self._database.close()

    def _judged(self, row: tuple[Any, ...], at: datetime) -> Stuck | None:
        shop, order_number, state, facts, reasons = row
        times = {fact: datetime.fromisoformat(time) for fact, time in facts.items()}
        codes = tuple(reason["code"] for reason in reasons)
        return self._deadlines.judge(OrderKey(shop, order_number), State(state), times, codes, at)

    def _cutoffs(self, at: datetime, only: State | None = None) -> str:
        cutoffs = self._deadlines.cutoffs(at)
        rows = [
            {"state": state, "fact": BEGUN_BY[state], "cutoff": cutoff}
            for state, cutoff in cutoffs.items()
            if only in (None, state)
        ]
        return orjson.dumps(rows).decode()

    @contextmanager
    def _reading(self) -> Iterator[type_of_connection]:
        with self._database.begin() as connection:
            # Where statistics are old the planner may take a walk through all orders for cheaper. And only a plain index scan marks the
            # entries of orders that have ended, so that the next one passes them over before the vacuum has been.
            connection.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
            yield connection
