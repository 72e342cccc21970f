"""A member of staff of the proof: an account by the command line, a session at one service's door, the policy acknowledged."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from shared.policy import load
from tests.integration.facts import ask
from tests.proof.stage import Stage

OFFICER = "an.officer"


@dataclass(frozen=True, slots=True)
class Member:
    """What the door answers is given to whoever asks, and kept nowhere."""

    url: str
    token: str = field(repr=False)

    @classmethod
    def hired(cls, stage: Stage, service: str, name: str, role: str) -> Member:
        password = secrets.token_urlsafe(24)
        code, _ = stage.command("staff", "add", name, "--role", role, "--password-stdin", says=f"{password}\n")
        assert code == 0, "nobody was hired"
        url = stage.env[f"{service.upper()}_HTTP_URL"]
        begun = ask("POST", f"{url}/staff/session", {"name": name, "password": password})
        assert begun.status == 201, begun.status
        member = cls(url, begun.json()["token"])
        member.ask("POST", "/staff/acknowledgement", {"policy_version": load().version})
        return member

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON. Raises AssertionError where the door refuses; it names no value."""
        reply = ask(method, self.url + path, body, token=self.token)
        assert reply.status < 300, (method, reply.status)
        return reply.json()


def hired_officer(stage: Stage) -> str:
    """An officer for the commands, who has acknowledged the policy; gives the line with the password. Once in a run."""
    line = f"{secrets.token_urlsafe(24)}\n"
    for words in (("add", OFFICER, "--role", "privacy_officer"), ("acknowledge", OFFICER)):
        code, _ = stage.command("staff", *words, "--password-stdin", says=line)
        assert code == 0, "nobody was hired"
    return line
