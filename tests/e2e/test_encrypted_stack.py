"""A whole stack whose every line to a server or an outside party is TLS (`make up TLS=yes`), and some orders through it."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from nacl.public import PublicKey, SealedBox

from deploy.local.broker import PrivateBroker
from deploy.local.processes import StartError
from deploy.local.stack import Stack
from shared.cli.publisher import WindowedPublisher
from shared.cli.sandboxes import Sandboxes
from shared.lines import is_here
from tests.component.events import order_placed
from tests.e2e.conftest import Shop
from tests.integration.facts import PATIENCE_SECONDS, rows, wait_for

ORDERS = 3


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    stack = Stack(
        tmp_path_factory.mktemp("encrypted") / "run",
        fresh=True,
        encrypted=True,
        sandbox_arguments=("--seed", "7", "--decline", "0", "--lose-answers", "0"),
    )
    try:
        stack.up()
        shop = Shop(stack)
        yield shop
        shop.answers.close()
    finally:
        stack.remove()


def sealed(shop: Shop) -> dict[str, Any]:
    """An approved order with its parts sealed by the keys that orders shows."""
    with urllib.request.urlopen(f"{shop.env['ORDERS_HTTP_URL']}/keys", timeout=PATIENCE_SECONDS) as response:
        keys = {key["service"]: key for key in json.load(response)}
    event = shop.approved(order_placed())
    data = event["data"]
    for part, service in (("recipient", "shipping"), ("contact", "notifications")):
        clear = json.dumps({**data[part], "for": data["order_number"]}).encode()
        box = SealedBox(PublicKey(base64.b64decode(keys[service]["public_key"]))).encrypt(clear)
        data[part] = {"sealed_for": service, "key_id": keys[service]["key_id"], "box": base64.b64encode(box).decode()}
    return event


def test_orders_go_all_the_way_and_every_line_is_encrypted(encrypted: Shop) -> None:
    placed = [sealed(encrypted) for _ in range(ORDERS)]
    with WindowedPublisher(encrypted.env["STOREFRONT_AMQP_URI"]) as publisher:
        for event in placed:
            publisher.publish(event["id"], "order_placed", json.dumps(event).encode())
    for event in placed:
        encrypted.completes(event["data"]["order_number"])
    encrypted.settled()
    sandboxes = Sandboxes(encrypted.env)
    wait_for(lambda: sandboxes.counts()["mails"] >= 3 * ORDERS, "the mails: confirmed, on its way, delivered")
    done = sandboxes.counts()
    assert (done["authorised"], done["captured"], done["labelled"]) == (ORDERS, ORDERS, ORDERS)

    schemes = {
        name: urlsplit(value).scheme for name, value in encrypted.env.items() if name.endswith(("_URI", "_BASE_URL", "SMTP_URL"))
    }
    assert set(schemes.values()) == {"amqps", "https", "smtp+starttls"}
    for cluster in ("ADMIN_POSTGRES_URL", "ADMIN_KEYRING_POSTGRES_URL"):
        statement = "select ssl, version from pg_stat_ssl join pg_stat_activity using (pid) where client_addr is not null"
        assert {(encryption, version) for encryption, version in rows(encrypted.env[cluster], statement)} == {(True, "TLSv1.3")}
    broker = encrypted.stack.private["broker"]
    assert isinstance(broker, PrivateBroker)
    lines = broker.control("list_connections", "user", "ssl", "ssl_protocol").split("\n")[1:]
    services = [line.split("\t") for line in lines if line]
    assert {user for user, *_ in services} >= {"orders", "payments", "shipping", "notifications"}
    assert {(encryption, version) for _, encryption, version in services} == {("true", "tlsv1.3")}


def test_nothing_of_the_stack_listens_elsewhere(encrypted: Shop) -> None:
    addresses = [value for name, value in encrypted.env.items() if name.endswith(("_URI", "_URL"))]
    assert addresses
    assert all(is_here(urlsplit(address).hostname) for address in addresses)


def test_a_folder_that_began_plain_is_not_called_encrypted(tmp_path: Any) -> None:
    (tmp_path / "run" / "broker").mkdir(parents=True)
    with pytest.raises(StartError, match="began with plain lines"):
        Stack(tmp_path / "run", encrypted=True).up()
    with pytest.raises(StartError, match="without TLS only"):
        Stack(tmp_path / "other", encrypted=True, clustered=True).up()
