"""The two ends of the broker: a consumer that hands over what comes, and a publisher with confirms.

Both keep one connection each (`connecting.py`), come back by themselves when it breaks, and are driven by one greenthread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

import eventlet
import kombu
import kombu.exceptions
from amqp.basic_message import Message
from amqp.exceptions import AccessRefused, AMQPError, ChannelError, NotFound

from shared.delivery import topology
from shared.delivery.connecting import ANSWER_SECONDS, BROKEN, connect, connected, disconnect, hear, keep_alive, open_channel
from shared.delivery.frames import publish_frames
from shared.delivery.steps import reach
from shared.delivery.work import OutboxRow, RawMessage

_log = logging.getLogger("brownpaper.broker")

CONTENT_TYPE = "application/cloudevents+json"


class Consumer:
    """Takes messages from queues and hands each to `take(message, acknowledge)`; at most `prefetch` are out at a time.

    `acknowledge` may be called in any order and from any greenthread, and takes effect with the next `flush`; what is not acknowledged
    comes again, also after a broken connection. `run` returns after `stop`.
    """

    def __init__(
        self, uri: str, name: str, queues: Sequence[str], take: Callable[[RawMessage, Callable[[], None]], None], prefetch: int
    ) -> None:
        self._uri, self._name, self._queues, self._take, self._prefetch = uri, name, queues, take, prefetch
        self._stopping = False
        self._is_over: Callable[[], bool] = lambda: False
        self._acks: _Acknowledger | None = None
        self.is_connected = False

    def run(self) -> None:
        delay_seconds = 0.2
        while not self._stopping:
            try:
                with connected(self._uri, self._name) as connection:
                    self._consume(connection)
            except BROKEN as error:
                _log.warning("consumer_disconnected", extra={"error": type(error).__name__})
                delay_seconds = 0.2 if self.is_connected else min(delay_seconds * 2, 5)
                self.is_connected = False
                eventlet.sleep(delay_seconds)
        self.is_connected = False

    def stop(self, is_over: Callable[[], bool]) -> None:
        """Take nothing new. What is in hand is waited for until it is acknowledged, or `is_over` says that it was given up."""
        self._stopping, self._is_over = True, is_over

    def flush(self) -> None:
        """Send the acknowledgements given since the last time, once per batch."""
        if self._acks is not None:
            self._acks.flush()

    def _consume(self, connection: kombu.Connection) -> None:
        with eventlet.Timeout(ANSWER_SECONDS, TimeoutError):
            channel = open_channel(connection)
            acks = self._acks = _Acknowledger(channel)
            channel.basic_qos(0, self._prefetch, False)
            tags = [channel.basic_consume(queue, callback=self._receiver(queue, acks)) for queue in self._queues]
        self.is_connected = True
        alive_at = monotonic()
        while not self._stopping:
            with suppress(TimeoutError):
                hear(channel, timeout_seconds=0.5)  # so soon it sees that it is told to stop
            if monotonic() - alive_at >= 1:
                alive_at = monotonic()
                keep_alive(channel)
        with eventlet.Timeout(ANSWER_SECONDS, TimeoutError):
            for tag in tags:
                channel.basic_cancel(tag)
        # What is in hand is finished and acknowledged before the connection closes; what is not goes back to its queue.
        acks.wait_until_idle(self._is_over, timeout_seconds=20)

    def _receiver(self, queue: str, acks: _Acknowledger) -> Callable[[Message], None]:
        def receive(message: Message) -> None:
            info = message.delivery_info
            tag = info["delivery_tag"]
            raw = RawMessage(
                queue,
                bytes(message.body or b""),  # a message without a body has py-amqp's own, which is a text
                info["exchange"],
                info["routing_key"],
                message.properties.get("content_type"),
                bool(info["redelivered"]),
                properties=message.properties,
            )
            acks.receive(tag)
            self._take(raw, lambda: acks.done(tag))

        return receive


MOST_BEHIND = 100


class _Acknowledger:
    """Acknowledges in one frame all that is done up to the first that is not, and one by one what is done behind it, if that is much.

    So one that waits long leaves the room that `prefetch` gives to the others.
    """

    def __init__(self, channel: kombu.transport.pyamqp.Channel) -> None:
        self._channel = channel
        self._open: set[int] = set()
        self._done: set[int] = set()

    def receive(self, tag: int) -> None:
        self._open.add(tag)

    def done(self, tag: int) -> None:
        self._open.discard(tag)
        self._done.add(tag)

    def flush(self) -> None:
        first = min(self._open, default=None)
        behind = {tag for tag in self._done if tag > first} if first is not None else set()
        before = self._done - behind
        self._done = behind if len(behind) <= MOST_BEHIND else set()
        if not before and self._done is behind:
            return
        reach("acknowledging")
        try:
            if before:
                # The broker wants a tag that is not acknowledged yet, also where it stands for those below it.
                self._channel.basic_ack(max(before), multiple=True)
            for tag in behind - self._done:
                self._channel.basic_ack(tag)
        except BROKEN:
            return  # the messages come again, and the inbox knows them
        reach("acknowledged")

    def wait_until_idle(self, is_over: Callable[[], bool], timeout_seconds: float) -> None:
        deadline = monotonic() + timeout_seconds
        while self._open and not is_over() and monotonic() < deadline:
            eventlet.sleep(0.02)
        self.flush()


class Published(NamedTuple):
    """The ids that the broker confirmed, and those that it refused (no queue, or nacked). A row in neither is in doubt.

    `is_refused`: the broker is there, and closed the channel because of one of the rows in doubt; `is_way_shut`: because of where it was to
    go, so that others of its kind go nowhere either.
    """

    confirmed: set[UUID]
    failed: set[UUID]
    is_refused: bool
    is_way_shut: bool = False


class Publisher:
    """Publishes rows in one go and waits for their confirms. Used by one greenthread only."""

    def __init__(self, uri: str, name: str, confirm_timeout_seconds: float = 10) -> None:
        self._uri, self._name, self._timeout_seconds = uri, name, confirm_timeout_seconds
        self._connection: kombu.Connection | None = None
        self._waiting: dict[int, UUID] = {}
        self._sequence = 0
        self._confirmed: set[UUID] = set()
        self._failed: set[UUID] = set()

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def publish(self, rows: Iterable[OutboxRow]) -> Published:
        """Publish in one write, and say what the broker made of it. Raises nothing.

        A row is in doubt where the broker is out of reach, blocks publishers, or keeps its confirms to itself for too long, and where it
        closed the channel because of one of them. Then the connection stands, for a publish without that one.
        """
        self._confirmed, self._failed = set(), set()
        is_refused = is_way_shut = False
        try:
            connection = self._open()
            channel = connection.default_channel
            try:
                with eventlet.Timeout(self._timeout_seconds, TimeoutError):
                    self._publish(connection, channel, rows)
            except ChannelError as error:
                self._ask_for_confirms(channel)  # py-amqp has opened it anew
                is_refused, is_way_shut = True, isinstance(error, NotFound | AccessRefused)
        except BROKEN as error:
            _log.warning("publisher_disconnected", extra={"error": type(error).__name__})
            self.close()
        # A returned message is confirmed too: the return comes first and wins.
        return Published(self._confirmed - self._failed, self._failed, is_refused, is_way_shut)

    def _publish(self, connection: kombu.Connection, channel: Any, rows: Iterable[OutboxRow]) -> None:
        frames: list[bytes] = []
        for row in rows:
            self._sequence += 1
            self._waiting[self._sequence] = row.id
            frames += publish_frames(
                channel=channel.channel_id,
                frame_max=channel.connection.frame_max,
                exchange=row.exchange,
                routing_key=row.type,
                mandatory=topology.has_hearers(row.exchange, row.type),
                content_type=CONTENT_TYPE,
                message_id=str(row.id),
                body=row.body.encode(),
            )
        # One write for all. A broker that blocks publishers shows in the confirms that do not come.
        channel.connection.transport.write(b"".join(frames))
        reach("published")
        while self._waiting:
            hear(channel)

    def idle(self) -> None:
        """Keep the connection alive; call it every few seconds when there is nothing to publish. Reconnects where it broke."""
        try:
            connection = self._open()
            with suppress(TimeoutError):
                hear(connection.default_channel, timeout_seconds=0.001)
            keep_alive(connection.default_channel)
        except BROKEN as error:
            _log.warning("publisher_disconnected", extra={"error": type(error).__name__})
            self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            disconnect(connection)

    def _open(self) -> kombu.Connection:
        if self._connection is None:
            connection = connect(self._uri, self._name)
            try:
                with eventlet.Timeout(ANSWER_SECONDS, TimeoutError):
                    channel = connection.default_channel
                self._ask_for_confirms(channel)
            except BROKEN:
                disconnect(connection)
                raise
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            channel.events["basic_return"].add(self._on_return)
            self._connection = connection
        return self._connection

    def _ask_for_confirms(self, channel: Any) -> None:
        """Count from one, as the broker does on a channel that is new."""
        self._waiting.clear()
        self._sequence = 0
        with eventlet.Timeout(ANSWER_SECONDS, TimeoutError):
            channel.confirm_select()

    def _settle(self, delivery_tag: int, multiple: bool, into: set[UUID]) -> None:
        tags = [tag for tag in self._waiting if tag <= delivery_tag] if multiple else [delivery_tag]
        into.update(self._waiting.pop(tag) for tag in tags if tag in self._waiting)

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple, self._confirmed)

    def _on_nack(self, delivery_tag: int, multiple: bool, *_: object) -> None:
        self._settle(delivery_tag, multiple, self._failed)

    def _on_return(self, _error: AMQPError, _exchange: str, _routing_key: str, message: Message) -> None:
        self._failed.add(UUID(message.properties["message_id"]))
