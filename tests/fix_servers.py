"""Real servers for tests: a private RabbitMQ and two private PostgreSQL clusters, once per run and only when a test asks.

Each run keeps its files in a folder of its own under `.test/`, so that two runs at a time do not meet. What an interrupted run
left behind (also after `kill -9`) is ended and removed by the next one.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local import databases
from deploy.local.broker import PrivateBroker
from deploy.local.postgres import PrivateCluster
from deploy.local.processes import identity_of, write_private

DatabaseUrl = Callable[[str], str]

_TEST_FOLDER = Path(__file__).resolve().parents[1] / ".test"
_VIRTUAL_HOSTS_AT_A_TIME = 24


def _remove_run(folder: Path) -> None:
    PrivateBroker(folder / "broker").remove()
    PrivateCluster(folder / "data").remove()
    PrivateCluster(folder / "keyring").remove()
    shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """End and remove what runs left behind whose process is no more."""
    for folder in _TEST_FOLDER.glob("run-*"):
        try:
            pid, identity = (folder / "owner").read_text().split("\n")
        except (OSError, ValueError):
            continue  # just being made
        if identity_of(int(pid)) != identity:
            _remove_run(folder)


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """This run's folder for servers and their files; gone with the run."""
    _TEST_FOLDER.mkdir(exist_ok=True)
    _sweep()
    folder = _TEST_FOLDER / f"run-{os.getpid()}-{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    write_private(folder / "owner", f"{os.getpid()}\n{identity_of(os.getpid())}")
    yield folder
    _remove_run(folder)


@pytest.fixture(scope="session")
def broker(servers_folder: Path) -> Iterator[PrivateBroker]:
    """A running private broker. A test that kills it starts it again."""
    hosts = tuple(f"test-{number}" for number in range(_VIRTUAL_HOSTS_AT_A_TIME))
    server = PrivateBroker(servers_folder / "broker", virtual_hosts=hosts, dies_with_parent=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _cluster(folder: Path) -> Iterator[PrivateCluster]:
    server = PrivateCluster(folder, dies_with_parent=True)
    try:
        server.start()
        databases.seclude(server.admin_url)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def data_cluster(servers_folder: Path) -> Iterator[PrivateCluster]:
    """A running private PostgreSQL cluster for the services' data."""
    yield from _cluster(servers_folder / "data")


@pytest.fixture(scope="session")
def keyring_cluster(servers_folder: Path) -> Iterator[PrivateCluster]:
    """A running private PostgreSQL cluster for the keys."""
    yield from _cluster(servers_folder / "keyring")


@pytest.fixture(scope="session")
def _virtual_hosts(broker: PrivateBroker) -> Iterator[str]:
    def names() -> Iterator[str]:
        for number in itertools.count():
            # The first lot came with the broker's start.
            if number and number % _VIRTUAL_HOSTS_AT_A_TIME == 0:
                broker.add_virtual_hosts(tuple(f"test-{number + more}" for more in range(_VIRTUAL_HOSTS_AT_A_TIME)))
            yield f"test-{number}"

    return names()


@pytest.fixture
def vhost_uri(broker: PrivateBroker, _virtual_hosts: Iterator[str]) -> str:
    """The administrator's URI of a fresh virtual host that holds the topology."""
    from shared.delivery import topology

    uri = broker.admin_uri(next(_virtual_hosts))
    topology.declare(uri)
    return uri


class _Copies:
    """Migrated template databases of one cluster, made when first asked for, and their copies."""

    def __init__(self, cluster: PrivateCluster, bring: Callable[[str, str, str], object]) -> None:
        self._cluster = cluster
        self._bring = bring
        self._passwords: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def take(self, service: str) -> tuple[str, str]:
        """A fresh copy's name and its URL as the service's role."""
        admin_url = self._cluster.admin_url
        if service not in self._passwords:
            password = secrets.token_urlsafe(16)
            self._bring(admin_url, service, password)
            self._passwords[service] = password
        name = f"{service}_{next(self._numbers)}"
        databases.copy(admin_url, service, name)
        return name, databases.database_url(admin_url, name, service, self._passwords[service])

    def lent(self) -> Iterator[DatabaseUrl]:
        taken: list[str] = []

        def url(service: str) -> str:
            name, its_url = self.take(service)
            taken.append(name)
            return its_url

        yield url
        for name in taken:
            databases.drop(self._cluster.admin_url, name)


@pytest.fixture(scope="session")
def _data_copies(data_cluster: PrivateCluster) -> _Copies:
    def bring(admin_url: str, service: str, password: str) -> None:
        databases.migrate(databases.ensure(admin_url, service, password), databases.service_folders(service))

    return _Copies(data_cluster, bring)


@pytest.fixture(scope="session")
def _keyring_copies(keyring_cluster: PrivateCluster) -> _Copies:
    return _Copies(keyring_cluster, databases.bring_keyring)


@pytest.fixture
def database_url(_data_copies: _Copies) -> Iterator[DatabaseUrl]:
    """`database_url("orders")`: the URL of a fresh, migrated database, as that service's own role; dropped after the test."""
    yield from _data_copies.lent()


@pytest.fixture
def keyring_database_url(_keyring_copies: _Copies) -> Iterator[DatabaseUrl]:
    """`keyring_database_url("shipping")`: the same on the keyring cluster."""
    yield from _keyring_copies.lent()
