"""A private PostgreSQL primary and its synchronous standby on this machine: what `docs/cluster.md` describes, on loopback."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from deploy.local import unprivileged
from deploy.local.postgres import PrivateCluster
from deploy.local.processes import StartError, wait_until, write_private

# How the two are to behave as a pair: the file that an operator copies.
CONFIGURATION = Path(__file__).resolve().parents[1] / "cluster" / "postgresql.conf"
PRIMARY_FILE = "primary"
_NAMES = ("one", "two")
_IN_STEP_SECONDS = 180.0


class PostgresPair:
    """Two PostgreSQL servers under `folder`: a primary, and a standby without which it commits nothing.

    Its address names both, and only the one that takes writes is ever connected to. `start` after `stop`, `kill` or a crash comes back on
    the same data. A primary that was lost comes back by `rejoin` only: by itself it would believe that it still is one.
    """

    def __init__(self, folder: Path, *, dies_with_parent: bool = False) -> None:
        self.folder = folder.resolve()
        settings = _settings(CONFIGURATION.read_text())
        self.members = tuple(
            PrivateCluster(self.folder / name, settings=settings, dies_with_parent=dies_with_parent) for name in _NAMES
        )

    @property
    def primary(self) -> PrivateCluster:
        file = self.folder / PRIMARY_FILE
        name = file.read_text() if file.exists() else _NAMES[0]
        return next(server for server in self.members if server.name == name)

    @property
    def standby(self) -> PrivateCluster:
        """The other one; after a failover it follows nobody until `rejoin`."""
        primary = self.primary
        return next(server for server in self.members if server is not primary)

    @property
    def admin_url(self) -> str:
        """The administrator's connection URL, with the password in it: a secret."""
        parts = urlsplit(self.primary.admin_url)
        credentials = parts.netloc.rpartition("@")[0]
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.members)
        return urlunsplit(parts._replace(netloc=f"{credentials}@{hosts}", query="target_session_attrs=read-write"))

    def start(self) -> None:
        """Start both; returns when the standby is in step and commits wait for it. Safe to repeat. Raises StartError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remember(self.primary)
        self.primary.start()
        self.rejoin()

    def promote(self) -> None:
        """Make the standby the primary, whose commits wait for nobody until `rejoin`. Raises psycopg.Error."""
        successor = self.standby
        with psycopg.connect(successor.admin_url, autocommit=True) as connection:
            connection.execute("select pg_promote(true, 60)")
        self._remember(successor)
        self._wait_for(None)

    def rejoin(self) -> None:
        """Have the other server follow the primary, as a fresh copy where it does not, and commits wait for it. Safe to repeat.

        Raises StartError.
        """
        primary, standby = self.primary, self.standby
        if not standby.is_standby:
            self._wait_for(None)
            standby.follow(primary)
        standby.start()
        self._wait_for(standby)
        if not wait_until(self.is_in_step, _IN_STEP_SECONDS):
            raise StartError(f"{standby.name} did not get in step with {primary.name}")

    def is_in_step(self) -> bool:
        """Whether the standby follows, and the primary waits for it."""
        with psycopg.connect(self.primary.admin_url, autocommit=True) as connection:
            rows = connection.execute("select application_name, state, sync_state from pg_stat_replication").fetchall()
        return rows == [(self.standby.name, "streaming", "sync")]

    def stop(self) -> None:
        """End both in order, the primary first. Safe to repeat."""
        for server in (self.primary, self.standby):
            server.stop()

    def kill(self) -> None:
        """End both as a power cut would. Safe to repeat."""
        for server in self.members:
            server.kill()

    def remove(self) -> None:
        """End both and remove their files. Safe to repeat."""
        for server in self.members:
            server.remove()
        unprivileged.remove(self.folder)

    def _remember(self, primary: PrivateCluster) -> None:
        write_private(self.folder / PRIMARY_FILE, primary.name)

    def _wait_for(self, standby: PrivateCluster | None) -> None:
        """Whom the primary's commits wait for, from now on."""
        with psycopg.connect(self.primary.admin_url, autocommit=True) as connection:
            name = sql.Literal(standby.name if standby else "")
            connection.execute(sql.SQL("alter system set synchronous_standby_names = {}").format(name))
            connection.execute("select pg_reload_conf()")


def _settings(text: str) -> Mapping[str, str]:
    lines = (re.sub(r"#.*", "", line).partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines if name.strip()}
