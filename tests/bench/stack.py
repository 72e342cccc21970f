"""The bench's own stack: private servers only, and services that can be started anew with other programs and other databases."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from deploy.local import databases
from deploy.local.broker import VIRTUAL_HOST, PrivateBroker
from deploy.local.configuration import SANDBOXES, SERVICES, Configuration
from deploy.local.processes import StartError
from deploy.local.servers import Servers
from deploy.local.stack import ROOT, Stack

FOLDER = ROOT / ".bench"
_CALM = ("--lose-answers", "0", "--repeat-webhooks", "0", "--decline", "0")
_GIVEN = ("BROWNPAPER_AMQP_URI", "BROWNPAPER_RABBITMQ_API_URL", "BROWNPAPER_POSTGRES_URL", "BROWNPAPER_KEYRING_POSTGRES_URL")
_STOP_SECONDS = 25.0


def _environ() -> dict[str, str]:
    """Ours without servers and parties that are given: what is measured is started here. Tuning (BATCH_SIZE …) passes."""
    parties = {name for sandbox in SANDBOXES for name in sandbox.given}
    return {name: value for name, value in os.environ.items() if name not in parties and name not in _GIVEN}


class BenchStack(Stack):
    """Beneath `.bench/stack`; ends with our process, and removes its data. The services come up with a database set named `first`.

    A database set is one database for each service and one for each keyring, copied from empty, migrated ones. `play` starts the services
    anew on another set, and with other programs in the place of the named ones.
    """

    def __init__(self) -> None:
        super().__init__(FOLDER / "stack", environ=_environ(), fresh=True, sandbox_arguments=_CALM)
        self._modules: Mapping[str, str] = {}
        self._set = "first"
        self._admin_url = self._keyring_admin_url = ""

    def play(self, database_set: str, modules: Mapping[str, str] | None = None) -> None:
        """End the services, and start them on this set, made when it is new; `modules` names programs other than `services.…`.

        Returns when all are ready and their sealing keys are known. Raises StartError.
        """
        self.rest()
        self._modules, self._set = modules or {}, database_set
        self.make_set(database_set)
        for service in SERVICES:
            self._start_service(service)
        for service in SERVICES:
            self._wait_service(service)
        self._wait_keys()

    def rest(self) -> None:
        """End the services in order; servers and sandboxes go on."""
        for service in SERVICES:
            if (pid := self._program(service).pid) is not None:
                os.kill(pid, signal.SIGTERM)
        for service in SERVICES:
            self._program(service).stop(signal.SIGTERM, _STOP_SECONDS)

    def dismiss_sandboxes(self) -> None:
        """End the sandboxes: from now on the outside parties answer from memory, or nobody asks them."""
        for sandbox in SANDBOXES:
            self._program(sandbox.party).stop(signal.SIGTERM, _STOP_SECONDS)

    def make_set(self, name: str, *, like: str | None = None) -> None:
        """Make the databases of this set where they are not there yet: empty, or copies of another set that nobody uses now."""
        for admin_url, base in self._bases():
            _copy(admin_url, f"{base}_{name}", template=f"{base}_{like}" if like else base, owner=base)

    def drop_set(self, name: str) -> None:
        for admin_url, base in self._bases():
            databases.drop(admin_url, f"{base}_{name}")

    def set_url(self, service: str, name: str | None = None) -> str:
        """The service's own URL of its database in this set, or in the one that is played."""
        return _with_database(self._base_urls[service], f"{self._database(service)}_{name or self._set}")

    def set_admin_urls(self, name: str) -> dict[str, str]:
        """The administrator's URLs of all databases of this set: by service, the keyrings' as `payments keyring`."""
        data = {service: _with_database(self._admin_url, f"{self._database(service)}_{name}") for service in SERVICES}
        keyrings = {
            f"{service} keyring": _with_database(self._keyring_admin_url, f"{self._database(f'{service}_keyring')}_{name}")
            for service in databases.KEYRING_SERVICES
        }
        return data | keyrings

    def admin_urls(self) -> tuple[str, str]:
        """The administrators' URLs of the data's cluster and of the keyrings'."""
        return self._admin_url, self._keyring_admin_url

    def _bases(self) -> list[tuple[str, str]]:
        """(administrator's URL, database) of every database that a set has a copy of."""
        return [
            *((self._admin_url, self._database(service)) for service in SERVICES),
            *((self._keyring_admin_url, self._database(f"{service}_keyring")) for service in databases.KEYRING_SERVICES),
        ]

    def pids(self) -> dict[str, int]:
        """The process ids of all that runs, by name."""
        return {name: pid for name, pid, _ in self.status() if pid is not None}

    def log_bytes(self) -> int:
        """How far the data cluster's write-ahead log has come."""
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            row = connection.execute("select (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
        return int(row[0]) if row else 0

    def extra_virtual_host(self, name: str) -> str:
        """The administrator's URI of another virtual host of the same broker, made when it is not there."""
        broker = PrivateBroker(self.folder / "broker", virtual_hosts=(VIRTUAL_HOST, name))
        broker.add_virtual_hosts((name,))
        return broker.admin_uri(name)

    def extra_database(self, name: str) -> str:
        """The URL of another, empty database of the same cluster, owned by a role of its own."""
        return databases.ensure(self._admin_url, name, "bench")

    def _up(self, progress: Callable[[str], None]) -> None:
        # A folder that holds a cluster keeps to private servers, where else a Docker engine would be asked: its processes are not ours.
        (self.folder / "data").mkdir(mode=0o700, exist_ok=True)
        super()._up(progress)

    def _databases(self, found: Servers, configuration: Configuration) -> dict[str, dict[str, str]]:
        urls = super()._databases(found, configuration)
        self._admin_url, self._keyring_admin_url = found.data_admin_url, found.keyring_admin_url
        self._base_urls = {service: urls[service]["DATABASE_URL"] for service in SERVICES}
        self._keyring_urls = {service: urls[service]["KEYRING_DATABASE_URL"] for service in databases.KEYRING_SERVICES}
        self.make_set("first")
        return urls

    def _start_service(self, service: str) -> None:
        told = {**self._environments()[service], "DATABASE_URL": self.set_url(service)}
        if service in self._keyring_urls:
            keyring = f"{self._database(f'{service}_keyring')}_{self._set}"
            told["KEYRING_DATABASE_URL"] = _with_database(self._keyring_urls[service], keyring)
        module = self._modules.get(service, f"services.{service}")
        self._program(service).start([sys.executable, "-m", module], told, cwd=ROOT, dies_with_parent=signal.SIGTERM)


def _copy(admin_url: str, name: str, *, template: str, owner: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
            names = map(sql.Identifier, (name, owner, template))
            connection.execute(sql.SQL("create database {} owner {} template {}").format(*names))


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database, safe='')}"))


@contextmanager
def bench_stack(progress: Callable[[str], None]) -> Iterator[BenchStack]:
    """The stack, up; everything is ended and removed afterwards. One at a time in a clone: raises StartError beside another."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError("another bench runs in this clone") from None
        stack = BenchStack()
        try:
            stack.up(progress)
            yield stack
        finally:
            stack.remove()
            shutil.rmtree(stack.folder, ignore_errors=True)
