"""Who must answer when a person asks for something: the services that the policy names, whoever listens."""

from __future__ import annotations

from collections.abc import Collection

from shared.policy.document import Policy

CORRECTION, DEACTIVATION, ERASURE, COPY, PREFERENCES = "correction", "deactivation", "erasure", "copy", "preferences"
_KEEPS_THE_STATE = "orders"  # it notes who has left and what was chosen, whatever else it holds


def answering(policy: Policy, kind: str, parts: Collection[str] = ()) -> dict[str, list[str]]:
    """Service → the parts for which it must answer. `parts` are those that a correction brings.

    An erasure and a copy concern whoever may hold anything, open or sealed; rest concerns whoever may open something; a correction whoever may
    open that part.
    """
    match kind:
        case "erasure" | "copy":
            named = {part: policy.holders_of(part) for part in policy.parts}
        case "deactivation":
            named = {part: policy.openers_of(part) for part, its in policy.parts.items() if its.sealed}
        case "preferences":
            named = {"preferences": policy.holders_of("preferences")}
        case _:
            named = {part: policy.openers_of(part) for part in parts}
    found: dict[str, list[str]] = {}
    for part, services in sorted(named.items()):
        for service in sorted(services):
            found.setdefault(service, []).append(part)
    if kind != CORRECTION:
        found.setdefault(_KEEPS_THE_STATE, [])
    return found


def freezing(answerers: Collection[str]) -> list[str]:
    """Those who must have frozen a person before anything is erased: all but the one that opens nothing."""
    return sorted(service for service in answerers if service != _KEEPS_THE_STATE)
