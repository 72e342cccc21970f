"""What each kind of order comes to through the four doors when nothing goes wrong: what `test_any_order` compares with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.contracts.values import OrderKey
from tests.unit.delivery.endings import plain
from tests.unit.delivery.memory import tables_in_memory
from tests.unit.delivery.plans import SHOPS, Plan

KEY = OrderKey(next(iter(SHOPS)), "SH-2")
CONTACT, RECIPIENT, BILLING = (frozenset({part}) for part in ("contact", "recipient", "billing"))
ALL_MAILS = {"order_confirmation", "shipment", "delivery"}
ENTRUSTED = {"billing_entrusted": 1, "recipient_entrusted": 1, "contact_entrusted": 1, "order_accepted": 1}
PACKED = {**ENTRUSTED, "payment_authorised": 1, "pick_list_issued": 1, "parcel_packed": 1}
# Said to colleagues and told to the storefront: twice.
DELIVERED = {
    **PACKED,
    "label_created": 1,
    "payment_captured": 1,
    "shipment_dispatched": 2,
    "shipment_delivered": 2,
    "order_completed": 2,
}
HELD = {"part_refused": 1, "order_held": 2}

# How the order differs; its state; authorised, captured and labelled how often; its mails; what is said of it.
KINDS: dict[str, tuple[dict[str, Any], str, tuple[int, int, int], set[str], dict[str, int]]] = {
    "sold": ({}, "completed", (1, 1, 1), ALL_MAILS, {**DELIVERED, "mail_sent": 3}),
    "sold by 2checkout": ({"provider": "2checkout"}, "completed", (1, 1, 1), ALL_MAILS, {**DELIVERED, "mail_sent": 3}),
    "mail not taken": ({"takes_mail": False}, "completed", (1, 1, 1), set(), DELIVERED),
    "declined": (
        {"payment": "declined"},
        "payment_declined",
        (0, 0, 0),
        {"payment_difficulty"},
        {**ENTRUSTED, "payment_declined": 2, "mail_sent": 1},
    ),
    "another amount approved": (
        {"payment": "amount_mismatch"},
        "cancelled",
        (0, 0, 0),
        {"cancellation"},
        {**ENTRUSTED, "payment_declined": 1, "order_cancelled": 2, "mail_sent": 1},
    ),
    "another amount and no contact": (
        {"payment": "amount_mismatch", "unsound": CONTACT},
        "cancelled",
        (0, 0, 0),
        set(),
        {**ENTRUSTED, **HELD, "payment_declined": 1, "order_cancelled": 2},
    ),
    "not captured": (
        {"payment": "not_captured"},
        "labelled",
        (1, 0, 1),
        {"order_confirmation"},
        {**PACKED, "label_created": 1, "payment_capture_failed": 1, "mail_sent": 1},
    ),
    "no label": (
        {"sells_label": False},
        "held",
        (1, 0, 0),
        {"order_confirmation", "address_difficulty"},
        {**PACKED, **HELD, "mail_sent": 2},
    ),
    "unsound recipient": (
        {"unsound": RECIPIENT},
        "held",
        (1, 0, 0),
        {"order_confirmation", "address_difficulty"},
        {**ENTRUSTED, **HELD, "payment_authorised": 1, "mail_sent": 2},
    ),
    "unsound billing": (
        {"provider": "2checkout", "unsound": BILLING},
        "held",
        (0, 0, 0),
        {"billing_difficulty"},
        {**ENTRUSTED, **HELD, "mail_sent": 1},
    ),
}


@pytest.fixture(autouse=True)
def _tables_in_memory() -> Iterator[None]:
    with tables_in_memory():
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_order_comes_to(kind: str) -> None:
    changes, state, (authorised, captured, labels), mails, said = KINDS[kind]
    plan = Plan(KEY, **changes)
    run = plain(plan)
    assert run.ending.order == state
    assert run.ending.authorised == (plan.total,) * authorised
    assert run.ending.captured == (plan.total,) * captured
    assert run.ending.labels == labels
    assert run.ending.sent == mails
    assert run.said == said


def test_a_hold_both_wins_and_loses_its_race_against_the_label() -> None:
    plan = Plan(KEY, unsound=CONTACT)
    held, labelled = plain(plan).ending, plain(plan, last="part_refused").ending
    assert (held.order, held.shipment, held.captured, held.labels) == ("held", "held", (), 0)
    assert (labelled.order, labelled.shipment, labelled.captured) == ("completed", "delivered", (plan.total,))
    assert held.sent == labelled.sent == set(), "there is nobody to write to"


def test_a_payment_reference_pays_for_the_first_order_that_names_it() -> None:
    second = plain(Plan(KEY, "2checkout", "R-shared"), paid_before=True)
    assert (second.ending.order, second.ending.payment, second.ending.authorised) == ("payment_declined", "declined", ())
