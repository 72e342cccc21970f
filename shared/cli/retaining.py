"""`brownpaper privacy retention` and `brownpaper privacy hold`: what has its time, and what the law keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import psycopg
import typer

from deploy.local.databases import SERVICES
from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door
from shared.cli.sessions import As, PasswordStdin, session, told_why
from shared.cli.storefront import EnvFile, source_of
from shared.cli.terminal import Misused, NotDone, ending_clearly, say

hold = typer.Typer(no_args_is_help=True, help="Orders whose data must stay because the law says so.")
Order = Annotated[str, typer.Argument(help="The order's number.")]
Clause = Annotated[str, typer.Option("--clause", help="The promise of the policy, or the addendum, that lets it: 53, A-10.")]
Source = Annotated[str | None, typer.Option("--source", help="The shop, where there is more than one.")]
_READ_ONLY = "-c default_transaction_read_only=on -c statement_timeout=10000 -c jit=off"
_EVERY_SECONDS = 600.0  # RETENTION_SECONDS, unless set


@dataclass(frozen=True, slots=True)
class ClearingRow:
    """A service's clearing as it last ended."""

    service: str
    clearing: str
    done: int
    due: int
    held: int
    oldest_due_at: datetime | None
    looked_at: datetime

    def overdue(self, at: datetime, every: timedelta) -> timedelta:
        """For how long something should be gone, or the clearing should have run, beyond two turns of it; zero where all is well."""
        since = [self.looked_at, *([self.oldest_due_at] if self.due and self.oldest_due_at else [])]
        return max(timedelta(0), *(at - moment - 2 * every for moment in since))


def retention(env: EnvFile = None) -> None:
    """Show what was let go of, what is due, what a legal hold keeps, and what is overdue. Exit code 1 where something is."""
    with ending_clearly():
        settings = cli_settings.load(env)
        settings.require(*(f"{service.upper()}_DATABASE_URL" for service in SERVICES))
        every = timedelta(seconds=float(settings.get("RETENTION_SECONDS", _EVERY_SECONDS)))
        at, rows, held = datetime.now(UTC), [], []
        for service in SERVICES:
            try:
                with psycopg.connect(
                    settings[f"{service.upper()}_DATABASE_URL"], connect_timeout=5, options=_READ_ONLY
                ) as connection:
                    rows += [ClearingRow(service, *row) for row in connection.execute(_CLEARINGS)]
                    held += [(service, *row) for row in connection.execute(_HELD)]
            except psycopg.Error as error:
                raise NotDone(f"The database of {service} cannot be asked ({type(error).__name__}).") from None
        for line in clearing_lines(rows, at, every):
            say(line)
        for service, order_number, clause in held:
            say(f"held: {order_number} in {service}, by {clause}")
        silent = set(SERVICES) - {row.service for row in rows}
        late = [row for row in rows if row.overdue(at, every)]
        if silent or late:
            raise NotDone(f"Overdue: {', '.join(sorted({*silent, *(f'{row.service} {row.clearing}' for row in late)}))}.")


_CLEARINGS = "select clearing, done, due, held, oldest_due_at, looked_at from retention_clearings order by clearing"
_HELD = "select order_number, clause from legal_holds where is_held order by changed_at limit 200"


def clearing_lines(rows: list[ClearingRow], at: datetime, every: timedelta) -> list[str]:
    """The table, a line for each clearing."""
    lines = [f"{'SERVICE':14} {'CLEARING':10} {'DONE':>8} {'DUE':>6} {'HELD':>6} {'OVERDUE':>9}"]
    for row in rows:
        overdue = f"{row.overdue(at, every).total_seconds():.0f} s"
        lines.append(f"{row.service:14} {row.clearing:10} {row.done:>8} {row.due:>6} {row.held:>6} {overdue:>9}")
    return lines


@hold.command()
def add(
    order: Order, clause: Clause, *, who: As, password_stdin: PasswordStdin = False, source: Source = None, env: EnvFile = None
) -> None:
    """Keep what every service has of an order, whatever its time, until the hold is lifted."""
    with ending_clearly():
        settings = cli_settings.load(env)
        with session(settings, "orders", who, from_stdin=password_stdin) as seated:
            answer = _say_word(seated.door, settings, order, "placed", clause, source)
        say(f"{order} is held by {clause}.")
        if answer["erased_by"] is None:
            say("The person of this order was erased before: there is nothing left that it could keep of them.")
        elif answer["erased_by"]:
            say(f"An erasure was under way: {', '.join(answer['erased_by'])} had destroyed what they had before this word.")


@hold.command()
def lift(
    order: Order, clause: Clause, *, who: As, password_stdin: PasswordStdin = False, source: Source = None, env: EnvFile = None
) -> None:
    """Let an order's data go in its time again."""
    with ending_clearly():
        settings = cli_settings.load(env)
        with session(settings, "orders", who, from_stdin=password_stdin) as seated:
            _say_word(seated.door, settings, order, "lifted", clause, source)
        say(f"{order} is not held any more.")


@hold.command(name="list")
def list_words(*, who: As, password_stdin: PasswordStdin = False, env: EnvFile = None) -> None:
    """Show every word about legal holds, the newest first, each with the account that said it."""
    with ending_clearly():
        with session(cli_settings.load(env), "orders", who, from_stdin=password_stdin) as seated, told_why():
            words = seated.door.get_json("/holds")["items"]
        for word in words:
            given = f": {word['part']} for {word['dossier']}" if word["part"] else ""
            say(f"{word['at'][:19]} {word['deed']:7} {word['order_number']} by {word['clause']}, said by {word['by']}{given}")


def _say_word(door: Door, settings: cli_settings.Settings, order: str, deed: str, clause: str, source: str | None) -> Any:
    form = {"source": source or source_of(settings), "order_number": order, "deed": deed, "clause": clause}
    try:
        with told_why():
            return door.post_json("/holds", form)
    except Answered as error:
        if error.status == 404:
            raise NotDone(f"There is no order {order}.") from None
        if error.status == 409:
            raise NotDone(f"The last word about {order} was the same.") from None
        if error.status == 422:
            raise Misused(f"That is not taken ({', '.join(error.codes)}).") from None
        raise


__all__ = ["ClearingRow", "clearing_lines", "hold", "retention"]
