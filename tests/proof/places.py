"""The places of the policy's table, and how each is read: files, messages, answers, recordings, what commands printed."""

from __future__ import annotations

import email
import email.policy
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from deploy.local import backups, postgres
from deploy.local.configuration import SANDBOXES, SERVICES
from tests.integration.facts import ask
from tests.proof.stage import KEYRINGS, Stage

_HEX = re.compile(rb"x((?:[0-9a-f]{2}){8,})")
_MAIL = re.compile(rb"(?:^|\r\n)DATA\r\n(.*?)\r\n\.\r\n", re.DOTALL | re.IGNORECASE)
_LOG_PAGE_BYTES = 8192
_NOT_OURS = {sandbox.party for sandbox in SANDBOXES}


@dataclass(frozen=True, slots=True)
class Piece:
    """Something of a place, to be read: a file, or bytes with a name."""

    place: str
    name: str
    content: Path | bytes


def files(stage: Stage) -> Iterator[Piece]:
    """What lies on the disk once services and servers have ended: the clusters' and the broker's files, logs, what was recorded."""
    for cluster in ("data", "keyring"):
        yield from cluster_files(stage.place_of(cluster) / "data", cluster)
        yield from _logs(stage.folder / cluster)
    broker = stage.place_of("broker")
    yield from broker_files(broker)
    yield from _logs(stage.folder / "broker", broker)
    yield from (
        Piece("logs", path.name, path) for path in sorted((stage.folder / "logs").glob("*.log")) if path.stem not in _NOT_OURS
    )
    yield from _beneath(stage.folder / "erasures", "logs")
    for party in _NOT_OURS:
        yield from sent(stage.sent / party, f"sent_{party}")


def cluster_files(folder: Path, cluster: str) -> Iterator[Piece]:
    """PostgreSQL's data folder, its write-ahead log apart and without what parts its pages: a record goes on from one to the next."""
    yield from _beneath(folder, f"{cluster}_files", lambda path: path.relative_to(folder).parts[0] != "pg_wal")
    for piece in _beneath(folder / "pg_wal", f"{cluster}_wal"):
        yield (
            Piece(piece.place, piece.name, joined_pages(piece.content.read_bytes())) if isinstance(piece.content, Path) else piece
        )


def joined_pages(log: bytes) -> bytes:
    """A segment of the write-ahead log without its pages' heads (`access/xlog_internal.h`: of 40 bytes where a flag says so, else of 24)."""
    starts = range(0, len(log), _LOG_PAGE_BYTES)
    return b"".join(
        log[start + (40 if log[start + 2 : start + 3] and log[start + 2] & 2 else 24) : start + _LOG_PAGE_BYTES]
        for start in starts
    )


def broker_files(folder: Path) -> Iterator[Piece]:
    """All that a node of the broker keeps, its log apart."""
    yield from _beneath(folder, "broker_files", lambda path: path.suffix != ".log")


def sent(folder: Path, place: str) -> Iterator[Piece]:
    """All that went to one outside party: the bytes of each connection, and each mail once more as its reader sees it."""
    for path in sorted(folder.glob("*.sent")):
        yield Piece(place, path.name, path)
        for number, mail in enumerate(_MAIL.findall(path.read_bytes()), start=1):
            yield Piece(place, f"{path.name}, mail {number} as it is read", as_read(mail.replace(b"\r\n..", b"\r\n.")))


def as_read(mail: bytes) -> bytes:
    """A mail's headers and bodies, decoded."""
    message = email.message_from_bytes(mail, policy=email.policy.default)
    texts: list[bytes] = []
    for part in message.walk():
        texts += [f"{name}: {value}".encode() for name, value in part.items()]
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            texts.append(content)
    return b"\n".join(texts)


def asked(stage: Stage, metrics_urls: Iterable[str] = ()) -> Iterator[Piece]:
    """What running services and servers tell: metrics, statistics, dumps."""
    for url in [*(stage.env[f"{it.upper()}_HTTP_URL"] + "/metrics" for it in SERVICES), *metrics_urls]:
        yield Piece("metrics", urlsplit(url).netloc, ask("GET", url).body)
    for service in SERVICES:
        url = stage.as_admin(service)
        yield Piece("data_statistics", service, statistics(url))
        yield from _dumped("data_dump", service, dump(url))
    for service in KEYRINGS:
        yield from _dumped("keyring_dump", service, dump(stage.as_admin(service, keyring=True)))


def backed_up(folder: Path) -> Iterator[Piece]:
    """The backups as they lie, and what is in them."""
    for cluster in backups.CLUSTERS:
        for path in sorted((folder / cluster).rglob("*.dump")):
            yield Piece(f"{cluster}_dump", f"backup of {path.stem}", path)
            yield from _dumped(
                f"{cluster}_dump", f"backup of {path.stem}, restored as text", _printed("pg_restore", "--file=-", str(path))
            )


def statistics(url: str) -> bytes:
    """What the planner remembers of values, and what statements are at work; as text."""
    texts = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("analyze")
        for view in ("pg_stats", "pg_stats_ext", "pg_stat_activity"):
            texts += [row[0] for row in connection.execute(f"select t::text from {view} t".encode())]
    text = "\n".join(texts).encode()
    return text + b"\n" + _unhexed(text)


def dump(url: str) -> bytes:
    """A database as `pg_dump` tells it."""
    parts = urlsplit(url)
    told = (
        "--host",
        parts.hostname or "",
        "--port",
        str(parts.port),
        "--username",
        unquote(parts.username or ""),
        parts.path[1:],
    )
    return _printed("pg_dump", *told, password=unquote(parts.password or ""))


def all_of(place: str, name: str, contents: Iterable[bytes]) -> Iterator[Piece]:
    """Bytes that were gathered while it was played, each with a number."""
    for number, content in enumerate(contents, start=1):
        yield Piece(place, f"{name} {number}", content)


def _dumped(place: str, name: str, text: bytes) -> Iterator[Piece]:
    yield Piece(place, name, text)
    yield Piece(place, f"{name}, its hexadecimal read", _unhexed(text))


def _unhexed(text: bytes) -> bytes:
    """What stands in it as bytes in hexadecimal, as PostgreSQL shows them."""
    return b"\n".join(bytes.fromhex(match.decode()) for match in _HEX.findall(text))


def _printed(program: str, *words: str, password: str = "") -> bytes:
    programs = postgres.find_programs()
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PGPASSWORD": password}
    done = subprocess.run(
        [str(programs / program) if programs else program, *words], env=environment, capture_output=True, timeout=120, check=True
    )
    return done.stdout


def _beneath(folder: Path, place: str, belongs: Callable[[Path], bool] = lambda _: True) -> Iterator[Piece]:
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink() and belongs(path):
                yield Piece(place, str(path.relative_to(folder)), path)


def _logs(*folders: Path) -> Iterator[Piece]:
    for path in sorted({path for folder in folders for path in folder.rglob("*.log")}):
        yield Piece("logs", f"{path.parent.name}/{path.name}", path)
