"""`brownpaper staff`: who of the staff may come to which service's door, and who has to read the policy again."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import psycopg
import typer

from shared.cli import settings as cli_settings
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, ending_clearly, say
from shared.database import connect_to_write, type_of_connection
from shared.delivery.topology import SERVICES
from shared.policy import load
from shared.staffing import store
from shared.staffing.members import NAME, Acknowledged, Knowledge, Member, Period, due_at, knowledge
from shared.staffing.passwords import password_fault, secret_hash_of
from shared.staffing.permits import StaffPermits

app = typer.Typer(no_args_is_help=True, help="Staff accounts: an account stands at the services whose grants name its role.")
Name = Annotated[str, typer.Argument(help="The staff name: small letters, digits, . _ -; no e-mail address.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")]
_EVERY_DAYS, _GRACE_DAYS = 180.0, 14.0  # STAFF_ACKNOWLEDGE_DAYS and STAFF_ACKNOWLEDGE_GRACE_DAYS, unless set


@dataclass(frozen=True, slots=True)
class Row:
    """A member at one service, and what they acknowledged last there."""

    service: str
    member: Member
    last: Acknowledged | None

    def known(self, at: datetime, period: Period) -> Knowledge:
        """How the policy in force stands with them at this service."""
        return knowledge(self.last, load().version, at, period)


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option("--role", help=", ".join(load().roles))],
    password_stdin: FromStdin = False,
    env: EnvFile = None,
) -> None:
    """Make an account at every service where the policy grants the role anything. The password is asked for. Safe to break off and repeat."""
    with ending_clearly():
        if NAME.fullmatch(name) is None:
            raise Misused("A staff name is 2 to 40 small letters, digits, dots, dashes and underscores.")
        known, services = make_account(cli_settings.load(env), name, role, lambda: _password(password_stdin))
        say(
            f"{name} is {known.account}, {role}, at {', '.join(services)}. The policy is to be acknowledged at each of these doors first."
        )


def make_account(
    settings: cli_settings.Settings, name: str, role: str, password: Callable[[], str]
) -> tuple[Member, tuple[str, ...]]:
    """The member and the services where they have an account now; `password` is asked where there is none yet. Raises Misused, NotDone."""
    services = StaffPermits(load().staff.values()).services_of(role)
    if not services:
        raise Misused(f"There is no role {role}: there are {', '.join(load().roles)}.")
    with _connected(settings, services) as connections:
        found = {service: store.member_named(it, name) for service, it in connections.items()}
        known = next((it for it in found.values() if it is not None), None)
        if all(found.values()) or (known is not None and known.role != role):
            raise NotDone(f"There is a member {name} already.")
        if known is None:
            secret_hash = secret_hash_of(password())
            known = Member(f"staff-{secrets.token_hex(6)}", name, role, is_active=True, secret_hash=secret_hash)
        for service in services:
            if found[service] is None:
                store.save_member(connections[service], known, datetime.now(UTC))
    return known, services


def services_of(settings: cli_settings.Settings, name: str) -> tuple[str, ...]:
    """The services where there is an account of this name. Raises NotDone where there is none."""
    with _connected(settings, SERVICES) as connections:
        found = tuple(service for service, it in connections.items() if store.member_named(it, name) is not None)
    if not found:
        raise NotDone(f"There is no member {name}.")
    return found


@app.command()
def disable(name: Name, env: EnvFile = None) -> None:
    """End a member's sessions and let nobody in under the name. The record keeps the account."""
    with ending_clearly():
        _change(name, env, lambda it: replace(it, is_active=False))
        say(f"{name} is shut out.")


@app.command()
def reset(name: Name, password_stdin: FromStdin = False, env: EnvFile = None) -> None:
    """Give a member another password, end their sessions, and let them in again where they were shut out."""
    with ending_clearly():
        secret_hash = secret_hash_of(_password(password_stdin))
        _change(name, env, lambda it: replace(it, is_active=True, secret_hash=secret_hash))
        say(f"{name} has another password.")


@app.command(name="list")
def list_members(env: EnvFile = None) -> None:
    """Show every member at every service, and when each has to acknowledge the policy again."""
    with ending_clearly():
        settings = cli_settings.load(env)
        for line in lines(_rows(settings), datetime.now(UTC), _period(settings)):
            say(line)


@app.command()
def due(env: EnvFile = None) -> None:
    """Show who has to acknowledge the policy now. Exit code 1 where somebody sees nothing any more until then."""
    with ending_clearly():
        settings, at = cli_settings.load(env), datetime.now(UTC)
        period = _period(settings)
        late = [row for row in _rows(settings) if row.member.is_active and row.known(at, period) is not Knowledge.GOOD]
        for line in lines(late, at, period):
            say(line)
        shut = sorted({row.member.name for row in late if row.known(at, period) is not Knowledge.DUE})
        if shut:
            raise NotDone(f"They see nothing until they have acknowledged it: {', '.join(shut)}.")


def lines(rows: list[Row], at: datetime, period: Period) -> Iterator[str]:
    """A line for each member and service; no password, no token, no customer."""
    yield f"{'NAME':20} {'ACCOUNT':18} {'ROLE':17} {'SERVICE':14} {'STATE':9} {'POLICY':8} DUE"
    for row in rows:
        when = due_at(row.last, load().version, period)
        told = when.astimezone(UTC).date().isoformat() if when else "now"
        state = "active" if row.member.is_active else "shut out"
        it = row.member
        yield f"{it.name:20} {it.account:18} {it.role:17} {row.service:14} {state:9} {row.known(at, period):8} {told}"


def _rows(settings: cli_settings.Settings) -> list[Row]:
    with _connected(settings, SERVICES) as connections:
        return sorted(
            (Row(service, member, last) for service, it in connections.items() for member, last in store.everybody(it)),
            key=lambda row: (row.member.name, row.service),
        )


def _change(name: str, env: EnvFile, change: Callable[[Member], Member]) -> None:
    with _connected(cli_settings.load(env), SERVICES) as connections:
        found = {service: store.member_named(it, name) for service, it in connections.items()}
        if not any(found.values()):
            raise NotDone(f"There is no member {name}.")
        for service, it in found.items():
            if it is not None:
                store.save_member(connections[service], change(it), datetime.now(UTC))


@contextmanager
def _connected(settings: cli_settings.Settings, services: tuple[str, ...]) -> Iterator[Mapping[str, type_of_connection]]:
    """Connections to the services' databases, each in a transaction that ends well when this does."""
    settings.require(*(f"{service.upper()}_DATABASE_URL" for service in services))
    try:
        with ExitStack() as stack:
            yield {
                service: stack.enter_context(connect_to_write(settings[f"{service.upper()}_DATABASE_URL"]))
                for service in services
            }
    except psycopg.Error as error:
        raise NotDone(f"A database of the services does not answer ({type(error).__name__}).") from None


def _password(from_stdin: bool) -> str:
    password = first_line() if from_stdin else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    fault = password_fault(password)
    if fault is not None:
        raise Misused(fault)
    return password


def first_line() -> str:
    """The next line of standard input, as it was typed."""
    return sys.stdin.readline().rstrip("\n")


def _period(settings: Mapping[str, str]) -> Period:
    every = float(settings.get("STAFF_ACKNOWLEDGE_DAYS", _EVERY_DAYS))
    return Period(timedelta(days=every), timedelta(days=float(settings.get("STAFF_ACKNOWLEDGE_GRACE_DAYS", _GRACE_DAYS))))


__all__ = ["Row", "app", "first_line", "lines", "make_account", "services_of"]
