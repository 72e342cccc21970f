"""The policy's say on an opening: by the version under which the part was collected, by the person's state and by what the person chose.

It says whether a part opens for a purpose, and which of its fields then: those that the purpose had when the part was collected, and those
that a later version added, where its owner lets it be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

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
    def fields(self) -> tuple[str, ...]: ...
    @property
    def opens(self) -> bool: ...


class ShownTo(Protocol):
    """One rule of the policy: what of a part a service shows for a purpose to somebody else, an outside party or a role of the staff."""

    @property
    def service(self) -> str: ...
    @property
    def part(self) -> str: ...
    @property
    def purpose(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def fields(self) -> tuple[str, ...]: ...


class _Use(NamedTuple):
    service: str
    part: str
    purpose: str
    to: str = ""
    """Whom it is shown to; nobody: the service itself uses it."""


_Fields = frozenset[str]
_NONE: _Fields = frozenset()


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose once: `communication` (all, service_only, none), `policy_choice` (allow, disallow) for `policy_version`, or both."""

    chosen_at: datetime
    policy_version: str
    communication: str | None = None
    policy_choice: str | None = None


class PolicyPermits:
    """`versions` are the rules of each policy version that is known, by its name: the day from which it counts, as YYYY-MM-DD.

    `shown` says of the same versions what goes to whom. Of a version that it does not name nothing is known to go to anybody.
    """

    def __init__(
        self, versions: Mapping[str, Collection[HeldFor]], shown: Mapping[str, Collection[ShownTo]] | None = None
    ) -> None:
        self._allowed = {version: _by_use(rules, (shown or {}).get(version, ())) for version, rules in sorted(versions.items())}
        self._fields: dict[str, _Fields] = {}
        for rule in (rule for rules in versions.values() for rule in rules):
            self._fields[rule.part] = self._fields.get(rule.part, _NONE) | frozenset(rule.fields)

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
        wish = _Use(service, part, purpose)
        if person_state == ERASED:
            return "person_erased"
        if collected_under not in self._allowed:
            return "policy_version_unknown"
        if wish not in self._allowed[collected_under]:
            return self._refusal_of_new_use(wish, collected_under, person_state, at, choices)
        if person_state == DEACTIVATED and purpose not in FOR_AN_OPEN_ORDER | BY_LAW:
            return "person_deactivated"
        return None

    def withheld(
        self,
        *,
        service: str,
        part: str,
        purpose: str,
        to: str = "",
        collected_under: str,
        person_state: str,
        at: datetime,
        choices: Collection[Choice] = (),
    ) -> frozenset[str]:
        """The part's fields that an opening which is not refused does not give: the purpose does not have them, or not yet.

        Not yet: a later version than that of the part gives them to the purpose, or shows them to `to`, and the owner has not let it be.
        """
        told = (collected_under, person_state, at, choices)
        kept_back = self._fields.get(part, _NONE) - self._usable(_Use(service, part, purpose), *told)
        if to:
            use, in_force = _Use(service, part, purpose, to), self._in_force(collected_under, at)
            shown = self._allowed[in_force[-1]].get(use, _NONE) if in_force else _NONE
            if shown:
                kept_back |= shown - self._usable(use, *told)
        return kept_back

    def is_new_use(self, *, service: str, part: str, purpose: str, to: str = "", collected_under: str) -> bool:
        """Whether a later version lets more of the part be than its own does: then its owner must have said yes."""
        if collected_under not in self._allowed:
            return False
        then = self._allowed[collected_under]
        return any(
            allowed.get(use, _NONE) - then.get(use, _NONE)
            for version, allowed in self._allowed.items()
            if version > collected_under
            for use in {_Use(service, part, purpose), _Use(service, part, purpose, to)}
        )

    def _usable(self, use: _Use, collected_under: str, person_state: str, at: datetime, choices: Collection[Choice]) -> _Fields:
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
        self, wish: _Use, collected_under: str, person_state: str, at: datetime, choices: Collection[Choice]
    ) -> str | None:
        """A use that the part was not collected for. It must be of a version that is in force, and of the last one too."""
        later = self._in_force(collected_under, at)
        first = next((version for version in later if wish in self._allowed[version]), None)
        if first is None or wish not in self._allowed[later[-1]]:
            return "purpose_not_allowed"
        if person_state != ACTIVE:
            return "person_deactivated"
        return None if says_yes(choices, first) else "new_use_not_allowed"


def _by_use(held: Collection[HeldFor], shown: Collection[ShownTo]) -> dict[_Use, _Fields]:
    found: dict[_Use, _Fields] = {}
    for use, fields in _uses(held, shown):
        found[use] = found.get(use, _NONE) | frozenset(fields)
    return found


def _uses(held: Collection[HeldFor], shown: Collection[ShownTo]) -> Iterator[tuple[_Use, tuple[str, ...]]]:
    yield from ((_Use(rule.service, rule.part, rule.purpose), rule.fields) for rule in held if rule.opens)
    yield from ((_Use(rule.service, rule.part, rule.purpose, rule.to), rule.fields) for rule in shown)


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
