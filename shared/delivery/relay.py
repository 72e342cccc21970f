"""The relay: committed outbox rows to the broker, and out of the table once the broker has confirmed them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

import eventlet
from eventlet.queue import Empty, Queue

from shared import metrics
from shared.contracts.errors import TryLater
from shared.database import Database
from shared.delivery import tables
from shared.delivery.amqp import Publisher
from shared.delivery.confirmed import IN_TABLE_ORDER, Confirmed
from shared.delivery.ladder import Ladder
from shared.delivery.refusals import Refusals
from shared.delivery.steps import reach
from shared.delivery.work import OutboxRow

_log = logging.getLogger("brownpaper.delivery")
_STOP = object()
FIRST_RETRY = 3  # the rung of the ladder on which an event begins that no queue took: nothing mends that within a second
LOOK_AGAIN_SECONDS = 5
MOST_ROWS = 500
MOST_BYTES = 2 * 1024 * 1024
MOST_IN_HAND = 20_000
ROOM_BELOW_ROWS = 2 * MOST_ROWS  # never empty in a busy process, and a second's work at most
IDLE_SECONDS = 5
SOON_SECONDS = 0.02  # a busy process begins its next transaction within that time
FORGET_AGAIN_SECONDS = 0.5


class Relay:
    """Publishes what `publish` hands over, in order, many at a time, on one connection in one greenthread (`run`).

    What the broker confirms is forgotten by the next transaction of a batch, or here when none comes soon. What it does not confirm stands
    in the outbox and is taken up by the sweep when its lease has run out. `database` should not wait for the disk: see `Confirmed`.
    """

    def __init__(self, service: str, publisher: Publisher, database: Database, ladder: Ladder, confirmed: Confirmed) -> None:
        self._service, self._publisher, self._database, self._ladder = service, publisher, database, ladder
        self._confirmed = confirmed
        self._refusals = Refusals()
        self._waiting: Queue = Queue()
        self._rows_in_hand = 0
        self._failing: set[str] = set()  # orders of which an event may stand that left this line without a confirm
        self._looked_at = 0.0

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
                self._look_what_stands()
                if self._confirmed:
                    self._forget()
                else:
                    self._publisher.idle()
                continue
            if batch:
                self._publish(batch)
                self._rows_in_hand -= len(batch)
        self._forget()
        self._publisher.close()

    def _next_rows(self) -> tuple[list[OutboxRow], bool]:
        """What waits, up to a limit, and whether to stop after it. Raises Empty after a while without any."""
        batch: list[OutboxRow] = []
        rows = self._waiting.get(timeout=SOON_SECONDS if self._confirmed else IDLE_SECONDS)
        length = 0
        while rows is not _STOP:
            batch.extend(rows)
            length += sum(len(row.body) for row in rows)
            if len(batch) >= MOST_ROWS or length >= MOST_BYTES or self._waiting.empty():
                return batch, False
            rows = self._waiting.get_nowait()
        return batch, True

    def _publish(self, rows: list[OutboxRow]) -> None:
        self._look_what_stands()
        rows, held_back = self._part(rows)
        reach("publishing")
        confirmed, failed = self._refusals.publish(self._publisher, rows)
        reach("confirmed")
        in_doubt = {row.id for row in rows} - confirmed - failed
        if failed and in_doubt:
            failing = {row.subject for row in rows if row.id in failed and row.subject}
            behind = {row.id for row in rows if row.id in in_doubt and row.subject in failing}
            in_doubt, held_back = in_doubt - behind, held_back | behind
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
        self._confirmed.add(confirmed)
        if len(self._confirmed) >= MOST_ROWS:
            self._forget()  # no batch has come for a long time: these are another's, from the sweep
        self._put_off(failed, in_doubt | held_back)
        if in_doubt:
            eventlet.sleep(0.5)

    def _hold_back(self, rows: Iterable[OutboxRow]) -> None:
        """From now on nothing in this line overtakes these, which are left to the sweep, as long as they stand in the table."""
        self._failing.update(row.subject for row in rows if row.subject)

    def _part(self, rows: list[OutboxRow]) -> tuple[list[OutboxRow], set[UUID]]:
        """What may be published now, and the ids of what must not overtake an earlier event of its order that stands with the sweep.

        What is taken up again by the sweep is the first of its order that stands, and opens the way for the next.
        """
        if not self._failing:
            return rows, set()
        asked = [row.id for row in rows if row.subject in self._failing and not row.is_first]
        if not asked:
            return rows, set()
        held_back = set(asked)
        try:
            with self._database.single() as connection:
                held_back -= tables.first_of_outbox(connection, asked)
        except TryLater:
            _log.warning("database_unavailable", extra={"batch": len(asked)})
        return [row for row in rows if row.id not in held_back or row.is_first], held_back

    def _look_what_stands(self) -> None:
        """Of an order of which nothing stands any more, nothing can be overtaken: the table need not be asked about it again."""
        if not self._failing or monotonic() < self._looked_at + LOOK_AGAIN_SECONDS:
            return
        self._looked_at = monotonic()
        asked, self._failing = self._failing, set()  # what is held back while we ask stays
        try:
            with self._database.single() as connection:
                self._failing |= tables.standing_in_outbox(connection, list(asked))
        except TryLater:
            self._failing |= asked

    def _forget(self) -> None:
        """Delete what is confirmed and was not taken by a batch."""
        if not self._confirmed:
            return
        try:
            with self._confirmed.taken() as ids, self._database.single() as connection:
                tables.delete_outbox(connection, ids)
        except TryLater:
            _log.warning("database_unavailable", extra={"batch": len(self._confirmed)})
            self._publisher.idle()  # the broker hears from us, however long the database is away
            eventlet.sleep(FORGET_AGAIN_SECONDS)

    def _put_off(self, failed: set[UUID], soon: set[UUID]) -> None:
        """Let the sweep take up what was not taken by the broker, after a while."""
        if not (failed or soon):
            return
        now = datetime.now(UTC)
        try:
            # Each statement is its own transaction: none depends on another.
            with self._database.single() as connection:
                if failed:
                    tables.release_outbox(connection, sorted(failed, key=IN_TABLE_ORDER), now + self._ladder.delay(FIRST_RETRY))
                if soon:
                    tables.release_outbox(connection, sorted(soon, key=IN_TABLE_ORDER), now + timedelta(seconds=1))
        except TryLater:
            _log.warning("database_unavailable", extra={"batch": len(failed) + len(soon)})
