"""Broker and database going wrong in every way that can be forced: nothing is lost, an order's events keep their order, nobody dies.

Each test says the same: some orders whose events follow each other, neighbours, and a message that is poison; while the fault lasts the
process lives and keeps what it cannot pass on; afterwards all is there. What is killed outright is in `test_engine.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import kombu
import psycopg
import pytest

from deploy.local.postgres import PrivateCluster
from shared.delivery import topology
from tests.integration.facts import wait_for
from tests.integration.proxies import BrokerProxy, DatabaseProxy
from tests.integration.scene import Scene, Service, new_number
from tests.integration.wire import event

TURNS = ("1", "2", "3", "4", "5")
ORDERS = 5
NEIGHBOURS = 10


@pytest.fixture(scope="module")
def amqp(scene: Scene) -> Iterator[BrokerProxy]:
    with BrokerProxy(scene.admin_uri) as it:
        yield it


@pytest.fixture(scope="module")
def database(scene: Scene, probe: Service) -> Iterator[DatabaseProxy]:
    with DatabaseProxy(probe.database_url) as it:
        probe.environment["DATABASE_URL"] = it.url
        yield it


@pytest.fixture(scope="module")
def probe(scene: Scene, amqp: BrokerProxy) -> Service:
    return scene.service("payments", module="tests.integration.probe", uri=amqp.url, PUBLISH_LEASE_SECONDS="1", DOUBT_SECONDS="0")


@pytest.fixture
def running(probe: Service, database: DatabaseProxy) -> Iterator[Service]:
    """The probe, up (again), and free of what an earlier test left it; the same process must stand at the end."""
    probe.start()
    probe.rows("delete from held")
    probe.settled()
    yield probe
    assert probe.program.pid is not None


def label(order_number: str, parcel: str) -> tuple[str, dict[str, object]]:
    data = {
        "shop": "https://shop.example",
        "order_number": order_number,
        "parcel": parcel,
        "carrier": "c",
        "tracking_number": "t",
    }
    return "label_created", event("shipping", "label_created", data)


class Load:
    """Orders whose labels follow each other, neighbours between them, and one that is parked."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.orders = [new_number("TURN") for _ in range(ORDERS)]
        self.neighbours = [new_number("PLAIN") for _ in range(NEIGHBOURS)]
        self.calls = [new_number("CALL") for _ in range(2)]
        self.poison = new_number("PARK")
        self.heard: list[tuple[str, str]] = []
        self._look()
        self.heard.clear()

    @property
    def events(self) -> int:
        """How many events these make in all."""
        return len(self.orders) * len(TURNS) + len(self.neighbours) + len(self.calls)

    def say(self) -> None:
        turns = [label(order, turn) for turn in TURNS for order in self.orders]
        others = [label(number, "p") for number in (*self.neighbours, *self.calls, self.poison)]
        half = len(turns) // 2
        self._scene.wire.publish_all("shipping.events", [*turns[:half], *others, *turns[half:]])

    def say_turns(self, turns: Iterable[str]) -> None:
        """Only these turns of the orders."""
        self._scene.wire.publish_all("shipping.events", [label(order, turn) for turn in turns for order in self.orders])

    def come_in_turn(self, turns: Sequence[str] = TURNS) -> None:
        """Wait until orders has heard these, and hold each order's course against them."""
        wanted = {(order, turn) for order in self.orders for turn in turns}
        wait_for(lambda: wanted <= set(self._look()), "every turn of every order")
        for order in self.orders:
            first_times = list(dict.fromkeys(turn for number, turn in self.heard if number == order))
            assert first_times == list(turns), (order, self.heard)

    def arrives(self, running: Service) -> None:
        """Wait until orders has all of it, each order's in turn, and see that nothing is left."""
        numbers = {*self.neighbours, *self.calls}
        self.come_in_turn()
        wait_for(lambda: numbers <= {number for number, _ in self._look()}, "every neighbour")
        running.settled()
        poison = "select reason from held where body like %s and state = 'parked'"
        kept = wait_for(lambda: running.rows(poison, f"%{self.poison}%"), "the poison to be parked")
        assert kept == [("probe_parked",)]
        wait_for(lambda: self._scene.wire.waiting("payments.events") == 0, "the queue to be empty: what came again is known")

    def _look(self) -> list[tuple[str, str]]:
        with kombu.Connection(self._scene.admin_uri) as connection:
            while (message := connection.default_channel.basic_get("orders.events", no_ack=True)) is not None:
                if message.delivery_info["routing_key"] == "payment_captured":
                    data = json.loads(message.body)["data"]
                    self.heard.append((data["order_number"], data["amount"]))
        return self.heard


@pytest.fixture
def load(scene: Scene) -> Load:
    return Load(scene)


def said(running: Service, ending: str) -> float:
    return running.metric("brownpaper_published_total", ending=ending)


def standing(running: Service) -> int:
    """How many events stand in the outbox."""
    return int(running.rows("select count(*) from outbox")[0][0])


def lines(running: Service, message: str) -> int:
    return running.log().count(f'"{message}"')


# ── the broker ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def no_queue_bound(scene: Scene) -> Iterator[None]:
    """No queue takes the event: it is returned."""
    hearers = [topology.events_queue(service) for service in topology.HEARERS["payments.events"]["payment_captured"]]
    with kombu.Connection(scene.admin_uri) as connection:
        for queue in hearers:
            connection.default_channel.queue_unbind(queue, "payments.events", "payment_captured")
    try:
        yield
    finally:
        topology.declare(scene.admin_uri)


@contextmanager
def a_full_queue(scene: Scene) -> Iterator[None]:
    """One of the queues that should take the event is full: it is nacked, though the others took it."""
    with kombu.Connection(scene.admin_uri) as connection:
        channel = connection.default_channel
        channel.queue_declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}, auto_delete=False)
        try:
            scene.wire.publish("", "full", b"it is full")
            channel.queue_bind("full", "payments.events", "payment_captured")
            yield
        finally:
            with kombu.Connection(scene.admin_uri) as another:  # whatever became of the first
                another.default_channel.queue_delete("full")


@pytest.mark.parametrize("refusing", [no_queue_bound, a_full_queue])
def test_events_that_the_broker_does_not_take_stay_and_go_again_in_order(
    refusing: Callable[[Scene], AbstractContextManager[None]], running: Service, scene: Scene, load: Load
) -> None:
    failed = said(running, "failed")
    with refusing(scene):
        load.say()
        wait_for(lambda: said(running, "failed") > failed and standing(running) == load.events, "all of them in the outbox")
        failed = said(running, "failed")
        wait_for(lambda: said(running, "failed") > failed, "a further try")
        wait_for(lambda: running.rows("select 1 from held where state = 'parked'"), "the poison to be parked meanwhile")
    load.arrives(running)


def test_what_stands_behind_a_refused_event_does_not_overtake_it(running: Service, scene: Scene, load: Load) -> None:
    """The first turns are returned, and before their publisher has put them off, the next ones stand behind them and find a queue."""
    running.rows(
        "create function wait_for_the_test() returns trigger language plpgsql as "
        "$$ begin perform pg_advisory_xact_lock_shared(4711); return new; end $$"
    )
    running.rows(
        "create trigger wait_for_the_test before update on outbox for each row when (new.writer is null) "
        "execute function wait_for_the_test()"
    )
    waits = "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'advisory'"
    try:
        with psycopg.connect(running.database_url, autocommit=True) as holder:
            holder.execute("select pg_advisory_lock(4711)")
            with no_queue_bound(scene):
                load.say_turns(TURNS[:1])
                wait_for(lambda: running.rows(waits), "the publisher to be putting them off")
            load.say_turns(TURNS[1:])
            wait_for(lambda: standing(running) == len(load.orders) * len(TURNS), "all turns in the outbox")
            holder.execute("select pg_advisory_unlock(4711)")
        load.come_in_turn()
    finally:
        running.rows("drop function wait_for_the_test() cascade")
    running.settled()


def test_a_channel_closed_over_an_exchange_that_is_gone(running: Service, scene: Scene, load: Load) -> None:
    before = lines(running, "event_refused")
    with kombu.Connection(scene.admin_uri) as connection:
        connection.default_channel.exchange_delete("payments.events")
    try:
        load.say()
        wait_for(lambda: standing(running) == load.events, "all of them in the outbox")
        wait_for(lambda: lines(running, "event_refused") > before + 1, "two channels to be closed")
    finally:
        topology.declare(scene.admin_uri)
    load.arrives(running)


def test_the_channels_of_consumer_and_publisher_closed_in_mid_run(running: Service, amqp: BrokerProxy, load: Load) -> None:
    before = {message: lines(running, message) for message in ("consumer_disconnected", "publisher_disconnected")}
    load.say()
    # A relay that has nothing to say may have no connection yet.
    wait_for(lambda: amqp.close_channels() >= 2, "both to have a channel, and to be told that it is closed")
    wait_for(lambda: lines(running, "consumer_disconnected") > before["consumer_disconnected"], "the consumer to notice")
    load.arrives(running)


@pytest.mark.parametrize("alarm", ["memory", "disk"])
def test_a_broker_that_blocks_its_publishers(
    alarm: str, probe: Service, database: DatabaseProxy, scene: Scene, load: Load
) -> None:
    on, off = {
        "memory": (("set_vm_memory_high_watermark", "0.00001"), ("set_vm_memory_high_watermark", "absolute", "1GB")),
        "disk": (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "64MB")),
    }[alarm]
    probe.stop()
    probe.rows("delete from held")
    load.say()  # before, for who publishes while it blocks is blocked himself
    scene.broker.control(*on)
    try:
        probe.start()
        wait_for(lambda: standing(probe) == load.events, "all of them in the outbox")
        wait_for(lambda: said(probe, "in_doubt") > 0, "the publisher to give up its first try")
        assert probe.ask("GET", "/health").status == 200
        assert standing(probe) == load.events
        wait_for(lambda: probe.rows("select state from held") == [("parked",)], "the poison to be parked")
    finally:
        scene.broker.control(*off)
    pid = probe.program.pid
    load.arrives(probe)
    assert probe.program.pid == pid


def test_a_broker_restart_in_order(running: Service, scene: Scene, load: Load) -> None:
    pid = running.program.pid
    load.say()
    scene.broker.stop()
    try:
        wait_for(lambda: running.ask("GET", "/ready").status == 503, "the probe to say that it is not ready")
    finally:
        scene.broker.start()
    load.arrives(running)
    assert running.program.pid == pid


# ── the database ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_database_restart_in_order(running: Service, data_cluster: PrivateCluster, load: Load) -> None:
    pid, before = running.program.pid, lines(running, "database_unavailable")
    data_cluster.stop()
    try:
        load.say()
        wait_for(lambda: lines(running, "database_unavailable") > before, "the probe to notice")
    finally:
        data_cluster.start()
    load.arrives(running)
    assert running.program.pid == pid


@pytest.mark.parametrize("table", ["inbox", "outbox", "intents", "held"])
def test_a_connection_lost_in_mid_transaction(table: str, running: Service, data_cluster: PrivateCluster, load: Load) -> None:
    pid, name = running.program.pid, running.rows("select current_database()")[0][0]
    waiting = """
        select pid from pg_stat_activity
        where datname = %s and application_name = 'payments' and wait_event_type = 'Lock' and query like %s
    """
    which = (name, f"%insert into {table}%")
    with (
        psycopg.connect(running.database_url) as holder,
        psycopg.connect(data_cluster.admin_url, autocommit=True) as admin,
    ):
        holder.execute(f"lock table {table} in exclusive mode".encode())
        load.say()
        wait_for(lambda: admin.execute(waiting, which).fetchall(), "a transaction that stands before the table")
        ended = admin.execute(f"select pg_terminate_backend(pid) from ({waiting}) as waiting".encode(), which).fetchall()
        assert (True,) in ended
        holder.rollback()
    load.arrives(running)
    assert running.program.pid == pid


@pytest.mark.parametrize(
    ("table", "what"),
    [("inbox", "insert"), ("outbox", "insert"), ("outbox", "delete"), ("intents", "insert"), ("held", "insert")],
)
def test_a_full_disk(table: str, what: str, running: Service, load: Load) -> None:
    pid, before = running.program.pid, lines(running, "database_unavailable")
    running.rows(
        "create function is_full() returns trigger language plpgsql as "
        "$$ begin raise exception 'no space left' using errcode = '53100'; end $$"
    )
    running.rows(f"create trigger is_full before {what} on {table} for each row execute function is_full()")
    try:
        load.say()
        wait_for(lambda: lines(running, "database_unavailable") > before + 1, "the probe to have tried twice")
        assert running.ask("GET", "/health").status == 200
    finally:
        running.rows("drop function is_full() cascade")
    load.arrives(running)
    assert running.program.pid == pid


def test_commits_of_a_message_and_of_an_outcome_whose_answers_got_lost(
    running: Service, database: DatabaseProxy, load: Load
) -> None:
    pid, lost = running.program.pid, database.lost
    repeated = running.metric("brownpaper_messages_total", ending="repeated")
    database.lose_the_commits_of(load.calls[0], 2)
    load.say()
    wait_for(lambda: database.lost == lost + 2, "the intent's and the outcome's commit to be lost")
    load.arrives(running)
    assert running.metric("brownpaper_messages_total", ending="repeated") >= repeated + 2
    assert {amount for number, amount in load.heard if number == load.calls[0]} == {"in doubt"}
    assert running.program.pid == pid
