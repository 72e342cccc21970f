"""The figures as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NOISY_PERCENT = 10
_TITLES = {
    "pipeline": "1  The whole pipeline",
    "core": "2  The core: the outside parties answer from memory",
    "floor": "3  The floor: bare py-amqp and psycopg, the same hops",
}
PACED = {
    "placed_to_authorised": "from placed to payment authorised",
    "label_to_dispatch_mail": "from label asked for to dispatch mail accepted",
}
Figures = Mapping[str, Any]


def table(figures: Figures) -> str:
    machine, hops = figures["machine"], figures["hops"]
    lines = [
        f"{machine['cores']} cores, {machine['cpu']}; Python {machine['python']}; {machine['postgresql']}",
        f"One order: {hops['handled_per_order']} things handled in transactions, {hops['published_per_order']} published.",
    ]
    if figures["is_small"]:
        lines.append("A small run, to see that it works: it measures nothing.")
    for name, title in _TITLES.items():
        if section := figures.get(name):
            lines += ["", title, *_rates(section), *_paced(section.get("paced")), *_processes(section)]
    if growth := figures.get("growth"):
        lines += ["", "4  Growth: the core with finished orders in its tables", *_growth(growth)]
    if privacy := figures.get("privacy"):
        lines += ["", "5  Privacy: the core with parts under keys, and with parts in the clear", *_privacy(privacy)]
    if scan := figures.get("scan"):
        rounds = ", ".join(f"{rate:g}" for rate in scan["by_round"])
        lines += [
            "",
            "6  The scan of the privacy proof",
            f"   {scan['megabytes_per_second']:8.1f} MB per second   rounds: {rounds}",
        ]
    lines += ["", "Bars"]
    for bar in figures["bars"]:
        lines.append(f"   {'met    ' if bar['met'] else 'NOT MET'}  {bar['what']}: {bar['value']:g}{bar['unit']} ({bar['bar']})")
    if _is_noisy(figures):
        lines += [
            "",
            "Others had more than a tenth of this machine's cores in some round: read CPU per order, and take rates and latencies again.",
        ]
    return "\n".join(lines)


def _rates(section: Figures) -> list[str]:
    rates = ", ".join(f"{rate:g}" for rate in section["orders_per_second_by_round"])
    others = ", ".join(f"{percent:.0f}" for percent in section["others_percent_by_round"])
    lead = f"   {section['orders_per_second']:8.1f} orders per second"
    return [
        f"{lead}   rounds of {section['orders_per_round']}: {rates}; others had {others} % of the cores",
        f"   {section['orders_per_second_allowed_by_cpu']:8.1f} would be all that the cores' CPU allows",
    ]


def _paced(paced: Figures | None) -> list[str]:
    if paced is None:
        return []
    lines = []
    for name, what in PACED.items():
        told = paced[name]
        lines.append(f"   {told['p50_ms']:8.1f} ms p50, {told['p99_ms']:.1f} ms p99   {what}")
    others = paced["others_percent_by_round"][0]
    lines.append(
        f"            at {paced['pace']} orders a second, {told['orders']} orders, {paced['cpu_ms_per_order_in_all']:.2f} CPU ms per order; "
        f"others had {others:.0f} % of the cores"
    )
    return lines


def _processes(section: Figures) -> list[str]:
    memory, batches = section.get("memory_mib", {}), section["batch_mean"]
    lines = [f"   {'process':14}{'CPU ms/order':>13}{'peak MiB':>10}{'batch':>8}"]
    for name, ms in section["cpu_ms_per_order"].items():
        held = f"{memory[name]:10.1f}" if name in memory else " " * 10
        batch = f"{batches[name]:8.1f}" if name in batches else ""
        lines.append(f"   {name:14}{ms:13.2f}{held}{batch}".rstrip())
    lines.append(f"   {'in all':14}{section['cpu_ms_per_order_in_all']:13.2f}   without the bench itself")
    lines.append(f"   {'write-ahead':14}{section['log_kib_per_order']:13.1f}   KiB of PostgreSQL's log per order")
    return lines


def _growth(growth: Figures) -> list[str]:
    sizes = growth["finished_orders"]
    lines = [
        f"   {'finished orders':>16}{'orders/s':>10}{'CPU ms/order':>14}{'of it data':>12}{'log KiB':>10}   rounds' CPU; others' share"
    ]
    for size, told in sizes.items():
        rounds = ", ".join(f"{ms:g}" for ms in told["cpu_ms_per_order_in_all_by_round"])
        others = ", ".join(f"{percent:.0f}" for percent in told["others_percent_by_round"])
        lines.append(
            f"   {int(size):16,}{told['orders_per_second']:10.1f}{told['cpu_ms_per_order_in_all']:14.2f}"
            f"{told['cpu_ms_per_order']['data']:12.2f}{told['log_kib_per_order']:10.1f}   {rounds}; {others} %"
        )
    for size, told in sizes.items():
        for service, rows in told["rows"].items():
            counts = ", ".join(f"{name} {count:,}" for name, count in rows.items())
            lines.append(f"   {int(size):16,} {service}: {counts}")
    memory = growth["memory_mib_after_orders"]
    lines.append(f"   {'MiB at rest (peak) after':28}" + "".join(f"{int(done):>12,} orders" for done in memory))
    for name in next(iter(memory.values()))["at_rest"]:
        held = (f"{told['at_rest'][name]:.1f} ({told['peak'][name]:.1f})" for told in memory.values())
        lines.append(f"   {name:28}" + "".join(f"{one:>19}" for one in held))
    return lines


def _privacy(privacy: Figures) -> list[str]:
    lines = [f"   {'process':14}{'with':>10}{'without':>10}   CPU ms per order"]
    for name, ms in privacy["with"]["cpu_ms_per_order"].items():
        lines.append(f"   {name:14}{ms:10.2f}{privacy['without']['cpu_ms_per_order'][name]:10.2f}")
    for kind in ("with", "without"):
        rounds = ", ".join(f"{ms:g}" for ms in privacy["services_ms_by_round"][kind])
        others = ", ".join(f"{percent:.0f}" for percent in privacy[kind]["others_percent_by_round"])
        lines.append(f"   the services' rounds {kind} it: {rounds}; others had {others} % of the cores")
    over, in_all = privacy["added_ms_per_order_over_services"], privacy["added_ms_per_order_in_all"]
    return [*lines, f"   added: {over:.2f} ms over all services, {in_all:.2f} ms with broker and databases"]


def _is_noisy(figures: Figures) -> bool:
    """Whether somebody else had a tenth of the machine in some round."""
    sections: list[Figures] = [figures[name] for name in _TITLES if name in figures]
    sections += figures.get("growth", {}).get("finished_orders", {}).values()
    sections += [figures["privacy"][kind] for kind in ("with", "without") if "privacy" in figures]
    rounds: Sequence[float] = [percent for section in sections for percent in section["others_percent_by_round"]]
    return any(percent > _NOISY_PERCENT for percent in rounds)
