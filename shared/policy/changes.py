"""The typed difference of two policy versions: each change is a widening, a narrowing, or neutral.

A policy is looked at as a set of facts. Most are permissions: what is there allows something that without it is not allowed, so one more is a
widening and one less a narrowing. What a rule demands (a case, consent, the way out) is told the other way round, as the permission to do
without it: then a rule that goes takes its demands along, and nothing looks wider for it. Duties are promises that stand by themselves: one
less is a widening. Measures are lengths of time: longer is wider. The rest is wording; of that, what people can read in the policy is
material, and is told prominently though no stored datum is used in another way (clause 60). What no rule knows (`change_rules`) widens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shared.policy.change_facts import facts_of_the_system, unjudged_facts
from shared.policy.change_rules import SORTS, Sort
from shared.policy.compile_outgoing import fields_in_path
from shared.policy.document import Hold, Policy
from shared.policy.soundness import split

Key = tuple[str, ...]
FOR_GOOD: Final = 1_000_000
"""Days of what is kept without an end."""


class Effect(StrEnum):
    """What a change means for what was collected before (clauses 56 to 60)."""

    WIDENING = "widening"
    NARROWING = "narrowing"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that differs. `key` names it, its first word the kind; `before` and `after` are its values, None where it is not there."""

    key: Key
    before: Any
    after: Any
    effect: Effect
    is_material: bool = False

    def __str__(self) -> str:
        sign = "+" if self.before is None else "-" if self.after is None else "~"
        values = f": {_shown(self.before)} -> {_shown(self.after)}" if sign == "~" else ""
        mark = " (material)" if self.is_material else ""
        return f"{self.effect}{mark} {sign} {' '.join(self.key)}{values}"


_MATERIAL: Final = frozenset(
    {
        ("text", "sha256"),
        *((section, "statement") for section in ("clauses", "addenda", "purposes", "parts", "parties", "promises")),
        ("clauses", "declined"),
        ("parts", "subject"),
    }
)
_IDENTITY: Final = frozenset({("wording", "version"), ("wording", "text", "last_modified")})
_STOPPERS: Final = ("no_mailings", "no_communication", "deactivated", "erased", "friend_opted_out")


def difference(old: Policy, new: Policy) -> tuple[Change, ...]:
    """Every change from the one to the other, widenings first. None where the two say the same; safe to repeat."""
    before, after = facts(old), facts(new)
    changes = [
        _judged(key, before.get(key), after.get(key)) for key in sorted({*before, *after}) if before.get(key) != after.get(key)
    ]
    order = list(Effect)
    return tuple(sorted(changes, key=lambda change: (order.index(change.effect), not change.is_material)))


def widenings(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Those that nobody's stored data may be used by before its owner said yes (clauses 57 and 58)."""
    return tuple(change for change in changes if change.effect is Effect.WIDENING)


def material(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Those that are told prominently: no stored datum is used in another way (clause 60)."""
    return tuple(change for change in changes if change.is_material)


def is_another_policy(changes: tuple[Change, ...]) -> bool:
    """Whether anything differs beside the date."""
    return any(change.key not in _IDENTITY for change in changes)


def facts(policy: Policy) -> dict[Key, Any]:
    """The policy as facts: key → value, True where there is none to tell. The order in which things stand is no fact."""
    found: dict[Key, Any] = {}
    for key, value in _facts(policy):
        # Of two rules for the same the longer one counts.
        found[key] = max(value, found.get(key, value)) if SORTS.get(key[0]) is Sort.MEASURE else value
    return found


# ── judging ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _judged(key: Key, before: Any, after: Any) -> Change:
    match SORTS.get(key[0], Sort.UNKNOWN):
        case Sort.PERMISSION:
            effect = Effect.WIDENING if before is None else Effect.NARROWING
        case Sort.DUTY:
            effect = Effect.NARROWING if before is None else Effect.WIDENING
        case Sort.MEASURE:
            is_wider = before is None or (after is not None and after > before)
            effect = Effect.WIDENING if is_wider else Effect.NARROWING
        case Sort.WORDING:
            return Change(key, before, after, Effect.NEUTRAL, (key[1], key[-1]) in _MATERIAL)
        case _:
            effect = Effect.WIDENING  # nobody has said yet what it allows
    return Change(key, before, after, effect)


def _shown(value: Any) -> str:
    return "for good" if value == FOR_GOOD else str(value)


# ── the facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _facts(policy: Policy) -> Iterator[tuple[Key, Any]]:
    for key in _permissions(policy):
        yield key, True
    for hold in policy.holds.values():
        if hold.retention is not None:
            days = FOR_GOOD if hold.retention.days is None else hold.retention.days
            for field in hold.fields:
                yield ("kept-days", *_held(hold, field)), days
                waits = hold.retention.waits
                yield ("kept-waiting", *_held(hold, field)), FOR_GOOD if waits is None else waits.days
    for name, never in policy.never.items():
        for word in never.names:
            yield ("never", name, never.category, word), True
    for number, clause in policy.clauses.items():
        if clause.declined is None:
            yield ("clause-kept", str(number)), True
    for section in ("guards", "promises"):
        for name in getattr(policy, section):
            yield ("rule-kept", section, name), True
    for key in facts_of_the_system(policy):
        yield key, True
    yield from unjudged_facts(policy)
    yield from _wording(policy)


def _permissions(policy: Policy) -> Iterator[Key]:
    for name, part in policy.parts.items():
        yield from (("part-has-field", name, field, told.category) for field, told in part.fields.items())
        if not part.sealed:
            yield ("unsealed", name)
    yield from _permissions_of_holds(policy)
    yield from (("purpose", name, purpose.use) for name, purpose in policy.purposes.items())
    for name, party in policy.parties.items():
        yield ("party", name)
        yield ("party-may", name, party.secondary_use)
    for call in policy.disclosures.values():
        told = [field for fields in call.personal.values() for field in fields]
        for field in (*told, *fields_in_path(call)):
            yield ("disclose", call.by, call.to, call.purpose, *split(field))
        for place, fields in call.personal.items():
            for field in fields:
                yield ("disclose", call.by, call.to, call.purpose, *split(field), f"in {place}")
    yield from _permissions_of_staff(policy)
    yield from _permissions_of_mails(policy)
    yield from (("found-at", place) for place in policy.canaries.pseudonymous_places)


def _held(hold: Hold, field: str) -> Key:
    return (hold.service, hold.part, field, hold.purpose, hold.form)


def _permissions_of_holds(policy: Policy) -> Iterator[Key]:
    for hold in policy.holds.values():
        for field in hold.fields:
            yield ("hold", *_held(hold, field))
            if hold.opens:
                yield ("open", *_held(hold, field))
            if hold.retention is not None:
                # Another end is neither longer nor shorter: the new one is a widening, and the old one that is gone a narrowing.
                yield ("kept-until", *_held(hold, field), "+".join(sorted(hold.retention.after)), hold.retention.action)


def _permissions_of_staff(policy: Policy) -> Iterator[Key]:
    for grant in policy.staff.values():
        for field in grant.fields:
            for action in grant.actions:
                what = (grant.role, grant.service, grant.part, field, grant.purpose, action)
                yield ("staff", *what)
                if not grant.needs_case:
                    yield ("staff-without-case", *what)
                if grant.people == 1:
                    yield ("staff-alone", *what)


def _permissions_of_mails(policy: Policy) -> Iterator[Key]:
    for name, mails in policy.mails.items():
        yield ("mail", name, mails.purpose, mails.part)
        yield from (("mail-kind", name, kind) for kind in mails.kinds)
        yield from (("mail-uses", name, mails.part, field) for field in mails.fields)
        yield from (("mail-despite", name, stopper) for stopper in _STOPPERS if stopper not in mails.stopped_by)
        allowed = {
            "promote": mails.promotional,
            "come-unasked": not mails.needs_consent,
            "hide-the-way-out": not mails.carries_way_out,
            "reach-the-deactivated": mails.to_deactivated != "never",
        }
        yield from (("mail-may", name, what) for what, is_allowed in allowed.items() if is_allowed)


def _wording(policy: Policy) -> Iterator[tuple[Key, Any]]:
    """Every member as it stands, also of what other facts tell: no edit of the file goes untold, be it one that allows nothing new."""
    for section, entries in policy.model_dump(mode="json").items():
        if section in ("canaries", "observed", "broker", "databases", "messages"):
            yield from _leaves(("wording", section), _without(section, entries))
        elif not isinstance(entries, dict):
            yield ("wording", section), _sorted(entries)
        else:
            for name, entry in entries.items():
                if not isinstance(entry, dict):
                    yield ("wording", section, str(name)), _sorted(entry)
                    continue
                yield ("wording", section, str(name)), True
                for member, value in entry.items():
                    if value is not None:
                        yield ("wording", section, str(name), member), _sorted(value)


def _without(section: str, entries: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if (section, name) != ("canaries", "pseudonymous_places")}


def _leaves(key: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, dict):
        yield key, True
        for name, inner in value.items():
            yield from _leaves((*key, str(name)), inner)
    elif value is not None:
        yield key, _sorted(value)


def _sorted(value: Any) -> Any:
    """Where something stands in a list says nothing."""
    return sorted(value, key=lambda item: json.dumps(item, sort_keys=True)) if isinstance(value, list) else value
