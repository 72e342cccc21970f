"""Broker and databases behind TLS: the right authority works, every other, every other name and every plain line is refused."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import kombu.exceptions
import psycopg
import pytest

from deploy.local import backups, databases
from deploy.local.backups import BackupError, Target
from deploy.local.broker import PrivateBroker
from deploy.local.certificates import Authority
from deploy.local.postgres import PrivateCluster
from shared.broker_address import BrokerUntrusted, CheckedTransport
from shared.cli.answers import consume
from shared.cli.publisher import WindowedPublisher
from shared.database import Database, DatabaseUntrusted
from shared.delivery import topology
from shared.delivery.connecting import connect
from tests.component.events import envelope
from tests.fix_servers import _Copies
from tests.integration.facts import rows, wait_for
from tests.integration.scene import Scene, Service, new_number

HOSTS = ["127.0.0.1"]  # of every certificate here: `localhost` is a name of none
LINES = ("AMQP_URI", "DATABASE_URL", "KEYRING_DATABASE_URL")
FAULTS = ("another authority", "no authority of ours", "another host's name")


@dataclass
class Encrypted:
    """Servers that speak TLS only, by an authority of their own; and the authority of a stranger."""

    folder: Path
    authority: Authority
    stranger: Authority
    broker: PrivateBroker
    data: PrivateCluster
    keyring: PrivateCluster

    def with_fault(self, address: str, fault: str) -> str:
        """The same line, asked to trust somebody else, or for a name that the certificate does not have."""
        authority = quote(str(self.authority.file), safe="" if address.startswith("postgres") else "/")
        if fault == "another authority":
            changed = address.replace(authority, quote(str(self.stranger.file), safe=""))
        elif fault == "another host's name":
            changed = address.replace("@127.0.0.1:", "@localhost:")
        else:
            query = "sslmode=verify-full&sslrootcert=system" if address.startswith("postgres") else ""
            changed = urlsplit(address)._replace(query=query).geturl()
        assert changed != address
        return changed

    def broker_by(self, authority: Authority) -> PrivateBroker:
        """The broker on the same data, with the certificate of this authority."""
        name = "broker" if authority is self.authority else "impostor"
        return PrivateBroker(
            self.folder / "broker", virtual_hosts=("lines",), dies_with_parent=True, certificate=authority.issue(name, HOSTS)
        )


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    folder = tmp_path_factory.mktemp("encrypted")
    authority, stranger = Authority(folder / "authority"), Authority(folder / "stranger")
    clusters = [
        PrivateCluster(folder / name, dies_with_parent=True, certificate=authority.issue(name, HOSTS))
        for name in ("data", "keyring")
    ]
    it = Encrypted(folder, authority, stranger, PrivateBroker(folder / "broker"), *clusters)
    it.broker = it.broker_by(authority)
    try:
        it.broker.begin()
        for cluster in clusters:
            cluster.start()
            databases.seclude(cluster.admin_url)
        it.broker.wait()
        yield it
    finally:
        for server in (it.broker, *clusters):
            server.remove()


@pytest.fixture(scope="module")
def behind_tls(encrypted: Encrypted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A scene whose broker and databases are the encrypted ones."""

    def bring(admin_url: str, service: str, password: str) -> None:
        databases.migrate(databases.ensure(admin_url, service, password), databases.service_folders(service))

    copies = {
        "data": (encrypted.data, _Copies(encrypted.data, bring)),
        "keyring": (encrypted.keyring, _Copies(encrypted.keyring, databases.bring_keyring)),
    }
    scene = Scene(encrypted.broker, "lines", copies, tmp_path_factory.mktemp("scene"))
    try:
        yield scene
    finally:
        scene.close()


@pytest.fixture(autouse=True)
def _waits_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")


# ── every line of ours, tried by itself ──────────────────────────────────────────────────────────────────────────────────────


def _open_database(url: str) -> None:
    database = Database(url, name="test")
    try:
        with database.begin() as connection:
            connection.execute("select 1")
    finally:
        database.close()


def _publish(uri: str) -> None:
    with WindowedPublisher(uri) as publisher:
        publisher.publish("id", "order_placed", b"{}")


def _take_answers(uri: str) -> None:
    import threading

    consume(uri, lambda _: None, stop=threading.Event(), follow=False)


def _connect(uri: str) -> None:
    connect(uri, "test").release()


BROKER_LINES: list[Callable[[str], None]] = [_connect, topology.declare, _publish, _take_answers]
DATABASE_LINES: list[Callable[[str], object]] = [_open_database, psycopg.connect, lambda url: databases.migrate(url, [])]


def refused(opening: Callable[[str], object], address: str) -> str:
    """What a line said that was not opened because of the certificate; AssertionError where it was opened, or failed otherwise."""
    password = urlsplit(address).password or ""
    with pytest.raises((OSError, DatabaseUntrusted, psycopg.OperationalError)) as failed:
        opening(address)
    said = str(failed.value)
    assert "untrusted" in said or "certificate" in said
    assert password not in said
    return said


@pytest.mark.parametrize("fault", FAULTS)
def test_no_line_is_opened_to_whom_it_does_not_trust(encrypted: Encrypted, behind_tls: Scene, fault: str) -> None:
    for broker_line in BROKER_LINES:
        assert "broker_untrusted" in refused(broker_line, encrypted.with_fault(behind_tls.admin_uri, fault))
    for cluster in (encrypted.data, encrypted.keyring):
        for database_line in DATABASE_LINES:
            refused(database_line, encrypted.with_fault(cluster.admin_url, fault))
        with pytest.raises(DatabaseUntrusted, match="database_untrusted"):
            _open_database(encrypted.with_fault(cluster.admin_url, fault))


def test_a_line_that_does_not_look_is_red(encrypted: Encrypted, behind_tls: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(transport: CheckedTransport) -> object:
        transport.client.ssl = {"cert_reqs": ssl.CERT_NONE}
        return super(CheckedTransport, transport).establish_connection()

    monkeypatch.setattr(CheckedTransport, "establish_connection", careless)
    with pytest.raises(pytest.fail.Exception):
        refused(_connect, encrypted.with_fault(behind_tls.admin_uri, "another authority"))
    with pytest.raises(pytest.fail.Exception):
        refused(_open_database, urlsplit(encrypted.data.admin_url)._replace(query="sslmode=require").geturl())


def test_the_right_authority_opens_each(encrypted: Encrypted, behind_tls: Scene) -> None:
    for broker_line in (_connect, topology.declare, _take_answers):
        broker_line(behind_tls.admin_uri)
    for cluster in (encrypted.data, encrypted.keyring):
        for database_line in DATABASE_LINES:
            database_line(cluster.admin_url)
        [(encryption, version)] = rows(cluster.admin_url, "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()")
        assert (encryption, version) == (True, "TLSv1.3")


def test_of_several_addresses_each_is_looked_at(encrypted: Encrypted, behind_tls: Scene) -> None:
    gone = f"amqps://u:p@127.0.0.1:9/lines?cacertfile={encrypted.authority.file}"
    topology.declare(f"{gone};{behind_tls.admin_uri}")
    _connect(f"{gone};{behind_tls.admin_uri}")
    untrusted = encrypted.with_fault(behind_tls.admin_uri, "another host's name")
    with pytest.raises((BrokerUntrusted, OSError, kombu.exceptions.OperationalError)):
        _connect(f"{gone};{untrusted}")


def test_the_servers_take_no_plain_line(encrypted: Encrypted, behind_tls: Scene) -> None:
    with pytest.raises((OSError, kombu.exceptions.OperationalError)):
        _connect(urlsplit(behind_tls.admin_uri)._replace(scheme="amqp", query="").geturl())
    for cluster in (encrypted.data, encrypted.keyring):
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(urlsplit(cluster.admin_url)._replace(query="sslmode=disable").geturl())


def test_backups_travel_by_the_line_that_the_address_asks_for(encrypted: Encrypted, tmp_path: Path) -> None:
    at, keep = datetime(2026, 11, 22, 10, 0, tzinfo=UTC), {"data": timedelta(days=1), "keyring": timedelta(days=1)}
    url = databases.ensure(encrypted.data.admin_url, "dumped", "a password")
    databases.migrate(url, databases.service_folders("shipping"))
    for fault in FAULTS:
        wrong = Target("shipping", "data", encrypted.with_fault(encrypted.data.admin_url, fault), "dumped", "a password")
        with pytest.raises(BackupError, match="pg_dump"):
            backups.back_up([wrong], tmp_path, at, keep=keep)  # type: ignore[arg-type]
    target = Target("shipping", "data", encrypted.data.admin_url, "dumped", "a password")
    made = backups.back_up([target], tmp_path, at, keep=keep)  # type: ignore[arg-type]
    backups.bring_back(target, made["data"])
    assert rows(url, "select count(*) from outbox") == [(0,)]


def _serial(cluster_or_broker: PrivateCluster | PrivateBroker, authority: Authority) -> str:
    """The number of the certificate that a server shows."""
    plain = socket.create_connection(("127.0.0.1", cluster_or_broker.port), timeout=10)
    if isinstance(cluster_or_broker, PrivateCluster):
        plain.sendall(struct.pack("!ii", 8, 80877103))  # PostgreSQL's SSLRequest
        assert plain.recv(1) == b"S"
    with ssl.create_default_context(cafile=str(authority.file)).wrap_socket(plain, server_hostname="127.0.0.1") as line:
        certificate = line.getpeercert()
    assert certificate
    return str(certificate["serialNumber"])


def test_certificates_are_renewed_under_running_servers(encrypted: Encrypted, behind_tls: Scene) -> None:
    with psycopg.connect(encrypted.data.admin_url) as kept, behind_tls.ear("orders.events") as ear:
        for name, server in {"data": encrypted.data, "broker": encrypted.broker}.items():
            before, pid = _serial(server, encrypted.authority), server.pid
            (encrypted.authority.folder / name / "certificate.pem").unlink()
            encrypted.authority.issue(name, HOSTS)
            server.start()
            wait_for(lambda server=server, before=before: _serial(server, encrypted.authority) != before, "another one")  # type: ignore[misc]
            assert server.pid == pid
        assert kept.execute("select 1").fetchone() == (1,)
        behind_tls.wire.say("orders", "order_completed", {"shop": "https://shop.example", "order_number": "R-1"})
        ear.hear("order_completed", "R-1")
        _connect(behind_tls.admin_uri)


# ── a service ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("line", LINES)
def test_a_service_says_at_its_start_whom_it_does_not_trust(
    encrypted: Encrypted, behind_tls: Scene, line: str, fault: str
) -> None:
    service = behind_tls.service("notifications")
    service.environment[line] = encrypted.with_fault(service.environment[line], fault)
    service.begin()
    wait_for(lambda: service.program.pid is None, "the service to end")
    said = service.log()
    assert f"notifications: {line}: " in said
    assert "is not trusted (authority, name or date)" in said
    assert (urlsplit(service.environment[line]).password or "") not in said


def test_what_waits_while_somebody_else_answers_is_neither_lost_nor_told(encrypted: Encrypted, behind_tls: Scene) -> None:
    ear = behind_tls.ear("orders.events")
    answers = behind_tls.ear("storefront.answers")
    orders = behind_tls.service("orders")
    orders.start()
    assert _is_heard(behind_tls, orders)
    answers.hear("event_refused")
    ear.close()
    answers.close()
    encrypted.broker.stop()
    impostor = encrypted.broker_by(encrypted.stranger)
    impostor.start()
    try:
        for word in ("publisher_disconnected", "consumer_disconnected"):
            wait_for(lambda word=word: _says(orders, word, "BrokerUntrusted"), f"{word} for this reason")  # type: ignore[misc]
        deactivated = envelope("customer_deactivated", {"customer_id": new_number("m")})
        # What comes over HTTPS is durable all the same, and waits.
        token = orders.environment["STOREFRONT_TOKEN"]
        taken = orders.ask("POST", "/events", deactivated, token=token, content_type="application/cloudevents+json")
        assert taken.status == 202
        wait_for(lambda: orders.rows("select count(*) from outbox where type = 'person_deactivated'") == [(1,)], "it to wait")
        assert impostor.control("list_connections", "name", "user").strip() in {"", "name\tuser"}
    finally:
        impostor.stop()
        encrypted.broker = encrypted.broker_by(encrypted.authority)
        encrypted.broker.start()
    wait_for(lambda: orders.rows("select count(*) from outbox") == [(0,)], "everything to be published")
    wait_for(orders.is_ready, "orders to be ready again")
    assert _is_heard(behind_tls, orders)
    orders.stop()


def _says(service: Service, *words: str) -> bool:
    """Whether a line of its log holds all of these."""
    return any(all(word in line for word in words) for line in service.log().splitlines())


def _is_heard(scene: Scene, orders: Service) -> bool:
    """Whether what the storefront says over AMQPS reaches orders."""
    scene.wire.publish("storefront.events", "order_placed", envelope("order_placed", {}))
    with suppress(AssertionError):
        wait_for(lambda: scene.wire.waiting("orders.intake") == 0, "it to be taken")
        return True
    return False
