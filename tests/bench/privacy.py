"""Section 5: what privacy costs an order, as the core with it less the core with its personal parts in the clear.

With it: boxes are unsealed and their parts checked, put into envelopes under keys of their own, which are wrapped and written to the
keyring; each opening is decided and written down; a label's paper goes into an envelope. Without it (`parts_in_the_clear`): none of that.
The event still carries a box, which orders passes on unread as it would pass on the part. Rounds take turns, and the services start anew for
each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.bench.core import MODULES, run_core
from tests.bench.hops import COURSE
from tests.bench.pipeline import Run
from tests.bench.stack import BenchStack

WITH, WITHOUT = "with", "without"
_MODULES: Mapping[str, Mapping[str, str]] = {
    WITH: MODULES,
    WITHOUT: {service: f"tests.bench.parts_in_the_clear.{service}" for service in MODULES},
}


def measure_privacy(
    stack: BenchStack, *, orders: int, warm_up: int, rounds: int, progress: Callable[[str], None]
) -> dict[str, list[Run]]:
    """The rounds of each kind. Raises NothingMoves, StartError."""
    found: dict[str, list[Run]] = {kind: [] for kind in _MODULES}
    for number in range(rounds):
        for kind, modules in _MODULES.items():
            stack.play(f"privacy_{kind}", modules)
            run_core(stack, warm_up, f"privacy-{kind}-{number}-w")
            run = run_core(stack, orders, f"privacy-{kind}-{number}")
            found[kind].append(run)
            progress(
                f"Privacy: round {number + 1} of {rounds}, {kind} it: {services_ms(run):.2f} CPU ms per order in the services, "
                f"{run.cpu_ms_in_all:.2f} in all"
            )
    return found


def services_ms(run: Run) -> float:
    """CPU per order of the four services."""
    return sum(run.cpu_ms_per_order[service] for service in COURSE)
