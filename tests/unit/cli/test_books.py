"""The comparison with the sandboxes' books finds each kind of disagreement, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.cli.books import (
    MAILS_OF_AN_ORDER,
    Books,
    Disagreement,
    Label,
    Mail,
    Payment,
    compare,
    mails_sent_again,
    read_carrier,
    read_mailbox,
    read_paypal,
    read_twocheckout,
)
from shared.cli.tally import Course

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


def course(number: str, end: str | None = "order_completed", **changes: object) -> Course:
    heard = {"order_accepted": START + timedelta(seconds=1)}
    if end:
        heard[end] = START + timedelta(seconds=5)
    made = Course(number, f"event-{number}", "187.65", "USD", "paypal", f"pay-{number}", START, heard)
    if end == "order_completed":
        made.trackings = {f"track-{number}"}
    return replace(made, **changes)  # type: ignore[arg-type]


def payment(number: str, *, authorised: int = 1, captured: int = 1, amount: str = "187.65", **changes: object) -> Payment:
    made = Payment("paypal", f"pay-{number}", "USD", (amount,) * authorised, (amount,) * captured)
    return replace(made, **changes)  # type: ignore[arg-type]


def label(number: str, **changes: object) -> Label:
    return replace(Label(f"track-{number}", f"parcel-{number}"), **changes)  # type: ignore[arg-type]


def mails(number: str) -> list[Mail]:
    return [Mail(number, kind, f"<{number}-{kind}@shop.example>") for kind in MAILS_OF_AN_ORDER]


COURSES = [
    course("A"),
    course("B"),
    course("R", "event_refused"),
    course("D", "payment_declined"),
    course("C", "order_cancelled"),
]
AGREEING = Books(
    payments=[payment("A"), payment("B"), payment("D", authorised=0, captured=0), payment("R", authorised=0, captured=0)],
    labels=[label("A"), label("B"), label("A", tracking_number="old", voided=True)],
    mails=[*mails("A"), *mails("B"), mails("C")[0]],
)


def without(number: str) -> list[Payment]:
    return [entry for entry in AGREEING.payments if entry.reference != f"pay-{number}"]


def test_books_that_agree_are_found_to_agree() -> None:
    assert compare(COURSES, AGREEING) == []


@pytest.mark.parametrize(
    ("what", "orders", "spoil"),
    [
        ("not authorised", "A", lambda b: replace(b, payments=[*without("A"), payment("A", authorised=0)])),
        ("authorised more than once", "A", lambda b: replace(b, payments=[*without("A"), payment("A", authorised=2)])),
        (
            "authorised for another amount than the total",
            "A",
            lambda b: replace(b, payments=[*without("A"), replace(payment("A"), authorised=("187.66",))]),
        ),
        ("not captured", "A", lambda b: replace(b, payments=[*without("A"), payment("A", captured=0)])),
        ("captured more than once", "A", lambda b: replace(b, payments=[*without("A"), payment("A", captured=2)])),
        (
            "captured for another amount than the total",
            "A",
            lambda b: replace(b, payments=[*without("A"), replace(payment("A"), captured=("1.00",))]),
        ),
        ("refunded though completed", "A", lambda b: replace(b, payments=[*without("A"), payment("A", refunded=Decimal(1))])),
        ("authorised though declined", "D", lambda b: replace(b, payments=[*without("D"), payment("D", captured=0)])),
        ("captured though declined", "D", lambda b: replace(b, payments=[*without("D"), payment("D", authorised=0)])),
        ("authorised though refused", "R", lambda b: replace(b, payments=[*without("R"), payment("R", captured=0)])),
        ("captured though refused", "R", lambda b: replace(b, payments=[*without("R"), payment("R", authorised=0)])),
        ("money kept though cancelled", "C", lambda b: replace(b, payments=[*b.payments, payment("C")])),
        (
            "paid at paypal without an order of this run",
            "pay-X",
            lambda b: replace(b, payments=[*b.payments, payment("X")]),
        ),
        (
            "dispatched without a label in the carrier's books",
            "A",
            lambda b: replace(b, labels=[label("A", voided=True), label("B")]),
        ),
        (
            "more than one label for a parcel",
            "A",
            lambda b: replace(b, labels=[*b.labels, label("A", tracking_number="second")]),
        ),
        ("more than one label for a parcel", "B", lambda b: replace(b, labels=[*b.labels, label("B")])),
        ("labels that belong to no dispatched parcel", "track-X", lambda b: replace(b, labels=[*b.labels, label("X")])),
        (
            "mail shipment missing",
            "A",
            lambda b: replace(b, mails=[m for m in b.mails if (m.order_number, m.kind) != ("A", "shipment")]),
        ),
        (
            "mail delivery sent more than once",
            "B",
            lambda b: replace(b, mails=[*b.mails, Mail("B", "delivery", "<other@shop.example>")]),
        ),
        (
            "mail order_confirmation sent more than once",
            "C",
            lambda b: replace(b, mails=[*b.mails, Mail("C", "order_confirmation", "<other@shop.example>")]),
        ),
        ("mailed though refused", "R", lambda b: replace(b, mails=[*b.mails, *mails("R")])),
        ("mails without an order of this run", "X", lambda b: replace(b, mails=[*b.mails, *mails("X")])),
    ],
)
def test_each_disagreement_is_named_with_its_order(what: str, orders: str, spoil: Callable[[Books], Books]) -> None:
    assert compare(COURSES, spoil(AGREEING)) == [Disagreement(what, (orders,))]


def test_an_amount_in_another_currency_is_another_amount() -> None:
    books = replace(AGREEING, payments=[*without("A"), payment("A", currency="EUR")])
    assert [found.what for found in compare(COURSES, books)] == [
        "authorised for another amount than the total",
        "captured for another amount than the total",
    ]


def test_completed_without_a_parcel_is_found() -> None:
    courses = [course("A", trackings=set()), *COURSES[1:]]
    assert "completed without a parcel" in {found.what for found in compare(courses, AGREEING)}


def test_two_parcels_want_two_labels_and_two_mails_of_their_kinds() -> None:
    courses = [course("A", trackings={"track-A", "track-A2"})]
    books = Books(
        payments=[payment("A")],
        labels=[label("A"), Label("track-A2", "parcel-A2")],
        mails=[*mails("A"), Mail("A", "shipment", "<2@s>"), Mail("A", "delivery", "<3@s>")],
    )
    assert compare(courses, books) == []


def test_a_repeat_under_the_same_message_id_is_the_same_mail_and_counted() -> None:
    books = replace(AGREEING, mails=[*AGREEING.mails, AGREEING.mails[0]])
    assert compare(COURSES, books) == []
    assert mails_sent_again(books) == 1


def test_a_cancelled_order_whose_money_went_back_agrees() -> None:
    books = replace(AGREEING, payments=[*AGREEING.payments, payment("C", refunded=Decimal("187.65"))])
    assert compare(COURSES, books) == []


def test_only_the_first_ten_orders_are_named() -> None:
    text = str(Disagreement("not captured", tuple(f"N{n}" for n in range(12))))
    assert text.startswith("not captured: 12 (N0, ")
    assert text.endswith("N9 and 2 more)")


def test_the_sandboxes_books_are_read() -> None:
    order = {
        "currency": "USD",
        "authorisations": [{"amount": "5.00"}],
        "captures": [{"amount": "5.00", "refunded": "1.00"}],
    }
    assert read_paypal({"orders": {"P1": order}}) == [Payment("paypal", "P1", "USD", ("5.00",), ("5.00",), Decimal("1.00"))]
    taken = {"token": "T1", "currency": "BRL", "amount": "7.5", "declined": False, "deliveries_confirmed": 1, "refunded": "0"}
    assert read_twocheckout({"orders": {"1": taken, "2": {**taken, "declined": True, "deliveries_confirmed": 0}}}) == [
        Payment("2checkout", "T1", "BRL", ("7.5",), ("7.5",)),
        Payment("2checkout", "T1", "BRL"),
    ]
    bought = {"tracking_number": "1Z", "external_shipment_id": "p", "voided": False}
    assert read_carrier({"labels": {"se-1": bought, "se-2": {**bought, "external_shipment_id": None}}}) == [
        Label("1Z", "p"),
        Label("1Z", "1Z"),
    ]
    mail = Mail("A", "shipment", "<m>")
    assert read_mailbox({"mails": {"<m>": {"order": "A", "kind": "shipment", "times": 2}}}) == [mail, mail]
