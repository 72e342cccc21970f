"""What the services do when something's time is over: the events that start the time, and what is done then, in code.

The policy says the same for every hold. A policy that says another thing is refused: its words would stand there, and nobody would do them.
What a service reads out of the policy itself (the days of its clearings) is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from shared.policy.document import Hold, Policy, Retention

Path = tuple[str | int, ...]
Found = tuple[Path, str, str]
_ORDER_ENDED: Final = frozenset({"shipment_delivered", "order_cancelled"})
_BILL_ANSWERED: Final = frozenset({"payment_authorised", "payment_declined"})
_PERSON_ERASED: Final = frozenset({"customer_erased"})
_AT_ONCE: Final = 0
_PASSED_ON: Final = 1


@dataclass(frozen=True, slots=True)
class Ending:
    """How a service lets go of a part: counted from the last of the events of `after`, and what is done (in the policy's words).

    `days` is a time that stands in code; None where the service reads it in the policy. `purposes` narrows it to holds for these.
    """

    service: str
    part: str
    after: frozenset[str]
    action: str
    days: int | None = None
    form: str = "as_it_is"
    purposes: frozenset[str] = frozenset()

    def is_of(self, hold: Hold) -> bool:
        """Whether this is how what is held under the rule comes to its end."""
        its = (hold.service, hold.part, hold.form) == (self.service, self.part, self.form)
        return its and (not self.purposes or hold.purpose in self.purposes)


ENDINGS: Final = (
    *(
        Ending("orders", part, frozenset({event}), "delete", _PASSED_ON)
        for part, event in (
            *((part, "order_accepted") for part in ("recipient", "contact", "billing")),
            ("friend", "friend_referred"),
            ("request", "special_request_submitted"),
        )
    ),
    Ending("shipping", "recipient", _ORDER_ENDED, "destroy_keys_and_rows"),
    Ending("shipping", "purchase", _ORDER_ENDED, "delete"),
    Ending("notifications", "contact", _ORDER_ENDED, "destroy_keys_and_rows"),
    Ending("notifications", "purchase", _ORDER_ENDED, "delete"),
    Ending("notifications", "request", frozenset({"special_request_answered"}), "destroy_keys_and_rows"),
    Ending("notifications", "friend", frozenset({"friend_invited"}), "destroy_keys_and_rows", _AT_ONCE),
    Ending("notifications", "friend", frozenset({"friend_invited"}), "keep", form="keyed_hash"),
    Ending("payments", "billing", _BILL_ANSWERED, "clear"),
    Ending("payments", "purchase", frozenset({"payment_captured", "payment_refunded"}), "delete"),  # nobody says the second yet
    *(
        Ending(service, "preferences", _PERSON_ERASED, "delete", _AT_ONCE)
        for service in ("orders", "payments", "shipping", "notifications")
    ),
    *(Ending(service, "references", _PERSON_ERASED, "clear", _AT_ONCE) for service in ("orders", "payments", "shipping")),
    Ending(
        *("notifications", "references", _PERSON_ERASED, "clear", _AT_ONCE),
        purposes=frozenset({"order_news", "order_difficulty"}),
    ),
    Ending(
        *("notifications", "references", frozenset({"friend_invited"}), "delete", _AT_ONCE),
        purposes=frozenset({"recommendation"}),
    ),
    # With the request itself, and so in its days.
    Ending(
        *("notifications", "references", frozenset({"special_request_answered"}), "delete"),
        purposes=frozenset({"reply"}),
    ),
    Ending("orders", "purchase", _PERSON_ERASED, "clear", _AT_ONCE),
)
"""Every way in which something comes to its end."""
CLEARED: Final = (
    ("notifications", ("contact", "purchase")),
    ("notifications", ("request",)),
    ("payments", ("billing",)),
    ("payments", ("purchase",)),
    ("shipping", ("recipient", "purchase")),
)
"""The parts that a service lets go of together, after their end: they have one time."""
WAITING: Final = (("notifications", ("request",)), ("notifications", ("friend",)))
"""The same of what waits at a service for something that may never come."""


def events_of(service: str, part: str) -> frozenset[str]:
    """The events from the last of which a service counts a part's days."""
    return frozenset().union(*(it.after for it in ENDINGS if (it.service, it.part, it.form) == (service, part, "as_it_is")))


def unobeyed(policy: Policy) -> Iterator[Found]:
    """Every (path, code, words) where the policy says of an end what no service does, or a service does what no hold says."""
    used: set[Ending] = set()
    for name, hold in policy.holds.items():
        if hold.retention is None or hold.service not in policy.services or hold.part not in policy.parts:
            continue  # refused elsewhere
        path: Path = ("holds", name, "retention")
        ending = next((it for it in ENDINGS if it.is_of(hold)), None)
        if ending is None:
            yield path, "retention_unobeyed", f"{hold.service} does not let go of `{hold.part}` for `{hold.purpose}`"
            continue
        used.add(ending)
        if set(hold.retention.after) != ending.after:
            counted = ", ".join(sorted(ending.after))
            yield (*path, "after"), "retention_unobeyed", f"{hold.service} counts from {counted}"
        if hold.retention.action != ending.action:
            yield (*path, "action"), "retention_unobeyed", f"{hold.service} does `{ending.action}`"
        if ending.days is not None and hold.retention.days != ending.days:
            yield (*path, "days"), "retention_unobeyed", f"{hold.service} waits {ending.days} days, whatever stands here"
    for ending in ENDINGS:
        if ending not in used:
            yield ("holds",), "ending_without_hold", f"{ending.service} lets go of `{ending.part}`, and no hold says so"


def untimed(policy: Policy) -> Iterator[Found]:
    """Every (path, code, words) where the policy gives what goes together no time or two: no service could start under it."""
    for service, parts in CLEARED:
        yield from _differing(policy, service, parts, "days", _days)
    for service, parts in WAITING:
        yield from _differing(policy, service, parts, "waits", _waiting_days)


def _days(retention: Retention) -> int | None:
    return retention.days


def _waiting_days(retention: Retention) -> int | None:
    return retention.waits.days if retention.waits is not None else None


def _differing(
    policy: Policy, service: str, parts: tuple[str, ...], member: str, days_of: Callable[[Retention], int | None]
) -> Iterator[Found]:
    holds = {name: hold for name, hold in policy.holds.items() if hold.service == service and hold.part in parts}
    told = {name: days_of(hold.retention) for name, hold in holds.items() if hold.retention is not None}
    times = {name: days for name, days in told.items() if days is not None}
    for name in () if times else [name for name in told if holds[name].form == "as_it_is"]:
        path: Path = ("holds", name, "retention", member)
        yield path, "retention_untimed", f"{service} could not know when `{holds[name].part}` goes"
    first = next(iter(times.values()), None)
    for name in [name for name, days in times.items() if days != first]:
        path = ("holds", name, "retention", member)
        yield path, "retention_of_two_times", f"{service} lets go of {', '.join(parts)} together, elsewhere after {first} days"
