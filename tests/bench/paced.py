"""Section 1, latency: orders placed at an even pace, and a crew that acts at once on what it hears.

Two figures for each order, from one machine's clock:

- from placed to payment authorised: from just before the write of `order_placed` to the hearing of `payment_authorised` on the bench's queue;
- from label asked for to dispatch mail accepted, without the waiting for staff between them, as the sum of two legs:
  1. from the time that `parcel_packed` bears (the beginning of the transaction that writes the intent to buy the label) to the hearing
     of `payment_captured`: label bought, told, payment captured, told;
  2. from the sending of the crew's first request to hand that parcel over to the moment at which the mailbox noted the shipment mail. Where
     shipping has not yet taken in `payment_captured`, the crew is refused and asks again, and that waiting counts.

What lies between the two legs is the bench's own turn, some milliseconds, and left out. The crew takes what it has heard since its last request
as one bulk; the carrier's driver comes four times a second.
"""

from __future__ import annotations

import queue
import select
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import amqp
import orjson

from tests.bench.counts import Counts, await_all_handled
from tests.bench.crew import BULK, Wicket, collect, shipping_door
from tests.bench.patience import NothingMoves, Patience
from tests.bench.pipeline import MAILS_PER_ORDER, Run, await_mails, forget_mails
from tests.bench.processes import Meter
from tests.bench.stack import BenchStack
from tests.bench.storefront import Answers, Placing, connected
from tests.bench.workload import Ready, prepared

ORDERS_PER_SECOND = 30
_HEARD = (
    ("payments.events", "payment_authorised"),
    ("payments.events", "payment_captured"),
    ("shipping.events", "pick_list_issued"),
    ("shipping.events", "parcel_packed"),
    ("shipping.events", "label_created"),
)
_DRIVER_EVERY_SECONDS = 0.25
_PAUSE_AFTER_REFUSAL_SECONDS = 0.002
_PACKAGE = {"weight_grams": 420, "length_mm": 200, "width_mm": 150, "height_mm": 60}


@dataclass(slots=True)
class Latencies:
    """Milliseconds, one entry per order."""

    placed_to_authorised: list[float]
    label_to_dispatch_mail: list[float]
    run: Run


@dataclass(slots=True)
class Times:
    """By order number, seconds of the clock."""

    placed: dict[str, float] = field(default_factory=dict)
    authorised: dict[str, float] = field(default_factory=dict)
    label_asked: dict[str, float] = field(default_factory=dict)
    captured: dict[str, float] = field(default_factory=dict)
    hand_over_asked: dict[str, float] = field(default_factory=dict)
    mail_accepted: dict[str, float] = field(default_factory=dict)

    def latencies(self, orders: Sequence[Ready]) -> tuple[list[float], list[float]]:
        """Raises NothingMoves where a time is missing."""
        numbers = [order.order_number for order in orders]
        try:
            first = [(self.authorised[number] - self.placed[number]) * 1000 for number in numbers]
            second = [
                (self.captured[number] - self.label_asked[number] + self.mail_accepted[number] - self.hand_over_asked[number])
                * 1000
                for number in numbers
            ]
        except KeyError:
            raise NothingMoves("an order of the paced run has a time missing") from None
        return first, second


class PromptCrew:
    """Hears what it needs and acts at once, each station in a thread of its own. A context manager."""

    def __init__(self, stack: BenchStack, times: Times) -> None:
        self._env, self._times = stack.env, times
        self._stop = threading.Event()
        self._to_pick: queue.Queue[str] = queue.Queue()
        self._to_hand_over: queue.Queue[str] = queue.Queue()
        self._numbers: dict[str, str] = {}  # parcel → order number
        self._parcels: dict[str, str] = {}
        self._tracking: dict[str, str] = {}
        self._for_the_driver: queue.Queue[str] = queue.Queue()
        self._trouble: list[str] = []
        self._threads = [
            threading.Thread(target=self._kept_going, args=(work,), name=work.__name__, daemon=True)
            for work in (self._hear, self._pick_and_pack, self._hand_over, self._drive)
        ]
        self._connection = connected(stack.env["ADMIN_AMQP_URI"])
        self._channel = self._connection.channel()
        name = self._channel.queue_declare("", exclusive=True, auto_delete=True).queue
        for exchange, event in _HEARD:
            self._channel.queue_bind(name, exchange, event)
        self._channel.basic_consume(name, no_ack=True, callback=self._on_event)

    def __enter__(self) -> PromptCrew:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)
        with suppress(amqp.exceptions.AMQPError, OSError):
            self._connection.close()

    def check(self) -> None:
        """Raises NothingMoves where a station has given up."""
        if self._trouble:
            raise NothingMoves(self._trouble[0])

    def _kept_going(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._trouble.append(f"the crew's {work.__name__.strip('_')} ended: {type(error).__name__}: {error}")

    def _hear(self) -> None:
        transport = self._connection.transport
        while not self._stop.is_set():
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=0.2)
                while transport._read_buffer or select.select([transport.sock], [], [], 0)[0]:
                    self._connection.drain_events()

    def _on_event(self, message: Any) -> None:
        now = time.time()
        event = orjson.loads(message.body)
        data = event["data"]
        number = data["order_number"]
        match event["type"]:
            case "payment_authorised":
                self._times.authorised[number] = now
            case "pick_list_issued":
                self._to_pick.put(data["pick_list"])
            case "parcel_packed":
                self._parcels[number] = data["parcel"]
                self._numbers[data["parcel"]] = number
                self._times.label_asked[number] = datetime.fromisoformat(event["time"]).timestamp()
            case "label_created":
                self._tracking[data["parcel"]] = data["tracking_number"]
            case "payment_captured":
                self._times.captured[number] = now
                self._to_hand_over.put(self._parcels[number])

    def _pick_and_pack(self) -> None:
        door = shipping_door(self._env)
        while names := self._next(self._to_pick):
            told = [{"pick_list": name} for name in names]
            if self._refused(door, "picked", told) or self._refused(door, "packed", [{**item, **_PACKAGE} for item in told]):
                raise NothingMoves("the shipping service refused what it had just asked for")

    def _hand_over(self) -> None:
        door = shipping_door(self._env)
        while parcels := self._next(self._to_hand_over):
            now = time.time()
            for parcel in parcels:
                self._times.hand_over_asked.setdefault(self._numbers[parcel], now)
            early = self._refused(door, "handed_over", [{"parcel": parcel} for parcel in parcels])
            for parcel in parcels:
                (self._to_hand_over if parcel in early else self._for_the_driver).put(parcel)
            if early:
                time.sleep(_PAUSE_AFTER_REFUSAL_SECONDS)

    def _drive(self) -> None:
        carrier = Wicket(self._env["CARRIER_SANDBOX_URL"])
        while parcels := self._next(self._for_the_driver):
            collect(carrier, [self._tracking[parcel] for parcel in parcels])
            self._stop.wait(_DRIVER_EVERY_SECONDS)

    @staticmethod
    def _refused(door: Wicket, verb: str, told: Sequence[dict[str, Any]]) -> set[str]:
        results = door.ask("POST", f"/{verb}", {"items": list(told)})["results"]
        return {str(result.get("parcel") or result.get("pick_list")) for result in results if result["ending"] != "done"}

    def _next(self, waiting: queue.Queue[str]) -> list[str]:
        """All that waits, a bulk at most; empty when it is time to stop."""
        while not self._stop.is_set():
            with suppress(queue.Empty):
                names = [waiting.get(timeout=0.2)]
                while len(names) < BULK:
                    with suppress(queue.Empty):
                        names.append(waiting.get_nowait())
                        continue
                    break
                return names
        return []


def run_paced(stack: BenchStack, orders: int, run: str, pace: float = ORDERS_PER_SECOND) -> Latencies:
    """One round at this pace. Raises NothingMoves."""
    ready = prepared(stack.env, orders, run, at_paypal=True)
    counts, times, uri = Counts(stack.env), Times(), stack.env["STOREFRONT_AMQP_URI"]
    meter = Meter(stack.pids(), stack.log_bytes)
    placing = Placing(uri)
    try:
        with PromptCrew(stack, times) as crew, Answers(uri) as answers:
            answers.expect(orders)
            started = time.perf_counter()
            for place, order in enumerate(ready):
                time.sleep(max(0.0, started + place / pace - time.perf_counter()))
                times.placed[order.order_number] = time.time()
                placing.place([order])
                crew.check()
            seconds = _await_completed(answers, crew) - started
        placing.settle()
    finally:
        placing.close()
    await_mails(stack, MAILS_PER_ORDER * orders)
    after_counts = await_all_handled(stack.env, counts, orders)
    spent = meter.stop(orders)
    times.mail_accepted = _shipment_mails(stack, {order.order_number for order in ready})
    forget_mails(stack)
    return Latencies(*times.latencies(ready), Run(orders, seconds, *spent, after_counts.batch_mean(counts)))


def _await_completed(answers: Answers, crew: PromptCrew) -> float:
    patience = Patience()
    while not answers.all_completed:
        crew.check()
        if patience.is_over(len(answers.completed)):
            raise NothingMoves(f"{len(answers.completed)} orders of the paced run are completed, and no more come")
        time.sleep(0.05)
    return answers.completed_at


def _shipment_mails(stack: BenchStack, numbers: set[str]) -> dict[str, float]:
    """When the mailbox accepted the shipment mail of each of these orders, from its journal on disk."""
    path = stack.folder / "books" / "mailbox.jsonl"
    deadline = time.monotonic() + 10
    while True:
        lines = (orjson.loads(line) for line in path.read_bytes().splitlines())
        accepted = {
            line["order"]: float(line["at"])
            for line in lines
            if line["effect"] == "mail" and line["kind"] == "shipment" and line["order"] in numbers
        }
        if len(accepted) == len(numbers) or time.monotonic() > deadline:
            return accepted
        time.sleep(0.1)  # the journal is flushed twice a second
