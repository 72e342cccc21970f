"""The one place that says what a member of staff may do: by the policy's grants, and nothing that no grant names (clauses 45, 46)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

MASKED = "see_masked"
"""To see that something of a part is kept, and no more: whoever may do anything with the part."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a door shows or does: an action on fields of a part."""

    action: str
    part: str
    fields: tuple[str, ...] = ()


class Granted(Protocol):
    """One grant of the policy."""

    @property
    def role(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def part(self) -> str: ...
    @property
    def fields(self) -> tuple[str, ...]: ...
    @property
    def purpose(self) -> str: ...
    @property
    def actions(self) -> tuple[str, ...]: ...
    @property
    def needs_case(self) -> bool: ...
    @property
    def people(self) -> int: ...


class StaffPermits:
    """`grants` are the policy's."""

    def __init__(self, grants: Iterable[Granted]) -> None:
        self._grants = tuple(grants)

    def refusal(
        self, *, role: str, service: str, part: str, field: str, action: str, has_case: bool = False, people: int = 1
    ) -> str | None:
        """Why not: `not_granted`, `case_needed` or `second_person_needed`; None where the role may. `people` is how many agree."""
        fitting = [it for it in self._of(role, service, part, action) if action == MASKED or field in it.fields]
        if not fitting:
            return "not_granted"
        if action == MASKED:
            return None
        if all(it.needs_case and not has_case for it in fitting):
            return "case_needed"
        if all(it.people > people for it in fitting):
            return "second_person_needed"
        return None

    def refusal_of(self, need: Need, *, role: str, service: str, has_case: bool = False, people: int = 1) -> str | None:
        """The first refusal among a need's fields; a need that names no field is refused, unless it is a masked look."""
        for field in need.fields or ("",):
            refusal = self.refusal(
                role=role,
                service=service,
                part=need.part,
                field=field,
                action=need.action,
                has_case=has_case,
                people=people,
            )
            if refusal is not None:
                return refusal
        return None

    def fields(self, role: str, service: str, part: str, action: str) -> tuple[str, ...]:
        """All fields that the role may do this with, in the policy's order."""
        return tuple(dict.fromkeys(field for it in self._of(role, service, part, action) for field in it.fields))

    def purpose(self, role: str, service: str, part: str, action: str) -> str:
        """What for. Raises LookupError where nothing is granted."""
        for it in self._of(role, service, part, action):
            return it.purpose
        raise LookupError(part)

    def services_of(self, role: str) -> tuple[str, ...]:
        """Where somebody of this role has an account: the services whose grants name it."""
        return tuple(dict.fromkeys(it.service for it in self._grants if it.role == role))

    def _of(self, role: str, service: str, part: str, action: str) -> list[Granted]:
        return [
            it
            for it in self._grants
            if (it.role, it.service, it.part) == (role, service, part) and (action in it.actions or action == MASKED)
        ]
