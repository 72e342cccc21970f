"""Where an order stands: every state, every fact, and that a repeat changes nothing and says nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.orders.domain import FACTS, Order, State
from shared.contracts.events import Answer, OrderAccepted, OrderCancelled, OrderCompleted, OrderHeld
from tests.builders import AT, KEY, LATER, an_order, named

COURSE = [
    ("payment_authorised", State.AUTHORISED),
    ("pick_list_issued", State.PICKING),
    ("parcel_packed", State.PACKED),
    ("label_created", State.LABELLED),
    ("payment_captured", State.CAPTURED),
    ("shipment_dispatched", State.DISPATCHED),
    ("shipment_delivered", State.COMPLETED),  # the payment is captured by then
]
DISPATCHED = {"carrier": "ups", "tracking_number": "1Z", "tracking_url": None}


def answers(order: Order) -> list[tuple[str, dict[str, Any]]]:
    return [(event.answer, event.data) for event in order.events if isinstance(event, Answer)]


def test_a_sound_order_is_accepted_and_told_to_all() -> None:
    order = Order.accept(key=KEY, event_id="e-1", customer_id="c-1", policy_version="v", data_digest="d", placed_at=AT, at=LATER)
    assert order.state is State.ACCEPTED
    assert order.facts == {"accepted": LATER}
    assert order.events == [OrderAccepted(**named())]


def test_the_whole_course_state_by_state() -> None:
    order = an_order()
    for fact, state in COURSE:
        order.note(fact, LATER)
        assert order.state is state, fact
    assert order.facts is not None
    assert set(order.facts) == {"accepted", "order_completed", *(fact for fact, _ in COURSE)}
    assert set(order.facts) <= FACTS


@pytest.mark.parametrize("fact", [fact for fact, _ in COURSE] + ["payment_capture_failed"])
def test_a_repeated_fact_changes_nothing_and_says_nothing(fact: str) -> None:
    order = an_order()
    order.note(fact, AT)
    order.events = []
    before = replace(order)
    order.note(fact, LATER, **DISPATCHED)
    assert order == before
    assert order.events == []


def test_the_furthest_fact_counts_whatever_came_last() -> None:
    order = an_order()
    for fact in ("shipment_dispatched", "payment_authorised", "pick_list_issued"):
        order.note(fact, AT)
    assert order.state is State.DISPATCHED


def test_delivered_but_not_captured_is_not_completed() -> None:
    order = an_order()
    order.note("shipment_delivered", AT)
    assert order.state is State.DELIVERED
    assert [kind for kind, _ in answers(order)] == ["shipment_delivered"]


@pytest.mark.parametrize("last", ["payment_captured", "shipment_delivered"])
def test_an_order_is_completed_by_whichever_of_its_two_conditions_comes_last(last: str) -> None:
    order = an_order()
    for fact in sorted({"payment_captured", "shipment_delivered"}, key=lambda fact: fact == last):
        order.note(fact, AT)
    assert order.state is State.COMPLETED
    assert [event for event in order.events if isinstance(event, OrderCompleted)] == [OrderCompleted(**named())]
    assert answers(order)[-1] == ("order_completed", {"caused_by": {"source": KEY.shop, "id": "e-1"}, "order_number": "SH-1"})


def test_a_dispatch_is_answered_with_where_the_parcel_can_be_followed() -> None:
    order = an_order()
    order.note("shipment_dispatched", AT, **DISPATCHED)
    caused_by = {"source": KEY.shop, "id": "e-1"}
    assert answers(order) == [("shipment_dispatched", {"caused_by": caused_by, "order_number": "SH-1", **DISPATCHED})]


@pytest.mark.parametrize("fact", ["payment_authorised", "pick_list_issued", "parcel_packed", "label_created", "payment_captured"])
def test_the_storefront_hears_nothing_of_a_step_the_contract_does_not_name(fact: str) -> None:
    order = an_order()
    order.note(fact, AT)
    assert order.events == []


def test_a_declined_payment_waits_for_another_one() -> None:
    order = an_order()
    order.note_declined("token_expired", AT)
    assert order.state is State.PAYMENT_DECLINED
    assert [reason.code for reason in order.reasons] == ["token_expired"]
    [(kind, data)] = answers(order)
    assert kind == "payment_declined"
    assert data["reasons"] == [{"code": "token_expired", "path": "/data/payment"}]
    assert not any(isinstance(event, OrderCancelled) for event in order.events)


def test_a_payment_approved_for_another_amount_cancels_the_order() -> None:
    order = an_order()
    order.note_declined("amount_mismatch", AT)
    assert order.state is State.CANCELLED
    [cancelled] = [event for event in order.events if isinstance(event, OrderCancelled)]
    assert [(reason.code, reason.path) for reason in cancelled.reasons] == [("amount_mismatch", "/data/payment")]
    assert [kind for kind, _ in answers(order)] == ["order_cancelled"]


@pytest.mark.parametrize("reason", ["declined", "amount_mismatch"])
def test_a_repeated_decline_changes_nothing_and_says_nothing(reason: str) -> None:
    order = an_order()
    order.note_declined(reason, AT)
    order.events = []
    before = replace(order)
    order.note_declined(reason, LATER)
    assert order == before
    assert order.events == []


def test_a_cancelled_order_stays_cancelled() -> None:
    order = an_order()
    order.note_declined("amount_mismatch", AT)
    for fact, _ in COURSE:
        order.note(fact, LATER)
    order.note_part_refused("contact", ("email_malformed",), LATER)
    assert order.state is State.CANCELLED


def test_a_refused_part_holds_the_order_with_every_code() -> None:
    order = an_order()
    order.note_part_refused("contact", ("email_malformed", "missing"), AT)
    assert order.state is State.HELD
    assert [(reason.code, reason.path) for reason in order.reasons] == [
        ("contact_invalid", "/data/contact"),
        ("email_malformed", "/data/contact"),
        ("missing", "/data/contact"),
    ]
    [held] = [event for event in order.events if isinstance(event, OrderHeld)]
    assert tuple(held.reasons) == order.reasons
    [(kind, data)] = answers(order)
    assert kind == "order_held"
    assert data["reasons"][0] == {"code": "contact_invalid", "path": "/data/contact"}


def test_a_part_refused_again_changes_nothing_and_says_nothing() -> None:
    order = an_order()
    order.note_part_refused("contact", ("missing",), AT)
    order.events = []
    before = replace(order)
    order.note_part_refused("contact", ("missing",), LATER)
    assert order == before
    assert order.events == []


def test_a_second_part_refused_is_told_too() -> None:
    order = an_order()
    order.note_part_refused("contact", ("missing",), AT)
    order.events = []
    order.note_part_refused("billing", ("postal_code_missing",), LATER)
    [held] = [event for event in order.events if isinstance(event, OrderHeld)]
    assert [reason.code for reason in held.reasons] == ["billing_invalid", "postal_code_missing"]
    assert order.facts is not None
    assert order.facts["order_held"] == AT, "the hold began with the first"


@pytest.mark.parametrize(("fact", "state"), COURSE[:3])
def test_a_hold_shows_until_the_label_is_bought(fact: str, state: State) -> None:
    order = an_order()
    order.note(fact, AT)
    order.note_part_refused("contact", ("missing",), AT)
    assert order.state is State.HELD
    order.note("label_created", AT)
    assert str(order.state) == "labelled", "the parcel goes on"


@pytest.mark.parametrize(("fact", "state"), [*COURSE[3:6], ("shipment_delivered", State.DELIVERED)])
def test_no_hold_takes_an_order_back_from_a_fact_that_only_a_label_makes_possible(fact: str, state: State) -> None:
    order = an_order()
    order.note(fact, AT)
    order.note_part_refused("contact", ("missing",), AT)
    assert order.state is state, "whichever of them was heard first"


def test_a_failed_capture_leaves_the_order_where_it_was() -> None:
    order = an_order()
    order.note("label_created", AT)
    order.note("payment_capture_failed", AT)
    assert order.state is State.LABELLED
    assert order.events == []
