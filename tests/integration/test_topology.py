"""The topology on the real broker: who may say and hear what, and nobody anything else."""

from __future__ import annotations

from typing import Any

import amqp
import kombu
import pytest
from amqp.exceptions import AccessRefused

from deploy.local import definitions
from deploy.local.broker import PrivateBroker
from shared.delivery import topology
from tests.integration.facts import wait_for
from tests.integration.scene import Scene
from tests.integration.wire import Wire

PASSWORDS = {user: f"the password of {user}" for user in definitions.USERS}
FOREIGN = {user: [it for it in topology.EXCHANGES if it not in (*topology.own_exchanges(user), "")] for user in topology.SERVICES}
FOREIGN["storefront"] = [it for it in topology.EXCHANGES if it != topology.INTAKE_EXCHANGE]
ALL_QUEUES = [queue.name for queue in topology.QUEUES]


def own_queues(user: str) -> tuple[str, ...]:
    return (topology.ANSWERS_QUEUE,) if user == "storefront" else topology.readable_queues_of(user)


def own_words(user: str) -> list[tuple[str, str]]:
    """What a user must be able to say: (exchange, routing key)."""
    if user == "storefront":
        return [(topology.INTAKE_EXCHANGE, event) for event in (*topology.STOREFRONT_EVENTS, "no_event_of_the_contract")]
    own = [(exchange, event) for exchange in topology.own_exchanges(user) for event in topology.HEARERS.get(exchange, {})]
    return [*own, (topology.ANSWERS_EXCHANGE, "order_accepted")] if user == "orders" else own


@pytest.fixture(scope="module")
def uris(broker: PrivateBroker, scene: Scene) -> dict[str, str]:
    """Each user's URI on a virtual host with the topology and the users' permissions."""
    broker.import_definitions(definitions.services(PASSWORDS, scene.virtual_host))
    return {user: broker.uri(user, PASSWORDS[user], scene.virtual_host) for user in definitions.USERS}


class Attempt:
    """One user's channel; what the broker refuses closes it, so that each attempt opens its own."""

    def __init__(self, uri: str) -> None:
        self._connection = kombu.Connection(uri, transport_options={"confirm_publish": True})

    def __enter__(self) -> Any:
        return self._connection.channel()

    def __exit__(self, *_: object) -> None:
        self._connection.release()


@pytest.fixture(params=definitions.USERS)
def user(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def refused(uri: str, deed: str, *arguments: object, **named: object) -> bool:
    """Whether the broker answers 403 to this."""
    with Attempt(uri) as channel:
        try:
            getattr(channel, deed)(*arguments, **named)
        except AccessRefused as error:
            return bool(error.reply_code == 403)
    return False


def test_declaring_it_again_is_harmless(scene: Scene) -> None:
    scene.wire.say("payments", "payment_declined", {"shop": "s", "order_number": "n", "reason": "declined"})
    hearers = {topology.events_queue(service) for service in topology.HEARERS["payments.events"]["payment_declined"]}
    expected = {queue: int(queue in hearers) for queue in ALL_QUEUES}

    def is_as_expected() -> bool:
        return {queue: scene.wire.waiting(queue) for queue in ALL_QUEUES} == expected

    wait_for(is_as_expected, "the event in the queues of its hearers")
    topology.declare(scene.admin_uri)
    wait_for(is_as_expected, "the event in the same queues")
    with Attempt(scene.admin_uri) as channel:
        for queue in hearers:
            channel.queue_purge(queue)


def test_each_says_all_its_own_words(user: str, uris: dict[str, str]) -> None:
    Wire(uris[user]).publish_all("", [])
    for exchange, routing_key in own_words(user):
        assert not refused(uris[user], "basic_publish", amqp.Message(b"{}"), exchange, routing_key), (exchange, routing_key)


def test_each_reads_its_own_queues(user: str, uris: dict[str, str]) -> None:
    for queue in own_queues(user):
        assert not refused(uris[user], "basic_get", queue), queue


def test_nobody_says_anything_on_a_foreign_exchange(user: str, uris: dict[str, str]) -> None:
    for exchange in [*FOREIGN[user], ""]:
        for routing_key in ("order_accepted", "recipient_entrusted", "payment_captured", "orders.events", user):
            assert refused(uris[user], "basic_publish", amqp.Message(b"{}"), exchange, routing_key), (exchange, routing_key)


def test_no_service_says_a_word_that_is_not_its_own(uris: dict[str, str]) -> None:
    for service in topology.SERVICES:
        for exchange in topology.own_exchanges(service):
            words = [*topology.HEARERS.get(exchange, {}), *(["event_refused"] if exchange == topology.ANSWERS_EXCHANGE else [])]
            for routing_key in ("made_up", "", "*", "#", f"x{words[0]}", f"{words[0]}.more", words[0].upper()):
                allowed = exchange == topology.ANSWERS_EXCHANGE and routing_key in ("made_up", f"x{words[0]}")
                got = refused(uris[service], "basic_publish", amqp.Message(b"{}"), exchange, routing_key)
                assert got is not allowed, (service, exchange, routing_key)


def test_nobody_reads_a_foreign_queue(user: str, uris: dict[str, str]) -> None:
    for queue in set(ALL_QUEUES) - set(own_queues(user)):
        for deed in ("basic_get", "basic_consume", "queue_purge"):
            assert refused(uris[user], deed, queue), (deed, queue)


def test_nobody_declares_deletes_binds_or_unbinds(user: str, uris: dict[str, str]) -> None:
    uri, queue = uris[user], own_queues(user)[0]
    exchange = topology.INTAKE_EXCHANGE if user == "storefront" else topology.own_exchanges(user)[0]
    assert refused(uri, "queue_declare", "own.more")
    assert refused(uri, "exchange_declare", "own.more", "topic")
    assert refused(uri, "queue_bind", queue, exchange, "#")
    assert refused(uri, "queue_bind", queue, "orders.parts", "#")
    assert refused(uri, "queue_unbind", queue, exchange, "#")
    assert refused(uri, "queue_delete", queue)
    assert refused(uri, "exchange_delete", exchange)


def test_each_finds_the_marker(user: str, uris: dict[str, str]) -> None:
    assert not refused(uris[user], "exchange_declare", topology.marker(), "fanout", passive=True)


def test_every_event_reaches_exactly_the_queues_of_its_hearers(scene: Scene) -> None:
    with kombu.Connection(scene.admin_uri) as connection:
        channel = connection.default_channel
        for queue in ALL_QUEUES:
            channel.queue_purge(queue)
    for exchange, events in topology.HEARERS.items():
        for event, hearers in events.items():
            scene.wire.publish(exchange, event, b"{}")
            reached: set[str] = set()
            expected = {topology.events_queue(service) for service in hearers}
            with kombu.Connection(scene.admin_uri) as connection:

                def has_come(
                    channel: Any = connection.default_channel, event: str = event, reached: set[str] = reached
                ) -> set[str]:
                    for queue in ALL_QUEUES:
                        while (message := channel.basic_get(queue, no_ack=True)) is not None:
                            assert message.delivery_info["routing_key"] == event
                            reached.add(queue)
                    return reached

                wait_for(lambda has_come=has_come, expected=expected: expected <= has_come(), f"{event} in all its queues")
                assert has_come() == expected, (exchange, event)


def test_the_answers_drop_the_oldest_first(scene: Scene) -> None:
    """The same queue as the storefront's, only smaller: a gigabyte is not to be filled here."""
    arguments = next(dict(queue.arguments) for queue in topology.QUEUES if queue.name == topology.ANSWERS_QUEUE)
    assert arguments["x-overflow"] == "drop-head"
    assert arguments["x-message-ttl"] == 7 * 24 * 3600 * 1000
    arguments["x-max-length-bytes"] = 20_000
    with kombu.Connection(scene.admin_uri, transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        channel.queue_declare("small.answers", durable=True, auto_delete=False, arguments=arguments)
        for number in range(100):
            message = amqp.Message(b"%03d" % number + b"." * 997, delivery_mode=2)
            channel.basic_publish(message, exchange="", routing_key="small.answers")
        wait_for(lambda: channel.queue_declare("small.answers", passive=True).message_count <= 20, "the oldest to go")
        kept = []
        while (got := channel.basic_get("small.answers", no_ack=True)) is not None:
            kept.append(int(bytes(got.body)[:3] if isinstance(got.body, bytes) else got.body[:3]))
        channel.queue_delete("small.answers")
    assert kept == list(range(100 - len(kept), 100))
    assert 10 <= len(kept) <= 20


@pytest.mark.parametrize("service", topology.SERVICES)
def test_a_service_without_its_topology_does_not_start_and_says_why(service: str, scene: Scene) -> None:
    with kombu.Connection(scene.admin_uri) as connection:
        connection.default_channel.exchange_delete(topology.marker())
    try:
        started = scene.service(service)
        started.begin()
        wait_for(lambda: started.program.pid is None, "the service to end by itself")
        assert started.program._child is not None
        assert started.program._child.wait(timeout=10) == 1
        assert topology.marker() in started.log()
        assert "does not hold this release's topology" in started.log()
        assert "Traceback" not in started.log()
    finally:
        topology.declare(scene.admin_uri)
