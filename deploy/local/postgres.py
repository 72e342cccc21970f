"""A private PostgreSQL cluster: own data folder, own port on loopback, own passwords; the system's clusters are never touched."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg

from deploy.local import unprivileged
from deploy.local.certificates import Certificate
from deploy.local.processes import Program, StartError, free_ports, port_is_free, write_private
from shared.policy import load

ADMIN = "postgres"
_DOORS = "hostssl all all 127.0.0.1/32 scram-sha-256\n"  # pg_hba.conf of one that speaks TLS and nothing else
_START_SECONDS = 180.0
_STOP_SECONDS = 20.0

# Durability (fsync, synchronous_commit, full_page_writes) stays as PostgreSQL delivers it. The log must never hold a value, neither a
# statement nor its parameters nor the DETAIL of an error, which names the offending row: those settings are the policy's.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path ends at 107 bytes, and a clone may lie deeper
    "max_connections": "100",
    # The indexes' ends of all services stay in memory however many orders are finished, and a page is logged whole less often.
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "dynamic_shared_memory_type": "posix",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    **load().databases.settings,
    "logging_collector": "off",
    "cluster_name": "brownpaper",
}


def find_programs() -> Path | None:
    """The folder of the newest PostgreSQL server programs: where Debian keeps them, or on the PATH; None if there are none."""
    folders = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if folders:
        return max(folders, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    on_path = shutil.which("initdb")
    # Debian's wrappers are links into the folder where the rest is.
    return (
        Path(on_path).resolve().parent if on_path and shutil.which("postgres", path=str(Path(on_path).resolve().parent)) else None
    )


def _programs() -> Path:
    programs = find_programs()
    if programs is None:
        raise StartError("the PostgreSQL programs are not on this machine")
    return programs


class PrivateCluster:
    """One PostgreSQL cluster under `folder`, started as a child and never as root.

    The port and the administrator's password are chosen once per folder; `start` after `stop`, `kill` or a crash comes back on
    the same data, and on the same port unless somebody else took it meanwhile. With a `certificate` it speaks TLS and nothing else;
    `start` while it runs has it show one that was renewed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        dies_with_parent: bool = False,
        certificate: Certificate | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.name = self.folder.name
        self._settings = {**SETTINGS, **(settings or {})}
        self._dies_with_parent = dies_with_parent
        self._certificate = certificate
        self._program = Program(self.folder, "postgres", log=self.folder / "postgres.log")
        self._state_file = self.folder / "cluster.json"
        self.port = 0
        self._password = ""
        if self._state_file.exists():
            self._load()

    @property
    def admin_url(self) -> str:
        """The administrator's connection URL, with the password in it: a secret."""
        url = f"postgresql://{ADMIN}:{quote(self._password, safe='')}@127.0.0.1:{self.port}/postgres"
        if self._certificate is None:
            return url
        return f"{url}?sslmode=verify-full&sslrootcert={quote(str(self._certificate.authority), safe='')}"

    @property
    def pid(self) -> int | None:
        return self._program.pid

    def start(self) -> None:
        """Start it, made first when there is no data yet; returns when it takes connections. Safe to repeat.

        Raises StartError with the end of the log when it does not come up.
        """
        programs = _programs()
        place = unprivileged.place_for(self.folder, "postgres")
        if self._program.pid is None:
            if not self._state_file.exists():
                self._create(place)
            if not port_is_free(self.port):
                self.port = free_ports(1)[0]
                self._save()
            settings = {**self._settings, **self._encrypted(place), "port": str(self.port)}
            options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
            self._program.start(
                [*place.prefix, str(programs / "postgres"), "-D", str(place.folder / "data"), *options],
                _environment(place.folder),
                cwd=place.folder,
                dies_with_parent=signal.SIGINT if self._dies_with_parent else None,
                user=place.user,
                group=place.group,
            )
        elif self._encrypted(place):
            with psycopg.connect(self.admin_url, autocommit=True) as connection:
                connection.execute("select pg_reload_conf()")
        self._program.wait_ready(self._answers, _START_SECONDS)

    def stop(self) -> None:
        """End it in order (PostgreSQL's fast shutdown). Safe to repeat."""
        self._program.stop(signal.SIGINT, _STOP_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would. Safe to repeat."""
        self._program.kill()

    def remove(self) -> None:
        """End it and remove its files. Safe to repeat."""
        self.kill()
        unprivileged.remove(self.folder)

    def follow(self, primary: PrivateCluster) -> None:
        """Make it a copy of `primary`, which must run: `start` then starts its streaming standby, until it is promoted.

        Whatever it held is gone. The administrator is the primary's. Raises StartError.
        """
        self.kill()
        self._password = primary._password
        # The name by which the primary knows its standby, and whom it waits for, is the folder's.
        origin = f"host=127.0.0.1 port={primary.port} user={ADMIN} application_name={self.name}"
        options = ("--dbname", origin, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast")
        place = unprivileged.place_for(self.folder, "postgres")
        self._make_data(place, "pg_basebackup", options, {"PGPASSWORD": self._password})

    @property
    def is_standby(self) -> bool:
        """Whether its data are a copy that follows another's; false too where it has none."""
        return (unprivileged.place_for(self.folder, "postgres").folder / "data" / "standby.signal").exists()

    def _encrypted(self, place: unprivileged.Place) -> dict[str, str]:
        """Lay certificate, key and doors where the server finds them, and give the settings that say so."""
        if self._certificate is None:
            return {}
        texts = {it.name: it.read_text() for it in self._certificate.files} | {"pg_hba.conf": _DOORS}
        for name, text in texts.items():
            write_private(place.folder / name, text)
            place.give(place.folder / name)
        files = {"ssl_cert_file": "certificate.pem", "ssl_key_file": "key.pem", "hba_file": "pg_hba.conf"}
        return {"ssl": "on", "ssl_min_protocol_version": "TLSv1.2"} | {key: str(place.folder / it) for key, it in files.items()}

    def _create(self, place: unprivileged.Place) -> None:
        self._password = secrets.token_urlsafe(24)
        password_file = place.folder / "password"
        write_private(password_file, self._password)
        place.give(password_file)
        options = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums")
        try:
            self._make_data(place, "initdb", ("--username", ADMIN, "--pwfile", str(password_file), *options))
        finally:
            password_file.unlink(missing_ok=True)

    def _make_data(
        self, place: unprivileged.Place, tool: str, options: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        data = place.folder / "data"
        shutil.rmtree(data, ignore_errors=True)  # a first start that was interrupted
        command = [str(_programs() / tool), "--pgdata", str(data), *options]
        done = place.run(command, {**_environment(place.folder), **(environment or {})}, timeout_seconds=_START_SECONDS)
        if done.returncode != 0:
            raise StartError(f"{tool} of {self.name} failed:\n{done.stderr.strip()}")
        self.port = self.port or free_ports(1)[0]
        self._save()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.admin_url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _save(self) -> None:
        write_private(self._state_file, json.dumps({"port": self.port, "password": self._password}))

    def _load(self) -> None:
        state = json.loads(self._state_file.read_text())
        self.port, self._password = int(state["port"]), str(state["password"])


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
