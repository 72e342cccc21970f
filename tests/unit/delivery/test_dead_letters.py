"""What is told of a message that the broker gave up on: never more than the broker and our own exchanges vouch for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contracts.errors import Fault, Parked, TryLater
from shared.contracts.values import OrderKey
from shared.delivery.batch import Reading
from shared.delivery.dead_letters import read_dead_letter
from shared.delivery.work import RawMessage

CANARY = "canary-51c0"
AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
DEATH: dict[str, Any] = {
    "queue": "shipping.events",
    "exchange": "orders.parts",
    "routing-keys": ["recipient_entrusted"],
    "reason": "delivery_limit",
    "count": 1,
    "time": AT.replace(tzinfo=None),
}
READ = Reading(
    "hear", "the event", OrderKey("s", "A-1"), ("orders", "e-1"), None, "orders", "e-1", "recipient_entrusted", sealed=True
)


def dead(*, deliveries: int = 0, message_id: object = "e-1", body: bytes = b'{"a": 1}', **death: Any) -> RawMessage:
    headers = {"x-death": [{**DEATH, **death}], "x-delivery-count": deliveries}
    return RawMessage(
        "shipping.parked", body, "parked", "shipping", properties={"message_id": message_id, "application_headers": headers}
    )


def never(_raw: RawMessage) -> Reading:
    raise AssertionError("it must not be read")


def test_it_is_read_as_it_was_when_it_came_first_and_parked_with_its_claim() -> None:
    seen: list[tuple[Any, ...]] = []

    def read(raw: RawMessage) -> Reading:
        seen.append((raw.queue, raw.exchange, raw.routing_key, raw.received_at, raw.body))
        return READ

    raw = dead()
    reading = read_dead_letter(raw, "shipping", read)
    assert seen == [("shipping.events", "orders.parts", "recipient_entrusted", AT, b'{"a": 1}')]
    assert isinstance(reading.message, Parked)
    assert (reading.message.code, reading.message.faults) == ("delivery_limit_reached", ())
    assert (reading.claim, reading.about, reading.sealed) == (READ.claim, READ.about, True)
    assert (raw.queue, raw.exchange, raw.routing_key) == ("shipping.events", "orders.parts", "recipient_entrusted")
    assert raw.death == {
        "queue": "shipping.events",
        "exchange": "orders.parts",
        "routing_key": "recipient_entrusted",
        "reason": "delivery_limit",
        "count": 1,
        "first_at": AT.isoformat(),
    }


def test_what_cannot_be_read_yet_is_left_as_it_came() -> None:
    def read(_raw: RawMessage) -> Reading:
        raise TryLater("intake_key_missing")

    raw = dead()
    with pytest.raises(TryLater):
        read_dead_letter(raw, "shipping", read)
    assert (raw.queue, raw.death) == ("shipping.parked", None)
    assert read_dead_letter(raw, "shipping", lambda _: READ).claim == READ.claim


@pytest.mark.parametrize(
    ("error", "faults"),
    [
        (Parked("malformed_event", [Fault("missing", "/data/x")]), ["malformed_event", "missing"]),
        (RuntimeError(CANARY), ["unexpected_RuntimeError"]),
    ],
)
def test_what_cannot_be_read_keeps_its_name_and_not_its_body(error: Exception, faults: list[str]) -> None:
    def read(_raw: RawMessage) -> Reading:
        raise error

    reading = read_dead_letter(dead(), "shipping", read)
    assert isinstance(reading.message, Parked)
    assert [fault.code for fault in reading.message.faults] == faults
    assert (reading.source, reading.id, reading.claim, reading.sealed) == ("orders", "e-1", ("orders", "e-1"), False)
    assert CANARY not in repr(reading.message.faults)


def test_what_killed_two_readers_is_not_read_again() -> None:
    assert read_dead_letter(dead(deliveries=1), "shipping", lambda _: READ).message.faults == ()
    reading = read_dead_letter(dead(deliveries=2), "shipping", never)
    assert reading.message.faults == (Fault("not_read"),)
    assert (reading.source, reading.id, reading.type, reading.claim) == (
        "orders",
        "e-1",
        "recipient_entrusted",
        ("orders", "e-1"),
    )
    assert (reading.sealed, reading.about) == (True, None)


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"a": "\0"}'], ids=["no UTF-8", "NUL"])
def test_of_what_is_not_read_no_body_is_kept_that_no_row_can_hold(body: bytes) -> None:
    assert not read_dead_letter(dead(deliveries=2, body=body), "shipping", never).sealed


@pytest.mark.parametrize("message_id", [None, ""])
def test_without_a_name_there_is_no_claim_and_so_no_body(message_id: object) -> None:
    reading = read_dead_letter(dead(deliveries=2, message_id=message_id), "shipping", never)
    assert (reading.claim, reading.id, reading.sealed) == (None, None, False)


def test_a_storefront_s_event_is_never_kept_unread() -> None:
    death = {"queue": "orders.intake", "exchange": "storefront.events", "routing-keys": ["order_placed"]}
    reading = read_dead_letter(dead(deliveries=2, **death), "orders", never)
    assert (reading.source, reading.id, reading.claim, reading.sealed) == (None, None, None, False)
    assert reading.type == "order_placed"


@pytest.mark.parametrize(
    "death",
    [
        {"queue": CANARY},
        {"queue": "orders.intake", "exchange": "storefront.events"},
        {"exchange": CANARY},
        {"exchange": "storefront.events"},
        {"queue": None},
        {"queue": ["shipping.events"]},
    ],
)
def test_a_place_that_it_cannot_come_from_is_not_believed(death: dict[str, Any]) -> None:
    with pytest.raises(Parked, match="origin_unknown"):
        read_dead_letter(dead(**death), "shipping", never)


@pytest.mark.parametrize("headers", [None, {}, {"x-death": None}, {"x-death": []}, {"x-death": [CANARY]}, CANARY])
def test_without_the_broker_s_word_nothing_is_believed(headers: object) -> None:
    raw = RawMessage("shipping.parked", b"{}", properties={"message_id": "e", "application_headers": headers})
    with pytest.raises(Parked, match="origin_unknown"):
        read_dead_letter(raw, "shipping", never)


def test_what_is_no_word_of_ours_is_not_kept() -> None:
    raw = dead(**{"routing-keys": [CANARY], "reason": CANARY, "count": CANARY, "time": CANARY}, deliveries=2)
    read_dead_letter(raw, "shipping", never)
    assert CANARY not in repr((raw.queue, raw.exchange, raw.routing_key, raw.death))
