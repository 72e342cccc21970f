"""By what rule a change of each member of the policy is judged: the kinds of facts, and for every member the kinds that tell of it.

A member that stands in no table here is judged as a widening whatever is done to it: nobody has said yet what it allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

from shared.policy.document import Policy

Member = tuple[str, ...]
"""A section and the members on the way to a value, without the names that the file itself gives: ("holds", "retention", "days")."""


class Sort(StrEnum):
    """What kind of fact it is, and so how a change of it is judged."""

    PERMISSION = "permission"
    DUTY = "duty"
    MEASURE = "measure"
    WORDING = "wording"
    UNKNOWN = "unknown"


_PERMISSIONS: Final = (
    *(
        "part-has-field",
        "part-written-as",
        "part-carried-by",
        "unsealed",
        "hold",
        "open",
        "kept-until",
        "purpose",
        "service",
        "role",
    ),
    *("party", "party-may", "party-reached", "disclose", "call", "call-plain", "call-query", "call-header"),
    *("staff", "staff-without-case", "staff-alone", "mail", "mail-kind", "mail-uses", "mail-may", "mail-despite", "found-at"),
    *("broker-user", "broker-plugin", "database", "column-pseudonymous", "column-plain", "column-with-boxes", "called-alike"),
    *("message-member", "message-plain", "log-field", "metric-label"),
)
_DUTIES: Final = ("never", "clause-kept", "rule-kept", "setting", "table-keeps", "added-only", "searched")
SORTS: Final[Mapping[str, Sort]] = {
    **dict.fromkeys(_PERMISSIONS, Sort.PERMISSION),
    **dict.fromkeys(_DUTIES, Sort.DUTY),
    "kept-days": Sort.MEASURE,
    "kept-waiting": Sort.MEASURE,
    "wording": Sort.WORDING,
}
"""Every kind of fact. A kind that is not here widens, whatever changes."""

_RULE: Final = ("clauses", "addenda", "checks")
WORDED: Final[frozenset[Member]] = frozenset(
    {
        *(("version",), ("later_events",)),
        *(("text", member) for member in ("publisher", "last_modified", "sha256")),
        *((section, "statement") for section in ("clauses", "addenda", "purposes", "services", "parties", "roles", "parts")),
        *((section, "statement") for section in ("guards", "promises")),
        *((section, member) for section in ("parties", "never", "holds", "disclosures", "staff") for member in _RULE),
        *((section, member) for section in ("mails", "guards", "promises") for member in _RULE),
        *(
            ("purposes", "clauses"),
            ("purposes", "addenda"),
            ("holds", "retention", "addendum"),
            ("holds", "retention", "waits", "addendum"),
        ),
        *(("parts", "subject"), ("parts", "may_lack_in"), ("parts", "fields", "default")),
        *(("parts", "groups", "statement"), ("parts", "groups", "several")),
        ("databases", "tables", "sealed"),  # a box more: who may hold and open it stands in the holds
        *(("checks", member) for member in ("test", "compiled", "live", "red")),
        ("pending", "awaits"),
    }
)
"""What is said, and lets nobody do anything else."""

JUDGED_BY: Final[Mapping[Member, tuple[str, ...]]] = {
    ("clauses", "declined"): ("clause-kept",),
    ("purposes", "use"): ("purpose",),
    ("parties", "secondary_use"): ("party-may",),
    ("parties", "reached_by"): ("party-reached",),
    ("parts", "sealed"): ("unsealed",),
    ("parts", "fields", "category"): ("part-has-field",),
    ("parts", "fields", "grammar"): ("part-written-as",),
    ("parts", "events"): ("part-carried-by",),
    **{("never", member): ("never",) for member in ("category", "names")},
    **{("holds", member): ("hold",) for member in ("service", "part", "fields", "purpose", "form")},
    ("holds", "opens"): ("open",),
    ("holds", "retention", "after"): ("kept-until",),
    ("holds", "retention", "action"): ("kept-until",),
    ("holds", "retention", "days"): ("kept-days",),
    ("holds", "retention", "waits", "days"): ("kept-waiting",),
    **{("disclosures", member): ("disclose", "call") for member in ("by", "to", "purpose")},
    **{("disclosures", member): ("call",) for member in ("method", "path", "body")},
    ("disclosures", "personal"): ("disclose",),
    ("disclosures", "plain"): ("call-plain",),
    ("disclosures", "query"): ("call-query",),
    ("disclosures", "headers"): ("call-header",),
    **{("staff", member): ("staff",) for member in ("role", "service", "part", "fields", "purpose", "actions")},
    ("staff", "needs_case"): ("staff-without-case",),
    ("staff", "people"): ("staff-alone",),
    **{("mails", member): ("mail",) for member in ("purpose", "part")},
    ("mails", "kinds"): ("mail-kind",),
    ("mails", "fields"): ("mail-uses",),
    **{("mails", it): ("mail-may",) for it in ("promotional", "needs_consent", "carries_way_out", "to_deactivated")},
    ("mails", "stopped_by"): ("mail-despite",),
    **{("broker", "users", member): ("broker-user",) for member in ("service", "party")},
    ("broker", "plugins"): ("broker-plugin",),
    **{("databases", "databases", member): ("database",) for member in ("cluster", "service", "tables")},
    ("databases", "settings"): ("setting",),
    ("databases", "called_alike"): ("called-alike",),
    ("databases", "tables", "pseudonymous"): ("column-pseudonymous",),
    ("databases", "tables", "plain"): ("column-plain",),
    ("databases", "tables", "with_boxes"): ("column-with-boxes",),
    ("databases", "tables", "triggers"): ("table-keeps",),
    ("databases", "tables", "added_only"): ("added-only",),
    **{("messages", side): ("message-member",) for side in ("storefront", "internal")},
    ("messages", "plain"): ("message-plain",),
    ("observed", "log_fields"): ("log-field",),
    ("observed", "metric_labels"): ("metric-label",),
    ("canaries", "places"): ("searched",),
    ("canaries", "pseudonymous_places"): ("found-at",),
}
"""Every other member → the kinds of the facts that tell when it changes."""


def members(model: type[BaseModel] = Policy, path: Member = ()) -> Iterator[Member]:
    """Every member that a policy can have."""
    for name, field in model.model_fields.items():
        inner = _models_in(field.annotation)
        for it in inner:
            yield from members(it, (*path, name))
        if not inner:
            yield (*path, name)


def unruled() -> frozenset[Member]:
    """The members that nobody has ruled yet: none, today."""
    return frozenset(members()) - WORDED - frozenset(JUDGED_BY)


def values_at(data: Any, member: Member, names: Member = ()) -> Iterator[tuple[Member, Any]]:
    """(the file's own names on the way, value) of a member wherever it stands in a policy's dump."""
    if not member:
        yield names, data
    elif isinstance(data, dict) and member[0] in data:
        yield from values_at(data[member[0]], member[1:], names)
    elif isinstance(data, dict):
        for name, inner in data.items():
            yield from values_at(inner, member, (*names, str(name)))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in {dict, Union, UnionType}:
        return [model for argument in get_args(annotation) for model in _models_in(argument)]
    return []
