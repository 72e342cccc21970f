"""A member of staff, and how the policy in force stands with them. Plain rules; time is an argument (clauses 46, 48, 49)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")
"""A staff name, as it is typed at the door; no e-mail address."""


@dataclass(frozen=True, slots=True)
class Member:
    """`account` is what the record of openings says instead of the name."""

    account: str
    name: str
    role: str
    is_active: bool
    secret_hash: str = field(repr=False)


class Knowledge(StrEnum):
    MISSING = "missing"
    GOOD = "good"
    DUE = "due"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Period:
    """After how long an acknowledgement is due again, and for how long after that it still counts."""

    every: timedelta
    grace: timedelta


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """That a member has read a version of the policy, and when."""

    policy_version: str
    at: datetime


def knowledge(last: Acknowledged | None, version: str, at: datetime, period: Period) -> Knowledge:
    """How the version in force stands with a member: another version's acknowledgement is none."""
    if last is None or last.policy_version != version:
        return Knowledge.MISSING
    if at < last.at + period.every:
        return Knowledge.GOOD
    return Knowledge.DUE if at < last.at + period.every + period.grace else Knowledge.OVERDUE


def due_at(last: Acknowledged | None, version: str, period: Period) -> datetime | None:
    """When the version in force is to be acknowledged again; None where it is now."""
    return last.at + period.every if last is not None and last.policy_version == version else None


def may_see(known: Knowledge) -> bool:
    """Whether somebody who stands so may see anything of a person."""
    return known in (Knowledge.GOOD, Knowledge.DUE)
