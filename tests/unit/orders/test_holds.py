"""A hold ends when every part is sound again; it may come again; and shipping tells the later of two words."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.domain import Order, State
from shared.contracts.events import OrderHeld, OrderReleased
from tests.builders import AT, an_order


def said(order: Order) -> list[str]:
    return [getattr(event, "answer", event.type) for event in order.events]


def test_a_sound_part_ends_the_hold_and_the_order_is_where_it_was() -> None:
    order = an_order()
    order.note("payment_authorised", AT)
    order.note_part_refused("recipient", ("city",), AT)
    assert order.state is State.HELD
    order.note_part_corrected("recipient", AT)
    assert (order.state, order.reasons) == (State.AUTHORISED, ())
    assert said(order) == ["order_held", "order_held", "order_released", "order_released"]


@pytest.mark.parametrize("first", ["recipient", "contact"])
def test_two_unsound_parts_need_two_sound_ones(first: str) -> None:
    order = an_order()
    order.note_part_refused("recipient", (), AT)
    order.note_part_refused("contact", (), AT)
    second = {"recipient": "contact", "contact": "recipient"}[first]
    order.note_part_corrected(first, AT)
    assert order.state is State.HELD
    order.note_part_corrected(first, AT)
    assert order.state is State.HELD
    order.note_part_corrected(second, AT)
    assert order.state is State.ACCEPTED
    assert said(order).count("order_released") == 2, "the word to colleagues and the answer to the storefront, once each"


def test_a_corrected_part_of_an_order_that_is_not_held_changes_nothing() -> None:
    order = an_order()
    order.note_declined("billing_invalid", AT)
    order.events = []
    order.note_part_corrected("billing", AT)
    assert (order.state, order.events) == (State.PAYMENT_DECLINED, [])


def test_an_order_can_be_held_again_and_the_later_word_counts_though_all_is_of_one_moment() -> None:
    order = an_order()
    for _ in range(3):
        order.note_part_refused("contact", (), AT)
        assert order.state is State.HELD
        order.note_part_corrected("contact", AT)
        assert order.state is State.ACCEPTED
    times = [
        it.held_at if isinstance(it, OrderHeld) else it.released_at
        for it in order.events
        if isinstance(it, OrderHeld | OrderReleased)
    ]
    assert times == sorted(set(times))  # type: ignore[type-var]


def test_after_the_label_a_hold_is_only_noted() -> None:
    order = an_order()
    order.note("label_created", AT)
    order.note_part_refused("contact", (), AT)
    assert order.state is State.LABELLED
    order.note_part_corrected("contact", AT)
    assert order.state is State.LABELLED


@given(st.integers(0, 2**32 - 1))
def test_shipping_comes_to_the_same_end_in_whatever_order_it_hears_of_holds(seed: int) -> None:
    from tests.builders import a_shipment_to_pick

    random, order = Random(seed), an_order()
    for number in range(random.randint(1, 4)):
        order.note_part_refused("contact", (), AT + timedelta(seconds=number))
        if number < 3 or random.random() < 0.5:
            order.note_part_corrected("contact", AT + timedelta(seconds=number))
    words = [it for it in order.events if isinstance(it, OrderHeld | OrderReleased)]
    random.shuffle(words)
    shipment = a_shipment_to_pick()
    for word in [*words, *random.sample(words, len(words) // 2)]:
        if isinstance(word, OrderHeld):
            shipment.hold(word.held_at or AT)
        else:
            shipment.release(word.released_at)
    assert (shipment.state == "held") == (order.state is State.HELD)


@pytest.mark.parametrize(
    ("facts", "unpaid"),
    [
        ((), False),
        (("declined",), True),
        (("declined", "payment_authorised"), False),
        (("billing",), True),
        (("recipient",), False),
    ],
)
def test_what_can_be_cancelled_without_giving_anything_back(facts: tuple[str, ...], unpaid: bool) -> None:
    order = an_order()
    for fact in facts:
        if fact == "declined":
            order.note_declined("declined", AT)
        elif fact in ("billing", "recipient"):
            order.note_part_refused(fact, (), AT)
        else:
            order.note(fact, AT)
    assert order.is_unpaid_for_good is unpaid
