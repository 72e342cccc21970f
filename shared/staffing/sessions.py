"""A member's session at a door: it locks itself when nobody acts, and ends by itself. Plain rules; time is an argument (clause 47)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Standing(StrEnum):
    OPEN = "open"
    LOCKED = "locked"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Limits:
    """After how long without an action a session locks, and after how long it is over whatever happens."""

    idle: timedelta
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """`acted_at` is the last action of a person. A lock stays until the password is given, whatever the clock says meanwhile."""

    account: str
    begun_at: datetime
    acted_at: datetime
    locked_at: datetime | None = None

    def standing(self, at: datetime, limits: Limits) -> Standing:
        """What the session is good for at this time."""
        if at - self.begun_at >= limits.lifetime:
            return Standing.OVER
        if self.locked_at is not None or at - self.acted_at >= limits.idle:
            return Standing.LOCKED
        return Standing.OPEN

    def acted(self, at: datetime, limits: Limits) -> Session:
        """Somebody acted. Nothing comes of it where the session is not open: a lock is not slid away."""
        return replace(self, acted_at=max(at, self.acted_at)) if self.standing(at, limits) is Standing.OPEN else self

    def locked(self, at: datetime) -> Session:
        """Locked by hand, or found locked; the first time stands."""
        return self if self.locked_at is not None else replace(self, locked_at=at)

    def unlocked(self, at: datetime, limits: Limits) -> Session:
        """The password was given. What is over stays over."""
        return self if self.standing(at, limits) is Standing.OVER else replace(self, acted_at=at, locked_at=None)

    def ends_at(self, limits: Limits) -> datetime:
        """When it is over whatever happens."""
        return self.begun_at + limits.lifetime


# ── tries of a password ──────────────────────────────────────────────────────────────────────────────────────────────────────

FREE_TRIES = 3
_LONGEST_WAIT = timedelta(minutes=15)


def wait_after(failures: int) -> timedelta:
    """How long nobody is heard under a name after so many failures in a row: nothing at first, then twice as long each time, 15 min at most."""
    if failures < FREE_TRIES:
        return timedelta(0)
    return min(_LONGEST_WAIT, timedelta(seconds=2 ** min(failures - FREE_TRIES, 12)))
