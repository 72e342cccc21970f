"""Takes what the broker gave up on into the table `held`, one message at a time."""

from __future__ import annotations

from collections.abc import Callable

import eventlet
from nameko.extensions import DependencyProvider

from shared.delivery import topology
from shared.delivery.amqp import Consumer
from shared.delivery.engine import Engine
from shared.delivery.work import Delivery, Ending, RawMessage
from shared.settings import DeliverySettings

FIRST_LOOK_SECONDS = 2


class ParkedQueue(DependencyProvider):
    """Hands each dead letter of its service to the engine, which parks it (`dead_letters.py`), and acknowledges it after the commit.

    One at a time, and not just after the start: a process that dies then died of something else, and a dead letter in hand would be
    blamed for it.
    """

    engine = Engine()

    def setup(self) -> None:
        settings: DeliverySettings = self.container.config["settings"]
        service = self.container.service_name
        queue = topology.parked_queue(service)
        self._stop_timeout_seconds = settings.stop_timeout_seconds
        self._consumer = Consumer(settings.amqp_uri, f"{service}.parked", (queue,), self._take, prefetch=1)
        self._is_consuming = False

    def start(self) -> None:
        self._loop = self.container.spawn_managed_thread(self._run, "parked queue")

    def stop(self) -> None:
        self._consumer.stop(lambda: self.engine.is_idle)
        if self._is_consuming:
            with eventlet.Timeout(self._stop_timeout_seconds, False):
                self._loop.wait()
        else:
            self._loop.kill()

    def _run(self) -> None:
        eventlet.sleep(FIRST_LOOK_SECONDS)
        self._is_consuming = True
        self._consumer.run()

    def _take(self, raw: RawMessage, acknowledge: Callable[[], None]) -> None:
        def end(_ending: Ending) -> None:
            acknowledge()
            self._consumer.flush()

        self.engine.submit(Delivery("", None, end, raw=raw, tries=topology.DELIVERY_LIMIT))
