"""An incident: open, investigated, reported, closed; and its report, which says what got out and who is to be told (clauses 51, 52, 54; A-09).

open ─▶ investigated ─▶ reported ─▶ closed
                └─────────────────────▶ closed, where nobody is to be told
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.contracts.errors import Fault, Refused
from shared.policy.document import Policy
from shared.policy.exposure import INCIDENT_CLAUSES, Exposed, Exposure, clauses_of_part

CANARY_HIT, LIVE_DIFFERENCE, EXPOSURE = "canary_hit", "live_difference", "exposure"
ERASED = "customer_erased"
_FACTS = {"order_accepted": "accepted"}  # where an event is called otherwise among an order's facts
_FACTLESS = frozenset({"friend_referred", "friend_invited", "special_request_submitted", "special_request_answered"})


class State(StrEnum):
    OPEN = "open"
    INVESTIGATED = "investigated"
    REPORTED = "reported"
    CLOSED = "closed"


@dataclass(slots=True)
class Incident:
    """One thing that must not be, in one place."""

    number: int
    service: str
    kind: str
    place: str
    noticed_at: datetime
    state: State
    report: dict[str, Any] | None

    @property
    def must_be_told(self) -> bool:
        """Whether an authority or the people are to be told, as far as is known."""
        return self.report is not None and (self.report["told"]["authority"] or self.report["told"]["people"])

    def move(self, to: State) -> None:
        """Go on to a state. Raises Refused where something comes before it."""
        if self.state is State.CLOSED:
            raise Refused([Fault("incident_closed")])
        match to:
            case State.INVESTIGATED if self.state is not State.OPEN:
                raise Refused([Fault("incident_investigated_before")])
            case State.REPORTED if self.state is not State.INVESTIGATED:
                raise Refused([Fault("incident_not_investigated" if self.state is State.OPEN else "incident_reported_before")])
            case State.REPORTED if self.report is None:
                raise Refused([Fault("incident_without_report")])
            case State.CLOSED if self.state is State.OPEN:
                raise Refused([Fault("incident_not_investigated")])
            case State.CLOSED if self.state is State.INVESTIGATED and self.must_be_told:
                raise Refused([Fault("incident_not_reported")])
        self.state = to


@dataclass(frozen=True, slots=True)
class Window:
    """When a part of an order stands somewhere: from its placing until `days` after the last of these facts; without days for good."""

    part: str
    facts: tuple[str, ...]
    days: int | None


@dataclass(frozen=True, slots=True)
class People:
    """How many: persons who are known by a number, and orders of persons who were erased since, each of at most one more."""

    persons: int
    erased_orders: int


def windows_of(policy: Policy, parts: Iterable[str]) -> list[Window]:
    """How long each part of an order stands anywhere by the policy, a window for each rule. What comes with no order has none."""
    found: dict[Window, None] = {}
    for part in sorted(set(parts)):
        rules = [hold.retention for hold in policy.holds.values() if hold.part == part and hold.retention is not None]
        for rule in rules:
            if _FACTLESS & set(rule.after):
                continue  # it comes with no order: orders has no fact by which to count it
            is_for_good = ERASED in rule.after or rule.days is None
            facts = () if is_for_good else tuple(sorted(_FACTS.get(event, event) for event in rule.after))
            found[Window(part, facts, None if is_for_good else rule.days)] = None
    return list(found)


def report_of(
    policy: Policy,
    exposure: Exposure,
    found: Sequence[Exposed],
    people: Mapping[str, People],
    everybody: People,
    *,
    since: datetime,
    until: datetime,
    with_keyring: bool,
    with_master: bool,
) -> dict[str, Any]:
    """What got out within the window, as a document that is the same for the same facts. `people` is by part.

    What stands sealed can be read only by who has the wrapped keys and the master key that they are wrapped under. People are told unless all
    that got out is sealed under keys that did not (A-09); the authority wherever anybody is concerned.
    """
    every = sorted({name for it in (*exposure.exposed, *found) for name in it.guarded_by} | {*exposure.keyrings})
    wrapped = set(every) if with_keyring else {*exposure.keyrings}
    masters = set(every) if with_master else {*exposure.masters}
    keys_out = wrapped & masters
    entries = [*((it, True) for it in found), *((it, False) for it in exposure.exposed)]
    is_concerned = everybody.persons + everybody.erased_orders > 0 and bool(entries)
    can_be_read = any(it.is_readable(keys_out) for it, _ in entries)
    is_told = is_concerned and can_be_read
    clauses = {*exposure.clauses, *(number for it in found for number in clauses_of_part(policy, it.part))}
    return {
        "place": exposure.place,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "policy_version": policy.version,
        "exposed": [
            {
                "part": it.part,
                "of": policy.parts[it.part].subject,
                "fields": list(it.fields),
                "form": it.form,
                "guarded_by": list(it.guarded_by),
                "can_be_read": it.is_readable(keys_out),
                "was_found": was_found,
                "persons": people[it.part].persons if it.part in people else None,
            }
            for it, was_found in entries
        ],
        "keys": {"wrapped": sorted(wrapped), "masters": sorted(masters)},
        "people": {"persons": everybody.persons, "orders_of_the_erased": everybody.erased_orders},
        "clauses": sorted({*clauses, *INCIDENT_CLAUSES}),
        "addenda": ["A-09"],
        "told": {
            "staff": True,
            "authority": is_concerned,
            "people": is_told,
            "why": _why(entries=bool(entries), is_concerned=is_concerned, can_be_read=can_be_read),
        },
    }


def _why(*, entries: bool, is_concerned: bool, can_be_read: bool) -> str:
    if not entries:
        return "nothing_stands_there"
    if not is_concerned:
        return "nobody_is_concerned"
    return "can_be_read" if can_be_read else "sealed_under_keys_that_did_not_get_out"


def due_at(noticed_at: datetime, within: timedelta) -> datetime:
    """By when it should have been reported: the clock runs from when it was noticed."""
    return noticed_at + within
