"""What of a part goes to whom besides the service that opens it, for those who decide an opening by the version of the part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shared.policy.compile_outgoing import fields_in_path
from shared.policy.document import Policy


class Showing(NamedTuple):
    """A service shows fields of a part for a purpose to an outside party, or to a role of the staff (`to_staff`)."""

    service: str
    part: str
    purpose: str
    to: str
    fields: tuple[str, ...]


def to_staff(role: str, action: str, *, has_case: bool = True) -> str:
    """The name of a member of this role who does this (`see`, `reveal`, `release` …), under a case or without one."""
    return f"{role} to {action}" if has_case else f"{role} to {action} without a case"


def showings(policy: Policy) -> Iterator[Showing]:
    """Every showing of the policy: the calls (clauses 12 to 14), then what staff are shown (clauses 45, 46, 53)."""
    for call in policy.disclosures.values():
        told = {*fields_in_path(call), *(field for fields in call.personal.values() for field in fields)}
        for part in sorted({field.partition(".")[0] for field in told}):
            fields = sorted(field.partition(".")[2] for field in told if field.startswith(f"{part}."))
            yield Showing(call.by, part, call.purpose, call.to, tuple(fields))
    for grant in policy.staff.values():
        for action in grant.actions:
            yield Showing(grant.service, grant.part, grant.purpose, to_staff(grant.role, action), grant.fields)
            if not grant.needs_case:
                yield Showing(
                    grant.service, grant.part, grant.purpose, to_staff(grant.role, action, has_case=False), grant.fields
                )
