"""`brownpaper staff acknowledge`: a member says at each of their doors that they know the policy in force (clause 48)."""

from __future__ import annotations

from shared.cli import settings as cli_settings
from shared.cli import staff
from shared.cli.sessions import PasswordStdin, begin, password_of, told_why
from shared.cli.storefront import EnvFile
from shared.cli.terminal import ending_clearly, say
from shared.policy import load


def acknowledge(name: staff.Name, password_stdin: PasswordStdin = False, env: EnvFile = None) -> None:
    """Say that you know the policy in force (`docs/privacy/what-is-kept.md`), wherever you have an account. Safe to repeat."""
    with ending_clearly():
        settings = cli_settings.load(env)
        services = staff.services_of(settings, name)
        acknowledge_at(settings, services, name, password_of(name, from_stdin=password_stdin))
        say(f"{name} has acknowledged the policy {load().version} at {', '.join(services)}.")


def acknowledge_at(settings: cli_settings.Settings, services: tuple[str, ...], name: str, password: str) -> None:
    """The same for a password that is known. Raises NotDone where the name or the password is wrong."""
    for service in services:
        seated = begin(settings, service, name, password)
        try:
            with told_why():
                seated.door.post_json("/staff/acknowledgement", {"policy_version": load().version})
        finally:
            seated.door.delete("/staff/session")


__all__ = ["acknowledge", "acknowledge_at"]
