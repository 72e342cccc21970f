"""What a service's plumbing says stands in an order's way: found by the order's key, and nothing of other orders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.cli.stuck import look_up
from shared.contracts.events import PaymentCaptured
from shared.contracts.values import OrderKey
from shared.delivery import held_messages, tables
from shared.delivery.obstacles import Obstacle, obstacles
from shared.delivery.work import IntentRow, Recorder
from tests.fix_servers import DatabaseUrl

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LEASED = AT + timedelta(seconds=30)
OURS = OrderKey("https://shop.example", "A-1")
SAME_NUMBER = OrderKey("https://other.example", "A-1")
OTHERS = [SAME_NUMBER, OrderKey("https://shop.example", "A-10"), OrderKey("https://shop.example", "A")]


@pytest.fixture
def url(database_url: DatabaseUrl) -> str:
    return database_url("payments")


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def call(connection: psycopg.Connection[tuple[Any, ...]], key: OrderKey, kind: str = "capture_payment") -> UUID:
    intent = IntentRow(uuid4(), kind, key, f"{key.shop} {key.order_number} {kind}", {})
    tables.write_intents(connection, [intent], AT, LEASED)
    return intent.id


def hold(
    connection: psycopg.Connection[tuple[Any, ...]],
    key: OrderKey | None,
    state: str = "later",
    *,
    body: str | None = "{}",
    **more: Any,
) -> None:
    told: dict[str, Any] = {
        "source": "shipping",
        "event_id": "e",
        "type": "label_created",
        "reason": "order_unknown",
        "due_at": LEASED if state == "later" else None,
        "shop": key.shop if key else None,
        "order_number": key.order_number if key else None,
        **more,
    }
    row = held_messages.HeldRow(
        id=uuid4(), state=state, queue="q", faults=(), body=body, length=1, headers={}, tries=3, first_at=AT, last_at=AT, **told
    )
    held_messages.hold(connection, row)


def test_a_call_that_is_parked_or_not_settled(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    parked = call(connection, OURS)
    tables.park_intent(connection, parked, None, "paypal_capture_not_found")
    call(connection, OURS, "authorise_payment")
    for other in OTHERS:
        call(connection, other)
    assert list(obstacles(connection, [OURS])) == [
        Obstacle(OURS, "call", "capture_payment", "paypal_capture_not_found", 1, None),
        Obstacle(OURS, "call", "authorise_payment", None, 1, LEASED),
    ]


def test_a_message_that_waits_or_is_parked_a_colleague_s_or_a_storefront_s(
    connection: psycopg.Connection[tuple[Any, ...]],
) -> None:
    for key in (OURS, *OTHERS):
        hold(connection, key)
    deferred = {"type": "payment_replaced", "reason": "event_deferred"}
    for key in (OURS, SAME_NUMBER):
        hold(connection, key, "parked", source=key.shop, **deferred)
    hold(connection, None, "parked", source=OURS.shop, type="customer_corrected")
    hold(connection, None, source=None, type="scanned")
    hold(connection, OURS, "parked", body=None, source=OURS.shop, type=None, reason="database_22p05")
    assert sorted(obstacles(connection, [OURS]), key=lambda it: it.name) == [
        Obstacle(OURS, "message", "label_created", "order_unknown", 3, LEASED),
        Obstacle(OURS, "message", "payment_replaced", "event_deferred", 3, None),
        Obstacle(OURS, "message", "unreadable", "database_22p05", 3, None),
    ]
    assert [it.again_at for it in obstacles(connection, [OURS])] == [None, None, LEASED], "what is parked first"


def test_an_event_that_is_not_published(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    recorder = Recorder("payments", AT)
    for key in (OURS, *OTHERS):
        recorder.tell(PaymentCaptured(**key._asdict(), currency="USD", amount="1.00"))
    tables.write_outbox(connection, recorder.outbox, AT, LEASED, uuid4())
    assert list(obstacles(connection, [OURS])) == [Obstacle(OURS, "event", "payment_captured", None, 0, LEASED)]


def test_many_orders_at_once_come_back_each_under_its_own_key(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    keys = [OrderKey(OURS.shop, f"B-{number}") for number in range(300)]
    for key in keys:
        call(connection, key)
        hold(connection, key)
    found = list(obstacles(connection, keys[100:200]))
    assert {it.about for it in found} == set(keys[100:200])
    assert len(found) == 200


def test_looking_up_changes_nothing_and_a_database_that_does_not_answer_is_named(
    url: str, connection: psycopg.Connection[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    call(connection, OURS)
    connection.execute("alter table intents rename to intents_before")
    writing = "create function read_and_write() returns uuid language sql as $$ delete from intents_before returning id $$"
    connection.execute(writing)
    connection.execute("create view intents as select i.* from intents_before i, read_and_write()")
    settings = {"PAYMENTS_DATABASE_URL": url, "SHIPPING_DATABASE_URL": "postgresql://u:secret@127.0.0.1:9/none"}
    assert look_up(settings, [OURS]) == {}
    assert capsys.readouterr().err.splitlines() == [
        "The database of payments cannot be asked (ReadOnlySqlTransaction).",
        "The database of shipping cannot be asked (OperationalError).",
    ]
    assert connection.execute("select count(*) from intents_before").fetchone() == (1,)
    connection.execute("drop view intents")
    connection.execute("alter table intents_before rename to intents")
    found = look_up(settings, [OURS])
    assert found == {OURS: [("payments", Obstacle(OURS, "call", "capture_payment", None, 1, LEASED))]}
