"""Relay and sweep in the tests' own process, on a real broker and a real database: what they hand over, and in which order."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import eventlet
import kombu
import psycopg
import pytest

from shared.contracts.errors import TryLater
from shared.database import Database, DatabaseUnavailable
from shared.delivery import held_messages, tables
from shared.delivery import relay as relay_module
from shared.delivery.amqp import Publisher
from shared.delivery.batch import Batches
from shared.delivery.calls import Calls
from shared.delivery.confirmed import Confirmed
from shared.delivery.held_messages import HeldRow
from shared.delivery.ladder import Ladder
from shared.delivery.relay import Relay
from shared.delivery.sweep import Sweep
from shared.delivery.work import Delivery, Ending, OutboxRow, Store
from tests.integration.conftest import DatabaseOf

EXCHANGE, KIND, QUEUE = "payments.events", "payment_captured", "orders.events"
LEASE = timedelta(seconds=30)
US, OTHERS = uuid.uuid4(), uuid.uuid4()
Connection = psycopg.Connection[tuple[Any, ...]]


def row(number: str, amount: str) -> OutboxRow:
    identity = uuid.uuid4()
    body = json.dumps({"id": str(identity), "data": {"order_number": number, "amount": amount}})
    return OutboxRow(identity, EXCHANGE, KIND, f"https://shop.example {number}", body)


def now() -> datetime:
    return datetime.now(UTC)


def write(connection: Connection, *rows: OutboxRow, writer: uuid.UUID = US) -> list[OutboxRow]:
    """What a batch does in its transaction; gives what it may publish itself."""
    waiting = tables.write_outbox(connection, rows, now(), now() + LEASE, writer)
    return [one for one in rows if one.id not in waiting]


# ── the sweep ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Line:
    """What was handed to the relay, in its order."""

    has_room = True

    def __init__(self) -> None:
        self.rows: list[OutboxRow] = []

    def publish(self, rows: list[OutboxRow]) -> None:
        self.rows += rows

    @property
    def ids(self) -> list[uuid.UUID]:
        return [one.id for one in self.rows]


class Idle:
    """No calls to make."""

    has_room, in_hand, no_room_for = True, frozenset[uuid.UUID](), ()

    def renew_leases(self, _at: datetime) -> None:
        pass


class Full:
    """A line in which there is no room."""

    has_room = False


class Meanwhile:
    """A database that lets something happen between the sweep's own transactions."""

    def __init__(self, database: Database, happens: Callable[[], None]) -> None:
        self._database, self._happens = database, happens

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._happens()
        with self._database.begin() as connection:
            yield connection


class Waiting:
    """A line in which everything waits for its turn, as long as there is room."""

    def __init__(self) -> None:
        self.has_room, self.deliveries = True, list[Delivery]()

    def submit(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)


@contextmanager
def nobody_answers(relay: Relay) -> Iterator[None]:
    """Nobody is at the broker's address meanwhile."""
    good, relay._publisher = relay._publisher, Publisher("amqp://guest:guest@127.0.0.1:1//", "nobody")
    yield
    relay._publisher = good


def a_sweep(database: Database, line: Line, happens: Callable[[], None] = lambda: None, waiting: object = None) -> Sweep:
    leases = {"publish_lease": LEASE, "call_lease": LEASE}
    batches = Batches(database, Store, "payments", Ladder(), writer=US, confirmed=Confirmed(), **leases)
    between = cast(Database, Meanwhile(database, happens))
    return Sweep(between, database, cast(Relay, line), cast(Calls, Idle()), cast(Any, waiting or Full()), batches, 1)


def test_a_held_message_is_put_in_line_once_and_only_while_there_is_room(database_of: DatabaseOf) -> None:
    """Where batches take long its lease is over before its turn: taken up again and again it would fill the line."""
    database, waiting, at = database_of("payments"), Waiting(), now()
    body = json.dumps({"data": {}})
    due = HeldRow(
        uuid.uuid4(), "later", "payments.events", "shipping", "1", "label_created", "order_unknown", (), body, len(body), {}, 1, at, at, at
    )  # fmt: skip
    with database.begin() as connection:
        held_messages.hold(connection, due)
    sweep = a_sweep(database, Line(), waiting=waiting)
    waiting.has_room = False
    sweep.once(at + LEASE)
    assert waiting.deliveries == []
    waiting.has_room = True
    for times in (1, 3, 5):  # each time its lease is over
        sweep.once(at + times * 2 * LEASE)
    assert [it.held_id for it in waiting.deliveries] == [due.id]
    waiting.deliveries[0].on_end(Ending("later"))
    sweep.once(at + 7 * 2 * LEASE)
    assert [it.held_id for it in waiting.deliveries] == [due.id, due.id]


def test_what_is_written_while_the_sweep_is_at_work_goes_behind_what_it_took_up(database_of: DatabaseOf) -> None:
    """As soon as a row is leased it is this process's own, and a batch of the same process no longer waits for it."""
    database, line = database_of("payments"), Line()
    earlier, later = row("A-1", "1.00"), row("A-1", "2.00")
    with database.begin() as connection:
        tables.write_outbox(connection, [earlier], now(), now() - LEASE, OTHERS)

    def a_batch_commits() -> None:
        with database.begin() as connection:
            mine = write(connection, later)
        line.publish(mine)

    a_sweep(database, line, a_batch_commits).once(now())
    assert line.ids == [earlier.id, later.id]


def test_what_the_sweep_took_up_is_published_even_where_the_database_goes_away_meanwhile(database_of: DatabaseOf) -> None:
    database, line = database_of("payments"), Line()
    left = row("A-1", "1.00")
    with database.begin() as connection:
        tables.write_outbox(connection, [left], now(), now() - LEASE, OTHERS)

    def go_away() -> None:
        raise DatabaseUnavailable

    with pytest.raises(TryLater):
        a_sweep(database, line, go_away).once(now())
    assert line.ids == [left.id]


def test_a_sweep_finds_nothing_while_the_relay_has_no_room(database_of: DatabaseOf) -> None:
    database, line = database_of("payments"), Line()
    with database.begin() as connection:
        tables.write_outbox(connection, [row("A-1", "1.00")], now(), now() - LEASE, OTHERS)
    line.has_room = False
    assert not a_sweep(database, line).once(now())
    line.has_room = True
    assert a_sweep(database, line).once(now())
    assert len(line.rows) == 1
    assert not a_sweep(database, line).once(now()), "it is leased"


# ── the relay ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def a_relay(vhost_uri: str) -> Callable[[Database], Relay]:
    return lambda database: Relay("payments", Publisher(vhost_uri, "test"), database, Ladder(), Confirmed())


def publish_all(relay: Relay) -> None:
    """Publish what stands in the line, and end."""
    relay.stop()
    eventlet.spawn(relay.run).wait()


def heard(uri: str) -> list[tuple[str, str]]:
    numbers = []
    with kombu.Connection(uri) as connection:
        while (message := connection.default_channel.basic_get(QUEUE, no_ack=True)) is not None:
            data = json.loads(message.body)["data"]
            numbers.append((data["order_number"], data["amount"]))
    return numbers


def test_what_is_confirmed_is_forgotten(a_relay: Callable[[Database], Relay], database_of: DatabaseOf, vhost_uri: str) -> None:
    database = database_of("payments")
    relay, rows = a_relay(database), [row(f"A-{number % 7}", f"{number}.00") for number in range(40)]
    with database.begin() as connection:
        relay.publish(write(connection, *rows))
    publish_all(relay)
    assert heard(vhost_uri) == [(f"A-{number % 7}", f"{number}.00") for number in range(40)]
    with database.begin() as connection:
        assert connection.execute("select count(*) from outbox").fetchone() == (0,)


def test_an_event_for_which_the_line_had_no_room_is_not_overtaken(
    a_relay: Callable[[Database], Relay], database_of: DatabaseOf, vhost_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "MOST_IN_HAND", 2)
    database = database_of("payments")
    relay = a_relay(database)
    crowd, turned_away = [row("A-1", "1.00"), row("A-2", "1.00")], row("B-1", "1.00")
    with database.begin() as connection:
        relay.publish(write(connection, *crowd))
        relay.publish(write(connection, turned_away))
    publish_all(relay)
    assert heard(vhost_uri) == [("A-1", "1.00"), ("A-2", "1.00")]
    later = [row("B-1", "2.00"), row("A-1", "2.00")]
    with database.begin() as connection:
        relay.publish(write(connection, *later))
    publish_all(relay)
    assert heard(vhost_uri) == [("A-1", "2.00")]
    swept: list[str] = []
    after = now() + 2 * LEASE
    for _ in range(2):
        with database.begin() as connection:
            relay.publish(tables.lease_outbox(connection, after, after + LEASE, 10, US))
        publish_all(relay)
        swept += [amount for _, amount in heard(vhost_uri)]
    assert swept == ["1.00", "2.00"]


@pytest.mark.parametrize("times", [1, 3])
def test_an_event_in_doubt_holds_back_its_order_until_the_sweep_has_brought_it_through(
    times: int, a_relay: Callable[[Database], Relay], database_of: DatabaseOf, vhost_uri: str
) -> None:
    database, lost = database_of("payments"), row("A-1", "1.00")
    relay = a_relay(database)
    with nobody_answers(relay):
        with database.begin() as connection:
            relay.publish(write(connection, lost))
        publish_all(relay)
    later = [row("A-1", f"{2 + number}.00") for number in range(times)]
    for one in (*later, row("B-1", "1.00")):
        relay.publish([one])  # in the line since before the first one failed
    with database.begin() as connection:
        tables.write_outbox(connection, later, now(), now() + LEASE, US)
    publish_all(relay)
    assert heard(vhost_uri) == [("B-1", "1.00")]
    came: list[tuple[str, str]] = []
    after = now() + 2 * LEASE
    for _ in range(times + 1):
        with database.begin() as connection:
            relay.publish(tables.lease_outbox(connection, after, after + LEASE, 10, US))
        publish_all(relay)
        came += heard(vhost_uri)
    assert came == [("A-1", f"{number}.00") for number in range(1, times + 2)]


def test_no_blockade_lasts_so_long_that_a_later_event_overtakes_one_that_stands(
    a_relay: Callable[[Database], Relay], database_of: DatabaseOf, vhost_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, first, second, third = database_of("payments"), row("A-1", "1.00"), row("A-1", "2.00"), row("A-1", "3.00")
    relay = a_relay(database)
    with nobody_answers(relay):
        with database.begin() as connection:
            mine = write(connection, first, second, third)
        relay.publish(mine[:1])
        publish_all(relay)
    hours, clock = iter(range(1, 1000)), relay_module.monotonic
    monkeypatch.setattr(relay_module, "monotonic", lambda: clock() + 3600 * next(hours))
    for one in (second, row("B-1", "1.00"), third):
        relay.publish([one])  # in the line since before the first one failed
        publish_all(relay)
    assert heard(vhost_uri) == [("B-1", "1.00")]
    swept: list[tuple[str, str]] = []
    after = now() + 2 * LEASE
    for _ in range(2):
        with database.begin() as connection:
            relay.publish(tables.lease_outbox(connection, after, after + LEASE, 10, US))
        publish_all(relay)
        swept += heard(vhost_uri)
    assert swept == [("A-1", "1.00"), ("A-1", "2.00")]
    relay.publish([third])  # the same, from the line: it is the first of its order by now
    publish_all(relay)
    assert heard(vhost_uri) == [("A-1", "3.00")]


def test_an_order_of_which_nothing_stands_any_more_is_held_back_no_longer(
    a_relay: Callable[[Database], Relay], database_of: DatabaseOf, vhost_uri: str
) -> None:
    database, failed, next_one = database_of("payments"), row("A-1", "1.00"), row("A-1", "2.00")
    relay = a_relay(database)
    with nobody_answers(relay):
        with database.begin() as connection:
            relay.publish(write(connection, failed))
        publish_all(relay)
    with database.begin() as connection:  # another process brought it through
        tables.delete_outbox(connection, [failed.id])
    with database.begin() as connection:
        relay.publish(write(connection, next_one))
    publish_all(relay)
    assert heard(vhost_uri) == [("A-1", "2.00")]


def test_while_the_database_is_away_what_must_perhaps_wait_does(
    a_relay: Callable[[Database], Relay], database_of: DatabaseOf, vhost_uri: str
) -> None:
    database, failed, later = database_of("payments"), row("A-1", "1.00"), row("A-1", "2.00")
    with database.begin() as connection:
        write(connection, failed, later)

    class Away:
        @contextmanager
        def single(self) -> Iterator[Connection]:
            raise DatabaseUnavailable
            yield

    relay = a_relay(cast(Database, Away()))
    with nobody_answers(relay):
        relay.publish([failed])
        publish_all(relay)
    relay.publish([later])
    publish_all(relay)
    assert heard(vhost_uri) == []
