"""A canary where it must not be is an incident: orders is told of the place and of the fields, never of a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.cli.incidents import CANARY_HIT, notice
from shared.cli.settings import Settings
from shared.policy import Policy
from tests.proof.expectations import Row


def raise_alarm(
    settings: Settings, policy: Policy, rows: Sequence[Row], tell: Callable[[Settings, Mapping[str, Any]], Any] = notice
) -> list[int]:
    """Open an incident for each place with a leak; their numbers. Raises NotDone where orders does not answer.

    What is no field of a part (`never.*`, a marker that was cut off) is a hit of the place alone.
    """
    known = {f"{part}.{name}" for part, its in policy.parts.items() for name in its.fields}
    numbers = []
    for row in rows:
        leaks = [fault for fault in row.faults if fault.kind == "leak"]
        if leaks:
            fields = sorted({fault.field for fault in leaks} & known)
            numbers.append(int(tell(settings, {"kind": CANARY_HIT, "place": row.place, "fields": fields})["number"]))
    return numbers
