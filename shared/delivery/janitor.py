"""Keeps the plumbing's tables small, and says how much stands in them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import eventlet
import psycopg
from nameko.extensions import DependencyProvider

from shared import metrics
from shared.contracts.errors import TryLater
from shared.database import Database
from shared.delivery import retention
from shared.delivery.horizon import Horizon
from shared.policy import load
from shared.policy.waiting import waits_of
from shared.retention import note_clearing
from shared.settings import DeliverySettings

_log = logging.getLogger("brownpaper.delivery")
CHUNK_ROWS = 5000
PAUSE_SECONDS = 0.05  # between two chunks, so that the service's own work comes in between
EMPTY_EVERY = timedelta(minutes=1)
PARKED = "parked"  # the clearing of parked messages


class Janitor(DependencyProvider):
    """Every few seconds: what stands in the tables is counted, claims behind the horizon are forgotten in small pieces.

    Every minute parked messages lose the sealed part or the carrier's number that has waited too long (addendum A-13).
    Every process of a service counts; one at a time clears. Losing the last of it in a crash only has it done again, so it does not wait
    for the disk.
    """

    def setup(self) -> None:
        settings: DeliverySettings = self.container.config["settings"]
        self._service = self.container.service_name
        self._seconds = settings.janitor_seconds
        self._waits = waits_of(load(), self._service)
        self._emptied_at: datetime | None = None
        self._horizon = Horizon(timedelta(seconds=settings.inbox_horizon_seconds))
        self._database = Database(
            settings.database_url, name=f"{self._service}.janitor", most_connections=1, synchronous_commit=False
        )

    def start(self) -> None:
        self._loop = self.container.spawn_managed_thread(self._run, "janitor")

    def stop(self) -> None:
        self._loop.kill()
        self._database.close()

    def _run(self) -> None:
        while True:
            try:
                self._clear()
                self._empty(datetime.now(UTC))
                self._count()
            except TryLater:
                pass  # the database is away; the engine says so
            except psycopg.Error as error:
                # The class only: its text may hold a value. The service works on without it.
                _log.error("janitor_failed", extra={"error": type(error).__name__})
            eventlet.sleep(self._seconds)

    def _clear(self) -> None:
        at = datetime.now(UTC)
        with self._database.begin() as connection:
            if parked := retention.park_deadly(connection, at):
                _log.error("message_deadly", extra={"rows": parked})
        cleared = CHUNK_ROWS
        while cleared == CHUNK_ROWS:
            with self._database.begin() as connection:
                cleared = retention.clear_inbox(connection, self._horizon.claims_kept_since(at), CHUNK_ROWS)
            metrics.inbox_cleared.labels(self._service).inc(cleared)
            eventlet.sleep(PAUSE_SECONDS)

    def _empty(self, at: datetime) -> None:
        if self._emptied_at is not None and at - self._emptied_at < EMPTY_EVERY:
            return
        with self._database.begin() as connection:
            done = retention.empty_parked(connection, at, self._waits)
            left = retention.count_waited(connection, at, self._waits)
            note_clearing(connection, PARKED, done, left, left.oldest_ended_at, at)
        late = at - left.oldest_ended_at - 2 * EMPTY_EVERY if left.oldest_ended_at else timedelta(0)
        overdue = max(0.0, late.total_seconds())
        metrics.retention_overdue.labels(self._service, PARKED).set(overdue)
        self._emptied_at = at

    def _count(self) -> None:
        with self._database.begin() as connection:
            standing = retention.count_standing(connection)
        metrics.outbox_rows.labels(self._service).set(standing.outbox)
        metrics.outbox_oldest_seconds.labels(self._service).set(standing.outbox_oldest_seconds)
        metrics.held.labels(self._service, "later").set(standing.held_later)
        metrics.held.labels(self._service, "parked").set(standing.held_parked)
        metrics.open_calls.labels(self._service, "open").set(standing.calls_open)
        metrics.open_calls.labels(self._service, "parked").set(standing.calls_parked)
        metrics.inbox_rows.labels(self._service).set(standing.inbox)
