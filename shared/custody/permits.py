"""The policy's say on an opening: by the version under which the part was collected, and by the person's state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

ACTIVE, DEACTIVATED, ERASED = "active", "deactivated", "erased"

# What an order that is under way needs, also when its buyer has left: the storefront's contract, `customer_deactivated`.
FOR_AN_OPEN_ORDER = frozenset({"route_order", "fill_order", "billing", "order_news", "order_difficulty", "rights"})

# What the law may ask for, whatever else was promised (clause 53).
BY_LAW = frozenset({"authorities"})


class HeldFor(Protocol):
    """One rule of the policy: a service may have a part for a purpose, and may open it or not."""

    @property
    def service(self) -> str: ...
    @property
    def part(self) -> str: ...
    @property
    def purpose(self) -> str: ...
    @property
    def opens(self) -> bool: ...


class PolicyPermits:
    """`versions` are the rules of each policy version that is known, by its name."""

    def __init__(self, versions: Mapping[str, Collection[HeldFor]]) -> None:
        self._allowed = {
            version: frozenset((rule.service, rule.part, rule.purpose) for rule in rules if rule.opens)
            for version, rules in versions.items()
        }

    def refusal(self, *, service: str, part: str, purpose: str, collected_under: str, person_state: str) -> str | None:
        """Why the service may not open the part for the purpose; None where it may (clauses 9 to 11, 31, 38, 56)."""
        if person_state == ERASED:
            return "person_erased"
        if collected_under not in self._allowed:
            return "policy_version_unknown"
        if (service, part, purpose) not in self._allowed[collected_under]:
            return "purpose_not_allowed"
        if person_state == DEACTIVATED and purpose not in FOR_AN_OPEN_ORDER | BY_LAW:
            return "person_deactivated"
        return None
