"""The policy's say on an opening: by the version under which the part was collected, by the person's state and by what the person chose.

It says whether a part opens for a purpose, and which of its fields then: those that the purpose had when the part was collected, and those
that a later version added, where its owner lets it be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from shared.policy.document import Policy
from shared.policy.uses import Use, uses_of

ACTIVE, DEACTIVATED, ERASED = "active", "deactivated", "erased"

# What an order that is under way needs, also when its buyer has left: the storefront's contract, `customer_deactivated`.
FOR_AN_OPEN_ORDER = frozenset({"route_order", "fill_order", "billing", "order_news", "order_difficulty", "rights"})

# What the law may ask for, whatever else was promised (clause 53).
BY_LAW = frozenset({"authorities"})

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose once: `communication` (all, service_only, none), `policy_choice` (allow, disallow) for `policy_version`, or both."""

    chosen_at: datetime
    policy_version: str
    communication: str | None = None
    policy_choice: str | None = None


class Decision(NamedTuple):
    """Why a part stays closed; or, where it opens (None), which of its fields the opening does not give."""

    refusal: str | None
    withheld: frozenset[str] = frozenset()


class PolicyPermits:
    """`versions` are the policy's that are known, by their names: the days from which they count, as YYYY-MM-DD."""

    def __init__(self, versions: Mapping[str, Policy]) -> None:
        self._allowed = {version: uses_of(policy) for version, policy in sorted(versions.items())}
        self._fields: dict[str, frozenset[str]] = {}
        self._shown: dict[Use, frozenset[str]] = {}
        for policy in versions.values():
            for name, part in policy.parts.items():
                self._fields[name] = self._fields.get(name, _NONE) | part.fields.keys()
        for allowed in self._allowed.values():
            for use, fields in allowed.items():
                self._shown[use] = self._shown.get(use, _NONE) | fields

    def decide(
        self, use: Use, *, collected_under: str, person_state: str, at: datetime, choices: Collection[Choice] = ()
    ) -> Decision:
        """Whether the part may be used so, and which of its fields (clauses 9 to 14, 31, 38, 56 to 59).

        What is shown to somebody must be allowed twice: to the service for the purpose, and to be shown to them. `choices` are all of the
        person's, in any order; they matter where `is_new_use` says so.
        """
        if person_state == ERASED:
            return Decision("person_erased")
        if collected_under not in self._allowed:
            return Decision("policy_version_unknown")
        told, own = (collected_under, person_state, at, choices), use._replace(to="")
        for wish in dict.fromkeys((own, use)):
            refusal = None if wish in self._allowed[collected_under] else self._refusal_of_new_use(wish, *told)
            if refusal is not None:
                return Decision(refusal)
        if person_state == DEACTIVATED and use.purpose not in FOR_AN_OPEN_ORDER | BY_LAW:
            return Decision("person_deactivated")
        withheld = self._fields.get(use.part, _NONE) - self._usable(own, *told)
        if use.to:
            withheld |= self._shown[use] - self._usable(use, *told)
        return Decision(None, withheld)

    def is_new_use(self, use: Use, collected_under: str) -> bool:
        """Whether a later version lets more of the part be than its own does: then its owner must have said yes."""
        if collected_under not in self._allowed:
            return False
        then = self._allowed[collected_under]
        return any(
            allowed.get(wish, _NONE) - then.get(wish, _NONE)
            for version, allowed in self._allowed.items()
            if version > collected_under
            for wish in (use._replace(to=""), use)
        )

    def _usable(
        self, use: Use, collected_under: str, person_state: str, at: datetime, choices: Collection[Choice]
    ) -> frozenset[str]:
        """The fields that the version of the part lets be used so, and those of the last version in force that the owner lets be."""
        then, later = self._allowed[collected_under].get(use, _NONE), self._in_force(collected_under, at)
        if not later or person_state != ACTIVE:
            return then
        more = self._allowed[later[-1]].get(use, _NONE) - then
        first = {field: next(version for version in later if field in self._allowed[version].get(use, _NONE)) for field in more}
        return then | {field for field, version in first.items() if says_yes(choices, version)}

    def _in_force(self, collected_under: str, at: datetime) -> list[str]:
        """The versions that came after that of the part and count by now, the oldest first."""
        return [version for version in self._allowed if collected_under < version <= at.date().isoformat()]

    def _refusal_of_new_use(
        self, wish: Use, collected_under: str, person_state: str, at: datetime, choices: Collection[Choice]
    ) -> str | None:
        """A use that the part was not collected for. It must be of a version that is in force, and of the last one too."""
        later = self._in_force(collected_under, at)
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
