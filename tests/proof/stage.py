"""The stack that is proved: private servers, services at DEBUG, a recorder before each outside party."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from deploy.local import servers, unprivileged
from deploy.local.configuration import SANDBOXES, SERVICES, Configuration, Sandbox
from deploy.local.stack import ROOT, Stack
from shared.delivery.steps import DIE_AT
from tests.integration.scene import LONG_LADDER
from tests.proof.recorder import Recorder

CALM = ("--seed", "7", "--lose-answers", "0.05", "--repeat-webhooks", "0.05", "--decline", "0")
KEYRINGS = ("payments", "shipping", "notifications")
_SETTINGS = {
    "LOG_LEVEL": "DEBUG",
    "ACCEPT_CLEAR_PARTS_OVER_AMQP": "false",
    # What a service of the product waits seconds or minutes for, the proof need not.
    "LATER_RUNGS_SECONDS": LONG_LADDER,
    "SWEEP_SECONDS": "0.3",
    "LEASE_SECONDS": "4",
    "CALL_SECONDS": "2.5",
    "PUBLISH_LEASE_SECONDS": "2",
    "DOUBT_SECONDS": "0.5",
}
_STOP_SECONDS = 25.0


class Stage(Stack):
    """Beneath a folder of its own; ends with our process, and `remove` takes its data along. `up` after `rest` goes on with the same data."""

    def __init__(self, folder: Path) -> None:
        parties = {name for it in SANDBOXES for name in (*it.given, *it.told)}
        given = {
            servers.GIVEN_AMQP,
            servers.GIVEN_API,
            servers.GIVEN_DATA,
            servers.GIVEN_KEYRING,
            "KEYRING_MASTER",
            "ERASURE_JOURNALS",
        }
        environ = {name: value for name, value in os.environ.items() if name not in parties | given} | _SETTINGS
        super().__init__(folder, environ=environ, fresh=True, sandbox_arguments=CALM)
        self.recorders: dict[str, Recorder] = {}
        self.sent = folder / "sent"
        self._is_known = False
        self._more: dict[str, dict[str, str]] = {}

    def up(self, progress: Callable[[str], None] = lambda _: None) -> None:
        if self._is_known:
            with self._one_at_a_time():
                self._up(progress)
        else:
            super().up(progress)
            self._is_known = True

    def remove(self) -> None:
        for recorder in self.recorders.values():
            recorder.close()
        self.recorders.clear()
        super().remove()

    def rest(self) -> None:
        """End services and servers in order; what they wrote stays, and the outside parties go on."""
        self.end_services()
        for server in servers.private(self.folder).values():
            server.stop()

    def end_services(self, *names: str) -> None:
        chosen = names or SERVICES
        for name in chosen:
            if (pid := self._program(name).pid) is not None:
                os.kill(pid, signal.SIGTERM)
        for name in chosen:
            self._program(name).stop(signal.SIGTERM, _STOP_SECONDS)

    def begin(self, service: str, *, die_at: str = "") -> None:
        """Start a service that does not run; with `die_at` it is killed at that step of its work."""
        self._more[service] = {DIE_AT: die_at} if die_at else {}
        self._start_service(service)
        self._more[service] = {}

    def await_ready(self, service: str) -> None:
        self._wait_service(service)

    def was_killed(self, service: str) -> bool:
        """Whether it is over, by SIGKILL."""
        program = self._program(service)
        return program.pid is None and program.exit_status == -signal.SIGKILL

    def place_of(self, server: str) -> Path:
        """Where a server (`data`, `keyring`, `broker`) keeps its files."""
        return unprivileged.place_for(self.folder / server, "rabbitmq" if server == "broker" else "postgres").folder

    def database(self, service: str, *, keyring: bool = False) -> str:
        return self.env[f"{service.upper()}_{'KEYRING_' if keyring else ''}DATABASE_URL"]

    def as_admin(self, service: str, *, keyring: bool = False) -> str:
        """The administrator's URL of a service's database."""
        admin = self.env["ADMIN_KEYRING_POSTGRES_URL" if keyring else "ADMIN_POSTGRES_URL"]
        return urlsplit(admin)._replace(path=urlsplit(self.database(service, keyring=keyring)).path).geturl()

    def keep_values_whole(self) -> None:
        """Have PostgreSQL compress no value and cut none up that fits into a page: what stands in its files stands there as it came."""
        for url in self.databases():
            with psycopg.connect(url, autocommit=True) as connection:
                columns = connection.execute(
                    """
                    select c.oid::regclass::text, attname from pg_class c join pg_attribute a on attrelid = c.oid
                    where relkind = 'r' and relnamespace = 'public'::regnamespace and attnum > 0 and attstorage in ('x', 'm')
                        and not attisdropped
                    """
                ).fetchall()
                for table, column in columns:
                    names = (sql.SQL(table), sql.Identifier(column))
                    connection.execute(sql.SQL("alter table {} alter {} set storage external").format(*names))
                for table in {table for table, _ in columns}:
                    connection.execute(sql.SQL("alter table {} set (toast_tuple_target = 8160)").format(sql.SQL(table)))

    def databases(self) -> list[str]:
        """The administrator's URLs of all databases of the services."""
        return [*(self.as_admin(it) for it in SERVICES), *(self.as_admin(it, keyring=True) for it in KEYRINGS)]

    def command(self, *words: str, says: str = "", timeout_seconds: float = 120) -> tuple[int, bytes]:
        """Run `brownpaper …` against this stack, `says` on its standard input: its exit code, and all that it printed."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "shared.cli.main", *words, "--env", str(self.folder / "env")],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "200"},
            input=says.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_seconds,
            check=False,
        )
        return done.returncode, done.stdout

    # ── how it is started ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _up(self, progress: Callable[[str], None]) -> None:
        # A folder that holds a cluster keeps to private servers: the files of a container are not ours to read.
        (self.folder / "data").mkdir(mode=0o700, exist_ok=True)
        super()._up(progress)

    def _sandbox(self, sandbox: Sandbox, configuration: Configuration, progress: Callable[[str], None]) -> None:
        super()._sandbox(sandbox, configuration, progress)
        for name in sandbox.given:
            recorder = self.recorders.get(sandbox.party)
            if recorder is None:
                recorder = self.recorders[sandbox.party] = Recorder(configuration[name], self.sent / sandbox.party)
            configuration.set(name, recorder.address(configuration[name]))

    def _start_service(self, service: str) -> None:
        told: Mapping[str, str] = {**self._environments()[service], **self._more.get(service, {})}
        self._program(service).start(
            [sys.executable, "-m", f"services.{service}"], told, cwd=ROOT, dies_with_parent=signal.SIGTERM
        )


def in_background(work: Callable[[], object]) -> threading.Thread:
    """Begin something that goes on beside us."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
