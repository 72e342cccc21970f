"""`brownpaper privacy complaints`: who thinks that a promise was broken, by when each is answered, and what is overdue (clause 2)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door
from shared.cli.sessions import As, PasswordStdin, session, told_why
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, ending_clearly, say

complaints = typer.Typer(no_args_is_help=True, help="Complaints: cases with an owner and a clock.")
Case = Annotated[str, typer.Argument(metavar="CASE", help="The case's number, as the list shows it.")]
Request = Annotated[str, typer.Argument(metavar="REQUEST", help="The id of the special request that is a complaint.")]
Source = Annotated[str | None, typer.Option("--source", help="The shop's URI; needed only where several used this id.")]


@complaints.command(name="list")
def list_cases(
    *,
    who: As,
    password_stdin: PasswordStdin = False,
    also_closed: Annotated[bool, typer.Option("--all", help="Those that are closed too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The most to show.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    env: EnvFile = None,
) -> None:
    """List the cases that are open, those due first; nobody is named. Exit code 1 where one is overdue."""
    with ending_clearly():
        with _session(env, who, password_stdin) as door, _told():
            answer = door.get_json("/complaints", state="all" if also_closed else "open", limit=limit)
        for line in [json.dumps(answer)] if as_json else case_lines(answer["items"], datetime.now(UTC)):
            say(line)
        overdue = sum(item["is_overdue"] for item in answer["items"])
        if overdue:
            raise NotDone(f"{overdue} overdue.")


@complaints.command(name="open")
def open_case(
    request: Request, *, who: As, source: Source = None, password_stdin: PasswordStdin = False, env: EnvFile = None
) -> None:
    """Make a special request a case; its person is told by mail. Safe to repeat."""
    with ending_clearly():
        with _session(env, who, password_stdin) as door:
            case = _ask(door, f"/requests/{quote(request, safe='')}/complaint", source, {})
        say(f"{case['case_id']}: due on {case['due_at'][:10]}, looked after by the {case['owner'].replace('_', ' ')}.")


@complaints.command(name="answer")
def answer_request(
    request: Request, *, who: As, source: Source = None, password_stdin: PasswordStdin = False, env: EnvFile = None
) -> None:
    """Answer by mail what stands on the standard input (after the password, with `--password-stdin`); that closes the case."""
    with ending_clearly():
        with _session(env, who, password_stdin) as door:
            text = sys.stdin.read()
            _ask(door, f"/requests/{quote(request, safe='')}/answer", source, {"text": text})
        say(f"The answer to {request} is on its way.")


@complaints.command(name="close")
def close_case(case: Case, *, who: As, password_stdin: PasswordStdin = False, env: EnvFile = None) -> None:
    """Close a case that was answered otherwise than by mail. Safe to repeat."""
    with ending_clearly():
        with _session(env, who, password_stdin) as door:
            _ask(door, f"/complaints/{quote(case, safe='')}/close", None, {})
        say(f"{case} is closed.")


def case_lines(items: list[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    """A line for each case."""
    for item in items:
        due = datetime.fromisoformat(item["due_at"])
        days = abs((due - now).days)
        when = "closed" if item["closed_at"] else f"OVERDUE by {days} days" if item["is_overdue"] else f"due in {days} days"
        told = "acknowledged" if item["acknowledged_at"] else "not acknowledged yet"
        yield f"{item['case_id']}: request {item['request_id'] or '(gone)'}, {when}, {told}, {item['owner']}"
    yield f"{len(items)} shown." if items else "No complaint is open."


def _ask(door: Door, path: str, source: str | None, body: object) -> Any:
    with _told():
        return door.post_json(path + (f"?source={quote(source, safe='')}" if source else ""), body)


@contextmanager
def _told() -> Iterator[None]:
    try:
        with told_why():
            yield
    except Answered as error:
        if error.status == 404:
            raise NotDone("There is no such request or case.") from None
        if error.status in (409, 422):
            raise Misused(f"That is not taken ({', '.join(error.codes)}).") from None
        raise


@contextmanager
def _session(env: Path | None, who: str, from_stdin: bool) -> Iterator[Door]:
    """The door of notifications with a session of this member's, which ends with the command."""
    with session(cli_settings.load(env), "notifications", who, from_stdin=from_stdin) as seated:
        yield seated.door


__all__ = ["case_lines", "complaints"]
