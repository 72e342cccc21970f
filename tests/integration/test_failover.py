"""A service whose servers fail over: nothing is told before the standby has it, nothing is lost, and who is silent is given up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from deploy.local import databases
from deploy.local.postgres import PrivateCluster
from deploy.local.postgres_pair import PostgresPair
from deploy.local.processes import free_ports
from tests.integration.facts import rows, wait_for
from tests.integration.logs import Log
from tests.integration.scene import Scene, Service, new_number
from tests.integration.silence import SilentWay
from tests.integration.wire import Ear, Event, event

PROBE = "tests.integration.probe"
QUEUE = "payments.events"
WAITING = "select pid from pg_stat_activity where application_name = 'payments' and (wait_event = %s or wait_event_type = %s)"


@pytest.fixture
def database_url(pair: PostgresPair) -> str:
    url = databases.ensure(pair.admin_url, "payments", "password")
    databases.migrate(url, databases.service_folders("payments"))
    return url


@pytest.fixture
def ear(scene: Scene) -> Iterator[Ear]:
    with scene.wire.ear("payments.events") as it:
        yield it


def labelled(number: str) -> Event:
    data = {"shop": "https://shop.example", "order_number": number, "parcel": "p", "carrier": "c", "tracking_number": "t"}
    return event("shipping", "label_created", data)


@contextmanager
def frozen(server: PrivateCluster) -> Iterator[None]:
    """All processes of a server stand still: it neither answers nor closes a connection."""
    assert server.pid is not None
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            if process.is_running():
                process.resume()


def waiting(pair: PostgresPair, *, event: str = "", kind: str = "") -> list[tuple[int]]:
    """The services' backends at the primary that wait for this."""
    return rows(pair.primary.admin_url, WAITING, event, kind)


def test_what_waits_for_the_standby_is_not_told_and_outlives_the_primary(
    scene: Scene, pair: PostgresPair, database_url: str, ear: Ear
) -> None:
    probe = scene.service("payments", module=PROBE, DATABASE_URL=database_url)
    log = Log(probe)
    probe.start()
    number = new_number("PLAIN")
    with frozen(pair.standby):
        scene.wire.publish("shipping.events", "label_created", labelled(number))
        wait_for(lambda: waiting(pair, event="SyncRep"), "a commit to wait for the standby")
        pair.primary.kill()
        assert ear.all("payment_captured", number) == []
        assert number not in log.text()
    pair.promote()
    ear.hear("payment_captured", number)
    probe.settled()
    assert len(ear.all("payment_captured", number)) == 1
    wait_for(lambda: scene.wire.waiting(QUEUE) == 0, "the queue to be empty")
    probe.stop()


def test_without_its_standby_work_waits_and_nothing_is_parked(
    scene: Scene, pair: PostgresPair, database_url: str, ear: Ear
) -> None:
    """Two processes: what one of them cannot commit, the other waits for, until the server cancels that."""
    first = scene.service("payments", module=PROBE, DATABASE_URL=database_url)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    (scene.folder / "second").mkdir()
    second = Service("payments", PROBE, scene.folder / "second", {**first.environment, "HTTP_ADDRESS": address})
    try:
        logs = [Log(service) for service in (first, second)]
        first.start()
        second.start()
        number = new_number("PLAIN")
        same = labelled(number)
        with frozen(pair.standby):
            for _ in range(4):  # the broker gives them to the two in turns
                scene.wire.publish("shipping.events", "label_created", same)
            wait_for(lambda: waiting(pair, event="SyncRep"), "a commit to wait for the standby")
            wait_for(lambda: waiting(pair, kind="Lock"), "the other process to wait for that commit")

            def cancelled() -> bool:
                # As statement_timeout does it.
                for (pid,) in waiting(pair, kind="Lock"):
                    rows(pair.primary.admin_url, "select pg_cancel_backend(%s)", pid)
                return any(log.count("database_unavailable") for log in logs)

            wait_for(cancelled, "a statement to be cancelled")
        ear.hear("payment_captured", number)
        first.settled()
        wait_for(lambda: scene.wire.waiting(QUEUE) == 0, "the queue to be empty")
        wait_for(lambda: rows(database_url, "select count(*) from held") == [(0,)], "nothing to be held, parked least of all")
        assert len(ear.all("payment_captured", number)) == 1
    finally:
        second.kill()
        first.stop()


def test_of_several_addresses_of_the_broker_one_that_answers_is_enough(scene: Scene, ear: Ear) -> None:
    dead = [scene.admin_uri.replace(f":{scene.broker.port}/", f":{port}/") for port in free_ports(2)]
    probe = scene.service("payments", module=PROBE, uri=";".join([*dead, scene.admin_uri]))
    log = Log(probe)
    probe.start()
    number = new_number("PLAIN")
    scene.wire.publish("shipping.events", "label_created", labelled(number))
    ear.hear("payment_captured", number)
    assert "disconnected" not in log.text()
    probe.stop()


@pytest.mark.slow
def test_a_broker_that_falls_silent_is_given_up_and_found_again(scene: Scene, ear: Ear) -> None:
    with SilentWay(scene.broker.port) as way:
        uri = scene.admin_uri.replace(f":{scene.broker.port}/", f":{way.port}/")
        probe = scene.service("payments", module=PROBE, uri=uri)
        probe.start()
        wait_for(lambda: way.connections == 2, "the consumer's connection and the relay's")
        assert way.fall_silent() == 2
        number = new_number("PLAIN")
        scene.wire.publish("shipping.events", "label_created", labelled(number))
        ear.hear("payment_captured", number)
        probe.stop()
