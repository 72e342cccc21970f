"""Members of staff at real doors: accounts made by the command line, sessions, and what each door answers."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from shared.policy import load
from shared.staffing import members as staff_members
from shared.staffing import store
from shared.staffing.passwords import secret_hash_of
from tests.integration.facts import Reply, rows
from tests.integration.scene import ROOT, SHOP, Service

PASSWORD = "a sentence nobody guesses"
VERSION = load().version
SERVICES = ("orders", "payments", "shipping", "notifications")


def command(*words: str, env: Path, says: str = "") -> tuple[int, str]:
    """Exit code and what was said of `brownpaper …`."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "shared.cli.main", *words, "--env", str(env)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "COLUMNS": "200"},
        input=says,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def env_of(folder: Path, services: dict[str, Service]) -> Path:
    """The settings file that the command line reads."""
    told = {"STOREFRONT_SOURCES": SHOP}
    for name, service in services.items():
        told |= {f"{name.upper()}_DATABASE_URL": service.database_url, f"{name.upper()}_HTTP_URL": service.url}
        told |= {"STAFF_TOKEN": service.environment["STAFF_TOKEN"]} if "STAFF_TOKEN" in service.environment else {}
    file = folder / "env"
    file.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    return file


def hire(env: Path, name: str, role: str) -> None:
    """An account for a new member."""
    code, said = command("staff", "add", name, "--role", role, "--password-stdin", env=env, says=f"{PASSWORD}\n")
    assert code == 0, said
    assert PASSWORD not in said


def hire_at(database_url: str, name: str, role: str) -> None:
    """An account at one service alone, where not all of the role's services are up. Safe to repeat."""
    with psycopg.connect(database_url) as connection:
        if store.member_named(connection, name) is None:
            member = staff_members.Member(f"staff-{name}", name, role, is_active=True, secret_hash=secret_hash_of(PASSWORD))
            store.save_member(connection, member, datetime.now(UTC))


class Member:
    """One member with a session at one service's door."""

    def __init__(self, service: Service, name: str, *, acknowledges: bool = True) -> None:
        self.service, self.name = service, name
        begun = service.ask("POST", "/staff/session", {"name": name, "password": PASSWORD})
        assert begun.status == 201, begun.body
        told = begun.json()
        self.token, self.account, self.role = told["token"], told["account"], told["role"]
        if acknowledges:
            assert self.ask("POST", "/staff/acknowledgement", {"policy_version": VERSION}).status == 200

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """What the door answers; that nothing of it may be kept is looked at each time."""
        reply = self.service.ask(method, path, body, token=self.token)
        assert reply.headers["Cache-Control"] == "no-store"
        return reply

    def case(self, number: str, reason: str = "buyer_asked") -> str:
        opened = self.ask("POST", "/staff/cases", {"source": SHOP, "order_number": number, "reason": reason})
        assert opened.status == 201, opened.body
        return str(opened.json()["case"])

    def rests(self, minutes: int) -> None:
        """As if nobody had acted for so long."""
        self.service.rows(
            "update staff_sessions set acted_at = acted_at - make_interval(mins => %s) where account = %s", minutes, self.account
        )


def openings(service: Service, actor: str) -> list[tuple[str, str, str]]:
    """(purpose, part, ending) of what was opened for an actor."""

    found = rows(
        service.environment["KEYRING_DATABASE_URL"],
        "select purpose, part, ending from openings where actor = %s order by position",
        actor,
    )
    return [(str(row[0]), str(row[1]), str(row[2])) for row in found]


__all__ = ["PASSWORD", "SERVICES", "VERSION", "Member", "command", "env_of", "hire", "hire_at", "openings"]
