"""`brownpaper parked`: what waits for a person in the four services, and the two things that a person can do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer

from shared.cli.parked_lines import discard_lines, members_of, tally_lines, thing_lines, total
from shared.cli.parked_things import SERVICES, STAFF_ID, Databases, Deed, databases_of, read_time, read_verdict, read_wish
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, complain, ending_clearly, say
from shared.delivery import parked
from shared.delivery.parked import ParkedThing, Wanted

app = typer.Typer(
    no_args_is_help=True,
    help="What the services could not do by themselves: look at it, have it tried again, or take it out for good. "
    "A message keeps its inbox claim, so a replay is done once, and it is never too old.",
)

_FILTERS = "Filters"
Service = Annotated[str | None, typer.Option("--service", help=f"One of {', '.join(SERVICES)}.", rich_help_panel=_FILTERS)]
Kind = Annotated[str | None, typer.Option("--kind", help="message, or call (to an outside party).", rich_help_panel=_FILTERS)]
Type = Annotated[str | None, typer.Option("--type", help="The event, or the kind of call.", rich_help_panel=_FILTERS)]
Reason = Annotated[
    str | None, typer.Option("--reason", "--parked-for", help="Why it was parked, a code.", rich_help_panel=_FILTERS)
]
ParkedFor = Annotated[str | None, typer.Option("--parked-for", help="Why it was parked, a code.", rich_help_panel=_FILTERS)]
Order = Annotated[str | None, typer.Option("--order", help="The number of the order it is about.", rich_help_panel=_FILTERS)]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Last tried then or later: 2026-11-24, 2026-11-24T12:00Z. UTC.", rich_help_panel=_FILTERS),
]
Until = Annotated[str | None, typer.Option("--until", help="Last tried before then.", rich_help_panel=_FILTERS)]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="These, by the ids that `list` shows.")]
All = Annotated[bool, typer.Option("--all", help="All that is parked; needed where neither an id nor a filter is given.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Show so many at most.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_parked(
    *,
    service: Service = None,
    kind: Kind = None,
    type_: Type = None,
    reason: Reason = None,
    order: Order = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
    json: Json = False,
    env: EnvFile = None,
) -> None:
    """List what is parked, the one that has waited longest first, and count all of it. Times are UTC."""
    with ending_clearly():
        wanted = read_wish(None, kind, type_, reason, order, since, until)
        databases = databases_of(env, service)
        counted, found = databases.count(wanted), databases.find(wanted, limit)
        if json:
            _say_json(
                {
                    "total": total(counted),
                    "counts": [{"service": its, **asdict(tally)} for its, tally in counted],
                    "items": [{"service": its, **asdict(thing)} for its, thing in found],
                }
            )
            return
        for line in (*thing_lines(found), *tally_lines(counted)):
            say(line)


@app.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID")], service: Service = None, json: Json = False, env: EnvFile = None
) -> None:
    """Show all that is kept of one. Never its body: whether there is one, how long it was, which sealed parts are in it."""
    with ending_clearly():
        databases = databases_of(env, service)
        found = databases.find(read_wish([identity], None, None, None, None, None, None), limit=1)
        if not found:
            raise NotDone("Nothing of this id is parked.")
        [(its_service, thing)] = found
        members = members_of(its_service, thing, databases.kept(its_service, thing))
        if json:
            _say_json(members)
            return
        for name, value in members.items():
            say(f"{name:<14} {_json(value).strip(chr(34))}")


@app.command()
def replay(
    *,
    ids: Ids = None,
    service: Service = None,
    kind: Kind = None,
    type_: Type = None,
    reason: Reason = None,
    order: Order = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    yes: Yes = False,
    env: EnvFile = None,
) -> None:
    """Have parked things tried again at once, by the services that run; their tries count anew. Safe to repeat.

    A message without a body cannot be replayed. A call is looked up at the outside party before it is made again. Exit code 1 where an id
    is not parked, or something that was asked for was left as it is; 0 where nothing fits a filter.
    """
    with ending_clearly():
        wanted = read_wish(ids, kind, type_, reason, order, since, until)
        _do(
            databases_of(env, service, writes=True),
            _meant(wanted, service, everything),
            lambda _, connection, chunk: parked.replay(connection, chunk),
            ("Replay", "replayed"),
            yes,
        )


@app.command()
def discard(
    *,
    reason: Annotated[
        str,
        typer.Option("--reason", help="Why: a code of a-z, 0-9 and _, at most 64. Kept for ever: nothing about a person."),
    ],
    ids: Ids = None,
    ticket: Annotated[str | None, typer.Option("--ticket", help="The id of the ticket that says more.")] = None,
    by: Annotated[str | None, typer.Option("--by", help=f"Your staff id, not your name; else {STAFF_ID}.")] = None,
    service: Service = None,
    kind: Kind = None,
    type_: Type = None,
    parked_for: ParkedFor = None,
    order: Order = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    yes: Yes = False,
    env: EnvFile = None,
) -> None:
    """Take parked things out for good. What each was, and who discarded it when and why, is written down: see `discards`.

    A message keeps its inbox claim: should it come again, it is a repeat. The order that it was about does not go on by itself. Exit code 1
    where an id is not parked, or something that was asked for was left as it is; 0 where nothing fits a filter.
    """
    with ending_clearly():
        verdict = read_verdict(reason, ticket, by, env)
        wanted = read_wish(ids, kind, type_, parked_for, order, since, until)
        _do(
            databases_of(env, service, writes=True),
            _meant(wanted, service, everything),
            lambda its_service, connection, chunk: parked.discard(connection, its_service, chunk, verdict),
            ("Discard", "discarded"),
            yes,
        )


@app.command()
def discards(
    service: Service = None,
    since: Annotated[str | None, typer.Option("--since", help="Discarded then or later.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Discarded before then.")] = None,
    limit: Limit = 100,
    json: Json = False,
    env: EnvFile = None,
) -> None:
    """List what was discarded, by whom and why, the latest last."""
    with ending_clearly():
        databases = databases_of(env, service)
        times = read_time(since, "--since"), read_time(until, "--until")
        found: list[parked.Discard] = []
        for its_service in databases.services:
            with databases.of(its_service) as connection:
                found += parked.discards(connection, *times, limit)
        found = sorted(found, key=lambda it: (it.discarded_at, it.id))[-limit:]
        if json:
            _say_json([asdict(it) for it in found])
            return
        for line in discard_lines(found):
            say(line)


def _meant(wanted: Wanted, service: str | None, everything: bool) -> Wanted:
    """What was asked for, which must be said: an id, a filter, or that it is all."""
    if wanted.is_everything and service is None and not everything:
        raise Misused("Say which: an id, a filter, or --all.")
    return wanted


def _do(databases: Databases, wanted: Wanted, deed: Deed, verb: tuple[str, str], yes: bool) -> None:
    """Say what is meant, ask, do it, and say to how many. Raises NotDone where something asked for was left."""
    counted = databases.count(wanted)
    for line in tally_lines(counted):
        say(line)
    meant, left = total(counted), 0
    if not meant and not wanted.ids:
        say("Nothing that is parked fits.")
    missing = _name_missing(databases, wanted) if wanted.ids else 0

    def on_left(service: str, thing: ParkedThing) -> None:
        nonlocal left
        left += 1
        why = "is not parked any more" if thing.is_replayable else "cannot be tried again, for its body was not kept"
        complain(f"{thing.id} of {service} {why} ({thing.reason}).")

    if meant and not yes:
        typer.confirm(f"{verb[0]} these {meant}?", abort=True)
    done = databases.do(wanted, deed, on_left) if meant else 0
    say(f"{done} {verb[1]}.")
    if missing:
        raise NotDone(f"{missing} of the ids given {'is' if missing == 1 else 'are'} not parked.")
    if (untouched := meant - done - left) > 0:
        raise NotDone(f"{untouched} of these not touched: not parked any more, or tried just now.")
    if left:
        raise NotDone(f"{left} left as {'it was' if left == 1 else 'they were'}.")


def _name_missing(databases: Databases, wanted: Wanted) -> int:
    """Name the ids that nothing that is meant has, and give how many they are."""
    ids = wanted.ids or ()
    found = {thing.id for _, thing in databases.find(wanted, len(ids))}
    where = f" at {databases.services[0]}" if len(databases.services) == 1 else ""
    why = "" if wanted == Wanted(ids=wanted.ids) else ", or does not fit the filters"
    missing = [identity for identity in ids if identity not in found]
    for identity in missing:
        complain(f"{identity} is not parked{where}{why}.")
    return len(missing)


def _say_json(value: Any) -> None:
    say(_json(value))


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
