"""The steps of a message and of a call, by name: places where a process may die, and where a test has it die.

    received ▸ read ▸ claimed ▸ handled ▸ rows_written ▸ endings_written ▸ events_written ▸ committed
             ▸ publishing ▸ published ▸ confirmed ▸ forgotten          and beside it    acknowledging ▸ acknowledged
    call_begun ▸ call_answered ▸ outcome_submitted ▸ (as above) outcome_committed
    taken_up_again: what another process left behind

Each place says `reach("…")`, which does nothing unless the process was started to die there (`DIE_AT=committed:3`: at the third time) or to
note which steps it reached (`STEPS_FILE`). Both are for tests: a process that is killed at any of these loses nothing and repeats no effect.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

MESSAGE_STEPS = (
    "received",
    "read",
    "claimed",
    "handled",
    "rows_written",
    "endings_written",
    "events_written",
    "committed",
    "publishing",
    "published",
    "confirmed",
    "forgotten",
    "acknowledging",
    "acknowledged",
)
CALL_STEPS = ("call_begun", "call_answered", "outcome_submitted", "outcome_committed")
SWEEP_STEPS = ("taken_up_again",)
STEPS = (*MESSAGE_STEPS, *CALL_STEPS, *SWEEP_STEPS)

DIE_AT = "DIE_AT"
STEPS_FILE = "STEPS_FILE"


def _nothing(_step: str) -> None:
    return None


class _Watch:
    """Counts steps; kills the process at one of them, as a power cut would."""

    def __init__(self, die_at: str, noted_in: Path | None) -> None:
        step, colon, times = die_at.partition(":")
        if die_at and (step not in STEPS or (colon and (not times.isdecimal() or int(times) == 0))):
            raise ValueError(f"{DIE_AT} is the name of a step, and how many times it is reached: committed:3")
        self._step, self._times = step, int(times or 1)
        self._noted_in = noted_in
        self._reached: Counter[str] = Counter()

    def __call__(self, step: str) -> None:
        self._reached[step] += 1
        if self._noted_in is not None and self._reached[step] == 1:
            with self._noted_in.open("a") as file:
                file.write(f"{step}\n")
        if step == self._step and self._reached[step] == self._times:
            os.kill(os.getpid(), signal.SIGKILL)


_watch: Callable[[str], None] = _nothing


def watch(environ: Mapping[str, str]) -> None:
    """Read from the environment whether to die or to note. Raises ValueError for a step that there is not."""
    global _watch  # noqa: PLW0603 - one watch for a process, set once at its start
    die_at, noted_in = environ.get(DIE_AT, ""), environ.get(STEPS_FILE)
    _watch = _Watch(die_at, Path(noted_in) if noted_in else None) if die_at or noted_in else _nothing


def reach(step: str) -> None:
    """This process has come to this step."""
    _watch(step)
