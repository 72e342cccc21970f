"""The storefront of a measured run: publishes ready events in few writes and hears the answers, with as little CPU of its own as it can.

It shares the machine's cores with what is measured; the command line's own storefront would take a tenth of them.
"""

from __future__ import annotations

import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import amqp
import orjson

from shared.delivery import topology
from shared.delivery.frames import publish_frames
from tests.bench.patience import PATIENCE_SECONDS, NothingMoves, Patience
from tests.bench.workload import PLACED, Ready

CONTENT_TYPE = "application/cloudevents+json"
_IN_ONE_WRITE = 100
_ACKNOWLEDGED_TOGETHER = 100


def connected(uri: str) -> Any:
    """An open connection of py-amqp, without heartbeats: nobody reads it in every second."""
    parts = urlsplit(uri)
    connection = amqp.Connection(
        f"{parts.hostname}:{parts.port}",
        userid=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        virtual_host=unquote(parts.path[1:]),
        heartbeat=0,
    )
    connection.connect()
    return connection


class Placing:
    """Publishes `order_placed` events and counts their confirms. For one thread."""

    def __init__(self, uri: str) -> None:
        self._connection = connected(uri)
        self._channel = self._connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_refusal)
        self._channel.events["basic_return"].add(self._on_refusal)
        self._published = self._confirmed = self._refused = 0

    def place(self, orders: Sequence[Ready]) -> None:
        """Publish these in one write."""
        frames = [
            frame
            for order in orders
            for frame in publish_frames(
                channel=self._channel.channel_id,
                frame_max=self._connection.frame_max,
                exchange=topology.INTAKE_EXCHANGE,
                routing_key=PLACED,
                mandatory=True,
                content_type=CONTENT_TYPE,
                message_id=order.id,
                body=order.body,
            )
        ]
        self._published += len(orders)
        self._connection.transport.write(b"".join(frames))

    def place_all(self, orders: Sequence[Ready]) -> None:
        for start in range(0, len(orders), _IN_ONE_WRITE):
            self.place(orders[start : start + _IN_ONE_WRITE])

    def settle(self) -> None:
        """Wait until the broker has confirmed all. Raises NothingMoves where it does not, or where no queue took an event."""
        while self._confirmed < self._published and not self._refused:
            try:
                self._connection.drain_events(timeout=PATIENCE_SECONDS)
            except TimeoutError:
                break
        if self._refused or self._confirmed < self._published:
            raise NothingMoves(f"the broker confirmed {self._confirmed} of {self._published} orders, refused {self._refused}")

    def close(self) -> None:
        with suppress(amqp.exceptions.AMQPError, OSError):
            self._connection.close()

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._confirmed = delivery_tag if multiple else self._confirmed + 1

    def _on_refusal(self, *_: object) -> None:
        self._refused += 1


class Answers:
    """Hears the answers in a thread of its own, acknowledged a hundred at a time; a context manager.

    `number_of` finds the order number in an answer's body. `completed_at` is when the last of the orders awaited was heard to be completed
    (`time.perf_counter`).
    """

    def __init__(self, uri: str, number_of: Callable[[bytes], str] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.completed: set[str] = set()
        self.completed_at = 0.0
        self._number_of = number_of or _number_in_json
        self._awaited = 0
        self._reached = threading.Event()
        self._stop = threading.Event()
        self._connection = connected(uri)
        self._channel = self._connection.channel()
        self._channel.basic_qos(0, 4 * _ACKNOWLEDGED_TOGETHER, False)
        self._channel.basic_consume(topology.ANSWERS_QUEUE, callback=self._on_answer)
        self._heard = self._acknowledged = 0
        self._thread = threading.Thread(target=self._listen, name="answers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        with suppress(amqp.exceptions.AMQPError, OSError):
            self._connection.close()

    def expect(self, orders: int) -> None:
        """From now on so many orders more are awaited. To be said before the first is placed."""
        self._reached.clear()
        self._awaited = len(self.completed) + orders

    @property
    def all_completed(self) -> bool:
        return self._reached.is_set()

    def await_all(self) -> float:
        """Wait until all awaited orders are completed, and give the moment of the last. Raises NothingMoves."""
        patience = Patience()
        while not self._reached.wait(1.0):
            if patience.is_over(len(self.completed)):
                raise NothingMoves(f"{len(self.completed)} of {self._awaited} orders are completed: {dict(self.counts)}")
        return self.completed_at

    def _listen(self) -> None:
        transport = self._connection.transport
        while not self._stop.is_set():
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=0.1)
                while transport._read_buffer or select.select([transport.sock], [], [], 0)[0]:
                    self._connection.drain_events()
                    if self._heard - self._acknowledged >= _ACKNOWLEDGED_TOGETHER:
                        self._acknowledge()
            self._acknowledge()

    def _acknowledge(self) -> None:
        if self._heard > self._acknowledged:
            self._acknowledged = self._heard
            self._channel.basic_ack(self._heard, multiple=True)

    def _on_answer(self, message: Any) -> None:
        info = message.delivery_info
        self._heard = info["delivery_tag"]
        kind = info["routing_key"]
        self.counts[kind] += 1
        if kind == "order_completed":
            body = message.body
            self.completed.add(self._number_of(body.encode() if isinstance(body, str) else bytes(body)))
            if len(self.completed) >= self._awaited:
                self.completed_at = self.completed_at if self._reached.is_set() else time.perf_counter()
                self._reached.set()


def _number_in_json(body: bytes) -> str:
    return str(orjson.loads(body)["data"]["order_number"])
