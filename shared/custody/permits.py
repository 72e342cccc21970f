"""The policy's say on an opening: by the version under which the part was collected, by the person's state and by what the person chose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose once: `communication` (all, service_only, none), `policy_choice` (allow, disallow) for `policy_version`, or both."""

    chosen_at: datetime
    policy_version: str
    communication: str | None = None
    policy_choice: str | None = None


class PolicyPermits:
    """`versions` are the rules of each policy version that is known, by its name: the day from which it counts, as YYYY-MM-DD."""

    def __init__(self, versions: Mapping[str, Collection[HeldFor]]) -> None:
        self._allowed = {
            version: frozenset((rule.service, rule.part, rule.purpose) for rule in rules if rule.opens)
            for version, rules in sorted(versions.items())
        }

    def refusal(
        self,
        *,
        service: str,
        part: str,
        purpose: str,
        collected_under: str,
        person_state: str,
        at: datetime,
        choices: Collection[Choice] = (),
    ) -> str | None:
        """Why the service may not open the part for the purpose; None where it may (clauses 9 to 11, 31, 38, 56 to 59).

        `choices` are all of the person's, in any order; they matter where `is_new_use` says so.
        """
        wish = (service, part, purpose)
        if person_state == ERASED:
            return "person_erased"
        if collected_under not in self._allowed:
            return "policy_version_unknown"
        if wish not in self._allowed[collected_under]:
            return self._refusal_of_new_use(wish, collected_under, person_state, at, choices)
        if person_state == DEACTIVATED and purpose not in FOR_AN_OPEN_ORDER | BY_LAW:
            return "person_deactivated"
        return None

    def is_new_use(self, *, service: str, part: str, purpose: str, collected_under: str) -> bool:
        """Whether only a later version than that of the part lets it be: then its owner must have said yes."""
        wish = (service, part, purpose)
        return (
            collected_under in self._allowed
            and wish not in self._allowed[collected_under]
            and any(wish in allowed for version, allowed in self._allowed.items() if version > collected_under)
        )

    def _refusal_of_new_use(
        self, wish: tuple[str, str, str], collected_under: str, person_state: str, at: datetime, choices: Collection[Choice]
    ) -> str | None:
        """A use that the part was not collected for. It must be of a version that is in force, and of the last one too."""
        later = [version for version in self._allowed if collected_under < version <= at.date().isoformat()]
        first = next((version for version in later if wish in self._allowed[version]), None)
        if first is None or wish not in self._allowed[later[-1]]:
            return "purpose_not_allowed"
        if person_state != ACTIVE:
            return "person_deactivated"
        return None if says_yes(choices, first) else "new_use_not_allowed"


def says_yes(choices: Collection[Choice], version: str) -> bool:
    """Whether a person lets data from before be used as this version does. Silence is no (clause 58); so is refusing all mail (clause 59).

    Of two words the one chosen later counts, however they came; of two at one moment the no. A yes for a later version is one for this too.
    """
    words: list[tuple[datetime, bool]] = []
    for choice in choices:
        if choice.policy_choice is not None and choice.policy_version >= version:
            words.append((choice.chosen_at, choice.policy_choice == "allow"))
        if choice.communication == "none":
            words.append((choice.chosen_at, False))
    return bool(words) and min(words, key=lambda word: (-word[0].timestamp(), word[1]))[1] and communication(choices) != "none"


def communication(choices: Collection[Choice]) -> str | None:
    """What a person wants to hear: the last word of it, of two at one moment the one that wants less; None where nothing was said."""
    said = [(it.chosen_at, _HOW_LITTLE[it.communication], it.communication) for it in choices if it.communication is not None]
    return max(said)[2] if said else None


_HOW_LITTLE: Mapping[str, int] = {"all": 0, "service_only": 1, "none": 2}
KINDS_OF_COMMUNICATION: Sequence[str] = tuple(_HOW_LITTLE)
