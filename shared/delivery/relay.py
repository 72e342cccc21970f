"""The relay: committed outbox rows to the broker, and out of the table once the broker has confirmed them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from time import monotonic
from uuid import UUID

import eventlet
from eventlet.queue import Empty, Queue

from shared import metrics
from shared.contracts.errors import TryLater
from shared.database import Database
from shared.delivery import tables
from shared.delivery.amqp import Publisher
from shared.delivery.ladder import Ladder
from shared.delivery.steps import reach
from shared.delivery.work import OutboxRow

_log = logging.getLogger("brownpaper.delivery")
_STOP = object()
_NUMBER = attrgetter("int")  # the order of UUIDs, found faster than by comparing them
FIRST_RETRY = 3  # the rung of the ladder on which an event begins that no queue took: nothing mends that within a second
HELD_BACK_SECONDS = 60  # longer than any batch of ours stands in this line
MOST_ROWS = 500
MOST_BYTES = 2 * 1024 * 1024
MOST_IN_HAND = 20_000
ROOM_BELOW_ROWS = 2 * MOST_ROWS  # never empty in a busy process, and a second's work at most
IDLE_SECONDS = 5


class Relay:
    """Publishes what `publish` hands over, in order, many at a time, on one connection in one greenthread (`run`).

    What the broker does not confirm stands in the outbox and is taken up by the sweep when its lease has run out. `database` should not
    wait for the disk: losing the deletion of a confirmed row only publishes it twice, and the hearers' inboxes know it.
    """

    def __init__(self, service: str, publisher: Publisher, database: Database, ladder: Ladder) -> None:
        self._service, self._publisher, self._database, self._ladder = service, publisher, database, ladder
        self._waiting: Queue = Queue()
        self._rows_in_hand = 0
        self._failing: dict[str, float] = {}  # order → until when its events in this line are left to the sweep

    @property
    def is_connected(self) -> bool:
        return self._publisher.is_connected

    @property
    def has_room(self) -> bool:
        """Whether the sweep may hand over more: what stands in the line then is published long before its lease runs out."""
        return self.is_connected and self._rows_in_hand < ROOM_BELOW_ROWS

    def publish(self, rows: list[OutboxRow]) -> None:
        """Have these committed rows published. What there is no room for stands in the table until the sweep finds room."""
        if self._rows_in_hand < MOST_IN_HAND:
            self._rows_in_hand += len(rows)
            self._waiting.put(rows)
        else:
            self._hold_back(rows)

    def stop(self) -> None:
        """Let `run` return when it has published what it was handed."""
        self._waiting.put(_STOP)

    def run(self) -> None:
        self._publisher.idle()
        is_stopping = False
        while not is_stopping:
            try:
                batch, is_stopping = self._next_rows()
            except Empty:
                self._publisher.idle()
                continue
            if batch:
                self._publish(batch)
                self._rows_in_hand -= len(batch)
        self._publisher.close()

    def _next_rows(self) -> tuple[list[OutboxRow], bool]:
        """What waits, up to a limit, and whether to stop after it. Raises Empty after a while without any."""
        batch: list[OutboxRow] = []
        rows = self._waiting.get(timeout=IDLE_SECONDS)
        length = 0
        while rows is not _STOP:
            batch.extend(rows)
            length += sum(len(row.body) for row in rows)
            if len(batch) >= MOST_ROWS or length >= MOST_BYTES or self._waiting.empty():
                return batch, False
            rows = self._waiting.get_nowait()
        return batch, True

    def _publish(self, rows: list[OutboxRow]) -> None:
        rows, held_back = self._part(rows)
        reach("publishing")
        confirmed, failed = self._publisher.publish(rows) if rows else (set(), set())
        reach("confirmed")
        in_doubt = {row.id for row in rows} - confirmed - failed
        metrics.published.labels(self._service, "confirmed").inc(len(confirmed))
        if failed:
            metrics.published.labels(self._service, "failed").inc(len(failed))
            _log.error(
                "event_not_taken", extra={"batch": len(failed), "types": sorted({row.type for row in rows if row.id in failed})}
            )
        if in_doubt:
            _log.warning("broker_unavailable", extra={"batch": len(in_doubt)})
            metrics.published.labels(self._service, "in_doubt").inc(len(in_doubt))
        if failed or in_doubt:
            self._hold_back(row for row in rows if row.id not in confirmed)
        self._settle(confirmed, failed, in_doubt | held_back)
        reach("forgotten")
        if in_doubt:
            eventlet.sleep(0.5)

    def _hold_back(self, rows: Iterable[OutboxRow]) -> None:
        """From now on nothing in this line overtakes these, which are left to the sweep."""
        until = monotonic() + HELD_BACK_SECONDS
        self._failing.update((row.subject, until) for row in rows if row.subject)

    def _part(self, rows: list[OutboxRow]) -> tuple[list[OutboxRow], set[UUID]]:
        """What may be published now, and the ids of what must not overtake an earlier event of its order that failed.

        What is taken up again by the sweep is the first of its order that stands, and opens the way for the next.
        """
        if not self._failing:
            return rows, set()
        now = monotonic()
        self._failing = {subject: until for subject, until in self._failing.items() if until > now}
        free = [row for row in rows if row.subject not in self._failing or row.is_first]
        return free, {row.id for row in rows} - {row.id for row in free}

    def _settle(self, confirmed: set[UUID], failed: set[UUID], soon: set[UUID]) -> None:
        """Forget what is confirmed, and let the sweep take up the rest after a while."""
        now = datetime.now(UTC)
        try:
            # Each statement is its own transaction: one round trip instead of three, and none depends on another.
            with self._database.single() as connection:
                if confirmed:
                    tables.delete_outbox(connection, sorted(confirmed, key=_NUMBER))
                if failed:
                    tables.release_outbox(connection, sorted(failed, key=_NUMBER), now + self._ladder.delay(FIRST_RETRY))
                if soon:
                    tables.release_outbox(connection, sorted(soon, key=_NUMBER), now + timedelta(seconds=1))
        except TryLater:
            _log.warning("database_unavailable", extra={"batch": len(confirmed) + len(failed) + len(soon)})
