"""The engine in a process of its own, between a real broker and a real database, with everything going wrong that can."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import kombu
import pytest

from deploy.local.postgres import PrivateCluster
from shared.delivery import topology
from tests.integration.facts import wait_for
from tests.integration.scene import Scene, Service, new_number
from tests.integration.wire import Ear, event

QUEUE = "payments.events"
SECRET = "Quentin Quarterman"  # as in probe.py, which cannot be imported here: it patches its process


@pytest.fixture
def running(probe: Service) -> Service:
    """The probe, up (again)."""
    probe.start()
    return probe


@pytest.fixture
def ear(scene: Scene) -> Iterator[Ear]:
    with scene.wire.ear("payments.events") as it:
        yield it


def label(order_number: str, **more: object) -> dict[str, object]:
    return {
        "shop": "https://shop.example",
        "order_number": order_number,
        "parcel": "p",
        "carrier": "c",
        "tracking_number": "t",
        **more,
    }


def say_labels(scene: Scene, *numbers: str) -> None:
    said = [("label_created", event("shipping", "label_created", label(number))) for number in numbers]
    scene.wire.publish_all("shipping.events", said)


_known: set[str] = set()


def heard_in_orders(scene: Scene) -> list[str]:
    """Take everything off the queue of orders, whose service does not run here: which orders were captured, in their order.

    Each event once, by its id: that it comes again is everybody's right.
    """
    numbers = []
    with kombu.Connection(scene.admin_uri) as connection:
        while (message := connection.default_channel.basic_get("orders.events", no_ack=True)) is not None:
            if message.delivery_info["routing_key"] == "payment_captured":  # labels are heard by orders too
                said = json.loads(message.body)
                if said["id"] not in _known:
                    _known.add(said["id"])
                    numbers.append(said["data"]["order_number"])
    return numbers


def test_a_query_that_sleeps_lets_other_greenthreads_run(running: Service) -> None:
    assert running.ask("GET", "/ticks").json()["ticks"] > 1


def test_many_requests_sleep_side_by_side(running: Service) -> None:
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: running.ask("GET", "/ticks"), range(6)))
    assert all(reply.json()["ticks"] > 1 for reply in replies)


def test_a_message_is_handled_once_however_often_it_comes(running: Service, scene: Scene, ear: Ear) -> None:
    first, last = new_number("PLAIN"), new_number("PLAIN-LAST")
    same = event("shipping", "label_created", label(first))
    for _ in range(4):
        scene.wire.publish("shipping.events", "label_created", same)
    scene.wire.publish_all("shipping.events", [("label_created", same)] * 20)
    say_labels(scene, last)
    ear.hear("payment_captured", last)
    running.settled()
    assert len(ear.all("payment_captured", first)) == 1
    wait_for(lambda: scene.wire.waiting(QUEUE) == 0, "the queue to be empty")


def test_what_cannot_be_done_yet_is_done_later(running: Service, scene: Scene, ear: Ear) -> None:
    number = new_number("LATER")
    say_labels(scene, number)
    ear.hear("payment_captured", number)
    running.settled()
    assert len(ear.all("payment_captured", number)) == 1


def test_a_call_is_performed_and_its_outcome_told_once(running: Service, scene: Scene, ear: Ear) -> None:
    number = new_number("CALL")
    say_labels(scene, number)
    assert ear.hear("payment_captured", number)["data"]["amount"] == "at once"
    running.settled()
    assert len(ear.all("payment_captured", number)) == 1


def test_a_call_whose_process_died_is_taken_up_in_doubt(running: Service, scene: Scene, ear: Ear) -> None:
    number = new_number("DIE")
    say_labels(scene, number)
    wait_for(lambda: running.program.pid is None, "the probe to die in its call")
    running.start()
    assert ear.hear("payment_captured", number)["data"]["amount"] == "in doubt"
    running.settled()
    assert len(ear.all("payment_captured", number)) == 1


NUL = "\\u0000"
POISON: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"\xff\x00 no JSON", "malformed_event"),
    "nothing": (b"", "malformed_event"),
    "a list": (b"[1, 2]", "malformed_event"),
    "a text": (b'"text"', "malformed_event"),
    "without data": (b'{"source": "shipping", "id": "1", "type": "label_created"}', "malformed_event"),
    "of a type unheard": (json.dumps(event("shipping", "parcel_lost", {})).encode(), "event_unheard"),
    "of a wrong speaker": (json.dumps(event("orders", "label_created", label("PLAIN-X"))).encode(), "speaker_unexpected"),
    "of nobody": (json.dumps(event("", "label_created", label("PLAIN-X"))).encode(), "speaker_unexpected"),
    "without a member": (json.dumps(event("shipping", "label_created", {"order_number": SECRET})).encode(), "malformed_event"),
    "with a wrong member": (
        json.dumps(event("shipping", "label_created", label("PLAIN-X", parcel={"name": SECRET}))).encode(),
        "malformed_event",
    ),
}


@pytest.mark.parametrize("what", POISON)
def test_poison_is_parked_without_its_body_and_holds_up_nobody(what: str, running: Service, scene: Scene, ear: Ear) -> None:
    body, reason = POISON[what]
    running.rows("delete from held")
    good = new_number("PLAIN")
    scene.wire.publish("shipping.events", "label_created", body)
    say_labels(scene, good)
    ear.hear("payment_captured", good)
    kept = wait_for(lambda: running.rows("select state, reason, body, length, queue, headers from held"), "the parked row")
    headers = {"exchange": "shipping.events", "routing_key": "label_created"}
    assert kept == [("parked", reason, None, len(body), QUEUE, headers)]
    wait_for(lambda: scene.wire.waiting(QUEUE) == 0, "the queue to be empty")
    assert SECRET not in str(running.rows("select held::text from held")) + running.log()


def test_of_a_routing_key_that_is_no_word_of_ours_nothing_is_kept(running: Service, scene: Scene) -> None:
    running.rows("delete from held")
    with kombu.Connection(scene.admin_uri) as connection:
        connection.default_channel.queue_bind(QUEUE, "shipping.events", SECRET)
        try:
            scene.wire.publish("shipping.events", SECRET, b"{}")
            kept = wait_for(lambda: running.rows("select reason, headers from held"), "the parked row")
        finally:
            connection.default_channel.queue_unbind(QUEUE, "shipping.events", SECRET)
    assert kept == [("malformed_event", {})]


@pytest.mark.parametrize("envelope", [{"id": 5}, {"id": {"a": 1}}, {"id": None}, {"id": "a\0b"}, {"source": {}}, {"type": []}])
def test_an_envelope_whose_members_are_of_a_wrong_kind_is_parked_and_kills_nobody(
    envelope: dict[str, object], running: Service, scene: Scene, ear: Ear
) -> None:
    running.rows("delete from held")
    good, pid = new_number("PLAIN"), running.program.pid
    poison = {**event("shipping", "label_created", label(new_number("PLAIN-POISON"))), **envelope}
    scene.wire.publish("shipping.events", "label_created", poison)
    say_labels(scene, good)
    ear.hear("payment_captured", good)
    wait_for(lambda: running.rows("select 1 from held where state = 'parked'"), "the parked row")
    assert running.program.pid == pid


def test_a_text_that_the_database_cannot_keep_is_parked_and_kills_nobody(running: Service, scene: Scene, ear: Ear) -> None:
    running.rows("delete from held")
    good, pid = new_number("PLAIN"), running.program.pid
    say_labels(scene, "PLAIN-\0-nul")
    say_labels(scene, "CALL-\0-nul")
    say_labels(scene, good)
    ear.hear("payment_captured", good)
    wait_for(lambda: running.rows("select count(*) from held where state = 'parked'") == [(2,)], "both to be parked")
    assert running.program.pid == pid


@pytest.mark.parametrize(
    ("kind", "reason"), [("RAISE", "unexpected_RuntimeError"), ("PARK", "probe_parked"), ("REFUSE", "probe_refused")]
)
def test_a_handler_that_fails_is_undone_and_its_message_kept_sealed(
    kind: str, reason: str, running: Service, scene: Scene, ear: Ear
) -> None:
    running.rows("delete from held")
    bad, good = new_number(kind), [new_number("PLAIN") for _ in range(5)]
    say_labels(scene, *good[:3], bad, *good[3:])
    for number in good:
        ear.hear("payment_captured", number)
    [(state, code, body, source, kind_of)] = wait_for(
        lambda: running.rows("select state, reason, body, source, type from held"), "the parked row"
    )
    assert (state, code, source, kind_of) == ("parked", reason, "shipping", "label_created")
    assert json.loads(body)["data"] == label(bad)
    assert ear.all("payment_captured", bad) == []
    assert SECRET not in running.log()


def test_an_event_that_finds_no_queue_stays_and_is_delivered_once_there_is_one(running: Service, scene: Scene) -> None:
    number = new_number("PLAIN")
    hearers = [topology.events_queue(service) for service in topology.HEARERS["payments.events"]["payment_captured"]]
    heard_in_orders(scene)
    failed = running.metric("brownpaper_published_total", ending="failed")
    with kombu.Connection(scene.admin_uri) as connection:
        channel = connection.default_channel
        for queue in hearers:
            channel.queue_unbind(queue, "payments.events", "payment_captured")
        try:
            say_labels(scene, number)
            wait_for(lambda: running.metric("brownpaper_published_total", ending="failed") > failed, "the broker to return it")
            assert running.rows("select type from outbox where subject like %s", f"%{number}") == [("payment_captured",)]
            wait_for(lambda: running.metric("brownpaper_published_total", ending="failed") > failed + 1, "a second try")
        finally:
            for queue in hearers:
                channel.queue_bind(queue, "payments.events", "payment_captured")
    running.settled()
    wait_for(lambda: running_numbers(scene, [number]), "it to be delivered")
    assert running_numbers(scene, [number]) == [number]
    assert '"event_not_taken"' in running.log()


def test_the_process_is_killed_in_mid_run_and_nothing_is_lost(running: Service, scene: Scene) -> None:
    heard_in_orders(scene)
    numbers = [new_number("PLAIN") for _ in range(400)]
    say_labels(scene, *numbers[:200])
    wait_for(lambda: scene.wire.waiting("orders.events"), "the first of them")
    say_labels(scene, *numbers[200:])
    running.kill()
    running.start()
    wait_for(lambda: len(set(running_numbers(scene, numbers))) == len(numbers), "every one of them")
    running.settled()


_seen: dict[str, list[str]] = {}


def running_numbers(scene: Scene, wanted: list[str]) -> list[str]:
    """What has been heard by now of these orders, over several looks."""
    seen = _seen.setdefault(wanted[0], [])
    seen += [number for number in heard_in_orders(scene) if number in set(wanted)]
    return seen


def test_the_database_is_killed_in_mid_run_and_nothing_is_lost(
    running: Service, scene: Scene, data_cluster: PrivateCluster
) -> None:
    numbers = [new_number("PLAIN") for _ in range(300)]
    say_labels(scene, *numbers[:150])
    data_cluster.kill()
    try:
        say_labels(scene, *numbers[150:])
        wait_for(lambda: running.ask("GET", "/ready").status == 503, "the probe to say that it is not ready")
        assert running.ask("GET", "/health").status == 200
    finally:
        data_cluster.start()
    wait_for(lambda: len(set(running_numbers(scene, numbers))) == len(numbers), "every one of them")
    running.settled()
    wait_for(lambda: running.ask("GET", "/ready").status == 200, "the probe to be ready again")


def test_the_broker_is_killed_in_mid_run_and_nothing_is_lost(running: Service, scene: Scene) -> None:
    numbers = [new_number("PLAIN") for _ in range(300)]
    # RabbitMQ 3.10 writes the names of new quorum queues with a delay: see test_private_servers.
    names = next(scene.broker.folder.glob("mnesia/*/quorum/*/names.dets"))
    wait_for(lambda: b"orders.events" in names.read_bytes(), "the queues' names on disk")
    say_labels(scene, *numbers[:200])
    scene.broker.kill()
    try:
        wait_for(lambda: running.ask("GET", "/ready").status == 503, "the probe to say that it is not ready")
    finally:
        scene.broker.start()
    say_labels(scene, *numbers[200:])
    wait_for(lambda: len(set(running_numbers(scene, numbers))) == len(numbers), "every one of them")
    running.settled()
    wait_for(lambda: scene.wire.waiting(QUEUE) == 0, "the queue to be empty")
    assert running.program.pid is not None


def test_it_stops_in_order_and_leaves_nothing_half_done(running: Service, scene: Scene) -> None:
    numbers = [new_number("PLAIN") for _ in range(100)]
    say_labels(scene, *numbers)
    running.stop()
    assert running.log().rstrip().endswith('"message":"stopped"}')
    assert running.rows("select count(*) from outbox") == [(0,)]
    running.start()
    wait_for(lambda: len(set(running_numbers(scene, numbers))) == len(numbers), "every one of them")


def test_two_processes_of_one_service_share_the_work(running: Service, scene: Scene) -> None:
    second = Service("payments", "tests.integration.probe", scene.folder / "second", {**running.environment})
    second.environment["HTTP_ADDRESS"] = "127.0.0.1:0"
    numbers = [new_number("PLAIN") for _ in range(200)]
    same = [("label_created", event("shipping", "label_created", label(numbers[0]), identity=str(uuid.uuid4())))] * 30
    second.begin()
    try:
        wait_for(lambda: '"started"' in (second.log() if second.program.log.exists() else ""), "the second process")
        scene.wire.publish_all("shipping.events", same)
        say_labels(scene, *numbers[1:])
        wait_for(lambda: len(set(running_numbers(scene, numbers))) == len(numbers), "every one of them")
        running.settled()
        assert running_numbers(scene, numbers).count(numbers[0]) == 1
    finally:
        second.kill()
