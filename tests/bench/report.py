"""The figures as JSON and as a table, each beside its bar."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psutil

from deploy.local import postgres
from deploy.local.stack import ROOT
from tests.bench.hops import HOPS_PER_ORDER, SAID_PER_ORDER
from tests.bench.pipeline import Run

Figures = dict[str, Any]
PIPELINE_BAR, CORE_BAR, RATIO_BAR, P99_BAR_MS, DEARER_BAR_PERCENT = 116, 225, 0.5, 70, 10
_NOISY_PERCENT = 10


def of_runs(runs: Sequence[Run]) -> Figures:
    """Medians over rounds of the same kind, and every round's rate."""
    names = runs[0].cpu_ms_per_order
    return {
        "orders_per_round": runs[0].orders,
        "orders_per_second": round(statistics.median(run.orders_per_second for run in runs), 1),
        "orders_per_second_by_round": [round(run.orders_per_second, 1) for run in runs],
        "cpu_ms_per_order": {name: round(statistics.median(run.cpu_ms_per_order[name] for run in runs), 2) for name in names},
        "cpu_ms_per_order_in_all": round(statistics.median(run.cpu_ms_in_all for run in runs), 2),
        "others_percent_by_round": [round(run.others_percent, 1) for run in runs],
        "batch_mean": {name: round(statistics.median(run.batch_mean[name] for run in runs), 1) for name in runs[0].batch_mean},
    }


def of_latencies(milliseconds: Sequence[float]) -> Figures:
    """p50 and p99 (nearest rank), and the worst."""
    ordered = sorted(milliseconds)

    def at(share: float) -> float:
        return round(ordered[max(0, -(-len(ordered) * share // 1) - 1).__int__()], 1)

    return {"orders": len(ordered), "p50_ms": at(0.5), "p99_ms": at(0.99), "worst_ms": round(ordered[-1], 1)}


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

    def bar(section: str, what: str, value: float, wanted: float, *, at_most: bool = False, unit: str = "") -> None:
        met = value <= wanted if at_most else value >= wanted
        said = f"at {'most' if at_most else 'least'} {wanted}{unit}"
        found.append({"section": section, "what": what, "value": value, "unit": unit, "bar": said, "met": met})

    pipeline, core, floor = (figures.get(name) for name in ("pipeline", "core", "floor"))
    if pipeline:
        bar("pipeline", "whole pipeline, orders per second", pipeline["orders_per_second"], PIPELINE_BAR)
        for name, what in (
            ("placed_to_authorised", "placed to authorised"),
            ("label_to_dispatch_mail", "label to dispatch mail"),
        ):
            told = pipeline["paced"][name]["p99_ms"]
            bar("pipeline", f"{what}, p99 at {pipeline['paced']['pace']} a second", told, P99_BAR_MS, at_most=True, unit=" ms")
    if core:
        bar("core", "messaging core, orders per second", core["orders_per_second"], CORE_BAR)
    if core and floor:
        ratio = round(core["orders_per_second"] / floor["orders_per_second"], 2)
        bar("core", "messaging core, share of the floor's rate", ratio, RATIO_BAR)
    return found


def table(figures: Mapping[str, Any]) -> str:
    """What a person reads."""
    lines: list[str] = []
    machine = figures["machine"]
    lines.append(f"{machine['cores']} cores, {machine['cpu']}; Python {machine['python']}; {machine['postgresql']}")
    hops = figures["hops"]
    lines.append(
        f"One order: {hops['handled_per_order']} things handled in transactions, {hops['published_per_order']} published."
    )
    for section, title in (
        ("pipeline", "1  The whole pipeline"),
        ("core", "2  The core: outside parties answer from memory"),
        ("floor", "3  The floor: bare py-amqp and psycopg, the same hops"),
    ):
        if section in figures:
            lines += ["", title, *_rate_lines(figures[section])]
            if "paced" in figures[section]:
                lines += _paced_lines(figures[section]["paced"])
            lines += _process_lines(figures[section])
    lines += ["", *_bar_lines(figures["bars"])]
    if figures.get("noisy"):
        lines += [
            "",
            "Others used this machine meanwhile (last column of the rates): rates and latencies suffer, CPU per order less.",
        ]
    return "\n".join(lines)


def is_noisy(figures: Mapping[str, Any]) -> bool:
    """Whether somebody else had a tenth of the machine in some round."""
    sections = [figures[name] for name in ("pipeline", "core", "floor") if name in figures]
    return any(percent > _NOISY_PERCENT for section in sections for percent in section["others_percent_by_round"])


def _rate_lines(section: Mapping[str, Any]) -> list[str]:
    rates = ", ".join(f"{rate:g}" for rate in section["orders_per_second_by_round"])
    others = ", ".join(f"{percent:.0f} %" for percent in section["others_percent_by_round"])
    count, rate = section["orders_per_round"], section["orders_per_second"]
    return [f"   {rate:8.1f} orders per second, median of rounds of {count}: {rates}   (of the cores, others had {others})"]


def _paced_lines(paced: Mapping[str, Any]) -> list[str]:
    lines = [f"   at {paced['pace']} orders a second:"]
    for name, what in (
        ("placed_to_authorised", "from placed to payment authorised"),
        ("label_to_dispatch_mail", "from label asked for to dispatch mail accepted"),
    ):
        told = paced[name]
        lines.append(f"   {told['p50_ms']:8.1f} ms p50 {told['p99_ms']:8.1f} ms p99   {what}, {told['orders']} orders")
    return lines


def _process_lines(section: Mapping[str, Any]) -> list[str]:
    memory, batches = section.get("memory_mib", {}), section.get("batch_mean", {})
    lines = [f"   {'process':14}{'CPU ms/order':>13}{'peak MiB':>10}{'batch':>8}"]
    for name, ms in section["cpu_ms_per_order"].items():
        held = f"{memory[name]:10.1f}" if name in memory else " " * 10
        batch = f"{batches[name]:8.1f}" if name in batches else ""
        lines.append(f"   {name:14}{ms:13.2f}{held}{batch}")
    lines.append(f"   {'in all':14}{section['cpu_ms_per_order_in_all']:13.2f}   (without the bench itself)")
    return lines


def _bar_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["Bars"]
    for bar in found:
        value = f"{bar['value']:g}{bar['unit']}"
        lines.append(f"   {'met    ' if bar['met'] else 'NOT MET'} {bar['what']}: {value} ({bar['bar']})")
    return lines


def _said_by(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    except OSError:
        return platform.machine()
