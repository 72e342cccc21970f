"""What the policy lets be done with a part, use by use: opened by a service for a purpose, and shown then to somebody else.

An opening is decided by the uses of the version under which the part was collected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from shared.policy.compile_outgoing import fields_in_path
from shared.policy.document import Policy


class Use(NamedTuple):
    """A service opens a part for a purpose, for itself, or to show it `to` an outside party or a role of the staff (`to_staff`)."""

    service: str
    part: str
    purpose: str
    to: str = ""


def to_staff(role: str, action: str, *, has_case: bool = True) -> str:
    """The name of a member of this role who does this (`see`, `reveal`, `release` …), under a case or without one."""
    return f"{role} to {action}" if has_case else f"{role} to {action} without a case"


def uses_of(policy: Policy) -> Mapping[Use, frozenset[str]]:
    """Every use with the fields of the part that it has (clauses 9 to 14, 45, 46, 53)."""
    found: dict[Use, frozenset[str]] = {}
    for use, fields in _uses(policy):
        found[use] = found.get(use, frozenset()) | fields
    return found


def _uses(policy: Policy) -> Iterator[tuple[Use, frozenset[str]]]:
    for hold in policy.holds.values():
        if hold.opens:
            yield Use(hold.service, hold.part, hold.purpose), frozenset(hold.fields)
    for call in policy.disclosures.values():
        for told in (fields_in_path(call), *call.personal.values()):
            for field in told:
                part, _, name = field.partition(".")
                yield Use(call.by, part, call.purpose, call.to), frozenset({name})
    for grant in policy.staff.values():
        for action in grant.actions:
            for has_case in (True,) if grant.needs_case else (True, False):
                use = Use(grant.service, grant.part, grant.purpose, to_staff(grant.role, action, has_case=has_case))
                yield use, frozenset(grant.fields)
