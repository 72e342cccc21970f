"""A member of staff at a service's door: what the commands that act for somebody by name have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import typer

from shared.cli.doors import Answered, Door
from shared.cli.settings import Settings
from shared.cli.staff import first_line
from shared.cli.terminal import NotDone

As = Annotated[str, typer.Option("--as", metavar="NAME", help="Who of the staff does it; the password is asked for.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")]
_PATIENCE_SECONDS = 10
_WHY = {
    "name_or_password_wrong": "The name or the password is wrong.",
    "token_wrong": "The session is over: begin again.",
    "too_many_tries": "Too many wrong passwords under this name: try again later.",
    "policy_not_acknowledged": "The policy in force has to be acknowledged first: `brownpaper staff acknowledge`.",
    "not_granted": "The policy does not let this role do that.",
}


@dataclass(frozen=True, slots=True)
class Seated:
    """A session that has begun: the door as this member has it, and its token."""

    door: Door
    token: str = field(repr=False)


def password_of(who: str, *, from_stdin: bool) -> str:
    """The password of a member, typed or read."""
    return first_line() if from_stdin else str(typer.prompt(f"Password of {who}", hide_input=True))


def begin(settings: Settings, service: str, who: str, password: str) -> Seated:
    """A session of this member at a service's door; whoever began it ends it. Raises NotDone where it is refused."""
    address = f"{service.upper()}_HTTP_URL"
    settings.require(address)
    name, url, ca_file = f"The {service} service", settings[address], settings.get("DOORS_CA_FILE")
    with told_why():
        begun = Door(name, url, ca_file=ca_file, patience_seconds=_PATIENCE_SECONDS).post_json(
            "/staff/session", {"name": who, "password": password}
        )
    token = str(begun["token"])
    return Seated(Door(name, url, token=token, ca_file=ca_file, patience_seconds=_PATIENCE_SECONDS), token)


@contextmanager
def session(settings: Settings, service: str, who: str, *, from_stdin: bool) -> Iterator[Seated]:
    """The same as a context that ends the session with the command."""
    seated = begin(settings, service, who, password_of(who, from_stdin=from_stdin))
    try:
        yield seated
    finally:
        seated.door.delete("/staff/session")


@contextmanager
def told_why(more: Mapping[str, str] | None = None) -> Iterator[None]:
    """A refusal that has to do with who asks in words, or with what is asked in those of `more`: code → words, which come first."""
    words = {**_WHY, **(more or {})}
    try:
        yield
    except Answered as error:
        for code in error.codes:
            if code in words:
                raise NotDone(words[code]) from None
        raise


__all__ = ["As", "PasswordStdin", "Seated", "begin", "password_of", "session", "told_why"]
