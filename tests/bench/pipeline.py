"""The whole pipeline, measured: orders per second and CPU per order by process, on a stack of its own.

    python -m tests.bench.pipeline --orders 2000 --warm-up 200

The workload: orders of three lines, sealed at the source before the clock starts, published over AMQP with confirms; PayPal; picked, packed
and handed over in bulk of 50; the carrier's webhooks; everything durable. The sandboxes lose and decline nothing.
The clock runs from the first publish to the last mail. Compare ratios, not single rates: machines differ and are shared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import requests

from deploy.local.stack import Stack
from shared.cli.approvals import Approvals
from shared.cli.crew import Crew
from shared.cli.doors import Door
from shared.cli.publisher import WindowedPublisher
from shared.cli.sealed_parts import Keys
from shared.cli.settings import Settings

SOURCE = "https://www.astrojewelry.com"
CALM = ("--lose-answers", "0", "--repeat-webhooks", "0", "--decline", "0")
PATIENCE_SECONDS = 120


@dataclass
class Measured:
    """One run: what was done, how fast, and what each process spent (CPU milliseconds per order) and held (MiB)."""

    orders: int
    seconds: float
    orders_per_second: float
    cpu_ms_per_order: dict[str, float] = field(default_factory=dict)
    cpu_ms_per_order_in_all: float = 0.0
    memory_mib: dict[str, float] = field(default_factory=dict)
    batch_mean: dict[str, float] = field(default_factory=dict)


class Processes:
    """The stack's processes and what they have spent so far."""

    def __init__(self, stack: Stack) -> None:
        self._roots = {name: psutil.Process(pid) for name, pid, _ in stack.status() if pid is not None}

    def cpu_seconds(self) -> dict[str, float]:
        return {name: sum(self._each(root, _cpu)) for name, root in self._roots.items()}

    def memory_mib(self) -> dict[str, float]:
        return {name: round(sum(self._each(root, _memory)) / 2**20, 1) for name, root in self._roots.items()}

    @staticmethod
    def _each(root: psutil.Process, read: Callable[[psutil.Process], float]) -> Iterator[float]:
        for process in (root, *root.children(recursive=True)):
            try:
                yield read(process)
            except psutil.NoSuchProcess:
                continue


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> float:
    return float(process.memory_info().rss)


def order_data(number: str) -> dict[str, Any]:
    """An order of three lines; its buyer is invented."""
    lines = [
        {
            "line": 1,
            "sku": "BND-ELV-007",
            "title": "Leaf-vine band, size 9",
            "department": "Elvish",
            "quantity": 1,
            "unit_price": "129.00",
        },
        {
            "line": 2,
            "sku": "PLR-0042",
            "title": "Chain-nose pliers",
            "department": "Pliers & Cutters",
            "quantity": 2,
            "unit_price": "18.50",
        },
        {
            "line": 3,
            "sku": "CLS-0007",
            "title": "Lobster clasp, 12 mm",
            "department": "Clasps",
            "quantity": 5,
            "unit_price": "2.00",
        },
    ]
    address = {"line1": "12 Bench Street", "city": "Denver", "region": "CO", "postal_code": "80202", "country": "US"}
    return {
        "order_number": number,
        "placed_at": "2026-11-22T10:14:58Z",
        "customer_id": f"m-{number}",
        "policy_version": "2013-08-19",
        "currency": "USD",
        "lines": lines,
        "discount": "0.00",
        "shipping_price": "7.95",
        "tax": "13.70",
        "total": "197.65",
        "shipping_service": "ground",
        "payment": {"provider": "paypal", "reference": "unapproved"},
        "recipient": {"name": "Bench Buyer", "address": address},
        "contact": {"name": "Bench Buyer", "email": f"{number.lower()}@buyers.example", "language": "en"},
    }


def prepared(env: Mapping[str, str], orders: int, run: str) -> list[dict[str, Any]]:
    """Approved, sealed events, ready to publish: the storefront's own work is not what is measured."""
    keys = Keys(Door("Orders", env["ORDERS_HTTP_URL"]))
    approvals = Approvals(Door("PayPal", env["PAYPAL_SANDBOX_URL"]), None)
    data = [order_data(f"B-{run}-{place}") for place in range(orders)]
    return [
        {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": SOURCE,
            "type": "order_placed",
            "time": "2026-11-22T10:15:00Z",
            "datacontenttype": "application/json",
            "data": keys.seal(order),
        }
        for start in range(0, orders, 500)
        for order in approvals.approve(data[start : start + 500])
    ]


def play(stack: Stack, events: list[dict[str, Any]], mails_before: int) -> None:
    """Publish all, play the crew until the last mail is sent. Raises TimeoutError when nothing moves for long."""
    env = stack.env
    publishing = threading.Thread(target=_publish, args=(env, events))
    publishing.start()
    crew = Crew(Settings(env), pause_seconds=0.1)
    wanted, seen, moved_at = mails_before + 3 * len(events), -1, time.monotonic()
    while (mails := mails_sent(env)) < wanted:
        if not crew.round():
            time.sleep(0.05)
        if mails != seen:
            seen, moved_at = mails, time.monotonic()
        elif time.monotonic() - moved_at > PATIENCE_SECONDS:
            raise TimeoutError(f"{mails} of {wanted} mails, and nothing moves")
    publishing.join()


def _publish(env: Mapping[str, str], events: list[dict[str, Any]]) -> None:
    with WindowedPublisher(env["STOREFRONT_AMQP_URI"]) as publisher:
        for event in events:
            publisher.publish(event["id"], event["type"], json.dumps(event, separators=(",", ":")).encode())
        publisher.settle()


def mails_sent(env: Mapping[str, str]) -> int:
    return int(requests.get(env["MAILBOX_SANDBOX_URL"] + "/_books/summary", timeout=10).json()["mails"])


def batches(env: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """(deliveries, transactions) of each service so far."""
    told = {}
    for service in ("orders", "payments", "shipping", "notifications"):
        text = requests.get(env[f"{service.upper()}_HTTP_URL"] + "/metrics", timeout=10).text
        values = {
            line.split("{")[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith("brownpaper_batch_size_")
        }
        told[service] = (values.get("brownpaper_batch_size_sum", 0.0), values.get("brownpaper_batch_size_count", 0.0))
    return told


def measure(stack: Stack, orders: int, run: str) -> Measured:
    events = prepared(stack.env, orders, run)
    processes, mails, before_batches = Processes(stack), mails_sent(stack.env), batches(stack.env)
    before, started = processes.cpu_seconds(), time.perf_counter()
    play(stack, events, mails)
    seconds = time.perf_counter() - started
    spent = {name: (after - before[name]) * 1000 / orders for name, after in processes.cpu_seconds().items()}
    after_batches = batches(stack.env)
    return Measured(
        orders,
        round(seconds, 2),
        round(orders / seconds, 1),
        {name: round(ms, 2) for name, ms in spent.items()},
        round(sum(spent.values()), 2),
        processes.memory_mib(),
        {
            name: round((after_batches[name][0] - done) / max(1.0, after_batches[name][1] - count), 1)
            for name, (done, count) in before_batches.items()
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="brownpaper-bench-") as folder:
        with Stack(Path(folder) / "stack", fresh=True, sandbox_arguments=CALM) as stack:
            stack.up(print)
            measure(stack, options.warm_up, "w")
            measured = measure(stack, options.orders, "m")
        stack.remove()
    print(f"{measured.orders_per_second} orders per second ({measured.orders} in {measured.seconds} s)")
    for name, ms in measured.cpu_ms_per_order.items():
        batch = measured.batch_mean.get(name)
        print(
            f"  {name:14} {ms:6.2f} ms per order   {measured.memory_mib[name]:7.1f} MiB" + (f"   batch {batch}" if batch else "")
        )
    print(f"  {'in all':14} {measured.cpu_ms_per_order_in_all:6.2f} ms per order")
    if options.json:
        options.json.write_text(json.dumps(asdict(measured), indent=1))


if __name__ == "__main__":
    main()
