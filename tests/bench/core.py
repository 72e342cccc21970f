"""Section 2: the messaging core alone. The same orders through the same four services, whose outside parties answer from memory.

No HTTP and no SMTP are left (`memory_edges`). The storefront, the broker, the databases, sealing, opening, the label's sealing at rest and the
rendering of the mails are as in the pipeline.
"""

from __future__ import annotations

from tests.bench.counts import Counts, await_all_handled
from tests.bench.pipeline import Run, place_and_await
from tests.bench.processes import Meter
from tests.bench.stack import BenchStack
from tests.bench.workload import prepared

# By name only: this process must not import eventlet.
MODULES = {service: f"tests.bench.memory_edges.{service}" for service in ("payments", "shipping", "notifications")}


def play_core(stack: BenchStack, database_set: str) -> None:
    """Start the services anew with memory's edges, on this database set."""
    stack.play(database_set, MODULES)


def run_core(stack: BenchStack, orders: int, run: str) -> Run:
    """One round. Raises NothingMoves when something stands still or was counted wrong."""
    ready = prepared(stack.env, orders, run, at_paypal=False)
    counts, meter = Counts(stack.env), Meter(stack.pids(), stack.log_bytes)
    seconds = place_and_await(stack.env["STOREFRONT_AMQP_URI"], ready, lambda: None)
    after_counts = await_all_handled(stack.env, counts, orders)
    return Run(orders, seconds, *meter.stop(orders), after_counts.batch_mean(counts))
