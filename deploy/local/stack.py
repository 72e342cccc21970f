"""The whole stack of one folder: servers, databases, topology, sandboxes and the four services as processes of their own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import amqp.exceptions

from deploy.local import databases, doors, servers
from deploy.local.backups import Target
from deploy.local.broker import PrivateBroker
from deploy.local.broker_cluster import BrokerCluster
from deploy.local.configuration import SANDBOXES, SERVICES, Configuration, Sandbox
from deploy.local.containers import ComposeServers
from deploy.local.definitions import USERS
from deploy.local.processes import Program, StartError, free_ports, port_is_free, wait_until, write_private

ROOT = Path(__file__).resolve().parents[2]
_READY_SECONDS = 180.0
_SANDBOX_READY_SECONDS = 180.0
_STOP_SECONDS = 25.0


class Stack:
    """Brown Paper under one folder. `up` starts what is missing, `down` ends what it or an earlier run started there.

    `fresh` wipes the folder (and the stack's databases on a given server) first, and everything ends with our process. `environ`
    stands in for the environment: what it gives wins over defaults. `sandbox_arguments` go to every sandbox (`--seed 7`). `clustered`
    runs of every server several, privately: three brokers that are one, and pairs of database servers (docs/cluster.md). `encrypted`
    has every line to servers and sandboxes speak TLS, by an authority of the folder's own (docs/operations.md).

    As a context manager it is taken down at the end; going in does not start it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        fresh: bool = False,
        sandbox_arguments: Sequence[str] = (),
        clustered: bool = False,
        encrypted: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self.env: dict[str, str] = {}
        """All that `<folder>/env` holds: addresses, tokens and credentials for the storefront and the crew. Filled by `up`."""
        self._environ = dict(os.environ if environ is None else environ)
        self.private: dict[str, servers.PrivateServer] = {}
        """What `up` started privately of broker, data and keyring, by name."""
        self._fresh = fresh
        self._clustered = clustered
        self._encrypted = encrypted
        self._sandbox_arguments = tuple(sandbox_arguments)
        self._programs: dict[str, Program] = {}
        self._has_declared = False
        if not fresh and (self.folder / "env").exists():
            lines = (self.folder / "env").read_text().splitlines()
            self.env = dict(line.split("=", 1) for line in lines if "=" in line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Start what is missing, in order, and return when every service is ready. Safe to repeat, also after a crash.

        `progress` gets a line per step. Raises StartError where something does not come up: what was started is ended again when
        the stack is fresh, and stays as it is otherwise, for its logs to be read and for `up` to be repeated.
        """
        if self._fresh:
            self.remove()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        given_broker = self._environ.get(servers.GIVEN_AMQP)
        if self._fresh and given_broker and servers.queues_are_in_use(given_broker, or_hold_messages=True):
            raise StartError(
                "The broker that was given has a stack's queues in this virtual host, at work or with messages in them: a demo beside it "
                "wants a virtual host of its own (amqp://…/another). `make clean` removes what a stack of this clone left there."
            )
        with self._one_at_a_time():
            if all(self._program(service).pid for service in SERVICES):
                progress("It is running already; what is missing is started.")
            try:
                self._up(progress)
            except BaseException:
                if self._fresh:
                    self._down()
                raise

    def down(self) -> None:
        """End services, sandboxes and servers, in this order; data, secrets and logs stay. Safe to repeat."""
        if self.folder.exists():
            with self._one_at_a_time():
                self._down()

    def remove(self) -> None:
        """End everything and remove it, data and secrets too. Safe to repeat."""
        self.down()
        if (self.folder / "compose.env").exists():
            ComposeServers(self.folder).stop(remove=True)
        given = (
            self._environ.get(servers.GIVEN_DATA),
            self._environ.get(servers.GIVEN_KEYRING) or self._environ.get(servers.GIVEN_DATA),
        )
        for admin_url, names in zip(given, (SERVICES, [f"{it}_keyring" for it in databases.KEYRING_SERVICES]), strict=True):
            if admin_url:
                for name in names:
                    databases.drop(admin_url, self._database(name))
        if (given_broker := self._environ.get(servers.GIVEN_AMQP)) and not self._fresh:
            servers.remove_queues(given_broker)
        for server in servers.private(self.folder).values():
            server.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self, service: str) -> None:
        """End a service in order, if it runs, and start it again with what `up` told it; returns when it is ready.

        Raises StartError where it does not come up, or was never up in this folder.
        """
        self._program(service).stop(signal.SIGTERM, _STOP_SECONDS)
        self._start_service(service)
        self._wait_service(service)

    def kill(self, service: str) -> None:
        """End a service as a power cut would. Safe to repeat."""
        self._program(service).kill()

    @contextmanager
    def stopped_databases(self) -> Iterator[list[Target]]:
        """Every database of this stack while no service runs; servers of our own are started for it and ended again.

        Raises StartError where a service runs, or where a server does not come up.
        """
        with self._one_at_a_time(), ExitStack() as ends:
            if running := [service for service in SERVICES if self._program(service).pid]:
                raise StartError(f"The stack is at work ({', '.join(running)}): `make down` ends it.")
            yield self._targets(*self._database_servers(ends))

    def erasure_journals(self) -> dict[str, Path]:
        """Each service's erasure journal, whether or not it is there."""
        configuration = Configuration(self.folder, self._environ)
        return {service: configuration.erasure_journal(service) for service in SERVICES}

    def _database_servers(self, ends: ExitStack) -> tuple[str, str]:
        """The administrators' addresses of the data's server and of the keyrings'."""
        given = self._environ.get(servers.GIVEN_DATA)
        if given:
            return given, self._environ.get(servers.GIVEN_KEYRING) or given
        if (self.folder / "compose.env").exists():
            compose = ComposeServers(self.folder)
            compose.start(["data", "keyring"])
            ends.callback(compose.stop)
            return compose.database_url("data"), compose.database_url("keyring")
        private = servers.private(self.folder)
        running = {name.partition("-")[0] for name, pid, _ in servers.processes(private) if pid is not None}
        urls = []
        for name in ("data", "keyring"):
            server = private[name]
            assert not isinstance(server, PrivateBroker | BrokerCluster)  # noqa: S101 - these two are databases
            server.start()
            if name not in running:
                ends.callback(server.stop)
            databases.seclude(server.admin_url)
            urls.append(server.admin_url)
        return urls[0], urls[1]

    def _targets(self, data_url: str, keyring_url: str) -> list[Target]:
        configuration = Configuration(self.folder, self._environ)
        data = [Target(it, "data", data_url, self._database(it), configuration.password(f"database {it}")) for it in SERVICES]
        keyrings = [
            Target(it, "keyring", keyring_url, self._database(f"{it}_keyring"), configuration.password(f"keyring {it}"))
            for it in databases.KEYRING_SERVICES
        ]
        return data + keyrings

    def status(self) -> list[tuple[str, int | None, str]]:
        """(name, process id or None, address) of everything that could run in this folder."""
        rows = list(servers.processes(servers.private(self.folder)))
        rows += [(it.party, self._program(it.party).pid, self.env.get(it.control, "")) for it in SANDBOXES]
        rows += [(name, self._program(name).pid, self.env.get(f"{name.upper()}_HTTP_URL", "")) for name in SERVICES]
        return rows

    def _up(self, progress: Callable[[str], None]) -> None:
        configuration = Configuration(self.folder, self._environ)
        passwords = {user: configuration.password(f"broker user {user}") for user in USERS}
        found = servers.bring(
            self.folder,
            passwords,
            self._environ,
            progress,
            dies_with_parent=self._fresh,
            is_running=any(self._program(service).pid for service in SERVICES),
            clustered=self._clustered,
            encrypted=self._encrypted,
        )
        self.private = found.private
        progress("Databases: one for each service, and their tables.")
        urls = self._databases(found, configuration)
        progress("Topology: exchanges, queues and bindings.")
        # Imported here: it belongs to the services' plumbing, and `down` must work without it.
        from shared.delivery import topology  # noqa: PLC0415

        try:
            self._has_declared = servers.GIVEN_AMQP in self._environ
            topology.declare(found.admin_uri)
        except amqp.exceptions.PreconditionFailed:
            raise StartError(
                "The broker holds queues of another release, and RabbitMQ cannot change a queue that exists. Where their messages do not "
                "matter, `make clean` removes them; else let the release that made them finish its work first."
            ) from None
        environments = self._configure(found, configuration, passwords, urls, progress)
        before = self._environments()
        write_private(self.folder / "services.json", json.dumps(environments, indent=1))
        for service in SERVICES:
            if before.get(service) != environments[service]:
                # One that runs with other addresses than what it talks to has now would talk to nobody.
                self._program(service).stop(signal.SIGTERM, _STOP_SECONDS)
            self._start_service(service)
        for service in SERVICES:
            self._wait_service(service)
            progress(f"{service.capitalize()} is ready at {self.env[f'{service.upper()}_HTTP_URL']}.")
        self._wait_keys()
        write_private(self.folder / "env", "".join(f"{name}={value}\n" for name, value in self.env.items()))

    def _configure(
        self,
        found: servers.Servers,
        configuration: Configuration,
        passwords: Mapping[str, str],
        urls: Mapping[str, dict[str, str]],
        progress: Callable[[str], None],
    ) -> dict[str, dict[str, str]]:
        """Fill `env`, start the sandboxes, and give each service's environment."""
        before = self._environments()
        running = {name: before[name]["HTTP_ADDRESS"] for name in before if self._program(name).pid}
        free = configuration.addresses({name: told["HTTP_ADDRESS"] for name, told in before.items()})
        addresses = free | running  # who runs keeps its address
        env = {f"{name.upper()}_HTTP_URL": f"http://{address}" for name, address in addresses.items()}
        env["STOREFRONT_AMQP_URI"] = found.broker_uri("storefront", passwords)
        env |= {
            name: configuration[name] for name in (*("STOREFRONT_TOKEN", "STAFF_TOKEN", "STOREFRONT_SOURCES", "POLICY_VERSIONS"),)
        }
        env["CARRIER_WEBHOOK_URL"] = f"{env['SHIPPING_HTTP_URL']}/webhooks/carrier/{configuration['CARRIER_WEBHOOK_SECRET']}"
        self.env = env
        for sandbox in SANDBOXES:
            self._sandbox(sandbox, configuration, progress)
        for name in ("PAYPAL_BASE_URL", "TWOCHECKOUT_BASE_URL", "TWOCHECKOUT_IDN_URL", "CARRIER_BASE_URL", "SMTP_URL"):
            env[name] = configuration[name]
        if configuration.given("POLICY_FOLDER"):
            env["POLICY_FOLDER"] = str(Path(configuration["POLICY_FOLDER"]).resolve())  # commands run anywhere
        environments = {}
        for service in SERVICES:
            own = {"AMQP_URI": found.broker_uri(service, passwords), "HTTP_ADDRESS": addresses[service], **urls[service]}
            if service in databases.KEYRING_SERVICES:
                own |= configuration.keyring_environment(service)
            environments[service] = configuration.of_service(service, own)
            shown = (
                "AMQP_URI",
                "DATABASE_URL",
                "KEYRING_DATABASE_URL",
                "KEYRING_MASTER_KEY_FILE",
                "PERSONS_KEY_FILE",
                "ERASURE_JOURNAL",
            )
            for name in shown:
                if name in environments[service]:
                    env[f"{service.upper()}_{name}"] = environments[service][name]
        env |= {
            "ADMIN_AMQP_URI": found.admin_uri,
            "ADMIN_POSTGRES_URL": found.data_admin_url,
            "ADMIN_KEYRING_POSTGRES_URL": found.keyring_admin_url,
        }
        return environments

    def _databases(self, found: servers.Servers, configuration: Configuration) -> dict[str, dict[str, str]]:
        urls: dict[str, dict[str, str]] = {}
        for service in SERVICES:
            name = self._database(service)
            url = databases.ensure(found.data_admin_url, name, configuration.password(f"database {service}"))
            databases.migrate(url, databases.service_folders(service))
            urls[service] = {"DATABASE_URL": url}
        for service in databases.KEYRING_SERVICES:
            name = self._database(f"{service}_keyring")
            password = configuration.password(f"keyring {service}")
            urls[service]["KEYRING_DATABASE_URL"] = databases.bring_keyring(found.keyring_admin_url, name, password)
        return urls

    def _database(self, name: str) -> str:
        # The demo and a running stack, and several clones, may share a server that was given.
        stack = re.sub("[^a-z0-9]+", "_", self.folder.name.lower()).strip("_")[:16]
        return f"brownpaper_{stack}_{hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]}_{name}"

    def _sandbox(self, sandbox: Sandbox, configuration: Configuration, progress: Callable[[str], None]) -> None:
        """Start the stand-in of an outside party unless its address is given, and note its addresses."""
        if configuration.given(sandbox.given[0]):
            progress(f"{sandbox.party}: the address that was given.")
            return
        program = self._program(sandbox.party)
        certificate = servers.certificates_of(self.folder)(sandbox.party)
        ready_file = self.folder / f"{sandbox.party}.ready"
        if program.pid is None:
            port = self._sandbox_port(ready_file)
            ready_file.unlink(missing_ok=True)
            command = [
                *(sys.executable, "-m", "deploy.sandbox", sandbox.party, "--host", "127.0.0.1", "--port", str(port)),
                *("--books", str(self.folder / "books"), "--ready-file", str(ready_file), *self._sandbox_arguments),
            ]
            if certificate:
                command += ["--tls-cert", str(certificate.certificate), "--tls-key", str(certificate.key)]
            # By the environment: the webhook's address holds its secret, and a command line is anybody's to read.
            webhook = {"CARRIER_WEBHOOK_URL": self.env["CARRIER_WEBHOOK_URL"]} if sandbox.party == "carrier" else {}
            program.start(command, configuration.of_sandbox(sandbox) | webhook, cwd=ROOT, dies_with_parent=self._dies())
        program.wait_ready(ready_file.exists, _SANDBOX_READY_SECONDS)
        told = json.loads(ready_file.read_text())
        self.env[sandbox.control] = told["url"]
        if certificate:
            configuration.set(sandbox.authorities, str(certificate.authority))
        if sandbox.party == "mailbox":
            configuration.set("SMTP_URL", told["smtp_url"])
        elif sandbox.party == "twocheckout":
            configuration.set("TWOCHECKOUT_BASE_URL", f"{told['party_url']}/rest/6.0")
            configuration.set("TWOCHECKOUT_IDN_URL", f"{told['party_url']}/order/idn.php")
        else:
            configuration.set(sandbox.given[0], told["party_url"])
        progress(f"{sandbox.party}: a sandbox at {told['url']}.")

    def _sandbox_port(self, ready_file: Path) -> int:
        """The port that it had before, while that is free: the services know it by it."""
        if ready_file.exists():
            told: dict[str, str] = json.loads(ready_file.read_text())
            before = urlsplit(told.get("smtp_url", told["party_url"])).port
            if before and port_is_free(before):
                return before
        return free_ports(1)[0]

    def _start_service(self, service: str) -> None:
        told = self._environments().get(service)
        if told is None:
            raise StartError(f"{service} was never started in {self.folder}: start the whole stack first")
        command = [sys.executable, "-m", f"services.{service}"]
        self._program(service).start(command, told, cwd=ROOT, dies_with_parent=self._dies())

    def _wait_service(self, service: str) -> None:
        address = self._environments()[service]["HTTP_ADDRESS"]
        self._program(service).wait_ready(lambda: doors.is_ready(address), _READY_SECONDS)

    def _wait_keys(self) -> None:
        # Ready is each for itself; that orders has heard of all their keys is what a storefront needs.
        address = self._environments()["orders"]["HTTP_ADDRESS"]
        if not wait_until(lambda: doors.shows_keys_of(address, databases.KEYRING_SERVICES), _READY_SECONDS):
            services = ", ".join(databases.KEYRING_SERVICES)
            raise StartError(f"Orders has not heard of a sealing key of each of {services}; their logs: {self.folder / 'logs'}")

    def _environments(self) -> dict[str, dict[str, str]]:
        path = self.folder / "services.json"
        environments: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
        return environments

    def _down(self) -> None:
        services = [self._program(service) for service in SERVICES]
        for program in services:  # all at once: each may take its time to finish what it holds
            if (pid := program.pid) is not None:
                os.kill(pid, signal.SIGTERM)
        for program in services:
            program.stop(signal.SIGTERM, _STOP_SECONDS)
        for sandbox in SANDBOXES:
            self._program(sandbox.party).stop(signal.SIGTERM, _STOP_SECONDS)
        for server in servers.private(self.folder).values():
            server.stop()
        if (self.folder / "compose.env").exists():
            ComposeServers(self.folder).stop()
        (self.folder / "env").unlink(missing_ok=True)
        if self._fresh and self._has_declared:
            self._has_declared = False
            servers.remove_queues(self._environ[servers.GIVEN_AMQP])  # it found them empty, and nobody else's

    def _dies(self) -> signal.Signals | None:
        return signal.SIGTERM if self._fresh else None

    def _program(self, name: str) -> Program:
        # One object per name and process: only it can reap the child it started.
        if name not in self._programs:
            self._programs[name] = Program(self.folder, name)
        return self._programs[name]

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
