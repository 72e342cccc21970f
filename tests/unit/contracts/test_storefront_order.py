from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.storefront import OrderPlaced, OrderRejected
from shared.contracts.values import CURRENCIES, Money
from tests.unit.contracts.storefront_samples import CARD, drop, faults, order, paypal_order, put, read, refusal, sealed_order

LINE = {"line": 1, "sku": "A", "title": "Ring", "department": "Rings", "quantity": 1, "unit_price": "10.00"}


def priced(**changes: Any) -> dict[str, Any]:
    """An order of one line at 10.00 that costs just that."""
    lines = [LINE]
    personal = {"recipient": {"name": "A", "address": {"line1": "B", "city": "C", "country": "AT"}}}
    return order(
        **{"lines": lines, "discount": "0.00", "shipping_price": "0.00", "tax": "0.00", "total": "10.00", **personal, **changes}
    )


def test_the_order_without_its_parts() -> None:
    data = read(order()).data
    assert isinstance(data, OrderPlaced)
    assert data.payment.provider == "2checkout"
    assert [line.line for line in data.lines] == [1, 2, 3]
    assert data.money(data.total) == Money(10_399, "EUR")
    assert not {"recipient", "contact", "billing"} & data.model_dump().keys()


REQUIRED = [
    "order_number",
    "placed_at",
    "customer_id",
    "policy_version",
    "currency",
    "lines",
    "discount",
    "shipping_price",
    "tax",
    "total",
    "shipping_service",
    "payment",
    "payment/provider",
    "payment/reference",
    "recipient",
    "contact",
    *(f"lines/0/{member}" for member in LINE),
]


@pytest.mark.parametrize("member", REQUIRED)
def test_every_member_is_required(member: str) -> None:
    assert ("missing", f"/data/{member}") in faults(drop(order(), f"/data/{member}"))


@pytest.mark.parametrize("member", REQUIRED)
@pytest.mark.parametrize("value", [None, 1.0, True, [[]]])
def test_no_member_takes_another_type(member: str, value: Any) -> None:
    found = faults(put(order(), f"/data/{member}", value))
    assert any(code == "wrong_type" and path.startswith(f"/data/{member}") for code, path in found)


@given(
    member=st.sampled_from(REQUIRED), value=st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))
)
def test_one_changed_member_is_refused_at_its_pointer(member: str, value: Any) -> None:
    assert f"/data/{member}" in {path for _, path in faults(put(order(), f"/data/{member}", value))}


@pytest.mark.parametrize(
    "place", ["", "/lines/2", "/payment", "/recipient", "/recipient/address", "/recipient/personalisation/0", "/contact"]
)
def test_unknown_members_are_refused_at_any_depth(place: str) -> None:
    assert faults(put(order(), f"/data{place}/nick_name", "x")) == {("unknown_member", f"/data{place}/nick_name")}


@pytest.mark.parametrize(
    ("pointer", "longest", "codes"),
    [
        ("order_number", "x" * 64, ("too_long", "too_short", "grammar")),
        ("customer_id", "x" * 128, ("too_long", "too_short", "grammar")),
        ("payment/reference", "x" * 128, ("too_long", "too_short", "grammar")),
        ("lines/0/sku", "x /._~-" + "x" * 57, ("too_long", "too_short", "grammar")),
        ("lines/0/title", "é" * 500, ("too_long", None, "control_character")),
        ("lines/0/department", "d" * 100, ("too_long", None, "control_character")),
        ("recipient/name", "n" * 200, ("too_long", "too_short", "control_character")),
        ("recipient/address/line1", "n" * 200, ("too_long", "too_short", "control_character")),
        ("recipient/address/line2", "n" * 200, ("too_long", "too_short", "control_character")),
        ("recipient/address/city", "n" * 200, ("too_long", "too_short", "control_character")),
        ("recipient/address/region", "n" * 200, ("too_long", "too_short", "control_character")),
        ("recipient/address/postal_code", "n" * 40, ("too_long", "too_short", "control_character")),
        ("recipient/personalisation/0/text", "n" * 1_000, ("too_long", None, "control_character")),
        ("recipient/gift_message", "n" * 5_000, ("too_long", None, "control_character")),
        ("contact/name", "n" * 200, ("too_long", "too_short", "control_character")),
        ("contact/phone", "1" * 40, ("too_long", "too_short", "grammar")),
        ("billing/given_name", "n" * 200, ("too_long", "too_short", "control_character")),
        ("billing/family_name", "n" * 200, ("too_long", "too_short", "control_character")),
        ("billing/tax_id", "1" * 40, ("too_long", "too_short", "grammar")),
    ],
)
def test_every_limit_of_a_text_from_both_sides(pointer: str, longest: str, codes: tuple[str | None, ...]) -> None:
    path = f"/data/{pointer}"
    assert faults(put(order(), path, longest)) == set()
    assert faults(put(order(), path, longest + "x")) == {(codes[0], path)}
    assert faults(put(order(), path, "")) == ({(codes[1], path)} if codes[1] else set())
    for control in ("\x00", "\t", "\x1f"):
        assert faults(put(order(), path, f"1{control}2")) == {(codes[2], path)}


@pytest.mark.parametrize("member", ["order_number", "customer_id", "payment/reference"])
@pytest.mark.parametrize("text", ["a b", "a/b", "ä", "a\n", "١"])
def test_ids_hold_unreserved_characters_only(member: str, text: str) -> None:
    assert faults(put(order(), f"/data/{member}", text)) == {("grammar", f"/data/{member}")}


def test_a_gift_message_has_line_breaks_and_nothing_else_has() -> None:
    assert faults(put(order(), "/data/recipient/gift_message", "a\nb\r\nc")) == set()
    assert faults(put(order(), "/data/recipient/name", "a\nb")) == {("control_character", "/data/recipient/name")}


def test_control_characters_from_0020_up_are_text() -> None:
    assert faults(put(order(), "/data/recipient/name", "a \x7f\u0085")) == set()


@pytest.mark.parametrize(
    ("quantity", "code"), [(0, "out_of_range"), (100_000, "out_of_range"), ("1", "wrong_type"), (1.0, "wrong_type")]
)
def test_quantities_that_are_none(quantity: Any, code: str) -> None:
    assert faults(put(priced(), "/data/lines/0/quantity", quantity)) >= {(code, "/data/lines/0/quantity")}


def test_quantities_up_to_the_limit() -> None:
    assert faults(priced(lines=[{**LINE, "quantity": 99_999}], total="999990.00")) == set()


def test_line_counts_from_both_sides() -> None:
    lines = [{**LINE, "line": number, "unit_price": "1.00"} for number in range(1, 2_001)]
    assert faults(priced(lines=lines, total="2000.00")) == set()
    assert faults(priced(lines=[*lines, {**LINE, "line": 2_001}], total="2000.00")) == {("too_long", "/data/lines")}
    assert faults(priced(lines=[], total="10.00")) >= {("too_short", "/data/lines")}


@pytest.mark.parametrize(
    ("numbers", "sound"), [((1, 2), True), ((2, 1), True), ((1, 1), False), ((1, 3), False), ((2, 3), False)]
)
def test_lines_are_numbered_from_one_without_gap_or_repeat(numbers: tuple[int, ...], sound: bool) -> None:
    event = priced(lines=[{**LINE, "line": number} for number in numbers], total="20.00")
    assert faults(event) == (set() if sound else {("line_numbers", "/data/lines")})


def test_line_zero_is_out_of_range() -> None:
    assert faults(put(priced(), "/data/lines/0/line", 0)) == {
        ("out_of_range", "/data/lines/0/line"),
        ("line_numbers", "/data/lines"),
    }


@pytest.mark.parametrize("member", ["discount", "shipping_price", "tax", "total", "lines/0/unit_price"])
@pytest.mark.parametrize(
    "amount", ["", "1", "1.0", "1.000", "01.00", "1,00", " 1.00", "1.00\n", "1e2", "1234567890123.00", "١.٠٠", ".10", "+1.00"]
)
def test_amounts_that_are_none(member: str, amount: str) -> None:
    assert faults(put(priced(), f"/data/{member}", amount)) == {("amount_format", f"/data/{member}")}


@pytest.mark.parametrize("member", ["discount", "shipping_price", "tax", "total", "lines/0/unit_price"])
def test_no_amount_is_below_zero(member: str) -> None:
    assert faults(put(priced(), f"/data/{member}", "-1.00")) == {("out_of_range", f"/data/{member}")}


def test_the_total_is_above_zero() -> None:
    assert faults(priced(discount="10.00", total="0.00")) == {("out_of_range", "/data/total")}
    assert faults(priced(discount="9.99", total="0.01")) == set()


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "10"), ("KWD", "10.000"), ("CLF", "10.0000"), ("USD", "10.00")])
def test_each_currency_has_its_own_digits(currency: str, amount: str) -> None:
    zero = amount[1:]
    right = priced(
        currency=currency, lines=[{**LINE, "unit_price": amount}], discount=zero, shipping_price=zero, tax=zero, total=amount
    )
    assert faults(right) == set()
    assert ("amount_format", "/data/tax") in faults(put(right, "/data/tax", zero + ("0" if "." in zero else ".0")))


@pytest.mark.parametrize("currency", ["XXX", "eur", "", "EURO", "XAU"])
def test_currencies_that_are_none(currency: str) -> None:
    assert faults(order(currency=currency)) == {("currency_unknown", "/data/currency")}


def test_amounts_are_judged_in_an_unknown_currency_too() -> None:
    assert faults(order(currency="ZZZ", tax="much")) == {("currency_unknown", "/data/currency"), ("amount_format", "/data/tax")}


@given(
    currency=st.sampled_from(sorted(CURRENCIES)),
    lines=st.lists(st.tuples(st.integers(1, 99_999), st.integers(0, 10**9)), min_size=1, max_size=5),
    extras=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)),
    off_by=st.sampled_from([0, 0, 1, -1]),
)
def test_the_total_is_the_exact_sum(
    currency: str, lines: list[tuple[int, int]], extras: tuple[int, int, int], off_by: int
) -> None:
    discount, shipping_price, tax = extras
    total = sum(quantity * price for quantity, price in lines) - discount + shipping_price + tax + off_by
    if not 0 < total < 10**12:
        return

    def text(minor: int) -> str:
        return str(Money(minor, currency))

    event = priced(
        currency=currency,
        lines=[{**LINE, "line": n, "quantity": q, "unit_price": text(p)} for n, (q, p) in enumerate(lines, 1)],
        discount=text(discount),
        shipping_price=text(shipping_price),
        tax=text(tax),
        total=text(total),
    )
    assert faults(event) == ({("total_mismatch", "/data/total")} if off_by else set())


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("total", "104.00", "total_mismatch"),
        ("policy_version", "1999-01-01", "policy_version_unknown"),
        ("shipping_service", "pigeon", "shipping_service_unknown"),
    ],
)
def test_a_sound_form_with_an_unsound_order_is_rejected(member: str, value: str, code: str) -> None:
    error = refusal(order(**{member: value}))
    assert isinstance(error, OrderRejected)
    assert [(fault.code, fault.path) for fault in error.faults] == [(code, f"/data/{member}")]
    assert error.order_number == "SH-20417"


@pytest.mark.parametrize(("value", "code"), [("", "too_short"), ("x" * 65, "too_long"), ("a b", "grammar")])
def test_a_shipping_service_has_a_grammar_besides(value: str, code: str) -> None:
    assert (code, "/data/shipping_service") in faults(order(shipping_service=value))


def test_a_payment_provider_is_one_of_two() -> None:
    assert faults(put(order(), "/data/payment/provider", "stripe")) == {("choice_unknown", "/data/payment/provider")}


def test_placed_at_is_a_time_with_its_zone() -> None:
    assert faults(order(placed_at="2026-03-05T17:20:29")) == {("time_malformed", "/data/placed_at")}


@pytest.mark.parametrize("member", ["lines/1/title", "lines/1/department"])
def test_a_card_number_in_catalogue_text(member: str) -> None:
    assert faults(put(order(), f"/data/{member}", f"Ring {CARD}")) == {("card_number", f"/data/{member}")}


def test_a_card_number_is_named_beside_other_faults() -> None:
    event = put(put(order(), "/data/lines/0/title", CARD), "/data/tax", 3)
    assert faults(event) == {("card_number", "/data/lines/0/title"), ("wrong_type", "/data/tax")}


@pytest.mark.parametrize("member", ["order_number", "customer_id", "payment/reference", "lines/0/sku"])
def test_ids_are_not_searched_for_card_numbers(member: str) -> None:
    assert faults(put(order(), f"/data/{member}", "4111111111111111")) == set()


def test_the_digest_is_of_the_order_without_its_parts() -> None:
    digest = read(order()).data_digest
    assert read(sealed_order()).data_digest == digest
    shuffled = dict(reversed(list(order()["data"].items())))
    assert read({**order(), "id": "another", "data": shuffled}).data_digest == digest
    assert read(paypal_order()).data_digest != digest
    assert len(digest) == 64
