"""`brownpaper privacy incident` and `brownpaper privacy incidents`: what got out, who is to be told, and each case to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door
from shared.cli.incident_notices import drafts, lines
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, ending_clearly, say
from shared.policy import load

app = typer.Typer(no_args_is_help=True, help="Incidents: what was noticed that must not be, and how far each is.")
CANARY_HIT, LIVE_DIFFERENCE, EXPOSURE = "canary_hit", "live_difference", "exposure"
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The incident's number.")]
By = Annotated[str, typer.Option("--by", help="Who of the staff says so: a staff name, no e-mail address.")]
Reason = Annotated[
    str, typer.Option("--reason", help="Why: a code of a-z, 0-9 and _, at most 64. Kept for ever: nothing about a person.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Drafts = Annotated[bool, typer.Option("--drafts", help="The drafts of the notices too.")]
_SAID = {
    "incident_unknown": "There is no such incident, or it is closed.",
    "incident_closed": "It is closed.",
    "incident_not_investigated": "It is not investigated yet.",
    "incident_not_reported": "Somebody is to be told of it, and it is not reported yet.",
    "incident_without_report": "It has no report yet: `brownpaper privacy incident PLACE --of NUMBER`.",
    "incident_investigated_before": "It was investigated before.",
    "incident_reported_before": "It was reported before.",
}


def incident(
    place: Annotated[
        str,
        typer.Argument(
            help="A canary place of the policy, or service:NAME, database:NAME, queue:NAME, backup:data, backup:keyring."
        ),
    ],
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From when (ISO 8601; UTC); else a day ago.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Until when; else now.")] = None,
    *,
    with_keyring: Annotated[bool, typer.Option("--with-keyring", help="A keyring got out too: its keys, wrapped.")] = False,
    with_master: Annotated[bool, typer.Option("--with-master", help="The master keys got out too.")] = False,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="PART.FIELD", help="What was found there in the clear; as often as needed."),
    ] = None,
    canary: Annotated[bool, typer.Option("--canary", help="It was a scan for canaries that found it.")] = False,
    of: Annotated[int | None, typer.Option("--of", metavar="NUMBER", help="It is the report of this known incident.")] = None,
    with_drafts: Drafts = False,
    as_json: Json = False,
    env: EnvFile = None,
) -> None:
    """Open an incident, or bring a known one up to date: what can have got out with a place, of how many, and who is to be told."""
    with ending_clearly():
        told = {
            "kind": CANARY_HIT if canary else EXPOSURE,
            "place": place,
            "since": _time(since),
            "until": _time(until),
            "fields": field or [],
            "with_keyring": with_keyring,
            "with_master": with_master,
            "of": of,
        }
        _show(notice(cli_settings.load(env), told), with_drafts=with_drafts, as_json=as_json)


@app.command(name="list")
def list_incidents(
    also_closed: Annotated[bool, typer.Option("--all", help="Those that are closed too.")] = False,
    as_json: Json = False,
    env: EnvFile = None,
) -> None:
    """List the incidents that are not closed, the first noticed first."""
    with ending_clearly():
        answer = _door(cli_settings.load(env)).get_json("/incidents", state="all" if also_closed else "open")
        if as_json:
            say(json.dumps(answer))
            return
        for line in list_lines(answer["items"], datetime.now(UTC)):
            say(line)


@app.command()
def show(number: Number, with_drafts: Drafts = False, as_json: Json = False, env: EnvFile = None) -> None:
    """Show an incident, its report and every word about it."""
    with ending_clearly():
        try:
            found = _door(cli_settings.load(env)).get_json(f"/incidents/{number}")
        except Answered as error:
            raise _not_done(error) from None
        _show(found, with_drafts=with_drafts, as_json=as_json)


@app.command()
def investigated(number: Number, by: By, reason: Reason, env: EnvFile = None) -> None:
    """Write down that it was looked into."""
    _move(number, "investigated", by, reason, env)


@app.command()
def reported(number: Number, by: By, reason: Reason, env: EnvFile = None) -> None:
    """Write down that whoever is to be told was told."""
    _move(number, "reported", by, reason, env)


@app.command()
def close(number: Number, by: By, reason: Reason, env: EnvFile = None) -> None:
    """Close it: it was reported, or nobody is to be told."""
    _move(number, "closed", by, reason, env)


def notice(settings: cli_settings.Settings, told: Mapping[str, Any]) -> Any:
    """Tell orders of something that must not be; the incident as it stands then. Safe to repeat. Raises NotDone.

    `told` is the body of `POST /incidents`: at least `kind` (canary_hit, live_difference, exposure) and `place`.
    """
    try:
        return _door(settings).post_json("/incidents", told)
    except Answered as error:
        if error.status == 422:
            raise Misused(f"That is not taken ({', '.join(error.codes)}).") from None
        raise _not_done(error) from None


def notice_differences(settings: cli_settings.Settings, rules: Sequence[str]) -> list[int]:
    """Open an incident for each live difference, by the name of its rule; their numbers, none where no orders service is known."""
    if not settings.get("ORDERS_HTTP_URL") or not settings.get("STAFF_TOKEN"):
        return []
    return [
        notice(settings, {"kind": LIVE_DIFFERENCE, "place": rule})["number"] for rule in dict.fromkeys(map(_printable, rules))
    ]


def list_lines(items: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    """A line for each; the clock counts from when it was noticed."""
    found = []
    for it in items:
        hours = (datetime.fromisoformat(it["due_at"]) - now).total_seconds() / 3600
        clock = (
            ""
            if it["state"] in ("reported", "closed")
            else f", {hours:.0f} h left"
            if hours >= 0
            else f", {-hours:.0f} h overdue"
        )
        found.append(
            f"{it['number']} {it['state']} {it['kind']} at {it['place']} ({it['service']}), noticed {it['noticed_at'][:16]}{clock}"
        )
    return found or ["No incident is open."]


def _show(found: Mapping[str, Any], *, with_drafts: bool, as_json: bool) -> None:
    notices = drafts(found, load()) if with_drafts else {}
    if as_json:
        say(json.dumps({**found, **({"drafts": notices} if with_drafts else {})}, sort_keys=True))
        return
    for line in lines(found):
        say(line)
    for whom, text in notices.items():
        say(f"\n── draft of the notice to {whom}\n{text}")


def _move(number: int, deed: str, by: str, reason: str, env: Any) -> None:
    with ending_clearly():
        try:
            found = _door(cli_settings.load(env)).post_json(f"/incidents/{number}", {"deed": deed, "by": by, "reason": reason})
        except Answered as error:
            raise _not_done(error) from None
        say(f"Incident {number} is {found['state']}.")


def _not_done(error: Answered) -> NotDone:
    if error.status == 422:
        return Misused(f"That is not taken ({', '.join(error.codes)}).")
    return NotDone(next((_SAID[code] for code in error.codes if code in _SAID), str(error)))


def _time(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Misused(f"{text} is no time: 2026-11-22 or 2026-11-22T10:00:00+00:00.") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def _printable(rule: str) -> str:
    return rule.encode("ascii", "replace").decode()[:300]


def _door(settings: cli_settings.Settings) -> Door:
    settings.require("ORDERS_HTTP_URL", "STAFF_TOKEN")
    return Door(
        "The orders service", settings["ORDERS_HTTP_URL"], token=settings["STAFF_TOKEN"], timeout_seconds=600, patience_seconds=10
    )
