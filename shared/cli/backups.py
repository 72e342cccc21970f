"""`brownpaper backup` and `brownpaper restore`: both clusters apart, and nobody who was erased comes back with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import psycopg
import typer

from deploy.local import backups
from deploy.local.backups import CLUSTERS, Cluster, Target
from deploy.local.databases import KEYRING_SERVICES, SERVICES
from deploy.local.processes import StartError
from deploy.local.stack import ROOT, Stack
from shared.cli import settings as cli_settings
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, ending_clearly, say
from shared.custody.journal import ErasureJournal, JournalBroken, JournalMark
from shared.database import connect_to_write

Folder = Annotated[
    Path, typer.Argument(help="The folder of the backups: DIR/data and DIR/keyring, each with a folder for each time.")
]
_KEPT_DAYS: dict[Cluster, tuple[str, float]] = {"data": ("DATA_BACKUP_DAYS", 30), "keyring": ("KEYRING_BACKUP_DAYS", 7)}


def backup(folder: Folder, env: EnvFile = None) -> None:
    """Back up the running stack's databases, data and keyrings apart; remove what is older than it may be kept.

    DATA_BACKUP_DAYS (30) and KEYRING_BACKUP_DAYS (7) say for how long. Keep the two on different media, and master keys on neither.
    """
    with ending_clearly():
        settings = cli_settings.load(env)
        targets, journals = _running(settings), _marks(settings)
        keep = {cluster: _kept(settings, cluster) for cluster in CLUSTERS}
        try:
            made = backups.back_up(targets, folder, datetime.now(UTC), keep=keep, journals=journals)
        except StartError as error:
            raise NotDone(str(error)) from None
        for service in sorted(set(SERVICES) - set(journals)):
            say(f"{service}: where its erasure journal is was not told; a restore cannot see whether it is whole.")
        for cluster, place in made.items():
            say(f"{cluster}: {place}; {len(backups.standing(folder, cluster))} kept, each for {keep[cluster].days} days.")


def restore(
    folder: Folder,
    data: Annotated[str | None, typer.Option("--data", metavar="TIME", help="This backup of the data, else the newest.")] = None,
    keyring: Annotated[
        str | None, typer.Option("--keyring", metavar="TIME", help="This one of the keyrings, else the newest.")
    ] = None,
    stack: Annotated[Path, typer.Option("--stack", help="The stack's folder; the stack must be down.")] = ROOT / ".run",
    without_journals: Annotated[
        bool,
        typer.Option(
            "--without-journals",
            help="Restore though an erasure journal lacks persons: whoever was erased since the backup and is not in it comes back.",
        ),
    ] = False,
) -> None:
    """Bring the databases of a stack that is down back from a backup. `make up` then erases again whoever was erased, before it serves.

    Refused where an erasure journal is not what it was when any backup in the folder was made, or more: it would bring back whoever is missing.
    """
    with ending_clearly():
        try:
            chosen = {"data": backups.choose(folder, "data", data), "keyring": backups.choose(folder, "keyring", keyring)}
            # Also what was made after the chosen ones knows who was erased.
            known = [place for cluster in CLUSTERS for place in backups.standing(folder, cluster)]
            lacking = lacking_journals(Stack(stack).erasure_journals(), known)
            for line in lacking:
                say(line)
            for service in sorted(set(SERVICES).difference(*map(backups.journals_of, known))):
                say(f"{service}: no backup tells how far its erasure journal went; whether it is whole cannot be seen.")
            if lacking and not without_journals:
                raise NotDone(_WITHOUT)
            with Stack(stack).stopped_databases() as targets:
                for target in targets:
                    backups.bring_back(target, chosen[target.cluster])
                    say(f"{target.service}: its {target.cluster} is as of {chosen[target.cluster].name}.")
                    if lacking and target.cluster == "data":
                        _forget_what_was_applied(target)
                for line in _lost_of_the_record(targets):
                    say(line)
        except StartError as error:
            raise NotDone(str(error)) from None
        except psycopg.Error as error:
            raise NotDone(f"A database server refused ({type(error).__name__}).") from None
        say("Restored. `make up` applies the erasure journals before any service is ready.")


_WITHOUT = (
    "Nothing was restored. Put the journals' copies back. --without-journals restores all the same: then whoever was erased since the backup "
    "and stands in no journal is there again, readable, until you have them erased anew."
)


def lacking_journals(journals: Mapping[str, Path], known: Iterable[Path]) -> list[str]:
    """A line for each erasure journal that does not hold all that it held when one of these backups was made. Safe to repeat."""
    lines: dict[str, str] = {}  # by service: what its newest backup tells
    for place in known:
        for service, told in backups.journals_of(place).items():
            mark, file = JournalMark(told["lines"], told["head"]), journals[service]
            try:
                if ErasureJournal(file).extends(mark):
                    continue
                is_short = ErasureJournal(file).mark().lines < mark.lines
            except JournalBroken as error:
                lines[service] = f"{service}: {file}: {error}."
                continue
            what = "is shorter than" if is_short else "is another than"
            lines[service] = f"{service}: its erasure journal {file} {what} the one that {place.name} was made beside."
    return list(lines.values())


def _marks(settings: cli_settings.Settings) -> dict[str, dict[str, Any]]:
    """How far each service's journal goes, where the settings tell of it. Raises NotDone where one was changed."""
    found = {}
    for service in SERVICES:
        file = settings.get(f"{service.upper()}_ERASURE_JOURNAL")
        if file:
            try:
                found[service] = asdict(ErasureJournal(Path(file)).mark())
            except JournalBroken as error:
                raise NotDone(f"{service}: {file}: {error}. Put its copy back.") from None
    return found


def _forget_what_was_applied(target: Target) -> None:
    """The tables have seen another journal: they go through the whole of this one."""
    with connect_to_write(_on(target)) as connection:
        connection.execute("update erasures_applied set applied = 0")


def _lost_of_the_record(targets: list[Target]) -> list[str]:
    """Set aside the anchors of entries that the restored records do not have, each service's as an incident of its own."""
    orders = next(it for it in targets if (it.service, it.cluster) == ("orders", "data"))
    lines = []
    for target in (it for it in targets if it.cluster == "keyring"):
        with psycopg.connect(_on(target)) as connection:
            row = connection.execute("select coalesce(max(position), 0) from openings").fetchone()
        last = int(row[0]) if row else 0
        with connect_to_write(_on(orders)) as connection:
            lost = connection.execute(
                "delete from record_anchors where service = %s and position > %s", (target.service, last)
            ).rowcount
            if lost:
                connection.execute(
                    """
                    insert into incidents (service, kind, place, noticed_at) values (%s, 'record_restored', %s, now())
                    on conflict do nothing
                    """,
                    (target.service, f"behind {last}"),
                )
                lines.append(
                    f"{target.service}: its record of openings ends at {last}; what came later is lost, and an incident is open."
                )
    return lines


def _on(target: Target) -> str:
    return urlsplit(target.admin_url)._replace(path=f"/{target.name}").geturl()


def _running(settings: cli_settings.Settings) -> list[Target]:
    """The databases of the running stack, by the addresses that its services use."""
    data, keyrings = (
        (f"{it.upper()}_DATABASE_URL" for it in SERVICES),
        (f"{it.upper()}_KEYRING_DATABASE_URL" for it in KEYRING_SERVICES),
    )
    settings.require("ADMIN_POSTGRES_URL", "ADMIN_KEYRING_POSTGRES_URL", *data, *keyrings)

    def name(setting: str) -> str:
        return unquote(urlsplit(settings[setting]).path[1:])

    return [
        *(Target(it, "data", settings["ADMIN_POSTGRES_URL"], name(f"{it.upper()}_DATABASE_URL")) for it in SERVICES),
        *(
            Target(it, "keyring", settings["ADMIN_KEYRING_POSTGRES_URL"], name(f"{it.upper()}_KEYRING_DATABASE_URL"))
            for it in KEYRING_SERVICES
        ),
    ]


def _kept(settings: cli_settings.Settings, cluster: Cluster) -> timedelta:
    name, default = _KEPT_DAYS[cluster]
    try:
        days = float(settings.get(name, default))
    except ValueError:
        days = 0
    if days <= 0:
        raise Misused(f"{name} wants a number of days above zero.")
    return timedelta(days=days)
