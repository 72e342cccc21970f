"""The broker as a colleague or a stranger sees it: publish with a confirm, hear what is said, look into queues."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import amqp

from shared.broker_address import connection_to
from tests.integration.facts import PATIENCE_SECONDS, wait_for

Event = dict[str, Any]
CLOUD_EVENT = "application/cloudevents+json"


def event(speaker: str, kind: str, data: Mapping[str, Any], *, identity: str | None = None) -> Event:
    """An internal event as its speaker would write it."""
    return {
        "specversion": "1.0",
        "id": identity or str(uuid.uuid4()),
        "source": speaker,
        "type": kind,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": dict(data),
    }


class Ear:
    """Hears what is said on exchanges (or waits in a queue) from the moment it is made."""

    def __init__(self, uri: str, *exchanges: str, queue: str | None = None) -> None:
        self._connection = connection_to(uri)
        self._channel = self._connection.default_channel
        self.queue = queue or self._channel.queue_declare("", exclusive=True, auto_delete=True).queue
        for exchange in exchanges:
            self._channel.queue_bind(self.queue, exchange, "#")
        self.heard: list[Event] = []
        """Each event once, by its id, however often it was published: that it comes again is everybody's right."""
        self._known: set[tuple[str, str]] = set()

    def close(self) -> None:
        self._connection.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self) -> list[Event]:
        """Everything heard so far, with what has come in by now."""
        while (message := self._channel.basic_get(self.queue, no_ack=True)) is not None:
            said = json.loads(message.body)
            # The same event may be said to colleagues and to the storefront.
            key = message.delivery_info["exchange"], said["id"]
            if key not in self._known:
                self._known.add(key)
                self.heard.append(said)
        return self.heard

    def all(self, kind: str, order_number: str | None = None) -> list[Event]:
        """What of this type (and this order) has been heard by now."""
        return [it for it in self.listen() if it["type"] == kind and order_number in (None, it["data"].get("order_number"))]

    def hear(
        self,
        kind: str,
        order_number: str | None = None,
        *,
        times: int = 1,
        where: Callable[[Event], bool] = lambda _: True,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> Event:
        """Wait until this was said so many times, and give the last; AssertionError with what was heard instead."""

        def found() -> list[Event]:
            fitting = [it for it in self.all(kind, order_number) if where(it)]
            return fitting if len(fitting) >= times else []

        try:
            return wait_for(found, kind, timeout_seconds)[-1]
        except AssertionError:
            said = [(it["type"], it["data"].get("order_number")) for it in self.heard]
            raise AssertionError(f"{kind} of {order_number} was not heard {times} time(s), but {said}") from None


class Wire:
    """One user's way to the broker. Safe to use after a broken connection: each call opens its own."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | Mapping[str, Any],
        *,
        content_type: str | None = CLOUD_EVENT,
    ) -> None:
        """Publish, persistent, and return when the broker has confirmed it; raises what py-amqp raises where it refuses."""
        self.publish_all(exchange, [(routing_key, body)], content_type=content_type)

    def publish_all(
        self,
        exchange: str,
        messages: Sequence[tuple[str, bytes | Mapping[str, Any]]],
        *,
        content_type: str | None = CLOUD_EVENT,
    ) -> None:
        with connection_to(self.uri, transport_options={"confirm_publish": True}) as connection:
            channel = connection.default_channel
            for routing_key, body in messages:
                raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
                properties = {"delivery_mode": 2} | ({"content_type": content_type} if content_type else {})
                if not isinstance(body, bytes) and isinstance(body.get("id"), str):
                    properties["message_id"] = body["id"]  # as our services do
                channel.basic_publish(amqp.Message(raw, **properties), exchange=exchange, routing_key=routing_key)

    def say(self, speaker: str, kind: str, data: Mapping[str, Any], *, exchange: str | None = None) -> Event:
        """Say an internal event as this speaker, and give it."""
        said = event(speaker, kind, data)
        self.publish(exchange or f"{speaker}.events", kind, said)
        return said

    def waiting(self, queue: str) -> int:
        """How many messages stand ready in a queue."""
        with connection_to(self.uri) as connection:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)

    def reject_to_the_end(self, queue: str, is_over: Callable[[], bool]) -> None:
        """Give every message of a queue back, as consumers that crash do, until the broker has given them up.

        What is given back stands ready again a moment later: a queue that has nothing now is asked again.
        """
        with connection_to(self.uri) as connection:
            channel = connection.default_channel

            def are_given_up() -> bool:
                while (message := channel.basic_get(queue)) is not None:
                    channel.basic_reject(message.delivery_tag, requeue=True)
                return is_over()

            wait_for(are_given_up, f"the broker to give up what is in {queue}")

    def ear(self, *exchanges: str, queue: str | None = None) -> Ear:
        return Ear(self.uri, *exchanges, queue=queue)
