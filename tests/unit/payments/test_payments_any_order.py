"""The facts of a payment's life, in any order and more than once, the provider's answers at any moment: the end is the same."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.payments import handlers
from services.payments.domain import AUTHORISE, CAPTURE, Authorised, Captured, CaptureFailed, Declined, State
from shared.contracts.events import PaymentReference
from shared.contracts.values import KeptPart, Money, OrderKey
from shared.delivery.work import IntentRow
from tests.builders import AT, KEY, billing_entrusted, label_created, taken_in
from tests.fakes import FakePayments, Step, play

LIVES: dict[
    str, tuple[tuple[str, ...], Authorised | Declined, Captured | CaptureFailed, State, dict[str, int], dict[str, int]]
] = {
    "sold": (
        (),
        Authorised("AUTH-1"),
        Captured("CAP-1"),
        State.CAPTURED,
        {"payment_authorised": 1, "payment_captured": 1},
        {AUTHORISE: 1, CAPTURE: 1},
    ),
    "declined": (
        (),
        Declined("declined"),
        Captured("CAP-1"),
        State.DECLINED,
        {"payment_declined": 1},
        {AUTHORISE: 1},
    ),
    "not captured": (
        (),
        Authorised("AUTH-1"),
        CaptureFailed("authorisation_expired"),
        State.CAPTURE_FAILED,
        {"payment_authorised": 1, "payment_capture_failed": 1},
        {AUTHORISE: 1, CAPTURE: 1},
    ),
    "unsound billing": (
        ("postal_code_missing",),
        Authorised("AUTH-1"),
        Captured("CAP-1"),
        State.REFUSED,
        {"part_refused": 1},
        {},
    ),
}


def entrusting(store: FakePayments, faults: tuple[str, ...] = (), key: OrderKey = KEY, reference: str = "tok_1") -> Step:
    event = billing_entrusted(key, payment=PaymentReference(provider="2checkout", reference=reference))
    return Step(f"entrusted {key.order_number}", lambda: handlers.take_payment(event, taken_in(*faults), store, AT))


def labelling(store: FakePayments, key: OrderKey = KEY) -> Step:
    return Step("label_created", lambda: handlers.note_label(label_created(key), store))


@pytest.mark.parametrize("life", LIVES)
@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_the_end_is_the_same_in_any_order(life: str, random: Random) -> None:
    faults, authorisation, capture, state, said, asked = LIVES[life]
    store = FakePayments()

    def answer(intent: IntentRow) -> Step:
        if intent.kind == AUTHORISE:
            return Step("authorisation answered", lambda: handlers.note_authorisation(intent.about, authorisation, store, AT))
        assert store.payment().authorisation_reference == intent.details["authorisation_reference"] == "AUTH-1"
        return Step("capture answered", lambda: handlers.note_capture(intent.about, capture, store, AT))

    course = play(random, store, [entrusting(store, faults), labelling(store)], answer=answer)
    assert store.payment().state is state, course
    assert store.kinds_said == Counter(said), course
    assert store.kinds_asked == Counter(asked), course
    assert store.payment().billing is None, "no part is kept beyond the provider's answer"
    for intent in store.asked:
        assert Money(intent.details["amount_minor"], intent.details["currency"]) == Money.parse("103.99", "EUR")


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_reference_pays_for_the_first_order_that_names_it_and_no_other(random: Random) -> None:
    """Which of the two it is depends on what came first, and must; that it is one does not."""
    store = FakePayments()
    keys = [OrderKey(KEY.shop, number) for number in ("SH-1", "SH-2")]

    def answer(intent: IntentRow) -> Step:
        return Step("answered", lambda: handlers.note_authorisation(intent.about, Authorised("AUTH-1"), store, AT))

    course = play(random, store, [entrusting(store, key=key) for key in keys], answer=answer)
    assert sorted(store.payment(key).state for key in keys) == [State.AUTHORISED, State.DECLINED], course
    assert store.kinds_asked == Counter({AUTHORISE: 1}), course
    assert store.kinds_said == Counter({"payment_authorised": 1, "payment_declined": 1}), course
    assert store.payment(KEY).state is (State.AUTHORISED if course[0].endswith("SH-1") else State.DECLINED)


def test_the_refused_reference_is_told_as_such() -> None:
    store = FakePayments()
    other = OrderKey(KEY.shop, "SH-2")
    handlers.take_payment(billing_entrusted(), taken_in(), store, AT)
    handlers.take_payment(billing_entrusted(other), taken_in(), store, AT)
    assert store.said == [("payment_declined", {"shop": other.shop, "order_number": "SH-2", "reason": "reference_used"})]


def test_an_unsound_billing_part_does_not_use_up_its_reference() -> None:
    store = FakePayments()
    handlers.take_payment(billing_entrusted(), taken_in("box_unopenable"), store, AT)
    handlers.take_payment(billing_entrusted(OrderKey(KEY.shop, "SH-2")), taken_in(), store, AT)
    assert store.kinds_asked == Counter({AUTHORISE: 1})


def test_an_order_without_a_billing_part_is_authorised_all_the_same() -> None:
    store = FakePayments()
    handlers.take_payment(billing_entrusted(billing=None), None, store, AT)
    assert (store.payment().state, store.payment().billing) == (State.AUTHORISING, None)
    assert store.kinds_asked == Counter({AUTHORISE: 1})


def test_no_money_is_asked_for_of_a_person_who_was_erased() -> None:
    store = FakePayments()
    handlers.take_payment(billing_entrusted(), taken_in(KeptPart.ERASED), store, AT)
    assert (store.payment().state, store.said, store.asked) == (State.EXPECTED, [], [])
