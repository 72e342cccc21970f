"""A post that loses its way: between the exchanges and the services' queues of a real broker, messages change places and come again.

Each service's queue is unbound from its exchanges, and a queue of the shuffler's bound in its place. What arrives there is passed on
in another order: most within a window of some hundred messages, parts only after the payment's authorisation, some at the very end.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import kombu

from shared.broker_address import connection_to
from shared.cli.publisher import WindowedPublisher
from shared.contracts.values import OrderKey
from shared.delivery import topology

ROUND_ABOUT = "round_about"  # the exchange that leads to orders.intake, where the routing key counts
_TICK_SECONDS = 0.02
_IDLE_SECONDS = 1.0
_SHARE_PASSED_ON = 8  # one in so many of the window, each tick
_PARTS = ("recipient_entrusted", "contact_entrusted")
DOUBLED, LAST, PARTS_LATE, AGAIN = 0.15, 0.01, 0.2, 0.05


@dataclass(frozen=True, eq=False)
class Letter:
    """One message for one queue, as it came."""

    queue: str
    type: str
    body: bytes
    about: OrderKey | None


class Shuffler:
    """A thread that takes what the broker has for the services and passes it on, shuffled; a context manager.

    `early` are orders that are passed on to orders only after an event about them, of the type given there. `labelled` gets the tracking
    number of every label as soon as it is told. `seen` counts what was done to the messages.
    """

    def __init__(
        self, admin_uri: str, random: Random, *, early: dict[OrderKey, str], labelled: Callable[[str], None] = lambda _: None
    ) -> None:
        self._uri, self._random, self._early, self._labelled = admin_uri, random, early, labelled
        self._window: list[Letter] = []
        self._after: dict[tuple[str, str, OrderKey], list[Letter]] = defaultdict(list)
        self._passed_on: set[tuple[str, str, OrderKey]] = set()
        self._at_the_end: list[Letter] = []
        self._again: list[Letter] = []
        self._late_parts: dict[OrderKey, bool] = {}
        self._holds_back = True
        self._moved_at = time.monotonic()
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shuffler", daemon=True)
        self._died_of: BaseException | None = None
        self._numbers = iter(range(2**62))
        self.seen: Counter[str] = Counter()

    def __enter__(self) -> Shuffler:
        with connection_to(self._uri) as connection:
            step_between(connection.default_channel)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        self.check()

    def check(self) -> None:
        """Raise what the thread died of."""
        if self._died_of is not None:
            raise self._died_of

    @property
    def is_idle(self) -> bool:
        """Whether nothing has come or gone for a while, but for what is held back."""
        return not self._window and self._asked.empty() and time.monotonic() - self._moved_at > _IDLE_SECONDS

    @property
    def holds_back(self) -> bool:
        """Whether something is kept for the very end."""
        return bool(self._at_the_end or self._after)

    def let_go(self) -> None:
        """Pass on what was held back, and hold nothing back from now on."""
        self._asked.put(self._let_go)

    def send_again(self) -> None:
        """Pass on a sample of everything once more: all of it had its effect before."""
        self._asked.put(self._send_again)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            with (
                connection_to(self._uri) as connection,
                WindowedPublisher(self._uri, exchange="") as events,
                WindowedPublisher(self._uri, exchange=ROUND_ABOUT) as intake,
            ):
                channel = connection.default_channel
                for name in _queues():
                    channel.basic_consume(_ours(name), no_ack=True, callback=lambda message, name=name: self._take(name, message))
                while not self._stop.is_set():
                    self._collect(connection)
                    self._pass_on(events, intake)
        except BaseException as error:  # the test must hear of it
            self._died_of = error

    def _collect(self, connection: kombu.Connection) -> None:
        until = time.monotonic() + _TICK_SECONDS
        with suppress(TimeoutError):
            while (left := until - time.monotonic()) > 0:
                connection.drain_events(timeout=left)
        while not self._asked.empty():
            self._asked.get()()
            self._moved_at = time.monotonic()

    def _take(self, name: str, message: Any) -> None:
        self._moved_at = time.monotonic()
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        kind = message.delivery_info["routing_key"]
        envelope = json.loads(body)
        data, about = envelope["data"], None
        if "order_number" in data:
            about = OrderKey(data.get("shop") or envelope["source"], data["order_number"])
        letter = Letter(name, kind, body, about)
        # What is about no order comes whenever a service looks after itself: keys made known, records anchored.
        self.seen["taken" if about is not None else "taken of no order"] += 1
        if kind == "label_created" and name == topology.events_queue("orders"):
            self._labelled(data["tracking_number"])
        self._place(letter)
        if self._random.random() < DOUBLED:
            self.seen["doubled"] += 1
            self._window.append(letter)
        if self._random.random() < AGAIN:
            self._again.append(letter)

    def _place(self, letter: Letter) -> None:
        """Decide where this letter waits."""
        about = letter.about
        if about is None or not self._holds_back:
            self._window.append(letter)
        elif letter.type == "order_placed" and about in self._early:
            self.seen["orders after their events"] += 1
            self._wait_for(letter, topology.events_queue("orders"), self._early[about], about)
        elif letter.type in _PARTS and self._has_late_parts(about):
            self.seen["parts after the payment"] += 1
            self._wait_for(letter, letter.queue, "payment_authorised", about)
        elif self._random.random() < LAST:
            self.seen["kept for the end"] += 1
            self._at_the_end.append(letter)
        else:
            self._window.append(letter)

    def _wait_for(self, letter: Letter, name: str, kind: str, about: OrderKey) -> None:
        waiting = self._window if (name, kind, about) in self._passed_on else self._after[name, kind, about]
        waiting.append(letter)

    def _has_late_parts(self, about: OrderKey) -> bool:
        if about not in self._late_parts:
            self._late_parts[about] = self._random.random() < PARTS_LATE
        return self._late_parts[about]

    def _pass_on(self, events: WindowedPublisher, intake: WindowedPublisher) -> None:
        self._random.shuffle(self._window)
        due = self._window[: -(-len(self._window) // _SHARE_PASSED_ON)]
        del self._window[: len(due)]
        for letter in due:
            self.seen["passed on"] += 1
            is_intake = letter.queue == topology.INTAKE_QUEUE
            publisher, key = (intake, letter.type) if is_intake else (events, letter.queue)
            publisher.publish(str(next(self._numbers)), key, letter.body)
        events.settle()
        intake.settle()
        for letter in due:
            if letter.about is not None:
                self._passed_on.add((letter.queue, letter.type, letter.about))
                self._window += self._after.pop((letter.queue, letter.type, letter.about), [])
        if due:
            self._moved_at = time.monotonic()

    def _let_go(self) -> None:
        self._holds_back = False
        self._window += [*self._at_the_end, *(letter for letters in self._after.values() for letter in letters)]
        self._at_the_end.clear()
        self._after.clear()

    def _send_again(self) -> None:
        self.seen["sent again"] += len(self._again)
        self._window += self._again


def step_between(channel: Any) -> None:
    """Put the shuffler's queues in the place of the services'. The new binding comes first: a message may be doubled, never lost."""
    channel.exchange_declare(ROUND_ABOUT, "topic", durable=True, auto_delete=False)
    channel.queue_bind(topology.INTAKE_QUEUE, ROUND_ABOUT, "#")
    for name, bindings in _queues().items():
        channel.queue_declare(_ours(name), durable=True, auto_delete=False)
        for exchange, key in bindings:
            channel.queue_bind(_ours(name), exchange, key)
            channel.queue_unbind(name, exchange, key)


def _queues() -> dict[str, tuple[tuple[str, str], ...]]:
    """The services' queues that hear exchanges of colleagues or storefronts, and their bindings."""
    names = {topology.INTAKE_QUEUE, *(topology.events_queue(service) for service in topology.SERVICES)}
    return {queue.name: queue.bindings for queue in topology.QUEUES if queue.name in names}


def _ours(name: str) -> str:
    return f"shuffled.{name}"
