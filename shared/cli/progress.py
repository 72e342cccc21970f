"""The live picture of a run: bars where there is a terminal, a plain line now and then where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

STAGES = (
    "published",
    "accepted",
    "refused",
    "declined",
    "authorised",
    "picked",
    "packed",
    "labelled",
    "captured",
    "handed over",
    "dispatched",
    "delivered",
    "completed",
    "mails",
)
_PLAIN_EVERY_SECONDS = 5.0


class Picture:
    """Shows counts per stage against what is expected. A context manager; `note` adds a sentence below or between."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._last_line = ""
        self._last_at = float("-inf")

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def note(self, text: str) -> None:
        """Print a sentence; in a terminal it stands above the bars."""
        self._console.print(text, markup=False)

    def show(self, counts: Mapping[str, int], expected: Mapping[str, int]) -> None:
        """Show the counts now. Without a terminal a line is printed only when it says something new, and not too often."""
        if self._live:
            self._live.update(_bars(counts, expected))
            return
        line = "  ".join(f"{stage} {counts[stage]}" for stage in STAGES if counts.get(stage))
        if line != self._last_line and self._clock() - self._last_at >= _PLAIN_EVERY_SECONDS:
            self._last_line, self._last_at = line, self._clock()
            self.note(line)


def _bars(counts: Mapping[str, int], expected: Mapping[str, int]) -> Table:
    table = Table.grid(padding=(0, 1))
    for stage in STAGES:
        number, total = counts.get(stage, 0), expected.get(stage)
        bar = ProgressBar(total=max(total, 1), completed=min(number, total), width=40) if total is not None else ""
        table.add_row(stage, bar, f"{number}/{total}" if total is not None else str(number))
    return table
