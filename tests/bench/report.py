"""The figures, as they go into the JSON file: medians over rounds, and each bar beside what was measured."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from deploy.local import postgres
from deploy.local.stack import ROOT
from tests.bench.growth import Grown
from tests.bench.hops import COURSE, HOPS_PER_ORDER, SAID_PER_ORDER
from tests.bench.paced import Latencies
from tests.bench.pipeline import Run
from tests.bench.privacy import WITH, WITHOUT, services_ms
from tests.bench.table import PACED, table

Figures = dict[str, Any]
PIPELINE_BAR, CORE_BAR, RATIO_BAR, P99_BAR_MS, GROWTH_BAR_PERCENT = 116, 225, 0.5, 70, 10
PRIVACY_BAR_MS = 1.0
SCAN_BAR_MEGABYTES = 100


def of_runs(runs: Sequence[Run]) -> Figures:
    """Medians over rounds of the same kind, and every round's rate."""
    names = runs[0].cpu_ms_per_order
    return {
        "orders_per_round": runs[0].orders,
        "orders_per_second": round(statistics.median(run.orders_per_second for run in runs), 1),
        "orders_per_second_allowed_by_cpu": round(statistics.median(run.allowed_by_cpu for run in runs), 1),
        "orders_per_second_by_round": [round(run.orders_per_second, 1) for run in runs],
        "cpu_ms_per_order": {name: round(statistics.median(run.cpu_ms_per_order[name] for run in runs), 2) for name in names},
        "cpu_ms_per_order_in_all": round(statistics.median(run.cpu_ms_in_all for run in runs), 2),
        "cpu_ms_per_order_in_all_by_round": [round(run.cpu_ms_in_all, 2) for run in runs],
        "log_kib_per_order": round(statistics.median(run.log_kib_per_order for run in runs), 1),
        "others_percent_by_round": [round(run.others_percent, 1) for run in runs],
        "batch_mean": {name: round(statistics.median(run.batch_mean[name] for run in runs), 1) for name in runs[0].batch_mean},
    }


def of_paced(latencies: Latencies, pace: float) -> Figures:
    run = of_runs([latencies.run])
    return {
        "pace": pace,
        "placed_to_authorised": of_latencies(latencies.placed_to_authorised),
        "label_to_dispatch_mail": of_latencies(latencies.label_to_dispatch_mail),
        **{name: run[name] for name in ("cpu_ms_per_order", "cpu_ms_per_order_in_all", "others_percent_by_round", "batch_mean")},
    }


def of_latencies(milliseconds: Sequence[float]) -> Figures:
    """p50 and p99 by nearest rank, and the worst."""
    ordered = sorted(milliseconds)

    def at(percent: int) -> float:
        return round(ordered[-(-len(ordered) * percent // 100) - 1], 1)

    return {"orders": len(ordered), "p50_ms": at(50), "p99_ms": at(99), "worst_ms": round(ordered[-1], 1)}


def of_growth(grown: Grown) -> Figures:
    return {
        "finished_orders": {
            str(size): {
                **of_runs(runs),
                "rows": {service: {one.table: one.after for one in tables} for service, tables in grown.rows[size].items()},
            }
            for size, runs in grown.runs.items()
        },
        "memory_mib_after_orders": {
            str(done): {"at_rest": at_rest, "peak": peak} for done, (at_rest, peak) in grown.memory_mib.items()
        },
    }


def of_privacy(runs: Mapping[str, Sequence[Run]]) -> Figures:
    """Both kinds, and by how much the medians differ: over the services, and with the servers."""
    medians = {kind: statistics.median(map(services_ms, them)) for kind, them in runs.items()}
    in_all = {kind: statistics.median(run.cpu_ms_in_all for run in them) for kind, them in runs.items()}
    return {
        **{kind: of_runs(them) for kind, them in runs.items()},
        "added_ms_per_order_over_services": round(medians[WITH] - medians[WITHOUT], 2),
        "added_ms_per_order_in_all": round(in_all[WITH] - in_all[WITHOUT], 2),
        "services_ms_by_round": {kind: [round(services_ms(run), 2) for run in them] for kind, them in runs.items()},
    }


def of_machine() -> Figures:
    """What the figures were taken on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said_by("git", "rev-parse", "HEAD"),
        "changed_since_commit": bool(_said_by("git", "status", "--porcelain", "--untracked-files=no")),
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "python": platform.python_version(),
        "postgresql": _said_by(str((postgres.find_programs() or ROOT) / "postgres"), "--version"),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
    }


def of_hops() -> Figures:
    return {"handled_per_order": HOPS_PER_ORDER, "published_per_order": SAID_PER_ORDER}


def bars(figures: Mapping[str, Any]) -> list[Figures]:
    """Each bar beside what was measured, and whether it is met; without those whose section did not run."""
    found: list[Figures] = []

    def bar(what: str, value: float, wanted: float, *, at_most: bool = False, unit: str = "") -> None:
        met = value <= wanted if at_most else value >= wanted
        said = f"at {'most' if at_most else 'least'} {wanted:g}{unit}"
        found.append({"what": what, "value": value, "unit": unit, "bar": said, "met": met})

    pipeline, core, floor, growth = (figures.get(name) for name in ("pipeline", "core", "floor", "growth"))
    if pipeline:
        bar("1 pipeline, orders per second", pipeline["orders_per_second"], PIPELINE_BAR)
        for name, what in PACED.items():
            p99_ms = pipeline["paced"][name]["p99_ms"]
            bar(f"1 {what}, p99 at {pipeline['paced']['pace']} a second", p99_ms, P99_BAR_MS, at_most=True, unit=" ms")
    if core:
        bar("2 core, orders per second", core["orders_per_second"], CORE_BAR)
    if core and floor:
        # Each round beside the one that took turns with it: what the machine did meanwhile met both.
        turns = zip(core["orders_per_second_by_round"], floor["orders_per_second_by_round"], strict=True)
        ratio = round(statistics.median(ours / bare for ours, bare in turns), 3)
        bar("2 core, share of the floor's rate", ratio, RATIO_BAR)
    if growth:
        sizes = growth["finished_orders"]
        none, most = sizes[min(sizes, key=int)], sizes[max(sizes, key=int)]
        dearer = _more_percent(none["cpu_ms_per_order_in_all"], most["cpu_ms_per_order_in_all"])
        bar("4 growth, CPU per order dearer with most finished orders", dearer, GROWTH_BAR_PERCENT, at_most=True, unit=" %")
        early, late = (
            growth["memory_mib_after_orders"][done]["at_rest"] for done in sorted(growth["memory_mib_after_orders"], key=int)
        )
        larger = max(_more_percent(early[service], late[service]) for service in COURSE)
        bar("4 growth, memory of the service that grew most", larger, GROWTH_BAR_PERCENT, at_most=True, unit=" %")
    if privacy := figures.get("privacy"):
        added = privacy["added_ms_per_order_over_services"]
        bar("5 privacy, CPU per order over all services", added, PRIVACY_BAR_MS, at_most=True, unit=" ms")
    if scan := figures.get("scan"):
        bar("6 scan, megabytes per second", scan["megabytes_per_second"], SCAN_BAR_MEGABYTES)
    return found


def _more_percent(before: float, after: float) -> float:
    return round(100 * (after / before - 1), 1)


def _said_by(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


__all__ = ["bars", "of_growth", "of_hops", "of_machine", "of_paced", "of_privacy", "of_runs", "table"]
