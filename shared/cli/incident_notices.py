"""What an incident's report says to people: the report in lines, and the drafts of the notices, in which nobody is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from shared.policy import Policy

PEOPLE_ARE_TOLD_BY = "announcement"
"""The class of mail that a notice to the people belongs to: strictly about the service, also to those who opted out of mailings (29 to 32)."""
_WHY = {
    "nothing_stands_there": "by the policy nothing of a person stands there, and nothing was found",
    "nobody_is_concerned": "nobody had an order alive in that time",
    "can_be_read": "some of it can be read by whoever has it",
    "sealed_under_keys_that_did_not_get_out": "all of it is sealed under keys that did not get out",
}
_FORMS = {
    "clear": "in the clear",
    "pseudonymous": "as numbers and purchases, unsealed",
    "sealed": "sealed",
    "digest": "as keyed digests",
}


def lines(incident: Mapping[str, Any]) -> Iterator[str]:
    """The incident and its report, the same for the same facts."""
    yield (
        f"Incident {incident['number']}: {incident['kind'].replace('_', ' ')} at {incident['place']} ({incident['service']}), "
        f"{incident['state']}; noticed {_time(incident['noticed_at'])}, to be reported by {_time(incident['due_at'])}."
    )
    report = incident.get("report")
    if report is None:
        yield "What got out is not looked into yet: `brownpaper privacy incident PLACE --of NUMBER`."
    else:
        yield from report_lines(report)
    for word in incident.get("words", ()):
        yield f"{_time(word['at'])} {word['deed']} by {word['by']}: {word['reason']}"


def report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What got out, of how many, under which keys, which clauses it touches and who is to be told."""
    yield f"Window: {_time(report['since'])} to {_time(report['until'])}. Policy of {report['policy_version']}. Place: {report['place']}."
    for it in report["exposed"]:
        yield f"  {'found' if it['was_found'] else 'may stand there'}: {_entry(it)}"
    keys = report["keys"]
    yield f"Keys that got out: wrapped {_list(keys['wrapped'])}; masters {_list(keys['masters'])}."
    people = report["people"]
    yield f"People: {people['persons']}, and at most {people['orders_of_the_erased']} more who were erased since."
    yield f"Clauses: {_list(map(str, report['clauses']))}; {_list(report['addenda'])}."
    told = report["told"]
    yield f"To be told: {_list(who for who in ('staff', 'authority', 'people') if told[who])}; {_WHY[told['why']]}."


def drafts(incident: Mapping[str, Any], policy: Policy) -> dict[str, str]:
    """Who is to be told → the draft of the notice: sums and kinds of data, and no datum of anybody. Empty where there is no report."""
    report = incident.get("report")
    if report is None:
        return {}
    told = report["told"]
    found = {"staff": _to_staff(incident, report)}
    if told["authority"]:
        found["authority"] = _to_authority(incident, report, policy)
    if told["people"]:
        found[f"people, by a mail of the class {PEOPLE_ARE_TOLD_BY}"] = _to_people(incident, report, policy)
    return found


def _to_authority(incident: Mapping[str, Any], report: Mapping[str, Any], policy: Policy) -> str:
    people = report["people"]
    return "\n".join(
        [
            f"Notice of a breach of personal data by {policy.text.publisher}",
            "",
            f"Our number: {incident['number']}. Noticed: {_time(incident['noticed_at'])}. This notice is due by {_time(incident['due_at'])}.",
            f"What happened: {incident['kind'].replace('_', ' ')} at {report['place']}, between {_time(report['since'])} and "
            f"{_time(report['until'])}.",
            f"Concerned: about {people['persons']} persons, and at most {people['orders_of_the_erased']} more whose data we had erased since.",
            "Kinds of data:",
            *(f"- {_entry(it)}" for it in report["exposed"]),
            f"Keys that got out: wrapped {_list(report['keys']['wrapped'])}; masters {_list(report['keys']['masters'])}.",
            f"The people are {'told' if report['told']['people'] else 'not told'}: {_WHY[report['told']['why']]}.",
            "Likely consequences: [the privacy officer fills in]",
            "Measures taken: [the privacy officer fills in]",
            "Contact: [the privacy officer]",
        ]
    )


def _to_people(incident: Mapping[str, Any], report: Mapping[str, Any], policy: Policy) -> str:
    readable = [it for it in report["exposed"] if it["can_be_read"]]
    kinds = _list(dict.fromkeys(_words(field) for it in readable for field in it["fields"]))
    return "\n".join(
        [
            "Subject: Some of your data may have got into other hands",
            "",
            f"Between {_time(report['since'])} and {_time(report['until'])} data of our customers may have got out. We noticed it on "
            f"{_time(incident['noticed_at'])}.",
            f"Of you it may be: {kinds}.",
            "What else we keep of you was sealed, or was not there."
            if len(readable) < len(report["exposed"])
            else "It was not sealed.",
            "What we have done: [the privacy officer fills in]",
            "What you can do: [the privacy officer fills in]",
            f"Our number of this incident is {incident['number']}. {policy.text.publisher} answers your questions.",
        ]
    )


def _to_staff(incident: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    told = report["told"]
    by = f", by {_time(incident['due_at'])}" if told["authority"] else ""
    acts = [
        f"- Look into it, then write it down: brownpaper privacy incidents investigated {incident['number']} --by … --reason …"
    ]
    if report["keys"]["wrapped"]:
        acts.append("- Wrapped keys got out: brownpaper privacy rotate-master all, then a new backup.")
    if report["keys"]["masters"]:
        acts.append("- A master key got out: what it opens counts as read; take the machine out of service before anything else.")
    if told["people"]:
        acts.append(
            "- Send the notice to those who may be written to; say the same on the page where the policy stands, for those who left."
        )
    return "\n".join(
        [
            f"Incident {incident['number']} is {incident['state']}: {incident['kind'].replace('_', ' ')} at {report['place']}.",
            f"To be told: {_list(who for who in ('authority', 'people') if told[who])}{by}; {_WHY[told['why']]}.",
            *acts,
            "Tell nobody outside but by the notices; name no customer anywhere.",
        ]
    )


def _entry(it: Mapping[str, Any]) -> str:
    guard = f" under the keys of {_list(it['guarded_by'])}" if it["guarded_by"] else ""
    readable = "can be read" if it["can_be_read"] else "cannot be read"
    persons = "" if it["persons"] is None else f", {it['persons']} persons"
    return f"{_words(it['part'])} of the {it['of']} ({_list(map(_words, it['fields']))}), {_FORMS[it['form']]}{guard}: {readable}{persons}"


def _list(words: Any) -> str:
    return ", ".join(words) or "none"


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _time(text: str) -> str:
    at = datetime.fromisoformat(text).astimezone(UTC)
    return at.isoformat(sep=" ", timespec="minutes").removesuffix("+00:00") + " UTC"
