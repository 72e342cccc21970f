"""The documents that are made from the policy: the public page of what is kept, and the record of processing."""

from __future__ import annotations

from collections.abc import Iterable

from shared.policy.compile_outgoing import fields_in_path
from shared.policy.document import Disclosure, Hold, Policy, Retention

_MADE = "Made from the policy file by `brownpaper privacy compile`; what is changed here by hand is lost."
_ACTIONS = {
    "destroy_keys_and_rows": "its keys are destroyed, then its rows",
    "clear": "it is cleared",
    "delete": "it is deleted",
    "keep": "it is kept",
}


def public_page(policy: Policy) -> str:
    """What is kept of a person, by whom, for what, how long, who else gets it, and every promise with how it is watched."""
    lines = [
        f"# What is kept, and why (policy of {policy.version})",
        "",
        _MADE,
        "",
        f"{policy.text.publisher} promises its customers sixty-three things about their data. This page says what these services keep of",
        "a person to fill an order, and how each promise is watched. Where the published policy is silent, we have decided: A-01 and on.",
        "",
        "## What is kept",
        *_table(
            ("what", "of whom", "who has it", "for", "until"),
            (
                (
                    policy.parts[part].statement,
                    policy.parts[part].subject,
                    _holder(policy, hold),
                    policy.purposes[hold.purpose].statement,
                    _until(hold.retention),
                )
                for part in policy.parts
                for hold in policy.holds.values()
                if hold.part == part
            ),
        ),
        "",
        "## Who else gets what",
        "Nobody else gets anything, and nobody may use it for anything of their own.",
        "",
        *_table(("who", "what it does", "what it gets of a person"), _recipients(policy)),
        "",
        "## Who on the staff sees what",
        *_table(
            ("role", "what", "for", "how"),
            (
                (
                    _words(grant.role),
                    _fields(policy, grant.fields, grant.part),
                    policy.purposes[grant.purpose].statement,
                    _how(grant.actions, needs_case=grant.needs_case, people=grant.people),
                )
                for grant in policy.staff.values()
            ),
        ),
        "",
        "## Which mails there are",
        *_table(
            ("mail", "for", "promotes", "ends with"),
            (
                (
                    _words(name),
                    policy.purposes[mails.purpose].statement,
                    "yes, only to who asked" if mails.promotional else "no",
                    _list(map(_words, mails.stopped_by)),
                )
                for name, mails in policy.mails.items()
            ),
        ),
        "",
        "## What is never taken",
        *(f"- {_words(name)}" for name in policy.never),
        "",
        "## Our own decisions",
        *_table(("number", "what"), ((number, addendum.statement) for number, addendum in policy.addenda.items())),
        "",
        "## The promises",
        *_table(
            ("clause", "in our words", "watched by"),
            ((str(number), policy.clauses[number].statement, _watched(policy, number)) for number in policy.clauses),
        ),
    ]
    return "\n".join(lines) + "\n"


def processing_record(policy: Policy) -> str:
    """The record of processing activities: for each purpose whose data, which, who, whom it is given to, how long, how it is guarded."""
    lines = [
        f"# Record of processing (policy of {policy.version})",
        "",
        _MADE,
        "",
        f"Controller: {policy.text.publisher.rstrip('.')}. Categories and uses are keys of the fideslang taxonomy.",
    ]
    for name, purpose in policy.purposes.items():
        holds = [hold for hold in policy.holds.values() if hold.purpose == name]
        calls = [call for call in policy.disclosures.values() if call.purpose == name]
        lines += [
            "",
            f"## {_words(name).capitalize()}",
            purpose.statement,
            "",
            f"Use: `{purpose.use}`. {_numbers(purpose.clauses, purpose.addenda)}",
            "",
        ]
        if not holds:
            lines.append("Nothing is held for it yet.")
            continue
        lines += _table(
            ("service", "data", "of", "categories", "form", "until"),
            (
                (
                    hold.service,
                    _fields(policy, hold.fields, hold.part),
                    policy.parts[hold.part].subject,
                    _list(
                        f"`{it}`" for it in dict.fromkeys(policy.parts[hold.part].fields[field].category for field in hold.fields)
                    ),
                    _form(policy, hold),
                    _until(hold.retention),
                )
                for hold in holds
            ),
        )
        if calls:
            lines += [
                "",
                "Given to: "
                + _list(f"{it} ({_list(_words(field) for field in fields)})" for it, fields in _given(calls).items())
                + ".",
            ]
    lines += [
        "",
        "## Guards",
        *_table(("what", "clauses"), ((rule.statement, _list(map(str, rule.clauses))) for rule in policy.guards.values())),
        "",
        "## Where it stands",
        *_table(
            ("database", "cluster", "entered by", "boxes in"),
            (
                (
                    name,
                    its.cluster,
                    its.service,
                    _list(
                        f"{table}.{column}" for table, it in policy.databases.tables[its.tables].items() for column in it.sealed
                    )
                    or "–",
                )
                for name, its in policy.databases.databases.items()
            ),
        ),
    ]
    return "\n".join(lines) + "\n"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows)]


def _holder(policy: Policy, hold: Hold) -> str:
    return f"{hold.service}: {_fields(policy, hold.fields, hold.part)}" + (
        "" if hold.opens or hold.form == "keyed_hash" else ", unread"
    )


def _form(policy: Policy, hold: Hold) -> str:
    if hold.form == "keyed_hash":
        return "keyed hash"
    return (
        ("sealed, opened for this" if hold.opens else "sealed, passed on") if policy.parts[hold.part].sealed else "pseudonymous"
    )


def _until(retention: Retention | None) -> str:
    if retention is None:
        return "–"
    after = " or ".join(map(_words, retention.after))
    if retention.days is None:
        return f"for good ({retention.addendum})"
    days = "1 day" if retention.days == 1 else f"{retention.days} days"
    when = f"{days} after {after}" if retention.days else f"as soon as {after}"
    waits = f"; what waits, {retention.waits.days} days after it came ({retention.waits.addendum})" if retention.waits else ""
    return f"{when} {_ACTIONS[retention.action]} ({retention.addendum}){waits}"


def _recipients(policy: Policy) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, party in policy.parties.items():
        given = _given(call for call in policy.disclosures.values() if call.to == name).get(name, [])
        by_part: dict[str, list[str]] = {}
        for part, field in (it.split(".", 1) for it in given):
            by_part.setdefault(part, []).append(field)
        told = _list(_fields(policy, fields, part) for part, fields in by_part.items())
        rows.append((name, party.statement, told or "nothing"))
    return rows


def _given(calls: Iterable[Disclosure]) -> dict[str, list[str]]:
    """Party → the fields that its calls may hold, each once."""
    given: dict[str, dict[str, None]] = {}
    for call in calls:
        fields = [field for told in call.personal.values() for field in told]
        given.setdefault(call.to, {}).update(dict.fromkeys([*fields, *fields_in_path(call)]))
    return {party: list(fields) for party, fields in given.items()}


def _watched(policy: Policy, number: int) -> str:
    clause = policy.clauses[number]
    if clause.declined is not None:
        return f"no rule: {clause.declined}"
    names = dict.fromkeys(name for _, rule in policy.rules() if number in rule.clauses for name in rule.checks)
    return _list(f"{_words(name)} (to come)" if name in policy.pending else _words(name) for name in names)


def _how(actions: Iterable[str], *, needs_case: bool, people: int) -> str:
    return _list(actions) + (", with an open case" if needs_case else "") + (", two of them together" if people > 1 else "")


def _fields(policy: Policy, fields: Iterable[str], part: str) -> str:
    """The fields of a part in words; those of an address as one, where all of them are meant."""
    chosen = list(fields)
    address = [field for field in policy.parts[part].fields if field.startswith("address.")]
    if address and set(address) <= set(chosen):
        chosen = list(dict.fromkeys("address" if field in address else field for field in chosen))
    return f"{_words(part)} ({_list(map(_words, chosen))})"


def _numbers(clauses: Iterable[int], addenda: Iterable[str]) -> str:
    return "Clauses: " + _list([*map(str, clauses), *addenda]) + "."


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def _words(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").replace(".", " ")
