"""The facts that mails follow from, in any order and more than once, the mail server's answers at any moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifications import handlers
from services.notifications.domain import DELIVERY, ORDER_CONFIRMATION, SEND_MAIL, SHIPMENT, Handed, NotTaken
from shared.contracts.values import KeptPart
from shared.delivery.work import IntentRow
from tests.builders import (
    AT,
    an_envelope,
    contact_entrusted,
    order_cancelled,
    payment_authorised,
    shipment_delivered,
    shipment_dispatched,
    taken_in,
)
from tests.fakes import FakeCorrespondences, Step, play

MAILS = {ORDER_CONFIRMATION, SHIPMENT, DELIVERY}


def facts(store: FakeCorrespondences, *contact_faults: str) -> list[Step]:
    return [
        Step("contact", lambda: handlers.take_contact(contact_entrusted(), taken_in(*contact_faults), store)),
        Step(ORDER_CONFIRMATION, lambda: handlers.confirm(payment_authorised(), store)),
        Step(SHIPMENT, lambda: handlers.tell_of_dispatch(shipment_dispatched(), store)),
        Step(DELIVERY, lambda: handlers.tell_of_delivery(shipment_delivered(), store, AT)),
    ]


def answering(store: FakeCorrespondences, outcome: Callable[[str], Handed | NotTaken] = Handed) -> Callable[[IntentRow], Step]:
    def answer(intent: IntentRow) -> Step:
        return Step(
            f"{intent.details['kind']} answered",
            lambda: handlers.note_mail(intent.about, outcome(intent.details["kind"]), store),
        )

    return answer


@settings(max_examples=60, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_one_mail_of_each_kind_in_any_order(random: Random) -> None:
    store = FakeCorrespondences()
    course = play(random, store, facts(store), answer=answering(store))
    assert store.correspondence().mails == dict.fromkeys(MAILS, "sent"), course
    assert sorted(intent.details["kind"] for intent in store.asked) == sorted(MAILS), course
    assert len({intent.key for intent in store.asked}) == 3, course
    assert Counter(data["kind"] for _, data in store.said) == dict.fromkeys(MAILS, 1), course
    event = contact_entrusted()
    kept = store.entrusted()
    assert kept is not None, course
    assert (kept.customer_id, kept.contact, kept.order["total"]) == (event.customer_id, an_envelope(), event.total)


@pytest.mark.parametrize("lost", sorted(MAILS))
@settings(max_examples=30, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_mail_that_is_not_taken_does_not_hold_up_the_others(lost: str, random: Random) -> None:
    store = FakeCorrespondences()
    outcome = lambda kind: NotTaken(kind, "mailbox_unknown") if kind == lost else Handed(kind)  # noqa: E731
    course = play(random, store, facts(store), answer=answering(store, outcome))
    assert store.correspondence().mails == {kind: "refused" if kind == lost else "sent" for kind in MAILS}, course
    assert {data["kind"] for _, data in store.said} == MAILS - {lost}, course
    assert store.kinds_asked == Counter({SEND_MAIL: 3}), course


@settings(max_examples=30, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_without_a_usable_contact_nothing_is_sent(random: Random) -> None:
    store = FakeCorrespondences()
    course = play(random, store, facts(store, "email_malformed"), answer=answering(store))
    assert store.asked == [], course
    assert store.kinds_said == Counter({"part_refused": 1}), course
    kept = store.entrusted()
    assert kept is not None, course
    assert kept.contact is None, "the part is not kept; the rest is, for a corrected one to take its place"


@settings(max_examples=60, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_cancellation_silences_what_is_not_yet_being_sent(random: Random) -> None:
    """Which mails are out by then depends on the order, and must; none begins afterwards but word of it, and none comes twice."""
    store = FakeCorrespondences()
    out: list[list[str]] = []

    def cancel() -> None:
        out.append([intent.details["kind"] for intent in store.asked])
        handlers.fall_silent(order_cancelled(), store, AT)

    course = play(random, store, [*facts(store), Step("cancelled", cancel)], answer=answering(store))
    asked = [intent.details["kind"] for intent in store.asked]
    assert asked == [*out[0], "cancellation"], course
    assert len(asked) == len(set(asked)), course
    assert Counter(data["kind"] for _, data in store.said) == Counter(asked), course


@settings(max_examples=30, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_an_order_cancelled_for_its_payment_hears_of_that_alone(random: Random) -> None:
    store = FakeCorrespondences()
    steps = [facts(store)[0], Step("cancelled", lambda: handlers.fall_silent(order_cancelled(), store, AT))]
    course = play(random, store, steps, answer=answering(store))
    assert [intent.details["kind"] for intent in store.asked] == ["cancellation"], course
    assert [data["kind"] for _, data in store.said] == ["cancellation"], course


def test_nobody_writes_to_a_person_who_was_erased() -> None:
    store = FakeCorrespondences()
    handlers.take_contact(contact_entrusted(), taken_in(KeptPart.ERASED), store)
    handlers.confirm(payment_authorised(), store)
    assert (store.entrusted(), store.asked, store.said) == (None, [], [])
