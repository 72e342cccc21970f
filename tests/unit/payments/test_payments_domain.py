"""The life of a payment: each verb in each state, what is asked of the provider, and that a repeat changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payments.domain import AUTHORISE, CAPTURE, Payment, State
from shared.contracts.aggregate import Intent
from shared.contracts.events import Event, PartRefused, PaymentAuthorised, PaymentCaptured, PaymentCaptureFailed, PaymentDeclined
from shared.contracts.values import Money, OrderKey
from tests.builders import AT, KEY, LATER, a_payment, an_authorised_payment, an_envelope, named

VERBS: dict[str, Callable[[Payment], None]] = {
    "entrust": lambda payment: payment.entrust(
        customer_id="c-2", provider="paypal", reference="PP-9", money=Money(1, "USD"), billing=None, at=LATER
    ),
    "refuse_billing": lambda payment: payment.refuse_billing(("tax_id_missing",)),
    "refuse_reference": lambda payment: payment.refuse_reference(LATER),
    "note_authorised": lambda payment: payment.note_authorised("AUTH-9", LATER),
    "note_declined": lambda payment: payment.note_declined("declined", LATER),
    "note_captured": lambda payment: payment.note_captured("CAP-9", LATER),
    "note_capture_failed": lambda payment: payment.note_capture_failed("declined", LATER),
}
TRANSITIONS = {
    (State.EXPECTED, "entrust"): State.AUTHORISING,
    (State.EXPECTED, "refuse_billing"): State.REFUSED,
    (State.EXPECTED, "refuse_reference"): State.DECLINED,
    (State.AUTHORISING, "note_authorised"): State.AUTHORISED,
    (State.AUTHORISING, "note_declined"): State.DECLINED,
    (State.CAPTURING, "note_captured"): State.CAPTURED,
    (State.CAPTURING, "note_capture_failed"): State.CAPTURE_FAILED,
}


def a_capturing_payment() -> Payment:
    payment = an_authorised_payment()
    payment.note_label()
    payment.intents = []
    return payment


def after(payment: Payment, verb: str) -> Payment:
    VERBS[verb](payment)
    payment.events, payment.intents = [], []
    return payment


IN_STATE: dict[State, Callable[[], Payment]] = {
    State.EXPECTED: lambda: Payment(key=KEY),
    State.AUTHORISING: a_payment,
    State.AUTHORISED: an_authorised_payment,
    State.DECLINED: lambda: after(a_payment(), "note_declined"),
    State.CAPTURING: a_capturing_payment,
    State.CAPTURED: lambda: after(a_capturing_payment(), "note_captured"),
    State.CAPTURE_FAILED: lambda: after(a_capturing_payment(), "note_capture_failed"),
    State.REFUSED: lambda: after(Payment(key=KEY), "refuse_billing"),
}


def test_there_is_an_example_of_every_state() -> None:
    assert {state: make().state for state, make in IN_STATE.items()} == {state: state for state in State}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", State)
def test_each_verb_in_each_state(state: State, verb: str) -> None:
    payment = IN_STATE[state]()
    before = replace(payment)
    VERBS[verb](payment)
    wanted = TRANSITIONS.get((state, verb))
    if wanted is not None:
        assert payment.state is wanted
    else:
        assert payment == before, "a verb that does not fit changes nothing"
        assert (payment.events, payment.intents) == ([], [])


def test_an_entrusted_payment_is_authorised_for_exactly_the_order_s_total_and_its_billing_part_stands_once() -> None:
    payment = Payment(key=KEY)
    billing = an_envelope()
    payment.entrust(customer_id="c-1", provider="2checkout", reference="tok_1", money=Money(10399, "EUR"), billing=billing, at=AT)
    [intent] = payment.intents
    assert intent.kind == AUTHORISE
    assert intent.details == {"provider": "2checkout", "currency": "EUR", "amount_minor": 10399, "reference": "tok_1"}
    assert payment.billing == billing
    assert payment.events == []


@pytest.mark.parametrize("answer", ["note_authorised", "note_declined"])
def test_the_billing_part_is_dropped_with_the_provider_s_answer(answer: str) -> None:
    payment = a_payment()
    assert payment.billing is not None
    VERBS[answer](payment)
    assert payment.billing is None


@pytest.mark.parametrize(
    ("state", "verb", "event"),
    [
        (State.EXPECTED, "refuse_billing", PartRefused(**named(), part="billing", codes=["tax_id_missing"])),
        (State.EXPECTED, "refuse_reference", PaymentDeclined(**named(), reason="reference_used")),
        (State.AUTHORISING, "note_authorised", PaymentAuthorised(**named(), currency="EUR", amount="103.99")),
        (State.AUTHORISING, "note_declined", PaymentDeclined(**named(), reason="declined")),
        (State.CAPTURING, "note_captured", PaymentCaptured(**named(), currency="EUR", amount="103.99")),
        (State.CAPTURING, "note_capture_failed", PaymentCaptureFailed(**named(), reason="declined")),
    ],
)
def test_each_transition_is_told_in_so_many_words(state: State, verb: str, event: Event) -> None:
    payment = IN_STATE[state]()
    VERBS[verb](payment)
    assert payment.events == [event]
    assert payment.intents == []


def test_a_label_captures_what_was_authorised() -> None:
    payment = an_authorised_payment()
    payment.note_label()
    assert payment.state is State.CAPTURING
    details = {"provider": "2checkout", "currency": "EUR", "amount_minor": 10399, "authorisation_reference": "AUTH-1"}
    assert [(intent.kind, intent.details) for intent in payment.intents] == [(CAPTURE, details)]


def test_a_label_heard_of_first_captures_with_the_authorisation() -> None:
    payment = a_payment()
    payment.note_label()
    assert (payment.state, payment.intents) == (State.AUTHORISING, [])
    payment.note_authorised("AUTH-1", AT)
    assert payment.state is State.CAPTURING
    assert [intent.kind for intent in payment.intents] == [CAPTURE]


@pytest.mark.parametrize("state", [state for state in State if state is not State.AUTHORISED])
def test_a_label_never_captures_what_is_not_authorised(state: State) -> None:
    payment = IN_STATE[state]()
    payment.note_label()
    assert payment.state is state
    assert (payment.events, payment.intents) == ([], [])


def test_a_repeated_label_asks_for_nothing_more() -> None:
    payment = a_capturing_payment()
    payment.note_label()
    assert (payment.events, payment.intents) == ([], [])


# ── the keys of the calls ────────────────────────────────────────────────────────────────────────────────────────────────────

ORDER_NUMBERS = st.from_regex(r"[A-Za-z0-9._~-]{1,64}", fullmatch=True)
SHOPS = st.sampled_from(["https://shop.example", "https://other.example"])


def calls(key: OrderKey, reference: str) -> list[Intent]:
    payment = a_payment(key, reference=reference)
    fresh = Payment(key=key)
    fresh.entrust(customer_id="", provider="paypal", reference=reference, money=Money(1, "USD"), billing=None, at=AT)
    payment.note_label()
    payment.note_authorised("AUTH-1", AT)
    return [*fresh.intents, *payment.intents]


@given(shop=SHOPS, number=ORDER_NUMBERS, reference=ORDER_NUMBERS)
def test_a_call_s_key_fits_every_provider_and_stays_the_same(shop: str, number: str, reference: str) -> None:
    key = OrderKey(shop, number)
    keys = [intent.key for intent in calls(key, reference)]
    assert len(set(keys)) == 2, "authorisation and capture have keys of their own"
    assert all(len(call_key) <= 80 and call_key.isascii() for call_key in keys)
    assert keys == [intent.key for intent in calls(key, reference)]


@given(one=st.tuples(SHOPS, ORDER_NUMBERS, ORDER_NUMBERS), two=st.tuples(SHOPS, ORDER_NUMBERS, ORDER_NUMBERS))
def test_different_orders_and_references_never_share_a_key(one: tuple[str, str, str], two: tuple[str, str, str]) -> None:
    keys = [{intent.key for intent in calls(OrderKey(shop, number), reference)} for shop, number, reference in (one, two)]
    assert keys[0].isdisjoint(keys[1]) is (one != two)
