"""Word of trouble: what the buyer can mend, once for each trouble, and of nothing else (clause 11)."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifications import difficulties, handlers
from services.notifications.difficulties import (
    ADDRESS_DIFFICULTY,
    BILLING_DIFFICULTY,
    CANCELLATION,
    DIFFICULTIES,
    PAYMENT_DIFFICULTY,
)
from services.notifications.domain import OWED, SEND_DIFFICULTY_MAIL, SEND_MAIL, Handed
from shared.contracts.events import OrderCancelled, OrderHeld, OrderReleased
from shared.contracts.words import Reason
from shared.delivery.work import IntentRow
from shared.policy import load
from tests.builders import (
    AT,
    KEY,
    contact_entrusted,
    named,
    order_cancelled,
    payment_authorised,
    payment_declined,
    shipment_delivered,
    shipment_dispatched,
    taken_in,
)
from tests.fakes import FakeCorrespondences, Step, play

A_MINUTE = timedelta(minutes=1)


def held(part: str, minutes: int = 0) -> OrderHeld:
    reasons = [Reason(code=f"{part}_invalid", path=f"/data/{part}"), Reason(code="missing", path=f"/data/{part}")]
    return OrderHeld(**named(KEY), reasons=reasons, held_at=AT + minutes * A_MINUTE)


def released(minutes: int) -> OrderReleased:
    return OrderReleased(**named(KEY), released_at=AT + minutes * A_MINUTE)


def cancelled(code: str) -> OrderCancelled:
    return OrderCancelled(**named(KEY), reasons=[Reason(code=code, path="/data/payment")])


def kinds(store: FakeCorrespondences) -> list[str]:
    return sorted(intent.details["kind"] for intent in store.asked)


def a_known_contact() -> FakeCorrespondences:
    store = FakeCorrespondences()
    handlers.take_contact(contact_entrusted(), taken_in(), store)
    return store


def test_each_trouble_is_told_once_under_the_purpose_of_trouble() -> None:
    store = a_known_contact()
    for _ in range(2):
        handlers.tell_of_decline(payment_declined(), store)
        handlers.tell_of_hold(held("recipient"), store, AT)
        handlers.tell_of_hold(held("billing"), store, AT)
        handlers.fall_silent(order_cancelled(), store, AT)
    assert kinds(store) == sorted(DIFFICULTIES)
    assert {intent.kind for intent in store.asked} == {SEND_DIFFICULTY_MAIL}
    assert len({intent.key for intent in store.asked}) == len(DIFFICULTIES)
    assert {key for intent in store.asked for key in intent.details} == {"kind"}, "no word of the person, no reason, no amount"


def test_a_trouble_that_is_not_told_or_told_twice_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    test_each_trouble_is_told_once_under_the_purpose_of_trouble()
    with monkeypatch.context() as broken:
        broken.setattr(handlers, "of_a_hold", lambda _reasons: ())
        with pytest.raises(AssertionError):
            test_each_trouble_is_told_once_under_the_purpose_of_trouble()
    with monkeypatch.context() as broken:
        broken.setattr("services.notifications.domain.DIFFICULTIES", frozenset({CANCELLATION}))
        with pytest.raises(AssertionError):
            test_each_trouble_is_told_once_under_the_purpose_of_trouble()


def test_the_happy_path_asks_for_no_word_of_trouble() -> None:
    store = a_known_contact()
    handlers.confirm(payment_authorised(), store)
    handlers.tell_of_dispatch(shipment_dispatched(), store)
    handlers.tell_of_delivery(shipment_delivered(), store, AT)
    assert {intent.kind for intent in store.asked} == {SEND_MAIL}


@pytest.mark.parametrize("code", ["erasure_requested", "buyer", "fraud"])
def test_a_cancellation_that_the_buyer_knows_of_or_must_not_hear_of_is_not_told(code: str) -> None:
    store = a_known_contact()
    handlers.fall_silent(cancelled(code), store, AT)
    assert store.asked == []


def test_a_payment_of_another_amount_is_told_once_by_its_cancellation() -> None:
    store = a_known_contact()
    handlers.tell_of_decline(payment_declined("amount_mismatch"), store)
    handlers.fall_silent(order_cancelled(), store, AT)
    assert kinds(store) == [CANCELLATION]


def test_a_contact_that_cannot_be_used_is_no_trouble_to_write_about() -> None:
    store = FakeCorrespondences()
    handlers.tell_of_hold(held("contact"), store, AT)
    assert store.asked == []


def test_a_hold_that_is_over_before_it_could_be_told_is_not_told() -> None:
    store = FakeCorrespondences()
    handlers.tell_of_hold(held("recipient", 1), store, AT)
    assert store.correspondence().mails == {ADDRESS_DIFFICULTY: OWED}
    handlers.note_release(released(2), store)
    handlers.take_contact(contact_entrusted(), taken_in(), store)
    handlers.tell_of_hold(held("recipient", 1), store, AT)  # comes again, late
    assert store.asked == []
    handlers.tell_of_hold(held("billing", 3), store, AT)
    assert kinds(store) == [BILLING_DIFFICULTY], "a later hold is another trouble"


@settings(max_examples=80, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_in_any_order_each_trouble_is_told_at_most_once_and_a_lasting_one_exactly_once(random: Random) -> None:
    store = FakeCorrespondences()
    steps = [
        Step("contact", lambda: handlers.take_contact(contact_entrusted(), taken_in(), store)),
        Step("declined", lambda: handlers.tell_of_decline(payment_declined(), store)),
        Step("recipient held", lambda: handlers.tell_of_hold(held("recipient", 1), store, AT)),
        Step("released", lambda: handlers.note_release(released(2), store)),
        Step("billing held", lambda: handlers.tell_of_hold(held("billing", 3), store, AT)),
    ]

    def answer(intent: IntentRow) -> Step:
        return Step("answered", lambda: handlers.note_mail(intent.about, Handed(intent.details["kind"]), store))

    course = play(random, store, steps, answer=answer)
    told = kinds(store)
    assert len(told) == len(set(told)), course
    assert (
        {PAYMENT_DIFFICULTY, BILLING_DIFFICULTY} <= set(told) <= {PAYMENT_DIFFICULTY, BILLING_DIFFICULTY, ADDRESS_DIFFICULTY}
    ), course


def test_the_kinds_are_those_of_the_policy_s_class() -> None:
    rule = load().mails["difficulty"]
    assert set(rule.kinds) == difficulties.DIFFICULTIES
    assert rule.stopped_by == ("erased",), "whoever opted out of mailings is reached"
