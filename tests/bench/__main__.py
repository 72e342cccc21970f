"""`python -m tests.bench`: how fast this machine fulfils orders, what each process costs, and how near that is to a floor.

    1 pipeline   four services, sandboxes and mailbox: rate, latencies at 30 orders a second, CPU and memory by process
    2 core       the same without HTTP and SMTP: the outside parties answer from memory
    3 floor      bare py-amqp and psycopg doing the same durable hops, for the ratio
    4 growth     the core with 0, 100,000 and 1,000,000 finished orders in the tables; memory after 1,000 and 20,000 orders
    5 privacy    the core with personal parts under keys, less the core with them in the clear
    6 scan       the scanner of `make privacy-proof`; needs no servers

Prints a table, writes .bench/bench.json, and says how it goes on standard error. Servers and services are started for it and ended with
it. docs/benchmarks.md says how to read it. A bar that is not met is printed and is no failure; what does not work is: exit 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import requests

from deploy.local.processes import StartError
from tests.bench import report
from tests.bench.cloning import CannotClone
from tests.bench.core import play_core, run_core
from tests.bench.floor import floor_of
from tests.bench.growth import Growth, NoRoom, measure_growth
from tests.bench.paced import ORDERS_PER_SECOND, run_paced
from tests.bench.patience import NothingMoves
from tests.bench.pipeline import Run, run_pipeline
from tests.bench.privacy import measure_privacy
from tests.bench.processes import Processes
from tests.bench.scan import measure_scan
from tests.bench.stack import FOLDER, BenchStack, bench_stack

SECTIONS = ("pipeline", "core", "floor", "growth", "privacy", "scan")
FAILURES = (NothingMoves, NoRoom, CannotClone, StartError, requests.RequestException, psycopg.Error, OSError)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done."""

    orders: int
    warm_up: int
    rounds: int
    core_rounds: int
    """Of the core and of the floor."""
    paced_orders: int
    growth: Growth
    privacy_rounds: int
    privacy_orders: int


def full(orders: int) -> Size:
    growth = Growth(
        sizes=(0, 100_000, 1_000_000), rounds=5, warm_up=400, orders=1_600, memory_at=(1_000, 20_000), memory_step=1_000
    )
    return Size(
        orders=orders,
        warm_up=200,
        rounds=3,
        core_rounds=5,
        paced_orders=900,
        growth=growth,
        privacy_rounds=5,
        privacy_orders=1000,
    )


SMALL = Size(
    orders=40,
    warm_up=10,
    rounds=1,
    core_rounds=1,
    paced_orders=20,
    growth=Growth(sizes=(0, 200, 600), rounds=1, warm_up=5, orders=40, memory_at=(20, 40), memory_step=20),
    privacy_rounds=1,
    privacy_orders=40,
)


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(stack: BenchStack, sections: set[str], size: Size, figures: dict[str, Any]) -> None:
    """Fill in the figures of these sections; what is there when one fails, stays."""
    if "pipeline" in sections:
        figures["pipeline"] = _pipeline(stack, size)
    stack.dismiss_sandboxes()
    if sections & {"core", "floor"}:
        figures.update(_core_and_floor(stack, sections, size))
    if "growth" in sections:
        figures["growth"] = report.of_growth(measure_growth(stack, size.growth, progress))
    if "privacy" in sections:
        rounds, orders = size.privacy_rounds, size.privacy_orders
        runs = measure_privacy(stack, orders=orders, warm_up=size.warm_up, rounds=rounds, progress=progress)
        figures["privacy"] = report.of_privacy(runs)


def _pipeline(stack: BenchStack, size: Size) -> dict[str, Any]:
    progress(f"Pipeline: {size.warm_up} orders to warm up, then {size.rounds} round(s) of {size.orders}.")
    run_pipeline(stack, size.warm_up, "pipeline-w")
    runs = []
    for number in range(size.rounds):
        runs.append(run_pipeline(stack, size.orders, f"pipeline-{number}"))
        _tell(runs[-1])
    figures = report.of_runs(runs)
    figures["memory_mib"] = Processes(stack.pids()).memory_mib()
    progress(f"Pipeline at {ORDERS_PER_SECOND} orders a second: {size.paced_orders} orders.")
    figures["paced"] = report.of_paced(run_paced(stack, size.paced_orders, "paced"), ORDERS_PER_SECOND)
    return figures


def _core_and_floor(stack: BenchStack, sections: set[str], size: Size) -> dict[str, Any]:
    """In turns, so that what the machine does beside them meets both."""
    runs: dict[str, list[Run]] = {name: [] for name in ("core", "floor") if name in sections}
    memory: dict[str, float] = {}
    stack.rest()
    with floor_of(stack, warm_up=size.warm_up if "floor" in sections else 0) as floor:
        if "core" in sections:
            progress("Core: the services start anew, their outside parties in memory.")
            play_core(stack, "core")
            run_core(stack, size.warm_up, "core-w")
        for number in range(size.core_rounds):
            for name, rounds in runs.items():
                progress(f"{name.capitalize()}: round {number + 1} of {size.core_rounds}, {size.orders} orders.")
                tag = f"{name}-{number}"
                rounds.append(run_core(stack, size.orders, tag) if name == "core" else floor.run(size.orders, tag))
                _tell(rounds[-1])
        if "core" in sections:
            memory = Processes(stack.pids()).memory_mib()
    figures = {name: report.of_runs(rounds) for name, rounds in runs.items()}
    if "core" in figures:
        figures["core"]["memory_mib"] = memory
    return figures


def _tell(run: Run) -> None:
    progress(f"  {run.orders_per_second:.1f} orders per second, {run.cpu_ms_in_all:.2f} CPU ms per order")


def _sections(text: str) -> set[str]:
    chosen = {name.strip() for name in text.split(",") if name.strip()}
    if not chosen or chosen - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"any of {','.join(SECTIONS)}")
    return chosen


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", type=_sections, default=set(SECTIONS), metavar="SECTIONS", help="some of them, with commas between"
    )
    parser.add_argument("--orders", type=int, default=2000, metavar="N", help="orders in a measured round of 1 to 3 (2000)")
    parser.add_argument("--small", action="store_true", help="a few orders of everything, to see that it works; measures nothing")
    parser.add_argument("--json", type=Path, default=FOLDER / "bench.json", metavar="FILE", help="where the figures go")
    options = parser.parse_args(words)
    if options.orders < 1:
        parser.error("--orders: at least 1")
    return options


def main(words: list[str] | None = None) -> None:
    """Measure, print and write. Ends with 1 where something did not work; the figures found until then are told all the same."""
    options = _arguments(words)
    size = SMALL if options.small else full(options.orders)
    started = time.monotonic()
    figures: dict[str, Any] = {"machine": report.of_machine(), "hops": report.of_hops(), "is_small": options.small}
    failure = None
    try:
        if options.only - {"scan"}:
            with bench_stack(progress) as stack:
                measure(stack, options.only, size, figures)
        if "scan" in options.only:
            progress("Scan: one file, read again and again.")
            figures["scan"] = measure_scan(*((4, 1) if options.small else (192, 5)))
    except KeyboardInterrupt:
        sys.exit("The bench was interrupted; nothing of it runs any more.")
    except FAILURES as error:
        failure = figures["failure"] = f"{type(error).__name__}: {error}"
    figures["seconds"] = round(time.monotonic() - started)
    figures["bars"] = report.bars(figures)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(report.table(figures))
    progress(f"\nAll figures: {options.json}, after {figures['seconds']} s.")
    if failure:
        sys.exit(f"The bench did not come to its end. {failure}")


if __name__ == "__main__":
    main()
