"""The engine of a service's process: what is waiting becomes a batch, a batch a transaction, a transaction publishes and calls.

One greenthread each for: consuming, batches, relaying the outbox, and sweeping what another process left behind (leases that ran out). Calls to
outside parties run beside, several in flight. Everything is durable before anybody is told: a message is acknowledged after its commit, an
outbox row is deleted after its confirm, an intent after its outcome is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property, partial
from time import monotonic
from uuid import uuid4

import eventlet
from nameko.extensions import SharedExtension

from shared.contracts.errors import TryLater
from shared.database import Database
from shared.delivery import topology
from shared.delivery.amqp import Consumer, Publisher
from shared.delivery.batch import Batches, Door, Outcome
from shared.delivery.calls import Calls, Settlement
from shared.delivery.confirmed import Confirmed
from shared.delivery.horizon import Horizon
from shared.delivery.ladder import Ladder
from shared.delivery.line import Line
from shared.delivery.relay import Relay
from shared.delivery.routes import Routes
from shared.delivery.sweep import Sweep
from shared.delivery.work import Delivery, Ending, IntentRow, RawMessage
from shared.settings import DeliverySettings
from shared.workers import run_worker


class Engine(SharedExtension):
    """See the module. The door's class names its store as `Store`, its entrypoints fill `routes`."""

    def __init__(self) -> None:
        super().__init__()
        self.routes = Routes()
        self.is_stopping = False
        self._database_answered_at = 0.0

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def setup(self) -> None:
        settings: DeliverySettings = self.container.config["settings"]
        self._settings = settings
        service = self.container.service_name
        ladder = Ladder(settings.later_rungs_seconds)
        self._horizon = Horizon(timedelta(seconds=settings.inbox_horizon_seconds))
        publish_lease, call_lease = timedelta(seconds=settings.publish_lease_seconds), timedelta(seconds=settings.lease_seconds)
        writer = uuid4()  # this process, among those that share the service's outbox
        confirmed = Confirmed()
        self.database = Database(settings.database_url, name=service)
        # Losing the deletion of a confirmed row only publishes it twice; it need not wait for the disk.
        self._relay_database = Database(settings.database_url, name=f"{service}.relay", synchronous_commit=False)
        self._batches = Batches(
            self.database,
            self.container.service_cls.Store,
            service,
            ladder,
            writer=writer,
            publish_lease=publish_lease,
            call_lease=call_lease,
            confirmed=confirmed,
        )
        self._relay = Relay(service, Publisher(settings.amqp_uri, f"{service}.relay"), self._relay_database, ladder, confirmed)
        self._consumer = Consumer(
            settings.amqp_uri, f"{service}.consumer", topology.queues_of(service), self._receive, prefetch=settings.prefetch
        )

        self._line = Line(
            service,
            self._run_batch,
            self._after_commit,
            batch_size=settings.batch_size,
            linger_seconds=settings.linger_seconds,
            is_known=lambda kind: kind in self._known,
        )
        self._calls = Calls(self.container, settings, self.database, self.routes, self._line.submit)
        self._sweep = Sweep(
            self.database,
            self._relay_database,
            self._relay,
            self._calls,
            self._line,
            self._batches,
            settings.sweep_seconds,
        )

    def start(self) -> None:
        container = self.container
        self._batch_loop = container.spawn_managed_thread(self._line.run, "batches")
        self._relay_loop = container.spawn_managed_thread(self._relay.run, "relay")
        self._consume_loop = container.spawn_managed_thread(self._consumer.run, "consumer")
        self._sweep_loop = container.spawn_managed_thread(self._sweep.run, "sweep")

    def take_nothing_new(self) -> None:
        """The first step of stopping, before the workers under way are waited for: no message, no call, no ask is begun any more."""
        if not self.is_stopping:
            self.is_stopping = self._line.is_stopping = True
            self._consumer.stop(lambda: self.is_idle)
            self._calls.stop()
            self._sweep_loop.kill()

    def stop(self) -> None:
        """Finish what is in hand, within the time limit; what is not finished by then comes again after the next start."""
        self.take_nothing_new()
        with eventlet.Timeout(self._settings.stop_timeout_seconds, False):
            while not self.is_idle:
                eventlet.sleep(0.02)
            self._consume_loop.wait()
            self._line.stop()
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
            with self.database.single() as connection:
                connection.execute("select 1")
        except TryLater:
            return False
        self._database_answered_at = monotonic()
        return True

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is being handled: what is not done by now is not going to be, where it is stopping."""
        return self._line.is_idle

    # ── work ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, delivery: Delivery) -> None:
        """Have this handled in one of the next batches; `on_end` tells how it ended."""
        self._line.submit(delivery)

    def ask(self, asks: Sequence[Delivery]) -> list[Ending]:
        """Have these handled and wait for their endings: see `Line.ask`."""
        return self._line.ask(asks)

    def run_batch(self, door: Door, deliveries: list[Delivery]) -> list[Outcome]:
        """What the door's batch method does: see `Batches.run`."""
        return self._batches.run(door, partial(self.routes.read, self.container.service_name, door, self._horizon), deliveries)

    def make_calls(self, door: object, kind: str, intents: list[IntentRow]) -> None:
        """What the door's method of calls does: see `Calls.make`."""
        self._calls.make(door, kind, intents)

    def _run_batch(self, deliveries: list[Delivery]) -> list[Outcome]:
        outcomes: list[Outcome] = run_worker(self.container, self.routes.batch_entrypoint, deliveries)
        return outcomes

    @cached_property
    def _known(self) -> frozenset[str]:
        return self.routes.known_kinds(self.container.service_cls)

    def _receive(self, raw: RawMessage, acknowledge: Callable[[], None]) -> None:
        self._line.submit(Delivery("", None, lambda _ending: acknowledge(), raw=raw))

    def _after_commit(self, outcome: Outcome) -> None:
        if outcome.outbox:
            self._relay.publish(outcome.outbox)
        if outcome.intents:
            self._calls.perform(outcome.intents)
        for row in outcome.early:
            self._line.submit(row.as_delivery())
        self._consumer.flush()


__all__ = ["Engine", "Settlement"]
