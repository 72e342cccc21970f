"""Section 1, throughput: the whole pipeline, four services, sandboxes and mailbox, everything durable.

The clock runs from the first write of an `order_placed` to the storefront's hearing of the last `order_completed`. What is left then (mails) is
waited for before CPU is read, so that it counts, and before the next round begins.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.bench.counts import Counts, await_all_handled
from tests.bench.crew import BulkCrew
from tests.bench.patience import NothingMoves, Patience
from tests.bench.processes import STOREFRONT_AND_CREW, Meter
from tests.bench.stack import BenchStack
from tests.bench.storefront import Answers, Placing
from tests.bench.workload import Ready, prepared

MAILS_PER_ORDER = 3


@dataclass(slots=True)
class Run:
    """One measured run."""

    orders: int
    seconds: float
    cpu_ms_per_order: dict[str, float]
    others_percent: float
    """How much of the machine's cores somebody else had meanwhile."""
    log_kib_per_order: float
    """What the data cluster wrote to its write-ahead log."""
    batch_mean: dict[str, float] = field(default_factory=dict)

    @property
    def orders_per_second(self) -> float:
        return self.orders / self.seconds

    @property
    def allowed_by_cpu(self) -> float:
        """Orders per second if all cores did nothing but this, the bench's own share included."""
        return 1000 * (os.cpu_count() or 1) / sum(self.cpu_ms_per_order.values())

    @property
    def cpu_ms_in_all(self) -> float:
        """Without the bench's own share."""
        return sum(ms for name, ms in self.cpu_ms_per_order.items() if name != STOREFRONT_AND_CREW)


def place_and_await(uri: str, orders: list[Ready], meanwhile: Callable[[], None], number_of: Any = None) -> float:
    """Place all, do `meanwhile`, and give the seconds from the first placed to the last completed. Raises NothingMoves."""
    placing = Placing(uri)
    try:
        with Answers(uri, number_of) as answers:
            answers.expect(len(orders))
            publishing = threading.Thread(target=placing.place_all, args=(orders,), name="placing", daemon=True)
            started = time.perf_counter()
            publishing.start()
            meanwhile()
            seconds = answers.await_all() - started
            publishing.join()
            placing.settle()
            if answers.counts["order_completed"] != len(orders) or len(answers.completed) != len(orders):
                raise NothingMoves(f"{len(orders)} orders, and answers as follows: {dict(answers.counts)}")
    finally:
        placing.close()
    return seconds


def run_pipeline(stack: BenchStack, orders: int, run: str) -> Run:
    """One round through all of it. Raises NothingMoves when something stands still or was counted wrong."""
    ready = prepared(stack.env, orders, run, at_paypal=True)
    crew, counts = BulkCrew(stack.env, orders), Counts(stack.env)
    meter = Meter(stack.pids(), stack.log_bytes)
    try:
        seconds = place_and_await(stack.env["STOREFRONT_AMQP_URI"], ready, crew.work)
    finally:
        crew.close()
    await_mails(stack, MAILS_PER_ORDER * orders)
    after_counts = await_all_handled(stack.env, counts, orders)
    spent = meter.stop(orders)
    forget_mails(stack)
    return Run(orders, seconds, *spent, after_counts.batch_mean(counts))


def forget_mails(stack: BenchStack) -> None:
    """Empty the mailbox: when it is quiet, it would begin to lay out mails as files, beside the next round."""
    requests.post(stack.env["MAILBOX_SANDBOX_URL"] + "/_sandbox/reset", timeout=30).raise_for_status()


def await_mails(stack: BenchStack, wanted: int) -> None:
    patience = Patience()
    while (mails := _mails(stack)) != wanted:
        if mails > wanted or patience.is_over(mails):
            raise NothingMoves(f"{mails} of {wanted} mails")
        time.sleep(0.05)


def _mails(stack: BenchStack) -> int:
    return int(requests.get(stack.env["MAILBOX_SANDBOX_URL"] + "/_books/summary", timeout=10).json()["mails"])
