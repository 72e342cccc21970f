"""What the broker refuses by closing the channel, an exchange that is gone or that we may not write to, holds up its own orders only."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import eventlet
import kombu
import pytest

from deploy.local.broker import PrivateBroker
from shared.database import Database
from shared.delivery import amqp, refusals, tables, topology
from shared.delivery.amqp import Publisher
from shared.delivery.confirmed import Confirmed
from shared.delivery.ladder import Ladder
from shared.delivery.relay import Relay
from shared.delivery.work import OutboxRow
from tests.integration.conftest import DatabaseOf

LIVING, REFUSED, QUEUE = ("payments.events", "payment_captured"), ("shipping.events", "label_created"), "orders.events"
LEASE = timedelta(seconds=30)
US = uuid.uuid4()
Heard = tuple[str, int]


def row(number: str, place: int, kind: tuple[str, str] = LIVING) -> OutboxRow:
    identity = uuid.uuid4()
    body = json.dumps({"id": str(identity), "about": [number, place]})
    return OutboxRow(identity, *kind, f"https://shop.example {number}", body)


def write(database: Database, rows: list[OutboxRow]) -> list[OutboxRow]:
    """What a batch does in its transaction; gives what it may publish itself."""
    at = datetime.now(UTC)
    with database.begin() as connection:
        waiting = tables.write_outbox(connection, rows, at, at + LEASE, US)
    return [one for one in rows if one.id not in waiting]


def take_up(database: Database) -> list[OutboxRow]:
    """What the sweep takes when every lease has run out."""
    after = datetime.now(UTC) + 2 * LEASE
    with database.begin() as connection:
        return tables.lease_outbox(connection, after, after, 1000, US)


def publish(relay: Relay, rows: list[OutboxRow]) -> None:
    relay.publish(rows)
    relay.stop()
    eventlet.spawn(relay.run).wait()


def heard(uri: str) -> list[Heard]:
    found = []
    with kombu.Connection(uri) as connection:
        while (message := connection.default_channel.basic_get(QUEUE, no_ack=True)) is not None:
            found.append(tuple(json.loads(message.body)["about"]))
    return list(dict.fromkeys(found))  # what was under way as the channel closed comes again; an inbox knows that


def standing(database: Database) -> list[Heard]:
    with database.single() as connection:
        rows = connection.execute("select body from outbox order by position").fetchall()
    return [tuple(json.loads(body)["about"]) for (body,) in rows]


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every connection that a publisher opens."""
    opened, connect = [], amqp.connect

    def note(uri: str, name: str) -> kombu.Connection:
        opened.append(name)
        return connect(uri, name)

    monkeypatch.setattr(amqp, "connect", note)
    return opened


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows went out in each write."""
    sizes: list[int] = []
    publish_once = Publisher.publish

    def note(publisher: Publisher, rows: Any) -> Any:
        sizes.append(len(list(rows)))
        return publish_once(publisher, rows)

    monkeypatch.setattr(Publisher, "publish", note)
    return sizes


def a_relay(uri: str, database: Database) -> Relay:
    return Relay("payments", Publisher(uri, "test"), database, Ladder(), Confirmed())


def exchange_gone(uri: str, _broker: PrivateBroker) -> tuple[str, Callable[[], object]]:
    with kombu.Connection(uri) as connection:
        connection.default_channel.exchange_delete(REFUSED[0])
    return uri, lambda: topology.declare(uri)


def right_revoked(uri: str, broker: PrivateBroker) -> tuple[str, Callable[[], object]]:
    user, host = f"user-{uuid.uuid4()}", uri.rpartition("/")[2]
    broker.control("add_user", user, "secret")
    broker.control("set_permissions", "-p", host, user, "", r"^payments\.events$", "")
    return broker.uri(user, "secret", host), lambda: broker.control("set_permissions", "-p", host, user, "", ".*", "")


@pytest.mark.parametrize("refuse", [exchange_gone, right_revoked])
def test_one_exchange_that_is_refused_holds_up_its_own_orders_only(
    refuse: Callable[[str, PrivateBroker], tuple[str, Callable[[], object]]],
    vhost_uri: str,
    broker: PrivateBroker,
    database_of: DatabaseOf,
    connects: list[str],
    writes: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = database_of("payments")
    uri, mend = refuse(vhost_uri, broker)
    relay = a_relay(uri, database)
    before, after = [row(f"A-{place}", 1) for place in range(60)], [row(f"A-{place}", 2) for place in range(60)]
    bad = [row("BAD-1", 1, REFUSED), row("BAD-2", 1), row("BAD-2", 2, REFUSED)]
    behind = [row("BAD-1", 2), row("BAD-2", 3)]
    rows = [*before, *bad, *behind, *after]
    publish(relay, write(database, rows))
    assert heard(vhost_uri) == [
        *((f"A-{place}", 1) for place in range(60)),
        ("BAD-2", 1),
        *((f"A-{place}", 2) for place in range(60)),
    ]
    assert standing(database) == [("BAD-1", 1), ("BAD-2", 2), ("BAD-1", 2), ("BAD-2", 3)]
    assert len(connects) == 1, "the connection stands"
    assert len(writes) < 20, "found by halving"

    writes.clear()
    publish(relay, [row(f"C-{place}", 1, REFUSED) for place in range(5)] + [row("C-9", 1)])
    assert heard(vhost_uri) == [("C-9", 1)]
    assert writes == [1], "what was refused a moment ago is not tried with every batch"

    mend()
    monkeypatch.setattr(refusals, "LEFT_OUT_SECONDS", 0)
    relay = a_relay(uri, database)
    came: list[Heard] = []
    while rows := take_up(database):
        publish(relay, rows)
        came += heard(vhost_uri)
    assert [place for number, place in came if number == "BAD-1"] == [1, 2]
    assert [place for number, place in came if number == "BAD-2"] == [2, 3]
    assert standing(database) == []


def test_what_was_refused_is_tried_again_after_a_while_by_the_same_process(
    vhost_uri: str, broker: PrivateBroker, database_of: DatabaseOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = database_of("payments")
    _, mend = exchange_gone(vhost_uri, broker)
    relay = a_relay(vhost_uri, database)
    publish(relay, write(database, [row("A-1", 1, REFUSED)]))
    mend()
    publish(relay, take_up(database))
    assert heard(vhost_uri) == [], "not yet"
    later = refusals.monotonic() + refusals.LEFT_OUT_SECONDS
    monkeypatch.setattr(refusals, "monotonic", lambda: later)
    publish(relay, take_up(database))
    assert heard(vhost_uri) == [("A-1", 1)]
    assert standing(database) == []


def test_while_the_broker_is_out_of_reach_all_is_in_doubt_and_nothing_is_halved(
    database_of: DatabaseOf, writes: list[int]
) -> None:
    database = database_of("payments")
    publish(a_relay("amqp://guest:guest@127.0.0.1:1//", database), write(database, [row("A-1", 1), row("A-2", 1)]))
    assert writes == [2]
    assert standing(database) == [("A-1", 1), ("A-2", 1)]
