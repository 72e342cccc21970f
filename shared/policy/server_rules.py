"""Rules of a server, compiled or found live, as names and values that can be held against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from shared.policy.document import Policy

Name = tuple[str, ...]
"""The kind of a rule and what it is about: ("topic", "shipping", "orders.parts")."""
Facts = Mapping[Name, str]
"""What a server holds, or should."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A live server is not as the policy says: which rule, how, and the clauses that it breaks."""

    rule: Name
    said: str
    clauses: tuple[int, ...]

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.clauses))
        return f"{' '.join(self.rule)}: {self.said} (clause{'s' if len(self.clauses) > 1 else ''} {numbers})"


def compare(expected: Facts, found: Facts, clauses_of: Callable[[Name], tuple[int, ...]]) -> Iterator[Difference]:
    """Every rule that is missing, that is more than there should be, or that says something else. Values shown are rules, never data."""
    for name in sorted({*expected, *found}):
        if name not in found:
            yield Difference(name, "it is missing", clauses_of(name))
        elif name not in expected:
            yield Difference(name, f"it should not be: {found[name]}", clauses_of(name))
        elif expected[name] != found[name]:
            yield Difference(name, f"it is {found[name]} and should be {expected[name]}", clauses_of(name))


def guard_clauses(policy: Policy, guard: str, *services: str, part: str | None = None) -> tuple[int, ...]:
    """The clauses of a guard, with those under which these services hold sealed parts (or that one part)."""
    numbers = set(policy.guards[guard].clauses)
    for hold in policy.holds.values():
        if hold.part == part or (part is None and hold.service in services and policy.parts[hold.part].sealed and hold.opens):
            numbers |= set(hold.clauses)
    return tuple(sorted(numbers))
