"""Orders that do not move, through orders' doors, its metric and the command: listed with what they wait for until they move."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from typer.testing import CliRunner

from services.orders.deadlines import STAGES
from shared.cli.main import app
from tests.component.events import envelope, order_placed
from tests.component.test_orders_component import COURSE, post, publish_key, stands
from tests.integration.facts import wait_for
from tests.integration.scene import SHOP, IntakeKey, Scene, Service

METRIC = "brownpaper_stuck_orders"


@pytest.fixture(scope="module")
def orders(scene: Scene) -> Service:
    """Orders that gives payments a second, and the rest their time."""
    service = scene.service("orders", STUCK_AFTER="accepted=1s,payment_declined=1s", STUCK_COUNT_SECONDS="0.2")
    service.start()
    for name in ("shipping", "notifications", "payments"):
        publish_key(scene, IntakeKey(name))
    wait_for(lambda: len(service.ask("GET", "/keys").json()) == 3, "the three keys on the board")
    return service


def place(orders: Service) -> str:
    event = order_placed(payment={"provider": "paypal", "reference": secrets.token_hex(8).upper()})
    assert post(orders, event).status == 202
    return str(event["data"]["order_number"])


def say(scene: Scene, speaker: str, kind: str, number: str, **data: Any) -> None:
    scene.wire.say(speaker, kind, {"shop": SHOP, "order_number": number, **data})


def listed(orders: Service, number: str, query: str = "") -> dict[str, Any] | None:
    answer = orders.ask("GET", f"/stuck{query}", token=orders.environment["STAFF_TOKEN"])
    assert answer.status == 200
    return next((item for item in answer.json()["items"] if item["order_number"] == number), None)


def counted(orders: Service, state: str) -> float:
    return orders.metric(METRIC, state=state)


def run_command(orders: Service, *arguments: str, **settings: str) -> Any:
    told = {"ORDERS_HTTP_URL": orders.url, "STAFF_TOKEN": orders.environment["STAFF_TOKEN"], **settings}
    return CliRunner(env=told).invoke(app, ["stuck", "--env", "/dev/null", *arguments])


def test_where_nothing_is_stuck_nothing_is_listed_and_every_state_counts_zero(orders: Service) -> None:
    wait_for(lambda: b'state="held"' in orders.ask("GET", "/metrics").body, "the first count")
    samples = [line for line in orders.ask("GET", "/metrics").body.decode().splitlines() if line.startswith(METRIC)]
    assert sorted(samples) == sorted(f'{METRIC}{{state="{state}"}} 0.0' for state in STAGES)
    ended = run_command(orders)
    assert (ended.exit_code, ended.output) == (0, "No order is stuck.\n")


def test_an_order_whose_payment_never_answers_is_listed_until_it_moves(orders: Service, scene: Scene) -> None:
    number = place(orders)
    item = wait_for(lambda: listed(orders, number), "the order to be stuck")
    assert item["overdue_seconds"] >= 0
    [(since,)] = orders.rows("select facts ->> 'accepted' from orders where order_number = %s", number)
    assert {**item, "overdue_seconds": 0, "since": since} == {
        "source": SHOP,
        "order_number": number,
        "state": "accepted",
        "since": since,
        "overdue_seconds": 0,
        "waits_for": {"service": "payments", "event": "payment_authorised", "act": None},
        "reasons": [],
    }
    wait_for(lambda: counted(orders, "accepted") == 1, "it to be counted")
    assert listed(orders, number, "?state=labelled") is None
    say(scene, "payments", "payment_authorised", number, currency="USD", amount="187.65")
    wait_for(lambda: listed(orders, number) is None, "it to have moved")
    wait_for(lambda: counted(orders, "accepted") == 0, "it to be counted no more")


def test_an_order_that_ended_is_stuck_no_more(orders: Service, scene: Scene) -> None:
    number = place(orders)
    wait_for(lambda: listed(orders, number), "the order to be stuck")
    for speaker, kind, data, _ in COURSE:
        say(scene, speaker, kind, number, **data)
    wait_for(lambda: stands(orders, number, "completed"), "completed")
    assert listed(orders, number) is None


def test_staff_see_why_and_the_command_what_stands_in_the_way(orders: Service, scene: Scene) -> None:
    number = place(orders)
    say(scene, "payments", "payment_declined", number, reason="token_expired")
    item = wait_for(lambda: listed(orders, number, "?state=payment_declined"), "the order to be stuck")
    assert item["reasons"] == ["token_expired"]
    assert item["waits_for"] == {"service": "storefront", "event": "payment_replaced", "act": "give_another_payment"}
    replaced = {"order_number": number, "payment": {"provider": "paypal", "reference": f"R-{number}"}}
    assert post(orders, envelope("payment_replaced", replaced)).status == 202  # kept, and not done by this release
    ended = run_command(orders, "--state", "payment_declined", ORDERS_DATABASE_URL=orders.database_url)
    assert ended.exit_code == 0
    _, row, why, total = ended.output.splitlines()
    assert row.startswith(f"{number}  payment_declined  ")
    assert row.endswith("storefront: payment_replaced (give another payment) [token_expired]")
    assert why == "    orders: payment_replaced parked (event_deferred), 1 try"
    assert "1 payment_declined" in total
    document = json.loads(run_command(orders, "--json", ORDERS_DATABASE_URL=orders.database_url).output)
    [shown] = [it for it in document["items"] if it["order_number"] == number]
    assert [(it["service"], it["name"], it["code"]) for it in shown["obstacles"]] == [
        ("orders", "payment_replaced", "event_deferred")
    ]


def test_a_call_that_is_tried_again_and_again_is_named(orders: Service, scene: Scene) -> None:
    payments = scene.service("payments")  # its PayPal answers nobody
    payments.start()
    number = place(orders)
    tried_again = "select 1 from intents where order_number = %s and tries > 1"
    wait_for(lambda: payments.rows(tried_again, number), "the call to be tried again")
    wait_for(lambda: listed(orders, number), "the order to be stuck")
    ended = run_command(orders, PAYMENTS_DATABASE_URL=payments.database_url)
    lines = ended.output.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith(number))
    assert lines[at].endswith("payments: payment_authorised")
    assert lines[at + 1].startswith("    payments: authorise_payment not settled, ")
    assert " tries, again at " in lines[at + 1]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?limit=0", 422, "out_of_range"),
        ("?limit=1001", 422, "out_of_range"),
        ("?limit=x", 422, "out_of_range"),
        ("?state=completed", 422, "choice_unknown"),
        ("?state=paid", 422, "choice_unknown"),
    ],
)
def test_what_cannot_be_listed_is_refused(query: str, status: int, code: str, orders: Service) -> None:
    answer = orders.ask("GET", f"/stuck{query}", token=orders.environment["STAFF_TOKEN"])
    assert (answer.status, answer.codes) == (status, [code])


def test_the_list_is_for_staff(orders: Service) -> None:
    assert orders.ask("GET", "/stuck").status == 401
    assert orders.ask("GET", "/stuck", token=orders.environment["STOREFRONT_TOKEN"]).status == 401


def test_a_state_that_no_order_can_be_stuck_in_is_a_misuse_of_the_command(orders: Service) -> None:
    ended = run_command(orders, "--state", "completed")
    assert ended.exit_code == 2
    assert "docs/operations.md" in ended.output


def test_no_more_are_listed_than_asked_for(orders: Service) -> None:
    numbers = [place(orders), place(orders)]
    wait_for(lambda: all(listed(orders, number) for number in numbers), "two to be stuck")
    answer = orders.ask("GET", "/stuck?limit=1", token=orders.environment["STAFF_TOKEN"]).json()
    assert len(answer["items"]) == 1
    assert answer["counts"]["accepted"] >= 2
