"""`brownpaper privacy publish`, `privacy campaigns` and `brownpaper announce`: what the shop says to everybody, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, ending_clearly, say

_READ_ONLY = "-c default_transaction_read_only=on -c statement_timeout=30000 -c jit=off"


class LetterKind(StrEnum):
    """The classes of letters that staff may send."""

    ANNOUNCEMENT = "announcement"
    NEWSLETTER = "newsletter"


def publish(
    file: Annotated[Path | None, typer.Argument(metavar="NEW", help="The new version's policy file.")] = None,
    by: Annotated[str, typer.Option("--by", help="Who of the staff publishes it: a staff name, no e-mail address.")] = "",
    mail_notice: Annotated[
        bool, typer.Option("--mail-notice", help="Where nothing widens, tell those who want mail by mail too.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Publish nothing; show how far the letters have come.")] = False,
    env: EnvFile = None,
) -> None:
    """Publish a version of the policy: it is shown from now on, and where something widens everybody who may be asked is asked by mail."""
    with ending_clearly():
        settings = cli_settings.load(env)
        if status:
            _say_campaigns(settings)
            return
        if file is None or not by:
            raise Misused("Say which file is published, and who publishes it (--by); or --status.")
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Misused(f"{file} cannot be read ({type(error).__name__}).") from None
        told = _post(settings, "/policy", {"policy": text, "by": by, "mail_notice": mail_notice})
        for line in published_lines(told):
            say(line)


def campaigns(env: EnvFile = None) -> None:
    """Show each letter to many: how far it has come, and why some did not get it. No person is named."""
    with ending_clearly():
        _say_campaigns(cli_settings.load(env))


def announce(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Plain text; its first line is `Subject: …`, then an empty line.")],
    kind: Annotated[LetterKind, typer.Option("--kind", help="About the service itself, or for those who asked for it.")],
    by: Annotated[list[str], typer.Option("--by", help="Who of the staff sends it; a second one where there were too many.")],
    env: EnvFile = None,
) -> None:
    """Send a plain letter to everybody whom the policy lets it reach, once."""
    with ending_clearly():
        try:
            heading, blank, text = file.read_text("utf-8").partition("\n\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Misused(f"{file} cannot be read ({type(error).__name__}).") from None
        if not heading.startswith("Subject: ") or "\n" in heading or not blank or not text.strip():
            raise Misused(f"{file} wants a first line `Subject: …`, an empty line, and a text.")
        form = {"kind": kind.value, "subject": heading.removeprefix("Subject: ").strip(), "text": text.strip(), "by": by}
        told = _post(cli_settings.load(env), "/announcements", form)
        say(f"The {kind.value} {told['announcement']} is announced since {told['announced_at'][:19]}.")


def published_lines(told: dict[str, Any]) -> Iterator[str]:
    """What was published and what follows."""
    yield f"Version {told['version']} is published; it takes the place of {told['previous']} on that day."
    if told["widened"]:
        yield "It allows more. Nothing collected before is used so until its owner says yes; they are asked by mail:"
        yield from (f"  {sentence}" for sentence in told["widened"])
    else:
        yield f"Nobody need be asked{', those who want mail are told' if told['is_mailed'] else ''}. GET /policy shows it."
    yield from (f"  {sentence}" for sentence in told["noticed"])


# ── how far ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign as it stands: `counts` are (state, reason) → letters; `unknown` those of whom no contact is kept any more."""

    name: str
    collected_before: str | None
    begun_at: datetime
    until: datetime
    done_at: datetime | None
    counts: dict[tuple[str, str | None], int]
    unknown: int | None = None


def campaign_lines(rows: Sequence[CampaignRow]) -> Iterator[str]:
    """A few lines for each campaign; counts only."""
    for row in rows:
        ended = f"done {row.done_at:%Y-%m-%d %H:%M}" if row.done_at else f"goes on until {row.until:%Y-%m-%d %H:%M}"
        yield f"{row.name}: begun {row.begun_at:%Y-%m-%d %H:%M}, {ended}, {sum(row.counts.values())} persons taken up"
        for (state, reason), number in sorted(row.counts.items(), key=lambda it: (it[0][0], it[0][1] or "")):
            yield f"  {state}{f' ({reason})' if reason else ''}: {number}"
        if row.unknown is not None:
            yield f"  could not be asked (no contact is kept): {row.unknown}"
    if not rows:
        yield "No letter went to many yet."


def _say_campaigns(settings: cli_settings.Settings) -> None:
    settings.require("NOTIFICATIONS_DATABASE_URL", "ORDERS_DATABASE_URL")
    try:
        with (
            psycopg.connect(settings["NOTIFICATIONS_DATABASE_URL"], connect_timeout=5, options=_READ_ONLY) as letters,
            psycopg.connect(settings["ORDERS_DATABASE_URL"], connect_timeout=5, options=_READ_ONLY) as orders,
        ):
            rows = [_row(letters, orders, *it) for it in letters.execute(_CAMPAIGNS).fetchall()]
    except psycopg.Error as error:
        raise NotDone(f"A database cannot be asked ({type(error).__name__}).") from None
    for line in campaign_lines(rows):
        say(line)


_CAMPAIGNS = "select campaign, collected_before, begun_at, until, done_at from campaigns order by begun_at"
_COUNTS = "select state, reason, count(*) from campaign_letters where campaign = %s group by state, reason"
_PERSONS = "select count(distinct (shop, customer_id)) from orders where customer_id <> '' and policy_version < %s"


def _row(letters: Any, orders: Any, name: str, collected_before: str | None, *times: Any) -> CampaignRow:
    counts = {(state, reason): number for state, reason, number in letters.execute(_COUNTS, (name,))}
    unknown = None
    if collected_before is not None:
        persons = orders.execute(_PERSONS, (collected_before,)).fetchone()[0]
        unknown = max(0, persons - sum(counts.values()))
    begun_at, until, done_at = times
    return CampaignRow(name, collected_before, begun_at, until, done_at, counts, unknown)


# ── the door ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_REFUSALS = {
    "version_not_later": "It must come after the version before, and begin today or later.",
    "version_malformed": "Its version must be a day, as 2027-01-31.",
    "policy_same": "Nothing but the date differs from the version before.",
    "announcements_too_many": "There were enough announcements in the last 30 days: a second one of the staff must send it too.",
}


def _post(settings: cli_settings.Settings, path: str, form: dict[str, Any]) -> Any:
    settings.require("ORDERS_HTTP_URL", "STAFF_TOKEN")
    door = Door("The orders service", settings["ORDERS_HTTP_URL"], token=settings["STAFF_TOKEN"], patience_seconds=10)
    try:
        return door.post_json(path, form)
    except Answered as error:
        for code in error.codes:
            if code in _REFUSALS:
                raise NotDone(_REFUSALS[code]) from None
        if error.status == 422:
            raise Misused(f"That is not taken ({', '.join(error.codes)}).") from None
        raise


__all__ = ["CampaignRow", "announce", "campaign_lines", "campaigns", "publish", "published_lines"]
