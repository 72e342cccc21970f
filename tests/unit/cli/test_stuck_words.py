"""What `brownpaper stuck` prints of the service's answer and of what stands in the orders' way."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli.main import app
from shared.cli.stuck import as_document, length, lines, look_up, said_of
from shared.contracts.values import OrderKey
from shared.delivery.obstacles import Obstacle

SHOP = "https://shop.example"
AT = datetime(2026, 11, 22, 10, 14, 58, tzinfo=UTC)
CAPTURE = {"service": "payments", "event": "payment_captured", "act": None}
PACK = {"service": "shipping", "event": "parcel_packed", "act": "pick_and_pack"}


def item(number: str, state: str = "labelled", **more: Any) -> dict[str, Any]:
    return {
        "source": SHOP,
        "order_number": number,
        "state": state,
        "since": "2026-11-22T10:14:58.123456Z",
        "overdue_seconds": 183_600,
        "waits_for": CAPTURE,
        "reasons": [],
        **more,
    }


def obstacle(number: str = "A-1", what: str = "call", name: str = "capture_payment", **more: Any) -> Obstacle:
    told: dict[str, Any] = {"code": None, "tries": 5, "again_at": None, **more}
    return Obstacle(OrderKey(SHOP, number), what, name, **told)


def test_each_order_has_a_line_and_under_it_what_stands_in_its_way() -> None:
    answer = {
        "counts": {"labelled": 1, "picking": 12},
        "items": [item("A-100042"), item("A-7", "picking", waits_for=PACK)],
    }
    parked = obstacle("A-100042", code="paypal_capture_not_found")
    found = {parked.about: [("payments", parked)]}
    assert list(lines(answer, found)) == [
        "ORDER     STATE     SINCE (UTC)          OVERDUE  WAITS FOR",
        "A-100042  labelled  2026-11-22 10:14:58  2d 3h    payments: payment_captured",
        "    payments: capture_payment parked (paypal_capture_not_found), 5 tries",
        "A-7       picking   2026-11-22 10:14:58  2d 3h    shipping: parcel_packed (pick and pack)",
        "13 stuck: 12 picking, 1 labelled; 2 shown.",
    ]


def test_without_a_stuck_order_one_line_says_so() -> None:
    assert list(lines({"counts": {}, "items": []}, {})) == ["No order is stuck."]


def test_a_state_without_a_stuck_order_still_tells_of_the_others() -> None:
    assert list(lines({"counts": {"held": 2}, "items": []}, {})) == ["2 stuck: 2 held; 0 shown."]


def test_reasons_are_shown_and_shops_where_there_are_several() -> None:
    decide = {"service": "staff", "event": None, "act": "decide_about_the_payment"}
    items = [item("A-1", "held", reasons=["contact_invalid", "missing"]), item("A-1", source="urn:two", waits_for=decide)]
    _, first, second, _ = lines({"counts": {"held": 1, "labelled": 1}, "items": items}, {})
    assert first.startswith(f"A-1 {SHOP}  held")
    assert first.endswith("payments: payment_captured [contact_invalid, missing]")
    assert second.startswith("A-1 urn:two ")
    assert second.endswith("staff: decide about the payment")


@pytest.mark.parametrize(
    ("it", "said"),
    [
        (obstacle(code="paypal_unknown", tries=1), "capture_payment parked (paypal_unknown), 1 try"),
        (obstacle(again_at=AT), "capture_payment not settled, 5 tries, again at 2026-11-22 10:14:58"),
        (
            obstacle(what="message", name="label_created", code="order_unknown", again_at=AT),
            "label_created waits (order_unknown), 5 tries, again at 2026-11-22 10:14:58",
        ),
        (
            obstacle(what="message", name="payment_replaced", code="event_deferred"),
            "payment_replaced parked (event_deferred), 5 tries",
        ),
        (
            obstacle(what="event", name="payment_captured", again_at=AT),
            "payment_captured not published, 5 tries, again at 2026-11-22 10:14:58",
        ),
    ],
)
def test_an_obstacle_says_what_it_is_why_and_when_it_is_tried_again(it: Obstacle, said: str) -> None:
    assert said_of(it) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (59, "59s"), (60, "1m 0s"), (3599, "59m 59s"), (3600, "1h 0m"), (86399, "23h 59m"), (183_600, "2d 3h")],
)
def test_a_length_of_time_has_two_units(seconds: int, said: str) -> None:
    assert length(seconds) == said


def test_as_json_the_answer_stands_as_it_came_with_the_obstacles_in_it() -> None:
    it = obstacle("A-1", again_at=AT)
    document = as_document({"counts": {"labelled": 1}, "items": [item("A-1")]}, {it.about: [("payments", it)]})
    assert json.loads(json.dumps(document)) == {
        "counts": {"labelled": 1},
        "items": [
            {
                **item("A-1"),
                "obstacles": [
                    {
                        "service": "payments",
                        "what": "call",
                        "name": "capture_payment",
                        "code": None,
                        "tries": 5,
                        "again_at": "2026-11-22T10:14:58+00:00",
                    }
                ],
            }
        ],
    }


def test_without_databases_nobody_is_asked() -> None:
    assert look_up({"ORDERS_HTTP_URL": "http://127.0.0.1:9"}, [OrderKey(SHOP, "A-1")]) == {}


def test_without_a_stack_the_command_says_what_is_missing() -> None:
    runner = CliRunner(env={"ORDERS_HTTP_URL": "", "STAFF_TOKEN": ""})
    ended = runner.invoke(app, ["stuck", "--env", "/dev/null"])
    assert ended.exit_code == 2
    assert "ORDERS_HTTP_URL, STAFF_TOKEN" in ended.output
