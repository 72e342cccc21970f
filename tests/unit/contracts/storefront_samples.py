"""Sound events of every type, and the ways to read one: what the tests of the storefront's contract start from."""

from __future__ import annotations

import base64
import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.contracts.errors import Refused
from shared.contracts.storefront import (
    CODES,
    PART_SERVICES,
    EventRefused,
    IntakeRules,
    OrderRejected,
    StorefrontEvent,
    read_event,
)

AT = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
SOURCE = "https://shop.example"
RULES = IntakeRules(
    sources=frozenset({SOURCE}),
    policy_versions=frozenset({"2025-11-01"}),
    shipping_services=frozenset({"ground", "air"}),
    accept_clear_parts=False,
    intake_keys={
        **{(service, f"{service}-2026-10"): AT + timedelta(days=3) for service in ("shipping", "notifications", "payments")},
        ("shipping", "shipping-old"): AT,
    },
)
ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = json.loads((ROOT / "shared/contracts/storefront/examples/order_placed.json").read_text("utf-8"))
CARD = "4111 1111 1111 1111"

FRIEND = {"email": "friend@shop.example", "name": "Frida"}
REQUEST = {"text": "Could you make it in gold?", "name": "Zoë", "email": "zoe@shop.example"}
OTHER_DATA: dict[str, dict[str, Any]] = {
    "order_cancellation_requested": {"order_number": "SH-1", "reason": "buyer"},
    "payment_replaced": {"order_number": "SH-1", "payment": {"provider": "paypal", "reference": "PP-2"}},
    "return_requested": {
        "order_number": "SH-1",
        "lines": [{"line": 3, "quantity": 1}, {"line": 1, "quantity": 2}],
        "reason": "damaged",
    },
    "customer_corrected": {"customer_id": "c-1", "order_number": "SH-1", "contact": EXAMPLE["data"]["contact"]},
    "customer_deactivated": {"customer_id": "c-1"},
    "customer_erasure_requested": {"customer_id": "c-1", "request_id": "r-1"},
    "customer_data_requested": {
        "customer_id": "c-1",
        "request_id": "r-1",
        "reply_key": base64.b64encode(bytes(range(32))).decode(),
    },
    "preferences_changed": {
        "customer_id": "c-1",
        "communication": "service_only",
        "policy_choice": "allow",
        "policy_version": "2025-11-01",
    },
    "friend_referred": {"customer_id": "c-1", "item": {"title": "Ring", "url": "https://shop.example/ring"}, "friend": FRIEND},
    "special_request_submitted": {"customer_id": "c-1", "request_id": "r-1", "request": REQUEST},
}


def order(**changes: Any) -> dict[str, Any]:
    """The example order, its members in `data` replaced."""
    event: dict[str, Any] = copy.deepcopy(EXAMPLE)
    event["data"].update(copy.deepcopy(changes))
    return event


def paypal_order(**changes: Any) -> dict[str, Any]:
    """The example order paid through PayPal, without a billing part."""
    event = order(**{"payment": {"provider": "paypal", "reference": "5O19"}, **changes})
    if "billing" not in changes:
        del event["data"]["billing"]
    return event


def other(type_: str, **changes: Any) -> dict[str, Any]:
    """A sound event of one of the other types."""
    envelope = {member: value for member, value in EXAMPLE.items() if member != "data"}
    return {**envelope, "type": type_, "data": {**copy.deepcopy(OTHER_DATA[type_]), **changes}}


def sealed(part: str, **changes: Any) -> dict[str, Any]:
    service = PART_SERVICES[part]
    return {"sealed_for": service, "key_id": f"{service}-2026-10", "box": base64.b64encode(b"\xfb" * 90).decode(), **changes}


def sealed_order(**changes: Any) -> dict[str, Any]:
    return order(**{**{part: sealed(part) for part in ("recipient", "contact", "billing")}, **changes})


def put(event: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    """The event with one place replaced; the pointer's last step may be new."""
    event = copy.deepcopy(event)
    *steps, last = (int(step) if step.isdigit() else step for step in pointer.split("/")[1:])
    place: Any = event
    for step in steps:
        place = place[step]
    place[last] = value
    return event


def drop(event: dict[str, Any], pointer: str) -> dict[str, Any]:
    event = copy.deepcopy(event)
    *steps, last = (int(step) if step.isdigit() else step for step in pointer.split("/")[1:])
    place: Any = event
    for step in steps:
        place = place[step]
    del place[last]
    return event


def read(event: Any, *, over_amqp: str | None = None, rules: IntakeRules = RULES, at: datetime = AT) -> StorefrontEvent:
    """Read over HTTPS, or over AMQP where a routing key is given."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return read_event(body, routing_key=over_amqp, content_type="application/cloudevents+json", rules=rules, at=at)


def refusal(event: Any, **how: Any) -> EventRefused | OrderRejected:
    try:
        read(event, **how)
    except (EventRefused, OrderRejected) as error:
        return error
    raise AssertionError("was taken")


def faults(event: Any, **how: Any) -> set[tuple[str, str]]:
    """Code and pointer of each fault; none where the event is taken."""
    try:
        read(event, **how)
    except Refused as error:
        found = [(fault.code, fault.path) for fault in error.faults]
    else:
        return set()
    assert len(set(found)) == len(found), "a fault is named twice"
    assert {code for code, _ in found} <= CODES.keys(), "a code is not in the table"
    return set(found)
