"""Orders through its doors, the test playing the storefront and the three colleagues."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from deploy.local import unprivileged
from deploy.local.postgres import PrivateCluster
from tests.component.events import CARD, Canary, envelope, order_placed
from tests.integration.facts import Reply, ask, files_holding, wait_for
from tests.integration.scene import SHOP, IntakeKey, Scene, Service, checkpoint, new_number, seal
from tests.integration.wire import Ear

EXCHANGE_OF = {"shipping": "shipping.events", "notifications": "notifications.events", "payments": "payments.events"}


@pytest.fixture(scope="module")
def keys() -> dict[str, IntakeKey]:
    return {service: IntakeKey(service) for service in EXCHANGE_OF}


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def early() -> dict[str, Any]:
    """An order in the clear that is published before anybody has a key."""
    return order_placed()


@pytest.fixture(scope="module")
def orders(scene: Scene, keys: dict[str, IntakeKey], everybody: Ear, early: dict[str, Any]) -> Service:
    service = scene.service("orders")
    service.start()
    # Before anybody has published a key nothing in the clear can be taken; it waits, and nothing is lost.
    scene.wire.publish("storefront.events", "order_placed", early)
    wait_for(lambda: scene.wire.waiting("orders.intake") == 0, "the early order to be in hand")
    assert service.rows("select 1 from orders") == []
    for key in keys.values():
        publish_key(scene, key)
    wait_for(lambda: len(service.ask("GET", "/keys").json()) == 3, "the three keys on the board")
    return service


def publish_key(scene: Scene, key: IntakeKey, *, lasts: timedelta = timedelta(days=7)) -> None:
    data = {
        "service": key.service,
        "key_id": key.key_id,
        "public_key": key.public_key,
        "expires_at": (datetime.now(UTC) + lasts).isoformat(),
    }
    scene.wire.say(key.service, "intake_key_published", data)


def post(orders: Service, body: object, **how: Any) -> Reply:
    return orders.ask("POST", "/events", body, **{"token": orders.environment["STOREFRONT_TOKEN"], **how})


def sealed(event: dict[str, Any], keys: dict[str, IntakeKey]) -> dict[str, Any]:
    number = event["data"]["order_number"]
    parts = {"recipient": "shipping", "contact": "notifications"}
    boxes = {part: seal(event["data"][part], vars(keys[service]), bound_to=number) for part, service in parts.items()}
    return {**event, "data": {**event["data"], **boxes}}


def order(orders: Service, number: str) -> Reply:
    return orders.ask("GET", f"/orders/{number}", token=orders.environment["STAFF_TOKEN"])


def stands(orders: Service, number: str, state: str) -> bool:
    return bool(order(orders, number).json()["state"] == state)


# ── what a storefront sends ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_that_came_before_its_key_is_taken_once_there_is_one(
    orders: Service, everybody: Ear, early: dict[str, Any]
) -> None:
    everybody.hear("order_accepted", early["data"]["order_number"])


@pytest.mark.parametrize("is_sealed", [True, False])
def test_an_order_is_taken_and_each_part_reaches_its_one_service(
    is_sealed: bool, orders: Service, everybody: Ear, keys: dict[str, IntakeKey]
) -> None:
    clear = order_placed()
    number = clear["data"]["order_number"]
    reply = post(orders, sealed(clear, keys) if is_sealed else clear)
    assert reply.status == 202
    assert reply.json()["accepted"] is True
    assert reply.json()["caused_by"] == {"source": SHOP, "id": clear["id"]}
    answer = everybody.hear("order_accepted", number, where=lambda it: "caused_by" in it["data"])
    assert answer["data"] == {"caused_by": {"source": SHOP, "id": clear["id"]}, "order_number": number}
    for part, event, service in (
        ("recipient", "recipient_entrusted", "shipping"),
        ("contact", "contact_entrusted", "notifications"),
    ):
        data = everybody.hear(event, number)["data"]
        assert keys[service].open(data[part]) == {**clear["data"][part], "for": number}
    assert everybody.hear("billing_entrusted", number)["data"]["billing"] is None
    assert "unit_price" not in json.dumps(everybody.hear("recipient_entrusted", number))


def test_a_repeat_gets_the_same_answer_and_makes_no_second_order(orders: Service, everybody: Ear) -> None:
    event = order_placed()
    number = event["data"]["order_number"]
    replies = [post(orders, event) for _ in range(3)]
    assert [reply.status for reply in replies] == [202, 202, 202]
    assert len({reply.body for reply in replies}) == 1
    everybody.hear("order_accepted", number, times=3, where=lambda it: "caused_by" in it["data"])
    assert len(everybody.all("recipient_entrusted", number)) == 1


def test_many_at_once_that_are_the_same_make_one_order(orders: Service, everybody: Ear) -> None:
    event = order_placed()
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: post(orders, event), range(16)))
    assert {reply.status for reply in replies} == {202}
    orders.settled()
    assert len(everybody.all("recipient_entrusted", event["data"]["order_number"])) == 1


def test_a_number_that_is_taken_keeps_its_first_order(orders: Service, everybody: Ear) -> None:
    first = order_placed()
    number = first["data"]["order_number"]
    assert post(orders, first).status == 202
    same = {**first, "id": "another-id", "data": {**first["data"], "recipient": {**first["data"]["recipient"], "name": "Bo"}}}
    assert post(orders, same).status == 202  # the same order: the first parts stand
    other = order_placed(number, title="Dwarvish band")
    reply = post(orders, other)
    assert (reply.status, reply.codes) == (422, ["order_number_taken"])
    assert (post(orders, other).status, post(orders, other).codes) == (422, ["order_number_taken"])
    orders.settled()
    assert len(everybody.all("recipient_entrusted", number)) == 1
    refusal = everybody.hear("event_refused", number)
    assert refusal["data"]["reasons"] == [{"code": "order_number_taken", "path": "/data/order_number"}]


def test_every_fault_is_named_and_nothing_is_kept(orders: Service, everybody: Ear) -> None:
    event = order_placed(currency="XXX", nickname="Bo", policy_version="1999")
    event["data"]["recipient"]["address"]["country"] = "ZZ"
    event["data"]["contact"]["email"] = "nobody"
    del event["data"]["lines"][0]["sku"]
    reply = post(orders, event)
    assert reply.status == 422
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert {
        "currency_unknown",
        "unknown_member",
        "policy_version_unknown",
        "country_unknown",
        "email_malformed",
        "missing",
    } <= set(reply.codes)
    assert set(reply.json()["reasons"][0]) == {"code", "path"}
    everybody.hear("event_refused", where=lambda it: it["data"]["caused_by"]["id"] == event["id"])
    assert orders.rows("select 1 from orders where order_number = %s", event["data"]["order_number"]) == []
    assert post(orders, event).body == reply.body


def test_a_total_that_is_no_sum_rejects_the_order(orders: Service, everybody: Ear) -> None:
    event = order_placed(total="187.66")
    assert (post(orders, event).status, post(orders, event).codes) == (422, ["total_mismatch"])
    everybody.hear("order_rejected", event["data"]["order_number"])


def test_what_looks_like_a_card_is_refused_and_written_nowhere(orders: Service, scene: Scene) -> None:
    event = order_placed()
    event["data"]["recipient"]["gift_message"] = f"Pay with {CARD}"
    reply = post(orders, event)
    assert reply.codes == ["card_number"]
    assert CARD not in scene.texts() + orders.log() + reply.body.decode()


@pytest.mark.parametrize(
    ("body", "how", "status", "code"),
    [
        (b"{}", {"token": None}, 401, "token_wrong"),
        (b"{}", {"token": "wrong"}, 401, "token_wrong"),
        (b"{}", {"content_type": "text/plain"}, 415, "content_type_unsupported"),
        (b"{}", {"content_type": None}, 415, "content_type_unsupported"),
        (b"{}", {"content_type": "application/json; charset=latin-1"}, 415, "content_type_unsupported"),
        (b" " * (512 * 1024 + 1), {}, 413, "too_large"),
        (b"", {}, 422, "malformed_json"),
        (b"[]", {}, 422, "not_an_object"),
        (b"\xff", {}, 422, "malformed_json"),
        (b"{}", {}, 422, "missing"),
    ],
)
def test_what_is_no_event_gets_its_status(body: bytes, how: dict[str, Any], status: int, code: str, orders: Service) -> None:
    reply = post(orders, body, **how)
    assert (reply.status, reply.codes[0]) == (status, code)


def test_a_body_of_just_the_limit_is_read(orders: Service) -> None:
    body = json.dumps(order_placed()).encode()
    assert post(orders, body + b" " * (512 * 1024 - len(body))).status == 202


def test_what_nobody_serves_is_not_found(orders: Service) -> None:
    assert orders.ask("GET", "/nothing").status == 404
    assert orders.ask("GET", "/events").status == 405


# ── over AMQP ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_over_amqp_a_sealed_order_is_taken_and_one_in_the_clear_too_where_that_is_switched_on(
    orders: Service, scene: Scene, everybody: Ear, keys: dict[str, IntakeKey]
) -> None:
    assert orders.environment["ACCEPT_CLEAR_PARTS_OVER_AMQP"] == "true"
    for event in (sealed(order_placed(), keys), order_placed()):
        scene.wire.publish("storefront.events", "order_placed", event)
        everybody.hear("order_accepted", event["data"]["order_number"])


def test_over_amqp_what_is_no_event_is_answered_and_holds_up_nobody(orders: Service, scene: Scene, everybody: Ear) -> None:
    wrong_key, good = order_placed(), order_placed()
    for routing_key, body in (
        ("order_placed", b"\xff\x00"),
        ("", b"{}"),
        ("payment_replaced", wrong_key),
        ("order_placed", good),
    ):
        scene.wire.publish("storefront.events", routing_key, body)
    everybody.hear("order_accepted", good["data"]["order_number"])
    # What is about different things comes in any order.
    everybody.hear("event_refused", where=lambda it: "type_mismatch" in {reason["code"] for reason in it["data"]["reasons"]})
    everybody.hear("event_refused", where=lambda it: it["data"]["caused_by"] == {"source": None, "id": None})
    wait_for(lambda: scene.wire.waiting("orders.intake") == 0, "the intake to be empty")


# ── personal parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_part_in_the_clear_is_sealed_at_the_door_and_stands_nowhere(
    orders: Service, scene: Scene, everybody: Ear, data_cluster: PrivateCluster, keys: dict[str, IntakeKey]
) -> None:
    canary, control = Canary(), f"Zy{new_number('x')}"
    event = order_placed(recipient=canary.recipient, contact=canary.contact, title=control)
    event["data"]["payment"] = {"provider": "2checkout", "reference": new_number("tok")}
    event["data"]["billing"] = canary.billing
    assert post(orders, event).status == 202
    number = event["data"]["order_number"]
    billing = everybody.hear("billing_entrusted", number)["data"]["billing"]
    assert keys["payments"].open(billing)["given_name"] == canary.billing["given_name"]
    everybody.hear("order_accepted", number)
    spoilt = order_placed(recipient=canary.recipient, contact=canary.contact, total="1.00")
    assert post(orders, spoilt).status == 422
    corrected = envelope("customer_corrected", {"customer_id": event["data"]["customer_id"], "contact": canary.contact})
    assert post(orders, corrected).status == 202
    everybody.hear("contact_corrected")
    orders.settled()
    assert canary.in_text(scene.texts()) == []
    assert canary.in_text(orders.log()) == []
    data = checkpoint(data_cluster)
    broker = unprivileged.place_for(scene.broker.folder, "rabbitmq").folder
    for folder in (data, broker):
        found = files_holding(folder, control, *canary.words)
        assert control in found, "the search finds what does stand there: the catalogue's title"
        assert set(found) == {control}


def test_a_box_for_the_wrong_service_or_under_an_unknown_key_is_refused(orders: Service, keys: dict[str, IntakeKey]) -> None:
    event = sealed(order_placed(), keys)
    event["data"]["recipient"]["sealed_for"] = "payments"
    assert "sealed_for_wrong_service" in post(orders, event).codes
    event = sealed(order_placed(), keys)
    event["data"]["recipient"]["key_id"] = "shipping-none"
    assert post(orders, event).codes == ["key_unknown"]


def test_keys_are_shown_without_a_token_and_an_expired_one_is_not(
    orders: Service, scene: Scene, keys: dict[str, IntakeKey]
) -> None:
    old = IntakeKey("shipping", "shipping-old")
    publish_key(scene, old, lasts=timedelta(seconds=-1))
    wait_for(lambda: orders.rows("select 1 from intake_keys where key_id = 'shipping-old'"), "the old key")
    reply = ask("GET", f"{orders.url}/keys")
    assert reply.status == 200
    assert {(it["service"], it["key_id"], it["public_key"]) for it in reply.json()} == {
        (service, key.key_id, key.public_key) for service, key in keys.items()
    }
    event = order_placed()
    event["data"]["recipient"] = seal(event["data"]["recipient"], vars(old), bound_to=event["data"]["order_number"])
    assert post(orders, event).codes[0] in ("key_expired", "key_unknown")


# ── what this release does not do yet ────────────────────────────────────────────────────────────────────────────────────────


def _others(canary: Canary) -> dict[str, dict[str, Any]]:
    return {
        "order_cancellation_requested": {"order_number": "N-1", "reason": "buyer"},
        "payment_replaced": {
            "order_number": "N-1",
            "payment": {"provider": "2checkout", "reference": "R-1"},
            "billing": canary.billing,
        },
        "return_requested": {"order_number": "N-1", "lines": [{"line": 1, "quantity": 1}], "reason": "unwanted"},
    }


@pytest.mark.parametrize("kind", _others(Canary()))
def test_every_other_event_is_deferred_and_kept_with_its_parts_sealed(kind: str, orders: Service, everybody: Ear) -> None:
    canary = Canary()
    event = envelope(kind, _others(canary)[kind])
    reply = post(orders, event)
    assert reply.status == 202
    everybody.hear("event_deferred", where=lambda it: it["data"]["caused_by"]["id"] == event["id"])
    [(state, reason, body)] = orders.rows("select state, reason, body from held where event_id = %s", event["id"])
    assert (state, reason) == ("parked", "event_deferred")
    assert json.loads(body)["type"] == kind
    assert canary.in_text(body) == []
    assert post(orders, event).body == reply.body
    assert len(orders.rows("select 1 from held where event_id = %s", event["id"])) == 1


# ── what colleagues tell, and what staff may look up ─────────────────────────────────────────────────────────────────────────

COURSE: list[tuple[str, str, dict[str, Any], str]] = [
    ("payments", "payment_authorised", {"currency": "USD", "amount": "187.65"}, "authorised"),
    ("shipping", "pick_list_issued", {"pick_list": "PL-1"}, "picking"),
    ("shipping", "parcel_packed", {"parcel": "PC-1"}, "packed"),
    ("shipping", "label_created", {"parcel": "PC-1", "carrier": "ups", "tracking_number": "1Z"}, "labelled"),
    ("payments", "payment_captured", {"currency": "USD", "amount": "187.65"}, "captured"),
    (
        "shipping",
        "shipment_dispatched",
        {"parcel": "PC-1", "carrier": "ups", "tracking_number": "1Z", "tracking_url": "https://u.example/1Z"},
        "dispatched",
    ),
    ("shipping", "shipment_delivered", {"parcel": "PC-1"}, "completed"),
]


def test_an_order_goes_its_course_and_staff_see_where_it_stands(orders: Service, scene: Scene, everybody: Ear) -> None:
    event = order_placed()
    number = event["data"]["order_number"]
    assert post(orders, event).status == 202
    assert order(orders, number).json()["state"] == "accepted"
    for speaker, kind, data, state in COURSE:
        scene.wire.say(speaker, kind, {"shop": SHOP, "order_number": number, **data})
        wait_for(partial(stands, orders, number, state), state)
    shown = order(orders, number).json()
    assert set(shown["facts"]) == {"accepted", "order_completed", *(kind for _, kind, _, _ in COURSE)}
    assert shown["reasons"] == []
    answer = everybody.hear("shipment_dispatched", number, where=lambda it: "caused_by" in it["data"])["data"]
    assert (answer["carrier"], answer["tracking_number"], answer["tracking_url"]) == ("ups", "1Z", "https://u.example/1Z")
    everybody.hear("order_completed", number, times=2)  # to the colleagues, and the answer


def test_facts_that_come_backwards_lead_to_the_same_end(orders: Service, scene: Scene) -> None:
    event = order_placed()
    number = event["data"]["order_number"]
    told = [(kind, {"shop": SHOP, "order_number": number, **data}, speaker) for speaker, kind, data, _ in reversed(COURSE)]
    for kind, data, speaker in told:  # before the order itself is known
        scene.wire.say(speaker, kind, data)
    wait_for(lambda: len(orders.rows("select 1 from held where state = 'later'")) > 0, "them to wait")
    assert post(orders, event).status == 202
    wait_for(lambda: order(orders, number).json()["state"] == "completed", "completed")


def test_an_event_that_has_climbed_far_is_taken_up_when_its_order_comes(orders: Service, scene: Scene) -> None:
    """It would not be due for an hour, and another's, whose order does not come, is not."""
    event, never = order_placed(), new_number()
    number = event["data"]["order_number"]
    for early in (number, never):
        scene.wire.say(
            "payments", "payment_authorised", {"shop": SHOP, "order_number": early, "currency": "USD", "amount": "1.00"}
        )
    # Leased anew once it is put off: nobody has it in hand any more.
    put_off = """
        update held set tries = 7, due_at = now() + interval '1 hour'
        where order_number = any(%s) and state = 'later' and takes = 0 and reason = 'order_unknown' returning 1
    """
    wait_for(lambda: len(orders.rows(put_off, [number, never])) == 2, "both to wait")
    try:
        assert post(orders, event).status == 202
        wait_for(lambda: order(orders, number).json()["state"] == "authorised", "what came early to be taken up")
        assert orders.rows("select order_number from held where order_number = any(%s)", [number, never]) == [(never,)]
        assert orders.rows("select due_at > now() + interval '50 minutes' from held where order_number = %s", never) == [(True,)]
    finally:
        orders.rows("delete from held where order_number = %s", never)


@pytest.mark.parametrize(
    ("reason", "state", "answered"),
    [("declined", "payment_declined", "payment_declined"), ("amount_mismatch", "cancelled", "order_cancelled")],
)
def test_a_payment_that_is_not_taken(
    reason: str, state: str, answered: str, orders: Service, scene: Scene, everybody: Ear
) -> None:
    event = order_placed()
    number = event["data"]["order_number"]
    post(orders, event)
    scene.wire.say("payments", "payment_declined", {"shop": SHOP, "order_number": number, "reason": reason})
    answer = everybody.hear(answered, number, where=lambda it: "caused_by" in it["data"])
    assert answer["data"]["reasons"] == [{"code": reason, "path": "/data/payment"}]
    assert order(orders, number).json()["state"] == state


def test_a_part_that_its_service_cannot_use_holds_the_order(orders: Service, scene: Scene, everybody: Ear) -> None:
    event = order_placed()
    number = event["data"]["order_number"]
    post(orders, event)
    refusal = {"shop": SHOP, "order_number": number, "part": "recipient", "codes": ["sealed_for_another"]}
    scene.wire.say("shipping", "part_refused", refusal)
    scene.wire.say("shipping", "part_refused", refusal)
    answer = everybody.hear("order_held", number, where=lambda it: "caused_by" in it["data"])
    assert [reason["code"] for reason in answer["data"]["reasons"]] == ["recipient_invalid", "sealed_for_another"]
    everybody.hear("order_held", number, where=lambda it: "caused_by" not in it["data"])
    assert order(orders, number).json()["state"] == "held"


def test_staff_need_their_token_and_an_order_that_there_is(orders: Service) -> None:
    assert orders.ask("GET", "/orders/N-1").status == 401
    assert orders.ask("GET", "/orders/N-1", token=orders.environment["STOREFRONT_TOKEN"]).status == 401
    assert (order(orders, "no-such").status, order(orders, "no-such").codes) == (404, ["order_unknown"])
    assert order(orders, "no%00such").status == 404
    assert order(orders, "no-such?source=a%00b").status == 404
    assert order(orders, "no-such?source=https://elsewhere.example").status == 404


# ── what an operator asks, and the switch ────────────────────────────────────────────────────────────────────────────────────


def test_an_operator_is_told_how_it_is(orders: Service) -> None:
    event = order_placed()
    assert post(orders, event).status == 202
    assert (orders.ask("GET", "/health").status, orders.ask("GET", "/ready").status) == (200, 200)
    metrics = orders.ask("GET", "/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"brownpaper_messages_total" in metrics.body
    assert event["data"]["order_number"].encode() not in metrics.body
    assert orders.metric("brownpaper_messages_total", type="order_placed", ending="done") >= 1


def test_where_it_is_switched_off_a_part_in_the_clear_over_amqp_is_refused_and_written_nowhere(
    orders: Service, scene: Scene, everybody: Ear, keys: dict[str, IntakeKey]
) -> None:
    canary = Canary()
    clear, boxes = order_placed(recipient=canary.recipient, contact=canary.contact), sealed(order_placed(), keys)
    orders.stop()
    orders.environment["ACCEPT_CLEAR_PARTS_OVER_AMQP"] = "false"
    try:
        orders.start()
        for event in (clear, boxes):
            scene.wire.publish("storefront.events", "order_placed", event)
        everybody.hear("order_accepted", boxes["data"]["order_number"])
        refusal = everybody.hear("event_refused", where=lambda it: it["data"]["caused_by"]["id"] == clear["id"])
        assert {reason["code"] for reason in refusal["data"]["reasons"]} == {"part_in_clear"}
        assert canary.in_text(scene.texts() + orders.log()) == []
        again = {**clear, "id": "over-https"}
        assert post(orders, again).status == 202
    finally:
        orders.stop()
        orders.environment["ACCEPT_CLEAR_PARTS_OVER_AMQP"] = "true"
        orders.start()
