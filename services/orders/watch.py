"""The watch over orders that do not move: counted into a metric every while, and listed for staff."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import eventlet
from nameko.extensions import DependencyProvider

from services.orders.deadlines import STAGES, Deadlines, Stuck
from services.orders.domain import State
from services.orders.open_orders import OpenOrders
from services.orders.settings import OrdersSettings
from shared import metrics
from shared.database import Database
from shared.http_door import StatusError

_log = logging.getLogger("brownpaper.orders")
MOST_SHOWN = 1000


class Watch(DependencyProvider):
    """Injects the unfinished orders, and counts the stuck ones into the metric every `stuck_count_seconds`."""

    def setup(self) -> None:
        settings: OrdersSettings = self.container.config["settings"]
        self._every_seconds = settings.stuck_count_seconds
        database = Database(settings.database_url, name="orders.watch", most_connections=2)
        self._open_orders = OpenOrders(database, Deadlines(settings.stuck_after))

    def start(self) -> None:
        self._loop = self.container.spawn_managed_thread(self._run, "stuck_watch")

    def stop(self) -> None:
        self._loop.kill()
        self._open_orders.close()

    def get_dependency(self, _worker_ctx: Any) -> OpenOrders:
        return self._open_orders

    def _run(self) -> None:
        while True:
            try:
                count_stuck(self._open_orders, datetime.now(UTC))
            except Exception as error:
                # Orders go on without being counted: the last count stands until the next one.
                _log.warning("stuck_not_counted", extra={"error": type(error).__name__})
            eventlet.sleep(self._every_seconds)


def count_stuck(open_orders: OpenOrders, at: datetime) -> None:
    """Set the metric for every state that has a deadline, to zero where no order is stuck."""
    counts = open_orders.count_stuck(at)
    for state in STAGES:
        metrics.stuck_orders.labels(state).set(counts.get(state, 0))


def show_stuck(open_orders: OpenOrders, query: Mapping[str, str], at: datetime) -> dict[str, Any]:
    """What `GET /stuck` answers: how many are stuck by state, and those longest in their state first."""
    limit, name = query.get("limit", "100"), query.get("state")
    if not limit.isdecimal() or len(limit) > 4 or not 1 <= int(limit) <= MOST_SHOWN:
        raise StatusError(422, "out_of_range", "/limit")
    if name is not None and name not in STAGES:
        raise StatusError(422, "choice_unknown", "/state")
    stuck = open_orders.stuck(at, int(limit), State(name) if name else None)
    counts = {str(state): count for state, count in open_orders.count_stuck(at).items()}
    return {"counts": counts, "items": [_shown(order, at) for order in stuck]}


def _shown(order: Stuck, at: datetime) -> dict[str, Any]:
    return {
        "source": order.key.shop,
        "order_number": order.key.order_number,
        "state": order.state,
        "since": order.since,
        "overdue_seconds": int((at - order.due_at).total_seconds()),
        "waits_for": {"service": order.waits_for.service, "event": order.waits_for.event, "act": order.waits_for.act},
        "reasons": order.reasons,
    }
