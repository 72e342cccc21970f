"""By when an order must have moved, and what it waits for: said for every state that is not the last, and never for those that are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.deadlines import DECISION, STAGES, Deadlines, Stuck, waits_for
from services.orders.domain import BEGUN_BY, FACTS, FINAL, Order, State
from shared.delivery.topology import HEARERS, STOREFRONT_EVENTS
from tests.builders import AT, KEY, an_order

TICK = timedelta(microseconds=1)
COURSE = (
    "payment_authorised",
    "pick_list_issued",
    "parcel_packed",
    "label_created",
    "payment_captured",
    "shipment_dispatched",
    "shipment_delivered",
)
UNFINISHED = [state for state in State if state not in FINAL]


def with_facts(*facts: str) -> Order:
    """An order that heard these, one a minute."""
    order = an_order()
    for minute, fact in enumerate(facts, start=1):
        order.note(fact, AT + timedelta(minutes=minute))
    return order


def declined() -> Order:
    order = an_order()
    order.note_declined("declined", AT)
    return order


def held() -> Order:
    order = with_facts("payment_authorised")
    order.note_part_refused("contact", ("missing",), AT + timedelta(minutes=2))
    return order


IN_STATE: dict[State, Callable[[], Order]] = {
    State.ACCEPTED: an_order,
    State.PAYMENT_DECLINED: declined,
    State.AUTHORISED: lambda: with_facts(*COURSE[:1]),
    State.PICKING: lambda: with_facts(*COURSE[:2]),
    State.PACKED: lambda: with_facts(*COURSE[:3]),
    State.LABELLED: lambda: with_facts(*COURSE[:4]),
    State.CAPTURED: lambda: with_facts(*COURSE[:5]),
    State.DISPATCHED: lambda: with_facts(*COURSE[:6]),
    State.DELIVERED: lambda: with_facts("shipment_delivered"),
    State.HELD: held,
}


def judged(order: Order, at: datetime, deadlines: Deadlines | None = None) -> Stuck | None:
    codes = tuple(reason.code for reason in order.reasons)
    return (deadlines or Deadlines()).judge(order.key, order.state, order.facts or {}, codes, at)


def test_every_state_is_the_last_or_has_a_deadline_and_something_to_wait_for() -> None:
    assert set(STAGES) | FINAL == set(State)
    assert set(STAGES) & FINAL == set()
    assert all(stage.lasts > timedelta(0) for stage in STAGES.values())
    assert set(Deadlines().cutoffs(AT)) == set(STAGES)
    assert set(IN_STATE) == set(STAGES)


def test_every_state_is_brought_by_a_fact_of_its_own() -> None:
    assert set(BEGUN_BY) == set(State)
    assert set(BEGUN_BY.values()) <= FACTS
    assert len(set(BEGUN_BY.values())) == len(State)


@pytest.mark.parametrize("state", UNFINISHED)
def test_what_an_order_waits_for_is_said_by_that_service_and_moves_it(state: State) -> None:
    order = IN_STATE[state]()
    assert order.state is state
    wait = waits_for(state, order.facts or {})
    assert wait.event is not None
    if wait.service == "storefront":
        assert wait.event in STOREFRONT_EVENTS
    else:
        assert "orders" in HEARERS[f"{wait.service}.events"][wait.event]
        order.note(wait.event, AT + timedelta(days=1))
        assert order.state is not state


@pytest.mark.parametrize("state", sorted(FINAL))
def test_an_order_at_its_end_waits_for_nothing(state: State) -> None:
    order = with_facts(*COURSE)
    if state is State.CANCELLED:
        order = an_order()
        order.note_declined("amount_mismatch", AT)
    assert order.state is state
    assert judged(order, AT + timedelta(days=10_000)) is None
    with pytest.raises(KeyError):
        waits_for(state, order.facts or {})


@pytest.mark.parametrize("state", UNFINISHED)
def test_an_order_is_stuck_from_its_deadline_on_and_no_sooner(state: State) -> None:
    order = IN_STATE[state]()
    since = max((order.facts or {}).values())
    due_at = since + STAGES[state].lasts
    assert judged(order, due_at) is None
    stuck = judged(order, due_at + TICK)
    assert stuck == Stuck(KEY, state, since, due_at, STAGES[state].waits_for, tuple(reason.code for reason in order.reasons))
    assert Deadlines().cutoffs(due_at + TICK)[state] > since >= Deadlines().cutoffs(due_at)[state]


def test_time_counts_from_the_fact_that_brought_the_state_whatever_came_after() -> None:
    order = with_facts("payment_authorised", "payment_captured", "label_created", "parcel_packed")
    stuck = judged(order, AT + timedelta(days=9))
    assert stuck is not None
    assert (stuck.state, stuck.since) == (State.CAPTURED, AT + timedelta(minutes=2))


def test_a_hold_counts_from_its_beginning_though_the_order_goes_on_below_it() -> None:
    order = held()
    order.note_part_refused("billing", ("missing",), AT + timedelta(minutes=3))
    order.note("pick_list_issued", AT + timedelta(minutes=4))
    stuck = judged(order, AT + timedelta(days=9))
    assert stuck is not None
    assert (stuck.state, stuck.since) == (State.HELD, AT + timedelta(minutes=2))
    assert stuck.reasons == ("contact_invalid", "missing", "billing_invalid", "missing")


@pytest.mark.parametrize("facts", [("label_created",), ("shipment_delivered",)])
def test_where_the_capture_has_failed_a_person_must_decide(facts: tuple[str, ...]) -> None:
    order = with_facts(*facts, "payment_capture_failed")
    assert waits_for(order.state, order.facts or {}) == DECISION
    assert (DECISION.event, DECISION.service) == (None, "staff")
    assert judged(order, AT + timedelta(days=9)) is not None


def test_a_parcel_on_its_way_waits_for_its_delivery_though_the_capture_has_failed() -> None:
    order = with_facts("payment_capture_failed", "shipment_dispatched")
    assert waits_for(order.state, order.facts or {}).event == "shipment_delivered"


def test_a_state_s_deadline_can_be_another_and_the_rest_stay() -> None:
    order = an_order()
    deadlines = Deadlines({"accepted": timedelta(seconds=9)})
    assert judged(order, AT + timedelta(seconds=9), deadlines) is None
    assert judged(order, AT + timedelta(seconds=9) + TICK, deadlines) is not None
    ours, given_ = Deadlines().cutoffs(AT), deadlines.cutoffs(AT)
    assert {state for state in STAGES if ours[state] != given_[state]} == {State.ACCEPTED}


VERBS: dict[str, Callable[[Order, datetime], None]] = {
    **{fact: lambda order, at, fact=fact: order.note(fact, at) for fact in (*COURSE, "payment_capture_failed")},  # type: ignore[misc]
    "declined": lambda order, at: order.note_declined("declined", at),
    "mismatched": lambda order, at: order.note_declined("amount_mismatch", at),
    "part refused": lambda order, at: order.note_part_refused("recipient", ("missing",), at),
}


@given(course=st.lists(st.sampled_from(sorted(VERBS)), max_size=12))
def test_whatever_happened_an_order_is_at_its_end_or_gets_stuck_in_the_end(course: list[str]) -> None:
    order = an_order()
    for minute, verb in enumerate(course, start=1):
        VERBS[verb](order, AT + timedelta(minutes=minute))
    stuck = judged(order, AT + timedelta(days=100))
    assert (stuck is None) is (order.state in FINAL), course
    if stuck is not None:
        assert stuck.since in (order.facts or {}).values()
        assert stuck.waits_for.event not in (order.facts or {}), "it waits for nothing that it has heard already"
