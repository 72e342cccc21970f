"""The facts of an order's life, in any order and more than once, through orders' own handlers: the end is always the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orders import handlers
from services.orders.domain import State
from shared.contracts.errors import TryLater
from shared.contracts.events import OrderEvent, ParcelPacked, PartRefused, PaymentDeclined, PickListIssued, ShipmentDispatched
from tests.builders import (
    AT,
    KEY,
    label_created,
    named,
    order_placed,
    part_refused,
    payment_authorised,
    payment_capture_failed,
    payment_captured,
    payment_declined,
    shipment_delivered,
    shipment_dispatched,
)
from tests.fakes import FakeOrders, Step, play

PACKED = [
    payment_authorised(),
    PickListIssued(**named(), pick_list="PL-AAAAAAAAAAAA"),
    ParcelPacked(**named(), parcel="PC-AAAAAAAAAAAA-1"),
]
DELIVERED = [*PACKED, label_created(), payment_captured(), shipment_dispatched(), shipment_delivered()]
PASSED_ON = {"billing_entrusted": 1, "recipient_entrusted": 1, "contact_entrusted": 1, "order_accepted": 1}

LIVES: dict[str, tuple[Sequence[OrderEvent], State, dict[str, int]]] = {
    "sold": (DELIVERED, State.COMPLETED, {"shipment_dispatched": 1, "shipment_delivered": 1, "order_completed": 2}),
    "declined": ([payment_declined()], State.PAYMENT_DECLINED, {"payment_declined": 1}),
    "mismatched": ([payment_declined("amount_mismatch")], State.CANCELLED, {"order_cancelled": 2}),
    "held": ([payment_authorised(), part_refused("contact")], State.HELD, {"order_held": 2}),
    "held for two parts": (
        [part_refused("contact"), part_refused("billing", "postal_code_missing")],
        State.HELD,
        {"order_held": 4},
    ),
    "held too late": (
        [*DELIVERED, part_refused("contact")],
        State.COMPLETED,
        {"order_held": 2, "shipment_dispatched": 1, "shipment_delivered": 1, "order_completed": 2},
    ),
    "without a label": ([*PACKED, part_refused("recipient", "carrier_invalid_address")], State.HELD, {"order_held": 2}),
    "not captured": ([*PACKED, label_created(), payment_capture_failed()], State.LABELLED, {}),
    "mismatched and held": (
        [payment_declined("amount_mismatch"), part_refused("contact")],
        State.CANCELLED,
        {"order_held": 2, "order_cancelled": 2},
    ),
}


def step(store: FakeOrders, event: OrderEvent) -> Step:
    match event:
        case PaymentDeclined():
            return Step(event.type, lambda: handlers.note_declined(event, store, AT))
        case PartRefused():
            return Step(f"{event.part} refused", lambda: handlers.note_part_refused(event, store, AT))
        case ShipmentDispatched():
            told = {"carrier": event.carrier, "tracking_number": event.tracking_number, "tracking_url": event.tracking_url}
            return Step(event.type, lambda: handlers.note(event, store, AT, **told))
        case _:
            return Step(event.type, lambda: handlers.note(event, store, AT))


def placing(store: FakeOrders, event_id: str = "e-1") -> Step:
    def place() -> None:
        handlers.place_order(order_placed(event_id=event_id), store, AT)

    return Step(f"order_placed {event_id}", place)


def said_once(store: FakeOrders, answered: int) -> Counter[str]:
    """What was said, the answers to the storefront's repeats taken off: each repeat gets its answer again."""
    kinds = store.kinds_said
    kinds["order_accepted"] -= answered
    return kinds


@pytest.mark.parametrize("life", LIVES)
@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_the_end_is_the_same_in_any_order(life: str, random: Random) -> None:
    facts, state, said = LIVES[life]
    store = FakeOrders()
    course = play(random, store, [placing(store), *(step(store, fact) for fact in facts)])
    assert store.the_order().state is state, course
    assert said_once(store, course.count("order_placed e-1")) == Counter(PASSED_ON) + Counter(said), course
    codes = Counter(reason.code for reason in store.the_order().reasons)
    assert set(codes.values()) <= {1}, course


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_an_order_sent_under_several_event_ids_is_passed_on_once(random: Random) -> None:
    store = FakeOrders()
    course = play(random, store, [placing(store, event_id) for event_id in ("e-1", "e-2", "e-3")])
    assert said_once(store, len(course)) == Counter(PASSED_ON), course
    assert store.the_order().event_id == course[0].split()[-1]


def test_a_fact_of_an_order_that_nobody_has_seen_waits() -> None:
    store = FakeOrders()
    with pytest.raises(TryLater, match=r"^order_unknown$"), store.handling():
        handlers.note(payment_authorised(), store, AT)
    assert store.order(KEY) is None
    assert store.said == []
