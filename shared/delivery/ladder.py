"""The ladder of growing delays between tries."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

DEFAULT_RUNGS_SECONDS = (
    1.0,
    3.0,
    10.0,
    30.0,
    120.0,
    600.0,
    1800.0,
    3600.0,
    3 * 3600.0,
    6 * 3600.0,
    6 * 3600.0,
    12 * 3600.0,
    24 * 3600.0,
)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Delays in seconds, one per try, each spread by ±`jitter` so that what failed together does not come back together."""

    rungs_seconds: tuple[float, ...] = DEFAULT_RUNGS_SECONDS
    jitter: float = 0.2

    @property
    def longest(self) -> timedelta:
        """How long all tries together may take."""
        return timedelta(seconds=sum(self.rungs_seconds) * (1 + self.jitter))

    def delay(self, tries: int) -> timedelta:
        """How long to wait after this many tries (1 after the first); the last rung for ever."""
        rung = self.rungs_seconds[min(max(tries, 1), len(self.rungs_seconds)) - 1]
        return timedelta(seconds=rung * random.uniform(1 - self.jitter, 1 + self.jitter))

    def is_over(self, tries: int) -> bool:
        """Whether this many tries were all that the ladder has."""
        return tries > len(self.rungs_seconds)
