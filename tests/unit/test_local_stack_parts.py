"""The parts of the local stack that need no server."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from deploy.local import definitions, servers
from deploy.local.configuration import SANDBOXES, SERVICES, Configuration
from deploy.local.databases import database_url
from deploy.local.processes import PORTS, PORTS_VARIABLE, Program, free_ports
from deploy.local.secrets_file import SecretsFile
from deploy.local.servers import NoServersError, Servers
from shared.delivery import topology
from tests.__main__ import RUNS, ports


def test_a_password_hash_is_the_salt_and_the_digest_of_both() -> None:
    raw = base64.b64decode(definitions.password_hash("pass", b"salt"))
    assert raw == b"salt" + hashlib.sha256(b"saltpass").digest()


def test_every_user_has_a_topic_row_for_every_exchange() -> None:
    document = definitions.services(dict.fromkeys(definitions.USERS, "password"), "here")
    pairs = {(row["user"], row["exchange"]) for row in document["topic_permissions"]}
    assert pairs == {(user, exchange) for user in definitions.USERS for exchange in topology.EXCHANGES}
    assert all(row["vhost"] == "here" for key in ("permissions", "topic_permissions") for row in document[key])
    assert "password" not in str(document["users"]).replace("password_hash", "").replace("hashing_sha256", "").replace(
        "rabbit_", ""
    )


def test_a_database_url_keeps_server_and_query_and_quotes_the_rest() -> None:
    url = database_url("postgresql://admin:secret@[::1]:5433/postgres?sslmode=require", "orders", "role", "a/b@c:d")
    assert url == "postgresql://role:a%2Fb%40c%3Ad@[::1]:5433/orders?sslmode=require"
    url = database_url("postgresql://admin:secret@one:1,two:2/postgres?target_session_attrs=read-write", "orders", "role", "pw")
    assert url == "postgresql://role:pw@one:1,two:2/orders?target_session_attrs=read-write"


def test_with_shared_credentials_everybody_gets_the_given_uri() -> None:
    given = Servers("amqp://admin:pw@host:5672/shop", "", "", own_users=False)
    assert given.broker_uri("orders", {"orders": "own"}) == "amqp://admin:pw@host:5672/shop"
    own = Servers("amqp://admin:pw@host:5672/shop", "", "", own_users=True)
    assert own.broker_uri("orders", {"orders": "o/wn"}) == "amqp://orders:o%2Fwn@host:5672/shop"
    several = Servers("amqp://admin:pw@one:1/shop;amqp://admin:pw@two:2/shop", "", "", own_users=True)
    assert several.broker_uri("orders", {"orders": "own"}) == "amqp://orders:own@one:1/shop;amqp://orders:own@two:2/shop"


def test_without_any_way_the_message_names_all_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "engine_answers", lambda: False)
    monkeypatch.setattr(servers.broker, "find_programs", lambda: None)
    monkeypatch.setattr(servers.postgres, "find_programs", lambda: None)
    monkeypatch.setattr(servers.packages, "may_install", lambda _: False)
    with pytest.raises(NoServersError, match=r"(?s)BROWNPAPER_AMQP_URI.*Docker engine.*apt-get install") as refused:
        servers.bring(tmp_path, dict.fromkeys(definitions.USERS, "x"), {}, lambda _: None)
    assert "Traceback" not in str(refused.value)


def test_missing_programs_are_installed_where_that_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[list[str]] = []

    def install(names: list[str], _say: object) -> None:
        installed.append(names)
        raise servers.StartError("no network")

    monkeypatch.setattr(servers, "engine_answers", lambda: False)
    monkeypatch.setattr(servers.broker, "find_programs", lambda: None)
    monkeypatch.setattr(servers.packages, "may_install", lambda _: True)
    monkeypatch.setattr(servers.packages, "install", install)
    with pytest.raises(NoServersError, match=r"(?s)no network.*three"):
        servers.bring(
            tmp_path, dict.fromkeys(definitions.USERS, "x"), {servers.GIVEN_DATA: "postgresql://localhost/given"}, lambda _: None
        )
    assert installed == [["rabbitmq-server"]]


def test_the_environment_wins_over_defaults_and_generation(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path, {"STAFF_TOKEN": "given", "SHOP_NAME": "Another Shop"})
    assert (configuration["STAFF_TOKEN"], configuration["SHOP_NAME"]) == ("given", "Another Shop")
    assert configuration["CARRIER_ID"] == "se-123890"
    assert (
        Configuration(tmp_path, {})["STOREFRONT_TOKEN"] == configuration["STOREFRONT_TOKEN"] != configuration["CARRIER_API_KEY"]
    )


def test_a_service_is_told_nothing_of_another_and_nothing_of_the_shell(tmp_path: Path) -> None:
    configuration = Configuration(tmp_path, {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "BROWNPAPER_POSTGRES_URL": "x"})
    for sandbox in SANDBOXES:
        for name in sandbox.given:
            configuration.set(name, "http://here")
    told = {service: configuration.of_service(service, {}) for service in SERVICES}
    assert not any("AWS" in name or "BROWNPAPER" in name for names in told.values() for name in names)
    assert "PAYPAL_CLIENT_SECRET" in told["payments"]
    assert [service for service in SERVICES if "CARRIER_API_KEY" in told[service]] == ["shipping"]
    assert [service for service in SERVICES if "SMTP_URL" in told[service]] == ["notifications"]
    assert [service for service in SERVICES if "STOREFRONT_TOKEN" in told[service]] == ["orders"]


def test_secrets_and_keys_are_their_owners_alone(tmp_path: Path) -> None:
    SecretsFile(tmp_path / "secrets.json").token("one")
    key_file = Configuration(tmp_path, {}).master_key_file("shipping")
    assert len(base64.b64decode(key_file.read_bytes(), validate=True)) == 32
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets.json", key_file)} == {0o600}
    assert Configuration(tmp_path, {}).master_key_file("shipping").read_bytes() == key_file.read_bytes()


def test_a_program_that_said_once_that_it_is_ready_is_not_asked_again(tmp_path: Path) -> None:
    answers = iter([True, False])
    Program(tmp_path, "late").wait_ready(lambda: next(answers), 0)
    assert next(answers) is False


def test_no_port_is_given_twice_and_none_that_is_another_s(monkeypatch: pytest.MonkeyPatch) -> None:
    part = PORTS[-60:]
    monkeypatch.setenv(PORTS_VARIABLE, f"{part[0]}-{part[-1]}")
    drawn = [port for _ in range(10) for port in free_ports(3)]
    assert len(set(drawn)) == 30
    assert set(drawn) <= set(part)
    with pytest.raises(OSError, match="no free port"):
        free_ports(31)


def test_the_runs_side_by_side_share_no_port() -> None:
    parts = [range(int(first), int(last) + 1) for first, last in (ports(place).split("-") for place in range(len(RUNS)))]
    assert sorted(port for part in parts for port in part) == list(PORTS)
