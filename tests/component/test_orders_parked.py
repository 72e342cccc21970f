"""What orders has parked of a storefront's events: replayed, it is answered once, and an expired key does not matter any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from shared.delivery import parked
from shared.delivery.parked import Wanted
from tests.component.events import Canary, envelope, order_placed
from tests.integration.facts import wait_for
from tests.integration.scene import IntakeKey, Scene, Service, seal
from tests.integration.wire import Ear

SERVICES = {"recipient": "shipping", "contact": "notifications", "billing": "payments"}


@pytest.fixture(scope="module")
def keys() -> dict[str, IntakeKey]:
    return {service: IntakeKey(service) for service in SERVICES.values()}


@pytest.fixture(scope="module")
def ear(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def orders(scene: Scene, keys: dict[str, IntakeKey], ear: Ear) -> Service:
    service = scene.service("orders")
    service.start()
    for key in keys.values():
        data = {"service": key.service, "key_id": key.key_id, "public_key": key.public_key}
        expires_at = (datetime.now(UTC) + timedelta(days=7)).isoformat()
        scene.wire.say(key.service, "intake_key_published", {**data, "expires_at": expires_at})
    wait_for(lambda: len(service.ask("GET", "/keys").json()) == 3, "the three keys on the board")
    return service


def sealed(event: dict[str, Any], keys: dict[str, IntakeKey]) -> dict[str, Any]:
    data = event["data"]
    bound_to = data.get("order_number") or data["customer_id"]
    boxes = {part: seal(data[part], vars(keys[its]), bound_to=bound_to) for part, its in SERVICES.items() if part in data}
    return {**event, "data": {**data, **boxes}}


def another_payment() -> dict[str, Any]:
    """An event of the contract that this release does not do yet."""
    payment = {"provider": "2checkout", "reference": "R-1"}
    return envelope("payment_replaced", {"order_number": "N-1", "payment": payment, "billing": Canary().billing})


def replay(orders: Service) -> int:
    with psycopg.connect(orders.database_url, autocommit=True) as connection, connection.transaction():
        return len(parked.replay(connection, [it.id for it in parked.find(connection, Wanted(), 1000)]))


def answers(ear: Ear, kind: str, event: dict[str, Any]) -> int:
    return sum(it["data"].get("caused_by", {}).get("id") == event["id"] for it in ear.all(kind))


def held(orders: Service, event: dict[str, Any], *columns: str) -> list[tuple[Any, ...]]:
    return orders.rows(f"select {', '.join(columns)} from held where event_id = %s", event["id"])


def give_up(scene: Scene, *events: dict[str, Any]) -> None:
    """What consumers that crash do, until the broker gives these up. Orders does not run."""
    for event in events:
        scene.wire.publish("storefront.events", event["type"], event)
    scene.wire.reject_to_the_end("orders.intake", lambda: scene.wire.waiting("orders.parked") == len(events))


@pytest.mark.parametrize("has_expired", [False, True])
def test_a_deferred_event_that_is_replayed_is_kept_on_and_answered_once(
    has_expired: bool, orders: Service, ear: Ear, keys: dict[str, IntakeKey]
) -> None:
    orders.rows("delete from held")
    event = sealed(another_payment(), keys)
    assert orders.ask("POST", "/events", event, token=orders.environment["STOREFRONT_TOKEN"]).status == 202
    wait_for(lambda: answers(ear, "event_deferred", event) == 1, "its answer")
    before = held(orders, event, "state", "reason", "body")
    assert before[0][:2] == ("parked", "event_deferred")
    if has_expired:
        # A week passes for the event and for its key.
        orders.rows("update held set first_at = first_at - interval '8 days' where event_id = %s", event["id"])
        orders.rows("update intake_keys set expires_at = expires_at - interval '8 days' where service = 'payments'")
    try:
        for times in (1, 2):
            assert replay(orders) == 1
            wait_for(
                lambda times=times: held(orders, event, "replays", "state", "tries") == [(times, "parked", 1)],  # type: ignore[misc]
                "it to be parked again",
            )
        orders.settled()
        assert held(orders, event, "state", "reason", "body") == before
        assert answers(ear, "event_deferred", event) == 1
        assert answers(ear, "event_refused", event) == 0
    finally:
        if has_expired:
            orders.rows("update intake_keys set expires_at = expires_at + interval '8 days' where service = 'payments'")


def test_an_errand_that_was_refused_and_is_replayed_is_kept_on_and_answered_once(
    orders: Service, ear: Ear, keys: dict[str, IntakeKey]
) -> None:
    orders.rows("delete from held")
    friend = seal({"email": Canary().contact["email"], "name": "F"}, vars(keys["notifications"]), bound_to="m-1")
    item = {"title": "A ring", "url": "https://elsewhere.example/ring"}
    event = envelope("friend_referred", {"customer_id": "m-1", "item": item, "friend": friend})
    assert orders.ask("POST", "/events", event, token=orders.environment["STOREFRONT_TOKEN"]).status == 422
    wait_for(lambda: answers(ear, "event_refused", event) == 1, "its answer")
    before = held(orders, event, "state", "reason")
    assert before == [("parked", "link_unfit")]
    for times in (1, 2):
        assert replay(orders) == 1
        wait_for(
            lambda times=times: held(orders, event, "replays", "state", "tries") == [(times, "parked", 1)],  # type: ignore[misc]
            "it to be parked again",
        )
    orders.settled()
    assert (held(orders, event, "state", "reason"), answers(ear, "event_refused", event)) == (before, 1)


def test_a_deferred_event_that_cannot_be_read_any_more_is_kept_on_without_a_second_answer(
    orders: Service, ear: Ear, keys: dict[str, IntakeKey]
) -> None:
    orders.rows("delete from held")
    event = sealed(another_payment(), keys)
    assert orders.ask("POST", "/events", event, token=orders.environment["STOREFRONT_TOKEN"]).status == 202
    wait_for(lambda: answers(ear, "event_deferred", event) == 1, "its answer")
    orders.stop()
    orders.rows("update intake_keys set key_id = 'gone' where service = 'payments'")
    try:
        orders.start()
        assert replay(orders) == 1
        parked_again = [("parked", "key_unknown", True)]
        wait_for(lambda: held(orders, event, "state", "reason", "body is not null") == parked_again, "it to be parked again")
        orders.settled()
        assert answers(ear, "event_deferred", event) == 1
        assert answers(ear, "event_refused", event) == 0
    finally:
        orders.stop()
        orders.rows("update intake_keys set key_id = %s where service = 'payments'", keys["payments"].key_id)
        orders.start()


def test_orders_that_the_broker_gave_up_on_are_kept_sealed_and_taken_when_replayed(
    orders: Service, scene: Scene, ear: Ear, keys: dict[str, IntakeKey]
) -> None:
    orders.rows("delete from held")
    canary = Canary()
    in_clear, in_boxes = order_placed(recipient=canary.recipient, contact=canary.contact), sealed(order_placed(), keys)
    spoilt = order_placed(recipient=canary.recipient, contact=canary.contact, total="1.00")
    orders.stop()
    give_up(scene, in_clear, in_boxes, spoilt)
    orders.start()
    wait_for(lambda: len(orders.rows("select 1 from held")) == 3, "the three dead letters")
    numbers = {it["data"]["order_number"] for it in (in_clear, in_boxes, spoilt)}
    kept = orders.rows("select order_number, reason, queue, body is not null, faults from held")
    assert {row[0] for row in kept} == numbers
    assert {row[1:3] for row in kept} == {("delivery_limit_reached", "orders.intake")}
    assert {row[0]: row[3] for row in kept} == {number: number != spoilt["data"]["order_number"] for number in numbers}
    assert held(orders, spoilt, "faults") == [([{"code": "total_mismatch", "path": "/data/total"}],)]
    assert canary.in_text(scene.texts() + orders.log()) == []
    assert replay(orders) == 2
    for event in (in_clear, in_boxes):
        ear.hear("recipient_entrusted", event["data"]["order_number"])
    orders.settled()
    assert [answers(ear, "order_accepted", event) for event in (in_clear, in_boxes, spoilt)] == [1, 1, 0]
    # It comes again from the storefront: a repeat, answered as one.
    scene.wire.publish("storefront.events", "order_placed", in_boxes)
    wait_for(lambda: answers(ear, "order_accepted", in_boxes) == 2, "the same answer again")
    orders.settled()
    assert len(ear.all("recipient_entrusted", in_boxes["data"]["order_number"])) == 1
