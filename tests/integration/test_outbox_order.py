"""An order's events come out in the order of their writing, whatever the broker and the processes do, and no order waits for another's."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import kombu
import psycopg
import pytest

from shared.delivery import tables, topology
from shared.delivery.work import OutboxRow
from tests.integration.facts import PATIENCE_SECONDS, wait_for
from tests.integration.scene import Scene, Service, new_number
from tests.integration.wire import event

EXCHANGE, QUEUE = "payments.events", "orders.events"
AUTHORISED, CAPTURED, KEY_PUBLISHED = "payment_authorised", "payment_captured", "intake_key_published"
SHOP = "https://shop.example"  # as in crier.py, which cannot be imported here: it patches its process
MOST_STANDING = 1000
Saying = tuple[str | None, str, str]
Heard = tuple[str | None, str, str]


@pytest.fixture(scope="module")
def crier(scene: Scene) -> Service:
    return scene.service("payments", module="tests.integration.crier", PUBLISH_LEASE_SECONDS="2")


@pytest.fixture
def running(crier: Service, hearing: Hearing) -> Service:
    """The crier, up (again), and what earlier tests had it say forgotten."""
    crier.start()
    crier.settled()
    hearing.hear()
    hearing.all.clear()
    return crier


class Hearing:
    """What stands in the queue of orders, whose service does not run here, in the order in which the broker took it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.all: list[Heard] = []

    def hear(self) -> list[Heard]:
        """Streamed, not asked for one by one: there may be tens of thousands."""
        with kombu.Connection(self._scene.admin_uri) as connection:
            channel = connection.default_channel
            waiting = channel.queue_declare(QUEUE, passive=True).message_count
            taken = len(self.all) + waiting
            tag = channel.basic_consume(QUEUE, callback=self._take, no_ack=True)
            with suppress(TimeoutError):  # a count of a broker that just came back may be too high
                while len(self.all) < taken:
                    connection.drain_events(timeout=2)
            channel.basic_cancel(tag)  # what came meanwhile is taken too
        return self.all

    def _take(self, message: Any) -> None:
        envelope = json.loads(message.body)
        data = envelope["data"]
        self.all.append((data.get("order_number"), envelope["type"], data.get("amount") or data.get("key_id")))

    def amounts(self, number: str) -> list[str]:
        """What of this order has been heard by now, each at its first time."""
        return list(dict.fromkeys(amount for of, _, amount in self.hear() if of == number))

    def wait(self, *wanted: Saying) -> None:
        wait_for(lambda: set(wanted) <= set(self.hear()), f"{len(wanted)} events to be heard")


@pytest.fixture(scope="module")
def hearing(scene: Scene) -> Hearing:
    return Hearing(scene)


def say(service: Service, *sayings: Saying) -> None:
    """Have these said; committed when this returns."""
    reply = service.ask("POST", "/say", sayings)
    assert reply.json() == {"endings": ["done"] * len(sayings)}


def failed(service: Service) -> float:
    return service.metric("brownpaper_published_total", ending="failed")


def standing(service: Service, *numbers: str) -> list[tuple[str, str]]:
    """(order number, amount) of these orders' events that stand, in the order of their writing; a confirmed one does for a moment."""
    statement = """
        select body::json -> 'data' ->> 'order_number', body::json -> 'data' ->> 'amount' from outbox
        where subject = any(%s) order by position
    """
    return service.rows(statement, [f"{SHOP} {number}" for number in numbers])


@contextmanager
def returned(scene: Scene, kind: str) -> Iterator[None]:
    """While this lasts, no queue takes events of this kind: the broker returns them."""
    hearers = [topology.events_queue(service) for service in topology.HEARERS[EXCHANGE][kind]]
    with kombu.Connection(scene.admin_uri) as connection:
        channel = connection.default_channel
        for queue in hearers:
            channel.queue_unbind(queue, EXCHANGE, kind)
        try:
            yield
        finally:
            for queue in hearers:
                channel.queue_bind(queue, EXCHANGE, kind)


@contextmanager
def nacked(scene: Scene, kind: str) -> Iterator[None]:
    """While this lasts, a full queue refuses events of this kind: the broker nacks them."""
    with kombu.Connection(scene.admin_uri, transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        full = f"full-{uuid.uuid4()}"
        channel.queue_declare(full, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        connection.Producer().publish(b"{}", routing_key=full)
        channel.queue_bind(full, EXCHANGE, kind)
        try:
            yield
        finally:
            channel.queue_delete(full)


@pytest.mark.parametrize("refused", [returned, nacked])
def test_an_event_that_the_broker_refuses_holds_back_its_order_and_no_other(
    refused: Callable[[Scene, str], AbstractContextManager[None]], running: Service, scene: Scene, hearing: Hearing
) -> None:
    held, free = new_number("HELD"), new_number("FREE")
    before = failed(running)
    with refused(scene, AUTHORISED):
        say(running, (held, AUTHORISED, "1.00"))
        wait_for(lambda: failed(running) > before, "the broker to refuse it")
        say(running, (held, CAPTURED, "2.00"))
        say(running, (held, CAPTURED, "3.00"), (free, CAPTURED, "1.00"))
        say(running, (free, CAPTURED, "2.00"), (None, KEY_PUBLISHED, f"key of {held}"))
        hearing.wait((free, CAPTURED, "1.00"), (free, CAPTURED, "2.00"), (None, KEY_PUBLISHED, f"key of {held}"))
        tries = failed(running)
        wait_for(lambda: failed(running) > tries, "it to be tried again")
        assert set(hearing.amounts(held)) <= {"1.00"}, "a nacked one may have reached the queues that had room"
        left = [(held, "1.00"), (held, "2.00"), (held, "3.00")]
        wait_for(lambda: standing(running, held, free) == left, "the free order's events to be forgotten, and no other")
    hearing.wait((held, AUTHORISED, "1.00"), (held, CAPTURED, "2.00"), (held, CAPTURED, "3.00"))
    assert hearing.amounts(held) == ["1.00", "2.00", "3.00"]
    assert hearing.amounts(free) == ["1.00", "2.00"]
    running.settled()
    say(running, (held, AUTHORISED, "4.00"), (held, CAPTURED, "5.00"))  # the order is free again, sooner or later
    hearing.wait((held, AUTHORISED, "4.00"), (held, CAPTURED, "5.00"))
    assert hearing.amounts(held) == ["1.00", "2.00", "3.00", "4.00", "5.00"]


def test_events_about_no_order_wait_for_nothing(running: Service, scene: Scene, hearing: Hearing) -> None:
    before = failed(running)
    with returned(scene, KEY_PUBLISHED):
        say(running, (None, KEY_PUBLISHED, "first key"))
        wait_for(lambda: failed(running) > before, "the broker to return it")
    say(running, (None, KEY_PUBLISHED, "second key"))
    hearing.wait((None, KEY_PUBLISHED, "first key"), (None, KEY_PUBLISHED, "second key"))
    running.settled()


def another(scene: Scene, crier: Service, name: str, **settings: str) -> Service:
    """One more process of the same service, on the same database."""
    it = scene.service("payments", module="tests.integration.crier", **settings)
    it.environment["DATABASE_URL"] = crier.environment["DATABASE_URL"]
    it.database_url = crier.database_url
    it.program = type(it.program)(scene.folder / name, "crier")
    scene._ends.callback(it.kill)
    return it


def test_what_a_second_process_writes_does_not_overtake_what_stands_with_the_first(
    crier: Service, scene: Scene, hearing: Hearing
) -> None:
    crier.kill()
    shared_order, own_order = new_number("SHARED"), new_number("OWN")
    first = another(scene, crier, "first", DIE_AT="publishing", PUBLISH_LEASE_SECONDS="1", SWEEP_SECONDS="3600")
    first.start()
    with suppress(OSError):  # it dies with the event committed, and perhaps before it could answer
        say(first, (shared_order, AUTHORISED, "1.00"))
    wait_for(lambda: first.program.pid is None, "the first process to die before it publishes")
    second = another(scene, crier, "second", SWEEP_SECONDS="3600")  # it does not take up what others left
    second.start()
    try:
        say(second, (shared_order, CAPTURED, "2.00"), (own_order, CAPTURED, "1.00"))
        say(second, (shared_order, CAPTURED, "3.00"), (own_order, CAPTURED, "2.00"))
        hearing.wait((own_order, CAPTURED, "1.00"), (own_order, CAPTURED, "2.00"))
        assert hearing.amounts(shared_order) == []
        left = [(shared_order, amount) for amount in ("1.00", "2.00", "3.00")]
        wait_for(
            lambda: standing(second, shared_order, own_order) == left, "its own order's events to be forgotten, and no other"
        )
        crier.start()  # a third, which sweeps
        hearing.wait((shared_order, AUTHORISED, "1.00"), (shared_order, CAPTURED, "2.00"), (shared_order, CAPTURED, "3.00"))
        assert hearing.amounts(shared_order) == ["1.00", "2.00", "3.00"]
        assert hearing.amounts(own_order) == ["1.00", "2.00"]
    finally:
        second.kill()


def _left_behind(service: Service, rows: Sequence[OutboxRow]) -> None:
    """These stand in the outbox as a process left them that is no more."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    with psycopg.connect(service.database_url, autocommit=True) as connection:
        tables.write_outbox(connection, rows, at, at, uuid.uuid4())


def _row(number: str, amount: str) -> OutboxRow:
    data = {"shop": SHOP, "order_number": number, "currency": "USD", "amount": amount}
    identity = uuid.uuid4()
    body = json.dumps(event("payments", CAPTURED, data, identity=str(identity)))
    return OutboxRow(identity, EXCHANGE, CAPTURED, f"{SHOP} {number}", body)


def test_two_processes_that_sweep_at_once_publish_nothing_twice(running: Service, scene: Scene, hearing: Hearing) -> None:
    running.stop()
    numbers = [new_number(f"LEFT-{place}") for place in range(60)]
    rows = [_row(number, f"{place}.00") for place in range(1, 6) for number in numbers]
    _left_behind(running, rows)
    lease = {"PUBLISH_LEASE_SECONDS": "900", "SWEEP_SECONDS": "0.05"}
    pair = [another(scene, running, name, **lease) for name in ("one", "other")]
    for process in pair:
        process.begin()
    try:
        wanted = [(number, CAPTURED, f"{place}.00") for place in range(1, 6) for number in numbers]
        hearing.wait(*wanted)
        pair[0].settled()
        assert sorted(hearing.hear()) == sorted(wanted), "each once"
        for number in numbers:
            assert hearing.amounts(number) == [f"{place}.00" for place in range(1, 6)]
    finally:
        for process in pair:
            process.kill()


def test_what_was_left_behind_comes_through_while_the_line_is_never_empty(
    running: Service, scene: Scene, hearing: Hearing
) -> None:
    left, is_over = new_number("LEFT"), Event()

    def keep_saying() -> None:
        while not is_over.is_set():
            # By what stands and not by time: a slow relay is never so far behind that nobody can wait for it.
            if running.rows("select count(*) from outbox")[0][0] < MOST_STANDING:
                say(running, *((new_number("BUSY"), CAPTURED, "1.00") for _ in range(50)))

    with ThreadPoolExecutor(6) as pool:
        talkers = [pool.submit(keep_saying) for _ in range(6)]
        try:
            wait_for(lambda: scene.wire.waiting(QUEUE), "the first of them")
            _left_behind(running, [_row(left, "1.00"), _row(left, "2.00")])
            wait_for(lambda: standing(running, left) == [], "what was left behind to be published")
            assert not any(talker.done() for talker in talkers)
        finally:
            is_over.set()
        for talker in talkers:
            talker.result(timeout=PATIENCE_SECONDS)
    hearing.wait((left, CAPTURED, "1.00"), (left, CAPTURED, "2.00"))
    assert hearing.amounts(left) == ["1.00", "2.00"]


def test_after_an_outage_of_the_broker_all_that_waited_comes_in_order(running: Service, scene: Scene, hearing: Hearing) -> None:
    numbers = [new_number(f"OUTAGE-{place}") for place in range(100)]
    # RabbitMQ 3.10 writes the names of new quorum queues with a delay: see test_private_servers.
    names = next(scene.broker.folder.glob("mnesia/*/quorum/*/names.dets"))
    wait_for(lambda: QUEUE.encode() in names.read_bytes(), "the queues' names on disk")
    say(running, *((number, AUTHORISED, "1.00") for number in numbers))
    scene.broker.kill()
    try:
        for place in range(2, 6):
            say(running, *((number, CAPTURED, f"{place}.00") for number in numbers))
        wait_for(lambda: running.ask("GET", "/ready").status == 503, "the crier to say that it is not ready")
        assert len(standing(running, *numbers)) >= 400
    finally:
        scene.broker.start()
    wait_for(lambda: all(len(hearing.amounts(number)) == 5 for number in numbers), "every event")
    for number in numbers:
        assert hearing.amounts(number) == [f"{place}.00" for place in range(1, 6)]
    running.settled()
