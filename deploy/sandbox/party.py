"""What all stand-ins for outside parties share: requests and answers as plain values, books, lost answers, forced faults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from deploy.sandbox.chance import Chance, Switches
from deploy.sandbox.journal import Journal

JSON = "application/json"


@dataclass(slots=True)
class Ask:
    """One HTTP request. `headers` is looked up without regard to case; `path` is decoded and without the query."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes

    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON; raises ValueError when it is none."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class Answer:
    """One HTTP answer. `reference` tells apart requests of one path (the order number, say) when answers are lost."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] | None = None
    reference: str = ""


def as_json(status: int, value: Any, *, reference: str = "") -> Answer:
    return Answer(status, orjson.dumps(value), reference=reference)


@dataclass(slots=True)
class ForcedFault:
    """A fault ordered by a test: the next `times` requests that match get this answer, without any effect (`lose`: with it)."""

    method: str
    path_prefix: str
    times: int = 1
    status: int = 503
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    lose: bool = False


class Lost(Exception):
    """The effect has happened; the connection is to be closed without an answer."""


class Party(ABC):
    """One outside party. Everything runs on one event loop without awaiting, so that each request is atomic."""

    name: str

    def __init__(self, switches: Switches, journal: Journal) -> None:
        self.switches = switches
        self.chance = Chance(switches)
        self.journal = journal
        self.requests = 0
        self.lost_answers = 0
        self.base_url = ""
        self._forced: list[ForcedFault] = []

    @abstractmethod
    def provider(self, ask: Ask) -> Answer:
        """The party's own API."""

    @abstractmethod
    def control(self, ask: Ask, action: str) -> Answer | None:
        """The sandbox's own endpoints beneath `/_sandbox/`, and None where there is no such one."""

    @abstractmethod
    def books(self) -> dict[str, Any]:
        """What has happened, whole."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """What has happened, in cheap counts."""

    @abstractmethod
    def forget(self) -> None:
        """Empty the books in memory."""

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """What runs besides the requests until the sandbox ends."""
        return []

    def tick(self) -> None:
        """Called about each second, and once more at the end."""
        self.journal.flush()

    def answer(self, ask: Ask) -> Answer:
        """Answer one request; raises `Lost` when the effect stands but the answer is not to arrive."""
        path = ask.path
        if path.startswith(("/_sandbox/", "/_books")):
            return self._answer_control(ask)
        self.requests += 1
        lose = False
        if self._forced and (fault := self._take_forced(ask)) is not None:
            if not fault.lose:
                body = b"" if fault.body is None else orjson.dumps(fault.body)
                return Answer(fault.status, body, headers=fault.headers or None)
            lose = True
        answer = self.provider(ask)
        if lose or self.chance.loses_answer(ask.method, path, answer.reference):
            self.lost_answers += 1
            raise Lost
        return answer

    def _take_forced(self, ask: Ask) -> ForcedFault | None:
        for fault in self._forced:
            if ask.method == fault.method and ask.path.startswith(fault.path_prefix):
                fault.times -= 1
                if fault.times <= 0:
                    self._forced.remove(fault)
                return fault
        return None

    def _answer_control(self, ask: Ask) -> Answer:
        if ask.method == "GET" and ask.path == "/_books":
            return as_json(200, {**self.books(), "requests": self.requests, "lost_answers": self.lost_answers})
        if ask.method == "GET" and ask.path == "/_books/summary":
            return as_json(200, {**self.summary(), "requests": self.requests, "lost_answers": self.lost_answers})
        action = ask.path.removeprefix("/_sandbox/")
        try:
            answer = self._answer_common(ask, action) or self.control(ask, action)
        except (ValueError, TypeError, KeyError, AttributeError):
            return as_json(400, {"title": "malformed control request", "status": 400})
        return answer or as_json(404, {"title": "no such control endpoint", "status": 404})

    def _answer_common(self, ask: Ask, action: str) -> Answer | None:
        match ask.method, action:
            case "POST", "reset":
                self.requests = self.lost_answers = 0
                self._forced.clear()
                self.chance.forget()
                self.forget()
                self.journal.note("reset")
            case "PUT", "switches":
                for name, value in ask.json().items():
                    if name not in Switches.__slots__:
                        raise ValueError
                    setattr(self.switches, name, int(value) if name == "seed" else float(value))
            case "POST", "faults":
                self._forced.append(ForcedFault(**ask.json()))
            case _:
                return None
        return Answer(204)
