"""Publishing with confirms, many in flight: a message counts as published when the broker has confirmed it to a queue.

py-amqp's own confirmed publish waits for each message. Here the confirms arrive while the next messages go out; a window bounds
how many may be open. What the broker returned (no queue took it) or refused is told to the caller and tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from amqp.exceptions import AMQPError
from kombu.exceptions import OperationalError

from shared.broker_address import BrokerUntrusted, connection_to, open_patiently
from shared.cli.terminal import NotDone

EXCHANGE = "storefront.events"
CONTENT_TYPE = "application/cloudevents+json"
_ATTEMPTS = 5
_CONNECTION_ERRORS = (AMQPError, OperationalError, OSError)


class NotPublished(NotDone):
    """The broker would not take some messages, however often they were offered."""


class WindowedPublisher:
    """Publishes events to `storefront.events`; a context manager that ends by waiting for what is open.

    `on_confirmed` is called with the message's id once the broker has it; `on_trouble` with a sentence when something has to be
    tried again. `publish` and `settle` raise NotPublished after five attempts,
    BrokerUntrusted at once. Publishing again is harmless: the contract
    counts the same (source, id) once. For one thread only.
    """

    def __init__(
        self,
        amqp_uri: str,
        *,
        window: int = 200,
        confirm_timeout_seconds: float = 30.0,
        on_confirmed: Callable[[str], None] = lambda _: None,
        on_trouble: Callable[[str], None] = lambda _: None,
        exchange: str = EXCHANGE,
    ) -> None:
        self._uri = amqp_uri
        self._window = window
        self._confirm_timeout_seconds = confirm_timeout_seconds
        self._on_confirmed = on_confirmed
        self._on_trouble = on_trouble
        self._exchange = exchange
        self._connection: Any = None
        self._channel: Any = None
        self._next_tag = 1
        self._open: dict[int, tuple[str, str, bytes]] = {}
        self._returned: set[str] = set()
        self._again: list[tuple[str, str, bytes]] = []
        self._attempts: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.settle()
        finally:
            self._disconnect()

    def publish(self, event_id: str, event_type: str, body: bytes) -> None:
        """Send one event; waits only while the window is full."""
        self._offer((event_id, event_type, body))
        while len(self._open) >= self._window:
            self._take_confirms()
        self._offer_again()

    def settle(self) -> None:
        """Wait until the broker has confirmed everything that was published."""
        while self._open or self._again:
            self._offer_again()
            if self._open:
                self._take_confirms()

    def _offer(self, message: tuple[str, str, bytes]) -> None:
        event_id, event_type, body = message
        self._attempts[event_id] = self._attempts.get(event_id, 0) + 1
        if self._attempts[event_id] > _ATTEMPTS:
            raise NotPublished(
                f"The broker did not take an event after {_ATTEMPTS} attempts; is the topology declared and the stack up?"
            )
        try:
            channel = self._ready_channel()
            tag, self._next_tag = self._next_tag, self._next_tag + 1
            self._open[tag] = message
            # kombu's channel on py-amqp; `prepare_message` is the transport's own way to fill in the properties.
            prepared = channel.prepare_message(
                body,
                content_type=CONTENT_TYPE,
                content_encoding="utf-8",
                properties={"delivery_mode": 2, "message_id": event_id, "type": event_type},
            )
            channel.basic_publish(prepared, exchange=self._exchange, routing_key=event_type, mandatory=True)
        except BrokerUntrusted:
            raise
        except _CONNECTION_ERRORS as error:
            self._lost(error)

    def _offer_again(self) -> None:
        if self._again:
            again, self._again = self._again, []
            # A growing pause: a broker that comes back needs a moment, and one that never does must not be hammered.
            time.sleep(min(2.0, 0.1 * 2 ** max(self._attempts[message[0]] for message in again)))
            for message in again:
                self._offer(message)

    def _take_confirms(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.drain_events(timeout=self._confirm_timeout_seconds)
        except _CONNECTION_ERRORS as error:  # a time-out is an OSError, too: what is open is offered on a new connection
            self._lost(error)

    def _ready_channel(self) -> Any:
        if self._channel is None:
            self._connection = connection_to(self._uri, connect_timeout=10, heartbeat=0)
            open_patiently(self._connection, max_retries=10, interval_start=0.2, interval_max=3)
            self._channel = self._connection.channel()
            self._channel.confirm_select()
            self._channel.events["basic_ack"].add(self._acked)
            self._channel.events["basic_nack"].add(self._nacked)
            self._channel.events["basic_return"].add(self._came_back)
            self._next_tag = 1
        return self._channel

    def _acked(self, delivery_tag: int, multiple: bool) -> None:
        for message in self._closed(delivery_tag, multiple):
            if message[0] in self._returned:  # confirmed to nowhere: a return comes before its confirm
                self._returned.discard(message[0])
                self._again.append(message)
            else:
                self._attempts.pop(message[0], None)
                self._on_confirmed(message[0])

    def _nacked(self, delivery_tag: int, multiple: bool) -> None:
        refused = self._closed(delivery_tag, multiple)
        self._again.extend(refused)
        self._on_trouble(f"The broker refused {len(refused)} event(s); offering them again.")

    def _came_back(self, _error: object, _exchange: str, routing_key: str, message: Any) -> None:
        self._returned.add(message.properties.get("message_id", ""))
        self._on_trouble(f"No queue took an event of type {routing_key}; offering it again.")

    def _closed(self, delivery_tag: int, multiple: bool) -> list[tuple[str, str, bytes]]:
        tags = [tag for tag in self._open if tag <= delivery_tag] if multiple else [delivery_tag]
        return [self._open.pop(tag) for tag in tags if tag in self._open]

    def _lost(self, error: BaseException) -> None:
        open_messages = list(self._open.values())
        self._disconnect()
        self._open.clear()
        self._returned.clear()
        self._again.extend(open_messages)
        self._on_trouble(f"The broker's connection failed ({type(error).__name__}); {len(open_messages)} event(s) go again.")

    def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            try:
                connection.release()
            except _CONNECTION_ERRORS:
                self._on_trouble("The broker's connection did not close cleanly.")
