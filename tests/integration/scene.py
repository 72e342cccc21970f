"""A scene for a service or two: a virtual host and databases of its own on the run's servers, sandboxes, and the real programs."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from nacl.public import PrivateKey, PublicKey, SealedBox

from deploy.local import databases
from deploy.local.broker import PrivateBroker
from deploy.local.configuration import SANDBOXES, Configuration
from deploy.local.postgres import PrivateCluster
from deploy.local.processes import Program, free_ports
from tests.integration.facts import PATIENCE_SECONDS, Reply, ask, everything_in, rows, wait_for
from tests.integration.wire import Ear, Wire

ROOT = Path(__file__).resolve().parents[2]
SHOP = "https://www.astrojewelry.com"
EVERYBODY = ("orders.parts", "orders.events", "payments.events", "shipping.events", "notifications.events", "storefront.answers")
LONG_LADDER = ",".join(["0.2", "0.2", "0.3", "0.5"] + ["1"] * 600)
"""Tries that come soon, and for longer than any test waits: what is late on a slow machine is not parked."""
# What a service of the product waits seconds for, a test need not.
_SHORT = {
    "LATER_RUNGS_SECONDS": LONG_LADDER,
    "SWEEP_SECONDS": "0.2",
    "LEASE_SECONDS": "8",
    "CALL_SECONDS": "6",
    "JANITOR_SECONDS": "0.3",
}
UNHURRIED = {"CALL_SECONDS": "20", "LEASE_SECONDS": "30"}
"""For a service that talks to a sandbox: no call of it is cut off because the machine is busy, and is then in doubt."""


class IntakeKey:
    """A sealing key whose private half the test holds."""

    def __init__(self, service: str, key_id: str | None = None) -> None:
        self.service, self.key_id = service, key_id or f"{service}-test"
        self._private = PrivateKey.generate()
        self.public_key = base64.b64encode(bytes(self._private.public_key)).decode()

    def open(self, part: Mapping[str, str]) -> Any:
        return json.loads(SealedBox(self._private).decrypt(base64.b64decode(part["box"])))


def seal(part: Mapping[str, Any] | bytes, key: Mapping[str, str], *, bound_to: str | None = None) -> dict[str, str]:
    """A part sealed as a storefront does it: `key` is an entry of `GET /keys`."""
    clear = part if isinstance(part, bytes) else json.dumps({**part, "for": bound_to}).encode()
    box = SealedBox(PublicKey(base64.b64decode(key["public_key"]))).encrypt(clear)
    return {"sealed_for": key["service"], "key_id": key["key_id"], "box": base64.b64encode(box).decode()}


class Sandbox:
    """One outside party as a program, with nothing going wrong by chance."""

    def __init__(self, program: Program, told: Mapping[str, str]) -> None:
        self.program, self.told, self.url = program, told, told["url"]

    def control(self, action: str, body: object, *, method: str = "POST") -> Any:
        reply = ask(method, f"{self.url}/_sandbox/{action}", body)
        assert reply.status < 300, (action, reply.status)
        return reply.json() if reply.body else None

    def lose(self, method: str, path_prefix: str, times: int = 1) -> None:
        """The next such requests have their effect, and no answer."""
        self.control("faults", {"method": method, "path_prefix": path_prefix, "times": times, "lose": True})

    def books(self) -> Any:
        return ask("GET", f"{self.url}/_books").json()


class Service:
    """One of the four services (or a program like them) as a process."""

    def __init__(self, name: str, module: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name, self.environment = name, dict(environment)
        self.program = Program(folder, module.rpartition(".")[2] if module.startswith("tests") else name)
        self._module = module
        self.url = f"http://{environment['HTTP_ADDRESS']}"
        self.database_url = environment["DATABASE_URL"]

    def begin(self) -> None:
        command = [sys.executable, "-m", self._module]
        self.program.start(command, self.environment, cwd=ROOT, dies_with_parent=signal.SIGKILL)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.begin()
        self.program.wait_ready(self.is_ready, PATIENCE_SECONDS)

    def stop(self) -> None:
        self.program.stop(signal.SIGTERM, PATIENCE_SECONDS)

    def kill(self) -> None:
        self.program.kill()

    def ask(self, method: str, path: str, body: object = None, **how: Any) -> Reply:
        return ask(method, self.url + path, body, **how)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return rows(self.database_url, statement, *values)

    def log(self) -> str:
        return self.program.log.read_text(errors="replace")

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        text = self.ask("GET", "/metrics").body.decode()
        total = 0.0
        for line in text.splitlines():
            match = re.fullmatch(rf"{name}\{{(.*)\}} (\S+)", line)
            if match and all(f'{label}="{value}"' in match[1] for label, value in labels.items()):
                total += float(match[2])
        return total

    def settled(self) -> None:
        """Wait until nothing is left to publish, to call, or to try again."""
        statement = """
            select (select count(*) from outbox) + (select count(*) from intents where parked is null)
                + (select count(*) from held where state = 'later')
        """
        wait_for(lambda: self.rows(statement) == [(0,)], f"{self.name} to have nothing left to do")

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/ready", timeout_seconds=5).status == 200
        except OSError:
            return False


class Scene:
    """See the module. Everything is gone at the end."""

    def __init__(self, broker: PrivateBroker, virtual_host: str, copies: Mapping[str, Any], folder: Path) -> None:
        from shared.delivery import topology

        self.broker, self.virtual_host, self.folder = broker, virtual_host, folder
        self._copies = copies
        self._ends = ExitStack()
        self.admin_uri = broker.admin_uri(virtual_host)
        topology.declare(self.admin_uri)
        self.wire = Wire(self.admin_uri)
        self.configuration = Configuration(folder, {"PATH": os.environ.get("PATH", os.defpath), **_SHORT})
        self.databases: list[str] = []

    def close(self) -> None:
        self._ends.close()

    def ear(self, *exchanges: str, queue: str | None = None) -> Ear:
        """Hears everybody, or these exchanges, until the scene is over."""
        chosen = () if queue else exchanges or EVERYBODY
        return self._ends.enter_context(self.wire.ear(*chosen, queue=queue))

    def sandbox(self, party: str, *arguments: str) -> Sandbox:
        """Start an outside party; what it needs and what it gives goes into the services' settings."""
        program = Program(self.folder, party)
        ready = self.folder / f"{party}.ready"
        told = next(it for it in SANDBOXES if it.party == party)
        command = [
            *(sys.executable, "-m", "deploy.sandbox", party, "--books", str(self.folder / "books"), "--ready-file", str(ready)),
            *("--lose-answers", "0", "--decline", "0", "--repeat-webhooks", "0", *arguments),
        ]
        program.start(command, self.configuration.of_sandbox(told), cwd=ROOT, dies_with_parent=signal.SIGKILL)
        self._ends.callback(program.kill)
        program.wait_ready(lambda: ready.exists() and ready.read_text().strip() != "", PATIENCE_SECONDS)
        urls = json.loads(ready.read_text())
        given = {
            "paypal": {"PAYPAL_BASE_URL": urls["url"]},
            "carrier": {"CARRIER_BASE_URL": urls["url"]},
            "mailbox": {"SMTP_URL": urls.get("smtp_url", "")},
            "twocheckout": {
                "TWOCHECKOUT_BASE_URL": f"{urls['url']}/rest/6.0",
                "TWOCHECKOUT_IDN_URL": f"{urls['url']}/order/idn.php",
            },
        }
        for name, value in given[party].items():
            self.configuration.set(name, value)
        return Sandbox(program, urls)

    def service(self, name: str, *, module: str | None = None, uri: str | None = None, **settings: str) -> Service:
        """A service that is ready to start, with databases of its own; `settings` win over everything."""
        own = {
            "AMQP_URI": uri or self.admin_uri,
            "DATABASE_URL": self._database("data", name),
            "HTTP_ADDRESS": f"127.0.0.1:{free_ports(1)[0]}",
        }
        if name in databases.KEYRING_SERVICES:
            own["KEYRING_DATABASE_URL"] = self._database("keyring", name)
            own |= self.configuration.keyring_environment(name)
        for setting in ("PAYPAL_BASE_URL", "TWOCHECKOUT_BASE_URL", "TWOCHECKOUT_IDN_URL", "CARRIER_BASE_URL", "SMTP_URL"):
            try:
                self.configuration[setting]
            except KeyError:  # a party that nobody asks in this scene
                self.configuration.set(setting, ("smtp" if setting == "SMTP_URL" else "http") + "://127.0.0.1:9")
        environment = {**self.configuration.of_service(name, own), **settings}
        service = Service(name, module or f"services.{name}", self.folder, environment)
        self._ends.callback(service.kill)
        return service

    def texts(self) -> str:
        """All rows of all databases of this scene."""
        return "\n".join(everything_in(url) for url in self.databases)

    def _database(self, kind: str, service: str) -> str:
        cluster, copies = self._copies[kind]
        name, url = copies.take(service)
        self._ends.callback(databases.drop, cluster.admin_url, name)
        self.databases.append(url)
        return str(url)


@pytest.fixture(scope="module")
def scene(
    broker: PrivateBroker,
    data_cluster: PrivateCluster,
    keyring_cluster: PrivateCluster,
    _virtual_hosts: Iterator[str],
    _data_copies: Any,
    _keyring_copies: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """A scene for the tests of one module."""
    copies = {"data": (data_cluster, _data_copies), "keyring": (keyring_cluster, _keyring_copies)}
    it = Scene(broker, next(_virtual_hosts), copies, tmp_path_factory.mktemp("scene"))
    try:
        yield it
    finally:
        it.close()


def checkpoint(cluster: PrivateCluster) -> Path:
    """Have a cluster write everything down, and give its data folder."""
    with psycopg.connect(cluster.admin_url, autocommit=True) as connection:
        connection.execute("checkpoint")
        row = connection.execute("show data_directory").fetchone()
    assert row is not None
    return Path(str(row[0]))


def new_number(prefix: str = "T") -> str:
    """An order number that no other test has."""
    return f"{prefix}-{time.time_ns():x}"
