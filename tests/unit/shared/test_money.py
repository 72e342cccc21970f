"""Money is exact: what is read is what is written, in every currency, and sums of it never round."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.values import CURRENCIES, Money, OrderKey

CODES = st.sampled_from(sorted(CURRENCIES))
WHOLE = st.integers(0, 10**12 - 1)


@st.composite
def amounts(draw: st.DrawFn) -> tuple[str, str]:
    """A decimal string and its currency."""
    currency = draw(CODES)
    digits, whole = CURRENCIES[currency], draw(WHOLE)
    return (f"{whole}.{draw(st.integers(0, 10**digits - 1)):0{digits}d}" if digits else str(whole)), currency


MONIES = st.builds(Money, st.integers(-(10**15), 10**15), CODES)


@given(amounts())
def test_what_is_read_is_written_as_it_came(sent: tuple[str, str]) -> None:
    assert str(Money.parse(*sent)) == sent[0]


@given(amounts())
def test_an_amount_in_minor_units_is_the_decimal_one_shifted(sent: tuple[str, str]) -> None:
    assert Money.parse(*sent).amount_minor == Decimal(sent[0]).scaleb(CURRENCIES[sent[1]])


@given(amounts(), st.integers(1, 5))
def test_other_than_the_currency_s_own_digits_are_refused(sent: tuple[str, str], more: int) -> None:
    text, currency = sent
    with pytest.raises(ValueError, match=r"^not an amount of this currency$"):
        Money.parse(text + ("" if "." in text else ".") + "0" * more, currency)


@given(st.data(), CODES)
def test_sums_and_products_are_those_of_whole_numbers(data: st.DataObject, currency: str) -> None:
    one, two, quantity = (data.draw(st.integers(-(10**15), 10**15)) for _ in range(3))
    assert Money(one, currency) + Money(two, currency) == Money(one + two, currency)
    assert Money(one, currency) - Money(two, currency) == Money(one - two, currency)
    assert Money(one, currency) * quantity == Money(one * quantity, currency)
    assert Money(one, currency) + Money(two, currency) - Money(two, currency) == Money(one, currency)


@given(MONIES, MONIES)
def test_currencies_are_never_mixed(one: Money, two: Money) -> None:
    if one.currency == two.currency:
        assert (one + two) - two == one
        return
    for mix in (Money.__add__, Money.__sub__):
        with pytest.raises(ValueError, match=r"^two currencies in one sum$"):
            mix(one, two)


@given(MONIES)
def test_a_debt_is_the_amount_with_a_sign_before_it(money: Money) -> None:
    sign = "-" if money.amount_minor < 0 else ""
    assert str(money) == sign + str(Money(abs(money.amount_minor), money.currency))
    assert Decimal(str(money)).scaleb(CURRENCIES[money.currency]) == money.amount_minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1.",
        ".50",
        "1,00",
        "01.00",
        "+1.00",
        "-1.00",
        " 1.00",
        "1.00\n",
        "1e2",
        "1.0",
        "1.000",
        "١.٠٠",
        "1_0.00",
        "NaN",
        "9" * 13 + ".00",
    ],
)
def test_what_is_no_plain_decimal_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not an amount of this currency$"):
        Money.parse(text, "EUR")


@pytest.mark.parametrize("currency", ["XXX", "XAU", "XTS", "eur", "", "DEM"])
def test_what_is_no_currency_a_shop_takes_is_unknown(currency: str) -> None:
    with pytest.raises(KeyError):
        Money.parse("1.00", currency)


@pytest.mark.parametrize(
    ("text", "currency", "minor"), [("1", "JPY", 1), ("1.234", "KWD", 1234), ("0.05", "EUR", 5), ("0.0001", "CLF", 1)]
)
def test_minor_digits_by_currency(text: str, currency: str, minor: int) -> None:
    assert Money.parse(text, currency) == Money(minor, currency)
    assert str(Money(minor, currency)) == text


def test_an_order_is_known_by_shop_and_number() -> None:
    assert OrderKey("a", "1") == ("a", "1")
    assert OrderKey("a", "1") != OrderKey("b", "1")
