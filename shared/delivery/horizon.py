"""How far back a repeat is known, and what that makes of a message's own time.

The inbox is cleared, so a claim is not there for ever. What is older than the horizon is not taken up: it may have been done before, and nobody
knows any more. What is written for more than `MOST_AHEAD` from now is not taken up either: it would outlive its claim. So a message written
at W and claimed at C has W <= C + MOST_AHEAD. Its repeat is taken up until W + behind at most; its claim stands until
C + behind + MOST_AHEAD + CLOCKS. Clocks of two machines may differ by `CLOCKS`, and no repeat gets through.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MOST_AHEAD = timedelta(days=1)
CLOCKS = timedelta(days=1)
TOO_OLD = "too_old"
TIME_AHEAD = "time_ahead"


@dataclass(frozen=True, slots=True)
class Horizon:
    """`behind` is how old a message may be when it is taken up for the first time."""

    behind: timedelta

    def code_of(self, written_at: datetime, at: datetime) -> str | None:
        """Why what was written then is not taken up now; None where it is. Both times are aware."""
        if written_at < at - self.behind:
            return TOO_OLD
        return TIME_AHEAD if written_at > at + MOST_AHEAD else None

    def claims_kept_since(self, at: datetime) -> datetime:
        """Claims taken before this may be forgotten: no repeat of theirs is taken up any more."""
        return at - self.behind - MOST_AHEAD - CLOCKS
