"""The facts of a shipment's life, staff's asks, scans and the carrier's answer, in any order and more than once."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.shipping import handlers
from services.shipping.commands import HandOver, NoteTracking, Pack, Pick
from services.shipping.domain import BUY_LABEL, BoughtLabel, NoLabel, State
from shared.contracts.errors import TryLater
from shared.contracts.values import KeptPart
from shared.delivery.work import IntentRow
from tests.builders import (
    AT,
    KEY,
    TRACKING_NUMBER,
    a_label,
    an_envelope,
    order_cancelled,
    order_held,
    payment_authorised,
    payment_capture_failed,
    payment_captured,
    recipient_entrusted,
    taken_in,
)
from tests.fakes import FakeShipments, Step, play

WHOLE = {"pick_list_issued": 1, "parcel_packed": 1, "label_created": 1, "shipment_dispatched": 1, "shipment_delivered": 1}


def known(store: FakeShipments, *faults: str) -> Step:
    return Step("recipient known", lambda: handlers.take_recipient(recipient_entrusted(), taken_in(*faults), store, AT))


def paid(store: FakeShipments) -> Step:
    return Step("paid", lambda: handlers.note_paid(payment_authorised(), store, AT))


def stopped(store: FakeShipments, how: str) -> Step:
    if how == "held":
        return Step(how, lambda: handlers.hold(order_held(), store, AT))
    return Step(how, lambda: handlers.cancel(order_cancelled(), store, AT))


def staff(store: FakeShipments) -> list[Step]:
    return [
        Step("picked", lambda: handlers.pick(Pick(KEY), store, AT)),
        Step("packed", lambda: handlers.pack(Pack(KEY, 250, 200, 150, 40), store, AT)),
        Step("handed over", lambda: handlers.hand_over(HandOver(KEY), store, AT)),
    ]


def scan(store: FakeShipments, code: str) -> Step:
    return Step(f"scan {code}", lambda: handlers.note_tracking(NoteTracking(TRACKING_NUMBER, code), store, AT))


def run(
    random: Random,
    store: FakeShipments,
    steps: list[Step],
    outcome: BoughtLabel | NoLabel | None = None,
    *,
    captures: bool = True,
) -> list[str]:
    """Play the steps; the carrier gives the outcome, and what payments tells follows the label."""

    def answer(intent: IntentRow) -> Step:
        return Step("label answered", lambda: handlers.note_label(intent.about, outcome or a_label(), store, AT))

    def follow(kind: str) -> list[Step]:
        if kind != "label_created":
            return []
        if captures:
            return [Step("captured", lambda: handlers.note_captured(payment_captured(), store, AT))]
        return [Step("not captured", lambda: handlers.note_capture_failed(payment_capture_failed(), store, AT))]

    return play(random, store, [*steps, *staff(store)], answer=answer, follow=follow)


@settings(max_examples=60, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_sold_order_is_delivered_in_any_order(random: Random) -> None:
    store = FakeShipments()
    course = run(random, store, [known(store), paid(store), *(scan(store, code) for code in ("NY", "AC", "IT", "DE"))])
    assert store.shipment().state is State.DELIVERED, course
    assert store.kinds_said == Counter(WHOLE), course
    assert store.kinds_asked == Counter({BUY_LABEL: 1}), course
    assert list(store.labels) == [store.shipment().parcel], course
    event, kept = recipient_entrusted(), store.entrusted()
    assert kept is not None, course
    assert (kept.customer_id, kept.recipient) == (event.customer_id, an_envelope()), course
    assert list(kept.lines) == [line.model_dump() for line in event.lines], course


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_without_a_scan_staff_s_hand_over_dispatches(random: Random) -> None:
    store = FakeShipments()
    course = run(random, store, [known(store), paid(store)])
    assert store.shipment().state is State.DISPATCHED, course
    assert store.kinds_said == Counter({**WHOLE, "shipment_delivered": 0}), course


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_what_was_not_captured_is_not_handed_over(random: Random) -> None:
    store = FakeShipments()
    course = run(random, store, [known(store), paid(store)], captures=False)
    assert store.shipment().state is State.LABELLED, course
    assert "handed over" not in course
    assert "capture_failed" in (store.shipment().facts or {}), "staff can see why"
    assert store.kinds_said == Counter({"pick_list_issued": 1, "parcel_packed": 1, "label_created": 1}), course


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_what_is_not_paid_is_not_picked(random: Random) -> None:
    store = FakeShipments()
    course = run(random, store, [known(store)])
    assert store.shipment().state is State.WAITING, course
    assert (store.said, store.asked) == ([], []), course


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_refused_recipient_stops_everything(random: Random) -> None:
    store = FakeShipments()
    course = run(random, store, [known(store, "box_unopenable"), paid(store), stopped(store, "held")])
    assert store.shipment().state is State.REFUSED, course
    assert store.kinds_said == Counter({"part_refused": 1}), course
    kept = store.entrusted()
    assert kept is not None, course
    assert (store.asked, kept.recipient) == ([], None), "the part is not kept; the rest is, for a corrected one to take its place"


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_label_that_is_not_sold_is_told_once(random: Random) -> None:
    store = FakeShipments()
    course = run(random, store, [known(store), paid(store)], NoLabel(("invalid_address",)))
    assert store.shipment().state is State.LABEL_REFUSED, course
    assert store.kinds_said == Counter({"pick_list_issued": 1, "parcel_packed": 1, "part_refused": 1}), course
    assert store.kinds_asked == Counter({BUY_LABEL: 1}), course
    assert store.labels == {}


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_cancelled_order_that_was_never_paid_is_never_picked(random: Random) -> None:
    store = FakeShipments()
    course = run(random, store, [known(store), stopped(store, "cancelled")])
    assert store.shipment().state is State.CANCELLED, course
    assert (store.said, store.asked) == ([], []), course


@pytest.mark.parametrize(("how", "state"), [("held", State.HELD), ("cancelled", State.CANCELLED)])
@settings(max_examples=80, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_stop_that_races_the_label(how: str, state: State, random: Random) -> None:
    """Whether the parcel leaves depends on what came first, and must: known before packing, there is never a label; packed before,
    the label is bought and the parcel goes on. In neither case is there two of anything."""
    store = FakeShipments()
    course = run(random, store, [known(store), paid(store), stopped(store, how), scan(store, "DE")])
    is_packed_first = "packed" in course and course.index("packed") < course.index(how)
    assert store.kinds_asked == (Counter({BUY_LABEL: 1}) if is_packed_first else Counter()), course
    assert store.shipment().state is (State.DELIVERED if is_packed_first else state), course
    assert store.kinds_said <= Counter(WHOLE), course
    if is_packed_first:
        assert store.kinds_said == Counter(WHOLE), course
    else:
        assert store.kinds_said <= Counter({"pick_list_issued": 1}), course


def test_a_scan_of_a_parcel_that_nobody_knows_waits() -> None:
    store = FakeShipments()
    with pytest.raises(TryLater, match=r"^tracking_number_unknown$"), store.handling():
        scan(store, "IT").do()
    assert store.said == []


def test_the_first_label_s_paper_stays() -> None:
    store = FakeShipments()
    for box in (b"first", b"second"):
        handlers.note_label(KEY, a_label(paper=an_envelope("label", box)), store, AT)
    assert store.labels == {store.shipment().parcel: an_envelope("label", b"first")}
    assert store.kinds_said == Counter({"label_created": 1})


def test_nothing_is_taken_on_for_a_person_who_was_erased() -> None:
    store = FakeShipments()
    handlers.take_recipient(recipient_entrusted(), taken_in(KeptPart.ERASED), store, AT)
    assert (store.shipment().state, store.entrusted(), store.said) == (State.WAITING, None, [])
