"""Waiting for facts: a test asks until something is so, and says what it waited for when it never is."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

T = TypeVar("T")
PATIENCE_SECONDS = 180.0
"""How long a test waits for what must come: no slow machine may turn one red, and what comes at once costs nothing."""
_POLL_SECONDS = 0.05


def wait_for(fact: Callable[[], T], what: str, timeout_seconds: float = PATIENCE_SECONDS) -> T:
    """The first truthy value of `fact`; AssertionError with `what` when there is none in time."""
    deadline = time.monotonic() + timeout_seconds
    while not (value := fact()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited in vain for: {what}")
        time.sleep(_POLL_SECONDS)
    return value


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The codes of a problem answer, in its order."""
        return [reason["code"] for reason in self.json()["reasons"]]


def ask(
    method: str,
    url: str,
    body: bytes | object | None = None,
    *,
    token: str | None = None,
    content_type: str | None = "application/json",
    timeout_seconds: float = PATIENCE_SECONDS,
) -> Reply:
    """One HTTP request on a connection of its own; `body` is bytes as they are, or anything as JSON."""
    parts = urlsplit(url)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body, ensure_ascii=False).encode()
    headers = {} if content_type is None or data is None else {"Content-Type": content_type}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_seconds)
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body=data, headers=headers)
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def rows(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """What a statement gives, in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        done = connection.execute(statement.encode(), values)
        return done.fetchall() if done.description else []


def everything_in(url: str) -> str:
    """Every row of every table of ours in a database, as text."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        texts = []
        for (table,) in tables:
            for (row,) in connection.execute(sql.SQL("select t::text from {} t").format(sql.Identifier(table))):
                texts.append(f"{table}: {row}")
    return "\n".join(texts)


def files_holding(folder: Path, *needles: str) -> dict[str, list[str]]:
    """Of each needle the files beneath `folder` whose bytes hold it, in UTF-8 or as JSON escapes it."""
    found: dict[str, list[str]] = {}
    for path in folder.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        except OSError:
            continue  # gone meanwhile
        for needle in needles:
            if needle.encode() in content or json.dumps(needle)[1:-1].encode() in content:
                found.setdefault(needle, []).append(str(path.relative_to(folder)))
    return found
