"""The sweep: takes up what is due, and what a process that is no more left behind. A commit's own work never waits for it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import eventlet

from shared.contracts.errors import TryLater
from shared.database import Database
from shared.delivery import held_messages, tables
from shared.delivery.batch import Batches
from shared.delivery.calls import MOST_SWEPT, Calls
from shared.delivery.line import Line
from shared.delivery.relay import Relay
from shared.delivery.steps import reach

MOST_SWEPT_EVENTS = 2000  # an outage of the broker leaves many, and only the first of each order may go at a time


class Sweep:
    """Events nobody confirmed, calls nobody finished, messages whose time has come; never more than there is room for."""

    def __init__(
        self,
        database: Database,
        relay_database: Database,
        relay: Relay,
        calls: Calls,
        line: Line,
        batches: Batches,
        every_seconds: float,
    ) -> None:
        self._database, self._relay_database, self._relay, self._calls = database, relay_database, relay, calls
        self._line, self._batches, self._every_seconds = line, batches, every_seconds
        self._in_line: set[UUID] = set()  # held messages that wait for their turn

    def run(self) -> None:
        while True:
            eventlet.sleep(self._every_seconds)
            try:
                more = self.once(datetime.now(UTC))
                while more:  # the next events of the same orders, or more than one sweep takes
                    eventlet.sleep(0.05)
                    more = self.once(datetime.now(UTC))
            except TryLater:
                continue

    def once(self, at: datetime) -> bool:
        """Take up what is due at `at`; whether more may be due at once. Raises TryLater where the database is away."""
        began, batches = monotonic(), self._batches
        rows = []
        if self._relay.has_room:
            with self._relay_database.begin() as connection:
                rows = tables.lease_outbox(connection, at, at + batches.publish_lease, MOST_SWEPT_EVENTS, batches.writer)
            if rows:
                # At once: they are this process's now, and what it writes next of the same orders goes into the line behind them.
                self._relay.publish(rows)
        self._calls.renew_leases(at)
        with self._database.begin() as connection:
            intents = []
            if self._calls.has_room:
                calls, until = self._calls, at + batches.call_lease
                intents = tables.lease_intents(connection, at, until, MOST_SWEPT, calls.in_hand, calls.no_room_for)
            held = []
            if self._line.has_room:
                held = held_messages.lease_held(connection, at, at + batches.call_lease, MOST_SWEPT, self._in_line)
        if rows or intents or held:
            reach("taken_up_again")
        for intent in intents:
            intent.ours_until = began + batches.call_lease.total_seconds()
        if intents:
            self._calls.perform(intents)
        for row in held:
            self._take_up(row)
        return bool(rows) or MOST_SWEPT in (len(intents), len(held))

    def _take_up(self, row: held_messages.HeldRow) -> None:
        delivery = row.as_delivery()
        delivery.on_end = lambda _ending: self._in_line.discard(row.id)
        self._in_line.add(row.id)
        self._line.submit(delivery)
