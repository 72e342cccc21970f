"""The storefront's answers: taken from the queue `storefront.answers`, one by one, acknowledged once they are handled."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import kombu
from amqp.exceptions import AMQPError
from kombu.exceptions import OperationalError

from shared.broker_address import BrokerUntrusted, connection_to, open_patiently

_kombu: Any = kombu  # it ships types that leave most calls untyped
QUEUE = "storefront.answers"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its type and time, the order, what caused it, the reasons' codes; `data` for the rest."""

    type: str
    time: datetime | None
    order_number: str | None
    source: str | None
    caused_by: str | None
    reasons: tuple[str, ...]
    data: Mapping[str, Any]


def read_answer(body: bytes | str) -> Answer | None:
    """Read one message of the queue; None where it is no answer by the contract."""
    try:
        event = json.loads(body)
        data = event["data"]
        caused_by = data.get("caused_by") or {}
        time = event.get("time")
        return Answer(
            type=str(event["type"]),
            time=datetime.fromisoformat(time) if time else None,
            order_number=data.get("order_number"),
            source=caused_by.get("source"),
            caused_by=caused_by.get("id"),
            reasons=tuple(f"{reason['code']} {reason.get('path') or ''}".strip() for reason in data.get("reasons") or ()),
            data=data,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def consume(
    amqp_uri: str,
    handle: Callable[[Answer], None],
    *,
    stop: threading.Event,
    follow: bool = True,
    on_trouble: Callable[[str], None] = lambda _: None,
) -> None:
    """Take answers until `stop` is set, or, without `follow`, until the queue is empty for a second.

    Each is acknowledged after `handle` returned, so what a crash interrupts comes again. A lost connection is opened again; the
    queue is never declared here. Unreadable messages are acknowledged and told to `on_trouble`.
    """

    def received(message: Any) -> None:
        answer = read_answer(message.body)
        if answer is None:
            on_trouble("A message on storefront.answers is not an answer by the contract; it was dropped.")
        else:
            handle(answer)
        message.ack()

    while not stop.is_set():
        try:
            with _consuming(amqp_uri, received) as connection:
                while not stop.is_set():
                    try:
                        connection.drain_events(timeout=1)
                    except (TimeoutError, socket.timeout):  # noqa: UP041 - kombu's transports raise either
                        if not follow:
                            return
        except BrokerUntrusted:
            raise
        except (AMQPError, OperationalError, OSError) as error:
            on_trouble(f"The connection to storefront.answers failed ({type(error).__name__}); opening it again.")
            if not follow:
                raise
            stop.wait(1.0)


@contextmanager
def _consuming(amqp_uri: str, received: Callable[[Any], None]) -> Iterator[Any]:
    with connection_to(amqp_uri, connect_timeout=10, heartbeat=0) as connection:
        open_patiently(connection, max_retries=3, interval_start=0.2, interval_max=1)
        queue = _kombu.Queue(QUEUE, no_declare=True)
        with _kombu.Consumer(connection, queues=[queue], on_message=received, auto_declare=False, prefetch_count=200):
            yield connection
