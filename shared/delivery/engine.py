"""The engine of a service's process: what is waiting becomes a batch, a batch a transaction, a transaction publishes and calls.

One greenthread each for: consuming, batches, relaying the outbox, and sweeping what another process left behind (leases that ran out). Calls to
outside parties run beside, several in flight. Everything is durable before anybody is told: a message is acknowledged after its commit, an
outbox row is deleted after its confirm, an intent after its outcome is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from time import monotonic, perf_counter
from typing import Any

import eventlet
from eventlet.event import Event as Happening
from eventlet.queue import Empty, Queue
from nameko.extensions import Entrypoint, SharedExtension

from shared import metrics
from shared.contracts.errors import TryLater
from shared.database import Database, DatabaseUnavailable
from shared.delivery import tables, topology
from shared.delivery.amqp import Consumer, Publisher
from shared.delivery.batch import Batches, Outcome, Reading
from shared.delivery.calls import Calls, Settlement
from shared.delivery.dead_letters import read_dead_letter
from shared.delivery.horizon import Horizon
from shared.delivery.ladder import Ladder
from shared.delivery.reading import read_event
from shared.delivery.relay import Relay
from shared.delivery.work import Delivery, Ending, RawMessage
from shared.settings import DeliverySettings
from shared.workers import run_worker

_log = logging.getLogger("brownpaper.delivery")
_STOP = object()
MOST_BATCH_BYTES = 2 * 1024 * 1024
MOST_SWEPT = 200
MOST_WAITING_ASKS = 2000
UNREAD_SECONDS = 1  # after which a message that could not be read yet is offered again


class Engine(SharedExtension):
    """See the module. The door's class names its store as `Store`."""

    def __init__(self) -> None:
        super().__init__()
        self._batch_entrypoint: Entrypoint | None = None
        self._heard: dict[str, tuple[type[Any], str]] = {}
        self._intake: dict[str, str] = {}
        self._performs: dict[str, Entrypoint] = {}
        self._settles: dict[str, str] = {}
        self.is_stopping = False
        self._database_answered_at = 0.0

    # ── what the door's entrypoints register ─────────────────────────────────────────────────────────────────────────────────

    def run_batches_through(self, entrypoint: Entrypoint) -> None:
        self._batch_entrypoint = entrypoint

    def hear(self, event: type[Any], method: str) -> None:
        self._heard[event.type] = (event, method)

    def take_in(self, queues: Sequence[str], method: str) -> None:
        self._intake.update(dict.fromkeys(queues, method))

    def perform(self, kind: str, entrypoint: Entrypoint) -> None:
        self._performs[kind] = entrypoint

    def settle(self, kind: str, method: str) -> None:
        self._settles[kind] = method

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def setup(self) -> None:
        settings: DeliverySettings = self.container.config["settings"]
        self._settings = settings
        service = self.container.service_name
        self._ladder = Ladder(settings.later_rungs_seconds)
        self._horizon = Horizon(timedelta(seconds=settings.inbox_horizon_seconds))
        self.database = Database(settings.database_url, name=service)
        # Losing the deletion of a confirmed row only publishes it twice; it need not wait for the disk.
        self._relay_database = Database(settings.database_url, name=f"{service}.relay", synchronous_commit=False)
        self._publish_lease = timedelta(seconds=settings.publish_lease_seconds)
        self._call_lease = timedelta(seconds=settings.lease_seconds)
        self._batches = Batches(
            self.database,
            self.container.service_cls.Store,
            service,
            self._ladder,
            publish_lease=self._publish_lease,
            call_lease=self._call_lease,
        )
        self._waiting: Queue = Queue()
        self._relay = Relay(service, Publisher(settings.amqp_uri, f"{service}.relay"), self._relay_database, self._ladder)
        self._calls = Calls(self.container, settings, self.database, self.submit)
        self._consumer = Consumer(
            settings.amqp_uri, f"{service}.consumer", topology.queues_of(service), self._receive, prefetch=settings.prefetch
        )
        self._is_idle = True

    def start(self) -> None:
        for kind, entrypoint in self._performs.items():
            self._calls.performed_by(kind, entrypoint)
        for kind, method in self._settles.items():
            self._calls.settled_by(kind, method)
        self._batch_loop = self.container.spawn_managed_thread(self._run_batches, "batches")
        self._relay_loop = self.container.spawn_managed_thread(self._relay.run, "relay")
        self._consume_loop = self.container.spawn_managed_thread(self._consumer.run, "consumer")
        self._sweep_loop = self.container.spawn_managed_thread(self._run_sweep, "sweep")

    def take_nothing_new(self) -> None:
        """The first step of stopping, before the workers under way are waited for: no message, no call, no ask is begun any more."""
        if not self.is_stopping:
            self.is_stopping = True
            self._consumer.stop()
            self._calls.stop()
            self._sweep_loop.kill()

    def stop(self) -> None:
        """Finish what is in hand, within the time limit; what is not finished by then comes again after the next start."""
        self.take_nothing_new()
        with eventlet.Timeout(self._settings.stop_timeout_seconds, False):
            while not (self._is_idle and self._waiting.empty()):
                eventlet.sleep(0.02)
            self._consume_loop.wait()
            self._waiting.put(_STOP)
            self._batch_loop.wait()
            self._relay.stop()
            self._relay_loop.wait()
        self.database.close()
        self._relay_database.close()

    @property
    def is_ready(self) -> bool:
        """Whether broker and database answer, as of a second ago at most."""
        if self.is_stopping or not (self._consumer.is_connected and self._relay.is_connected):
            return False
        if monotonic() - self._database_answered_at < 1:
            return True
        try:
            with self.database.begin() as connection:
                connection.execute("select 1")
        except TryLater:
            return False
        self._database_answered_at = monotonic()
        return True

    # ── taking in ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, raw: RawMessage, acknowledge: Callable[[], None]) -> None:
        self.submit(Delivery("", None, lambda _ending: acknowledge(), raw=raw))

    def submit(self, delivery: Delivery) -> None:
        """Have this handled in one of the next batches; `on_end` tells how it ended."""
        self._waiting.put(delivery)

    def ask(self, asks: Sequence[Delivery], timeout_seconds: float = 15) -> list[Ending]:
        """Have these handled and wait for their endings, in the order given.

        Raises TryLater when too much waits already, when the process is stopping, or when it takes too long; what was asked may then be
        done all the same, so asks must be safe to repeat.
        """
        if self.is_stopping or self._waiting.qsize() > MOST_WAITING_ASKS:
            raise TryLater("service_busy")
        endings: dict[int, Ending] = {}
        happening = Happening()

        def note(place: int, ending: Ending) -> None:
            endings[place] = ending
            if len(endings) == len(asks) and not happening.ready():
                happening.send(None)

        for place, delivery in enumerate(asks):
            delivery.on_end = partial(note, place)
            self.submit(delivery)
        if asks:
            with eventlet.Timeout(timeout_seconds, False):
                happening.wait()
            if len(endings) < len(asks):
                raise TryLater("service_busy")
        return [endings[place] for place in range(len(asks))]

    def _read(self, door: object, raw: RawMessage) -> Reading:
        if raw.queue == topology.parked_queue(self.container.service_name):
            return read_dead_letter(raw, self.container.service_name, partial(self._read, door))
        method = self._intake.get(raw.queue)
        if method is None:
            return read_event(raw, self._heard, None if raw.received_at else self._horizon)
        reading: Reading = getattr(door, method)(raw)
        return reading

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _run_batches(self) -> None:
        last_size = 0
        while True:
            first = self._waiting.get()
            if first is _STOP:
                return
            self._is_idle = False
            deliveries, length = [first], _length(first)
            # A lone message goes at once; only a busy process lingers for a fuller batch.
            eventlet.sleep(self._settings.linger_seconds if last_size > 2 else 0)
            while len(deliveries) < self._settings.batch_size and length < MOST_BATCH_BYTES:
                try:
                    delivery = self._waiting.get_nowait()
                except Empty:
                    break
                if delivery is _STOP:
                    self._waiting.put(_STOP)
                    break
                deliveries.append(delivery)
                length += _length(delivery)
            last_size = len(deliveries)
            self._run_one_batch(deliveries)
            self._is_idle = True

    def _run_one_batch(self, deliveries: list[Delivery]) -> None:
        delay_seconds = 0.1
        while True:
            started = perf_counter()
            try:
                outcomes: list[Outcome] = run_worker(self.container, self._batch_entrypoint, deliveries)
            except DatabaseUnavailable:
                _log.warning("database_unavailable", extra={"batch": len(deliveries)})
                if self.is_stopping:
                    return  # nothing is acknowledged: the messages come again
                eventlet.sleep(delay_seconds)
                delay_seconds = min(delay_seconds * 2, 5)
            else:
                break
        for outcome in outcomes:
            self._after_commit(outcome, perf_counter() - started)

    def run_batch(self, door: object, deliveries: list[Delivery]) -> list[Outcome]:
        """What the door's batch method does: see `Batches.run`."""
        return self._batches.run(door, partial(self._read, door), deliveries)

    def _after_commit(self, outcome: Outcome, seconds: float) -> None:
        if outcome.outbox:
            self._relay.publish(outcome.outbox)
        for intent in outcome.intents:
            self._calls.perform(intent)
        for delivery in outcome.unread:
            eventlet.spawn_after(UNREAD_SECONDS, self.submit, delivery)
        if not outcome.endings:
            return
        service = self.container.service_name
        metrics.batch_size.labels(service).observe(len(outcome.endings))
        for delivery, ending in outcome.endings:
            delivery.on_end(ending)
            self._tell(service, delivery, ending, seconds, len(outcome.endings))
        self._consumer.flush()

    def _tell(self, service: str, delivery: Delivery, ending: Ending, seconds: float, batch: int) -> None:
        raw = delivery.raw
        kind = (raw.type if raw else None) or delivery.method or "unreadable"
        metrics.messages.labels(service, kind if kind in self._known else "unknown", ending.kind).inc()
        _log.info(
            "handled",
            extra={
                "type": kind if kind in self._known else "unknown",
                "id": raw.id if raw else None,
                "order_number": delivery.about.order_number if delivery.about else None,
                "ending": ending.kind,
                "code": ending.code or None,
                "tries": delivery.tries or None,
                "batch": batch,
                "milliseconds": round(seconds * 1000, 1),
                "traceparent": delivery.traceparent,
            },
        )

    @cached_property
    def _known(self) -> frozenset[str]:
        """The closed set of types that a log line or a metric may name."""
        door_methods = (name for name in dir(self.container.service_cls) if not name.startswith("_"))
        return frozenset({*self._heard, *topology.STOREFRONT_EVENTS, *door_methods})

    # ── sweeping ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _run_sweep(self) -> None:
        while not self.is_stopping:
            eventlet.sleep(self._settings.sweep_seconds)
            try:
                self._sweep()
            except TryLater:
                continue

    def _sweep(self) -> None:
        """Take up what is due: events nobody confirmed, calls nobody finished, messages whose time has come; never more than there is room."""
        at = datetime.now(UTC)
        with self._relay_database.begin() as connection:
            rows = tables.lease_outbox(connection, at, at + self._publish_lease, MOST_SWEPT) if self._relay.has_room else []
        with self.database.begin() as connection:
            intents = []
            if self._calls.has_room:
                intents = tables.lease_intents(connection, at, at + self._call_lease, MOST_SWEPT, self._calls.in_hand)
            held = tables.lease_held(connection, at, at + self._call_lease, MOST_SWEPT)
        if rows:
            self._relay.publish(rows)
        for intent in intents:
            self._calls.perform(intent)
        for row in held:
            raw = row.as_message()
            self.submit(Delivery("", None, lambda _ending: None, held_id=row.id, tries=row.tries, first_at=row.first_at, raw=raw))


def _length(delivery: Delivery) -> int:
    return len(delivery.raw.body) if delivery.raw else 0


__all__ = ["Engine", "Settlement"]
