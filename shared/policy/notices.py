"""What people are told of a changed policy, in the statements of the policy itself: for the mail of clause 57 and the notice of clause 60."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from shared.policy.changes import FOR_GOOD, Change, Effect
from shared.policy.document import Policy


def widened(changes: Sequence[Change], old: Policy, new: Policy) -> list[str]:
    """A sentence for each thing that may be done that could not be done before. No sentence twice; none where nothing widens."""
    wider = [change for change in changes if change.effect is Effect.WIDENING]
    keys = {change.key for change in wider}
    told = [_widening(change, old, new) for change in wider if not _goes_without_saying(change, keys)]
    return list(dict.fromkeys(told))


def noticed(changes: Sequence[Change], old: Policy, new: Policy) -> list[str]:
    """A sentence for each material change that uses no stored datum in another way, and for each narrowing."""
    told = [*(_noticed(change, new) for change in changes if change.is_material), *_narrowed(changes, old)]
    return list(dict.fromkeys(told))


def _goes_without_saying(change: Change, keys: set[tuple[str, ...]]) -> bool:
    """Of a new hold its use is told: that it is kept, and until when, stands in the policy."""
    kind, *rest = change.key
    held = tuple(rest[:5])
    is_of_a_hold = kind in ("kept-days", "kept-waiting", "kept-until")
    return (kind == "hold" and ("open", *held) in keys) or (is_of_a_hold and ("hold", *held) in keys)


def _widening(change: Change, old: Policy, new: Policy) -> str:
    kind, *rest = change.key
    say = _SENTENCES.get(kind)
    if say is None:
        return f"{_IN_SHORT.get(kind, 'What had no place here before may have one')}: {' '.join(filter(None, rest))}."
    return say(rest, change, new if change.after is not None else old)


def _narrowed(changes: Sequence[Change], old: Policy) -> Iterator[str]:
    for change in changes:
        kind, *rest = change.key
        if change.effect is Effect.NARROWING and kind in ("open", "disclose", "mail", "staff") and kind in _SENTENCES:
            yield f"No longer so: {_SENTENCES[kind](rest, change, old)}"


def _noticed(change: Change, new: Policy) -> str:
    _, section, *rest = change.key
    if section == "text":
        return f"The published text is another one, of {new.text.last_modified}."
    if change.after is None:
        return f"No longer said: {change.before}"
    return f"Said in other words ({section} {rest[0]}): {change.after}"


def _may_use(rest: list[str], _change: Change, policy: Policy) -> str:
    _, part, field, purpose, *_ = rest
    return f"{_of(policy, 'purposes', purpose)} It uses {_field(field)} of this: {_of(policy, 'parts', part)}"


def _may_have(rest: list[str], _change: Change, policy: Policy) -> str:
    service, part, field, purpose, *_ = rest
    what = f"{_field(field)} of this: {_of(policy, 'parts', part)}"
    return f"{service.capitalize()} may have {what} For: {_of(policy, 'purposes', purpose)}"


def _kept(rest: list[str], change: Change, policy: Policy) -> str:
    service, part, field, *_ = rest
    days = "for good" if change.after == FOR_GOOD else f"for {change.after} days"
    return f"{service.capitalize()} keeps {_field(field)} {days} after its end: {_of(policy, 'parts', part)}"


def _waits(rest: list[str], change: Change, policy: Policy) -> str:
    service, part, field, *_ = rest
    days = "without an end" if change.after in (None, FOR_GOOD) else f"for {change.after} days"
    return f"At {service} {_field(field)} may wait {days} for what it is there for: {_of(policy, 'parts', part)}"


def _kept_until(rest: list[str], _change: Change, policy: Policy) -> str:
    service, part, field, *_, after, action = rest
    what = f"{_field(field)} of this: {_of(policy, 'parts', part)}"
    return f"{service.capitalize()} counts from {_field(after).replace('+', ' or ')}, then: {_field(action)}, {what}"


def _gets(rest: list[str], _change: Change, policy: Policy) -> str:
    _, party, purpose, part, field, *_ = rest
    what = f"{_field(field)} of this: {_of(policy, 'parts', part)}"
    return f"{_of(policy, 'parties', party)} It gets {what} For: {_of(policy, 'purposes', purpose)}"


def _staff(rest: list[str], change: Change, policy: Policy) -> str:
    role, _, part, field, _, action = rest
    how = {"staff-without-case": " without a case", "staff-alone": " alone"}.get(change.key[0], "")
    return f"Our {role.replace('_', ' ')} may {action} {_field(field)}{how}: {_of(policy, 'parts', part)}"


def _mail(rest: list[str], change: Change, policy: Policy) -> str:
    name, *more = rest
    purpose = policy.mails[name].purpose if name in policy.mails else ""
    what = {"mail-despite": "also to those who said: ", "mail-may": "in this way: "}.get(change.key[0], "")
    detail = f" ({what}{more[-1].replace('_', ' ').replace('-', ' ')})" if change.key[0] != "mail" else ""
    return f"Mail of the class {name}{detail}: {_of(policy, 'purposes', purpose)}"


def _purpose(rest: list[str], _change: Change, policy: Policy) -> str:
    return f"A new purpose: {_of(policy, 'purposes', rest[0])}"


def _reached(rest: list[str], _change: Change, policy: Policy) -> str:
    return f"Data reaches somebody in another way ({rest[1]}): {_of(policy, 'parties', rest[0])}"


def _party(rest: list[str], _change: Change, policy: Policy) -> str:
    return f"Somebody new is given data: {_of(policy, 'parties', rest[0])}"


def _part(rest: list[str], _change: Change, policy: Policy) -> str:
    field = f" ({_field(rest[1])})" if len(rest) > 1 else ""
    return f"More is taken or less is closed{field}: {_of(policy, 'parts', rest[0])}"


def _given_up(rest: list[str], _change: Change, policy: Policy) -> str:
    section, name = ("clauses", rest[0]) if len(rest) == 1 else (rest[0], rest[1])
    entry = policy.clauses.get(int(name)) if section == "clauses" else getattr(policy, section).get(name)
    return f"A promise is given up: {entry.statement if entry else name}"


_SENTENCES: dict[str, Callable[[list[str], Change, Policy], str]] = {
    "open": _may_use,
    "hold": _may_have,
    "kept-days": _kept,
    "kept-waiting": _waits,
    "kept-until": _kept_until,
    "disclose": _gets,
    "staff": _staff,
    "staff-without-case": _staff,
    "staff-alone": _staff,
    "mail": _mail,
    "mail-kind": _mail,
    "mail-uses": _mail,
    "mail-may": _mail,
    "mail-despite": _mail,
    "purpose": _purpose,
    "party": _party,
    "party-may": _party,
    "party-reached": _reached,
    "part-has-field": _part,
    "part-carried-by": _part,
    "part-written-as": _part,
    "unsealed": _part,
    "clause-kept": _given_up,
    "rule-kept": _given_up,
}

_IN_SHORT = {
    **dict.fromkeys(("call", "call-plain", "call-query", "call-header"), "A call that leaves may be made otherwise"),
    **dict.fromkeys(("broker-user", "broker-plugin"), "Somebody more may stand between our services"),
    **dict.fromkeys(
        ("database", "column-pseudonymous", "column-plain", "column-with-boxes", "called-alike"), "More may be stored"
    ),
    **dict.fromkeys(("message-member", "message-plain"), "More may be said between our services"),
    **dict.fromkeys(("log-field", "metric-label"), "More may be written down about the running system"),
    **dict.fromkeys(("setting", "table-keeps", "added-only"), "What our servers kept true is not kept any more"),
    "searched": "A place is not searched any more",
}
"""Kinds that are told by their names: what they are about has no statement in the policy."""


def _of(policy: Policy, section: str, name: str) -> str:
    entry = getattr(policy, section).get(name)
    return str(entry.statement) if entry is not None else f"{name}."


def _field(field: str) -> str:
    return field.replace(".", " ").replace("_", " ")
