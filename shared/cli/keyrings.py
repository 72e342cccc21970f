"""`brownpaper privacy rotate-master` and `brownpaper privacy audit verify`: the life of master keys, and the record of openings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import psycopg
import typer

from deploy.local.databases import KEYRING_SERVICES
from shared.cli import settings as cli_settings
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, ending_clearly, say
from shared.contracts.errors import BrownPaperError
from shared.custody import keys
from shared.custody.keys import Entry
from shared.custody.master import Master
from shared.custody.record import Break, Seal, breaks, fault_of
from shared.custody.rotation import rotate
from shared.custody.transit import open_master
from shared.custody.vault import RECORD_KEY, service_key_context
from shared.database import connect_to_write, type_of_connection

audit = typer.Typer(no_args_is_help=True, help="The record of every opening of a personal part.")
_PAGE = 2000
_MOST_SHOWN = 20
ALL = "all"


@audit.callback()
def keep() -> None:
    """The record of openings."""


class Keyring:
    """A service's keyring database, over one connection."""

    def __init__(self, connection: type_of_connection) -> None:
        self.connection = connection

    def begin(self) -> AbstractContextManager[type_of_connection]:
        """A transaction."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[type_of_connection]:
        with self.connection.transaction():
            yield self.connection


@dataclass(frozen=True, slots=True)
class MasterChoice:
    """Where a service's master keys are, as its settings say it."""

    keyring_master: str
    keyring_master_key_file: str | None
    keyring_vault_url: str | None
    keyring_vault_key: str | None
    keyring_vault_mount: str
    keyring_vault_token_file: str | None
    keyring_vault_ca_file: str | None

    @classmethod
    def of(cls, service: str, settings: Mapping[str, str]) -> MasterChoice:
        """Raises Misused where the settings do not say it."""
        kind = settings.get("KEYRING_MASTER", "file")
        file = settings.get(f"{service.upper()}_KEYRING_MASTER_KEY_FILE") or settings.get("KEYRING_MASTER_KEY_FILE")
        if kind == "file" and not file:
            raise Misused(
                f"Where is the master key? Set {service.upper()}_KEYRING_MASTER_KEY_FILE, or start the stack with `make up`."
            )
        told = {name: settings.get(f"KEYRING_VAULT_{name}") for name in ("URL", "KEY", "TOKEN_FILE", "CA_FILE")}
        if kind == "vault" and not (told["URL"] and told["KEY"] and told["TOKEN_FILE"]):
            raise Misused("KEYRING_MASTER=vault wants KEYRING_VAULT_URL, KEYRING_VAULT_KEY and KEYRING_VAULT_TOKEN_FILE.")
        mount = settings.get("KEYRING_VAULT_MOUNT", "transit")
        return cls(kind, file if kind == "file" else None, told["URL"], told["KEY"], mount, told["TOKEN_FILE"], told["CA_FILE"])


def rotate_master(
    service: Annotated[str, typer.Argument(help=f"{', '.join(KEYRING_SERVICES)}, or all.")],
    env: EnvFile = None,
) -> None:
    """Give a service's keyring a new master key: every live key is wrapped anew, then the old master is destroyed.

    Services may run meanwhile. Safe to repeat, and to break off: the next run goes on. Backups of the keyring from before do not open any
    more: make one afterwards.
    """
    with ending_clearly():
        settings = cli_settings.load(env)
        chosen = _chosen(service)
        choices: dict[MasterChoice, list[str]] = {}
        for name in KEYRING_SERVICES:
            choices.setdefault(MasterChoice.of(name, settings), []).append(name)
        for choice, sharing in choices.items():
            if not set(sharing) & set(chosen):
                continue
            if not set(sharing) <= set(chosen):
                raise Misused(f"{', '.join(sharing)} share one master key: rotate all of them at once (`rotate-master all`).")
            _rotate(choice, sharing, settings)


def _rotate(choice: MasterChoice, services: list[str], settings: cli_settings.Settings) -> None:
    settings.require(*(f"{service.upper()}_KEYRING_DATABASE_URL" for service in services))
    try:
        master: Master = open_master(choice)
        with ExitStack() as stack:
            keyrings = {name: Keyring(stack.enter_context(_connected(name, settings))) for name in services}
            done = rotate(master, keyrings, datetime.now(UTC))
    except BrownPaperError as error:
        raise NotDone(f"The rotation is not done ({error}). Nothing is lost; run it again.") from None
    except psycopg.Error as error:
        raise NotDone(f"A keyring does not answer ({type(error).__name__}). Nothing is lost; run it again.") from None
    for name, it in done.items():
        lost = f"; {it.unreadable} stand under a master that was destroyed before, and open nowhere" if it.unreadable else ""
        say(f"{name}: {it.wrapped} keys wrapped anew, the old master is destroyed{lost}.")


@audit.command()
def verify(
    service: Annotated[str, typer.Argument(help=f"{', '.join(KEYRING_SERVICES)}, or all.")] = ALL,
    env: EnvFile = None,
) -> None:
    """Check the record of every opening, entry by entry, against its sealed head and the hashes that orders keeps.

    Exit code 1 where it does not hold. The seal is under a key of the service, which its master key opens: that is wanted here too.
    """
    with ending_clearly():
        settings = cli_settings.load(env)
        chosen = _chosen(service)
        settings.require("ORDERS_DATABASE_URL", *(f"{name.upper()}_KEYRING_DATABASE_URL" for name in chosen))
        broken = False
        for name in chosen:
            try:
                with _connected("orders", settings, "ORDERS_DATABASE_URL") as orders:
                    anchors = anchors_of(orders, name)
                with _connected(name, settings) as connection:
                    seal = seal_of(connection, name, open_master(MasterChoice.of(name, settings)))
                    count, found = verified(connection, anchors, seal)
            except BrownPaperError as error:
                raise NotDone(f"The master key of {name} does not open its record's seal ({error}).") from None
            except psycopg.Error as error:
                raise NotDone(f"The databases of {name} do not answer ({type(error).__name__}).") from None
            for it in found[:_MOST_SHOWN]:
                say(f"{name}: entry {it.position} is {it.kind}")
            broken = broken or bool(found)
            say(f"{name}: {count} entries, {len(anchors)} anchors, {len(found) or 'no'} break{'' if len(found) == 1 else 's'}.")
        if broken:
            raise NotDone("The record does not hold.")


def seal_of(connection: type_of_connection, service: str, master: Master) -> Seal | None:
    """What the service seals its record's head with; None where it has no key for it yet. Raises MasterKeyInvalid, TryLater."""
    wrapped = keys.service_key(connection, RECORD_KEY)
    return Seal(service, master.unwrap(wrapped, service_key_context(service, RECORD_KEY))) if wrapped else None


def verified(connection: type_of_connection, anchors: Mapping[int, str], seal: Seal | None) -> tuple[int, list[Break]]:
    """How many entries the record has, and every place where it does not hold, its end by its head among them."""
    count, end = 0, keys.record_end(connection)

    def all_entries() -> Iterator[Entry]:
        nonlocal count
        after = 0
        while page := keys.entries(connection, after, _PAGE):
            yield from page
            count, after = count + len(page), page[-1].position

    found = list(breaks(all_entries(), anchors))
    fault = fault_of(end, seal)
    return count, [*found, *([fault] if fault is not None and fault not in found else [])]


def anchors_of(connection: type_of_connection, service: str) -> dict[int, str]:
    """Position → hash, as orders heard it from the service."""
    return dict(connection.execute("select position, hash from record_anchors where service = %s", (service,)).fetchall())


def _chosen(service: str) -> tuple[str, ...]:
    if service == ALL:
        return tuple(KEYRING_SERVICES)
    if service not in KEYRING_SERVICES:
        raise Misused(f"There is no keyring of {service}: there are {', '.join(KEYRING_SERVICES)}, or all.")
    return (service,)


def _connected(service: str, settings: Mapping[str, str], name: str = "") -> type_of_connection:
    return connect_to_write(settings[name or f"{service.upper()}_KEYRING_DATABASE_URL"], autocommit=True)
