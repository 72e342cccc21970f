"""How long what nothing was ever done with may wait, by the policy (addendum A-13)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.policy.document import Policy


def waiting_days(policy: Policy, service: str, parts: Iterable[str]) -> set[int]:
    """For how many days from their coming these parts may wait at the service: one number, unless the policy's rules differ."""
    wanted = set(parts)
    return {
        hold.retention.waits.days
        for hold in policy.holds.values()
        if hold.service == service and hold.part in wanted and hold.retention is not None and hold.retention.waits is not None
    }


@dataclass(frozen=True, slots=True)
class Waits:
    """For how long a parked message may wait: by its type where it brings a sealed part, and where it shows a carrier's number alone."""

    by_type: Mapping[str, timedelta]
    numbers: timedelta | None


def waits_of(policy: Policy, service: str) -> Waits:
    """What the policy says of this service's parked messages; a carrier's number waits as long as the parts of the order that it is of."""
    ordered = [
        name for name, part in policy.parts.items() if part.sealed and {*part.events} & {*policy.parts["references"].events}
    ]
    days = waiting_days(policy, service, ordered)
    return Waits(waiting_messages(policy, service), timedelta(days=min(days)) if days else None)


def waiting_messages(policy: Policy, service: str) -> dict[str, timedelta]:
    """Event that brings the service a sealed part → for how long a message of it may be parked before the part goes."""
    found: dict[str, timedelta] = {}
    for hold in policy.holds.values():
        if hold.service == service and policy.parts[hold.part].sealed and hold.retention is not None and hold.retention.waits:
            longest = timedelta(days=hold.retention.waits.days)
            for event in policy.parts[hold.part].events:
                found[event] = min(longest, found.get(event, longest))
    return found
