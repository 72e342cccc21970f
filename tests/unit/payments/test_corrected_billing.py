"""A sound billing part: asked with where the first could not be used, waited for while the provider is asked, not kept afterwards."""

from __future__ import annotations

import pytest

from services.payments.domain import AUTHORISE, State
from services.payments.handlers import correct_billing, take_payment
from shared.contracts.errors import TryLater
from shared.contracts.person_events import BillingCorrected, CorrectedOrder
from shared.contracts.values import KeptPart, OrderKey
from tests.builders import AT, KEY, a_box, a_payment, an_authorised_payment, billing_entrusted
from tests.fakes import FakePayments

ENVELOPE = {"box": "", "policy_version": "2025-11-01", "form": "part"}


def corrected(store: FakePayments) -> str:
    event = BillingCorrected(
        shop=KEY.shop,
        customer_id="c-1",
        kind="correction",
        request="r-1",
        bound_to="c-1",
        orders=[CorrectedOrder(order_number=KEY.order_number, policy_version="2025-11-01")],
        billing=a_box("payments"),
    )
    return correct_billing(event, {KEY.order_number: ENVELOPE}, store, AT)[KEY.order_number]


@pytest.fixture
def store() -> FakePayments:
    """An order whose billing part could not be used."""
    it = FakePayments()
    take_payment(billing_entrusted(policy_version="2025-11-01"), KeptPart(None, ("missing",)), it, AT)
    return it


def test_in_the_place_of_one_that_could_not_be_used_the_payment_is_asked_for(store: FakePayments) -> None:
    assert store.kinds_asked == {}
    assert corrected(store) == "replaced"
    payment = store.payment()
    assert (payment.state, payment.billing, str(payment.money)) == (State.AUTHORISING, ENVELOPE, "103.99")
    assert (store.kinds_asked, store.kinds_said["part_corrected"]) == ({AUTHORISE: 1}, 1)
    with pytest.raises(TryLater, match="payment_under_way"):
        corrected(store)


def test_a_reference_that_pays_for_another_order_by_now_declines_it(store: FakePayments) -> None:
    store.claim_reference("2checkout", "tok_1", OrderKey(KEY.shop, "SH-2"))
    assert corrected(store) == "not_held"
    assert (store.payment().state, store.payment().reason) == (State.DECLINED, "reference_used")
    assert store.kinds_asked == {}


def test_what_the_provider_has_answered_for_is_not_held_any_more() -> None:
    store = FakePayments()
    store.save(an_authorised_payment())
    assert corrected(store) == "not_held"
    assert store.payment().billing is None


def test_before_the_order_itself_and_while_the_provider_is_asked_it_waits() -> None:
    store = FakePayments()
    with pytest.raises(TryLater, match="billing_unknown"):
        corrected(store)
    store.save(a_payment())
    with pytest.raises(TryLater, match="payment_under_way"):
        corrected(store)
