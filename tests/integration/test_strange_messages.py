"""Over a real broker: names and properties that no colleague writes neither end the process nor take a neighbour with them."""

from __future__ import annotations

from collections.abc import Iterator

import amqp
import kombu
import pytest

from shared.delivery import topology
from shared.delivery.connecting import connected, hear, open_channel
from tests.integration.facts import wait_for
from tests.integration.scene import Scene, Service, new_number
from tests.integration.wire import event
from tests.strangers import STRANGE, publish

QUEUE = "payments.events"
PARKED_QUEUE = topology.parked_queue("payments")


@pytest.fixture
def running(probe: Service) -> Service:
    """The probe, up, with nothing held."""
    probe.start()
    probe.rows("delete from held")
    return probe


@pytest.fixture(scope="module", autouse=True)
def _hears_everything(scene: Scene) -> Iterator[None]:
    """The queue hears every routing key: the broker of a shop may be bound by hand."""
    with kombu.Connection(scene.admin_uri) as connection:
        connection.default_channel.queue_bind(QUEUE, "shipping.events", "#")
    yield
    with kombu.Connection(scene.admin_uri) as connection:
        connection.default_channel.queue_unbind(QUEUE, "shipping.events", "#")


def neighbour(scene: Scene) -> str:
    number = new_number("PLAIN")
    data = {"shop": "https://shop.example", "order_number": number, "parcel": "p", "carrier": "c", "tracking_number": "t"}
    scene.wire.publish("shipping.events", "label_created", event("shipping", "label_created", data))
    return number


def test_all_are_parked_and_their_neighbours_handled(running: Service, scene: Scene) -> None:
    pid, numbers = running.program.pid, []
    with scene.wire.ear("payments.events") as ear:
        for strange in STRANGE.values():
            numbers.append(neighbour(scene))
            publish(scene.admin_uri, "shipping.events", strange)
            numbers.append(neighbour(scene))
        for number in numbers:
            ear.hear("payment_captured", number)
    wait_for(lambda: running.rows("select count(*) from held") == [(len(STRANGE),)], "all strange ones to be parked")
    assert running.rows("select distinct state, reason, body, type from held") == [("parked", "malformed_event", None, None)]
    wait_for(lambda: scene.wire.waiting(QUEUE) == 0, "the queue to be empty")
    assert running.program.pid == pid


def test_so_are_they_when_the_broker_gave_them_up(running: Service, scene: Scene) -> None:
    """The parked queue's reader takes them in as well, with the message beside them."""
    running.stop()
    for strange in STRANGE.values():
        publish(scene.admin_uri, "shipping.events", strange)
    last = neighbour(scene)
    _give_up(scene, len(STRANGE) + 1)
    running.start()
    pid = running.program.pid
    # One at a time: when the last is there, all before it were taken in. Those of one name are one message, which came again.
    wait_for(lambda: running.rows("select 1 from held where order_number = %s", last), "the last to be parked")
    found = running.rows("select distinct state, reason from held order by reason")
    # What the broker writes of a death stands among the headers: of those that cannot be read nothing is kept.
    assert found == [("parked", "delivery_limit_reached"), ("parked", "origin_unknown")]
    assert running.program.pid == pid


def _give_up(scene: Scene, messages: int) -> None:
    with connected(scene.admin_uri, "a reader that refuses") as connection:
        channel = open_channel(connection)
        refused: list[int] = []

        def refuse(message: amqp.Message) -> None:
            channel.basic_reject(message.delivery_tag, requeue=False)
            refused.append(message.delivery_tag)

        channel.basic_consume(QUEUE, callback=refuse)
        while len(refused) < messages:
            hear(channel, timeout_seconds=60)
