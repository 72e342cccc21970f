"""PayPal's money: which amounts it takes."""

from __future__ import annotations

import pytest

from deploy.sandbox.paypal.faults import PayPalFault
from deploy.sandbox.paypal.money import as_money, read_money, read_positive


@pytest.mark.parametrize(
    ("value", "currency", "amount_minor"),
    [("187.65", "USD", 18765), ("187", "USD", 18700), ("187.5", "EUR", 18750), (".5", "GBP", 50), ("1000", "JPY", 1000)],
)
def test_an_amount_is_read_and_written_back(value: str, currency: str, amount_minor: int) -> None:
    assert read_money({"value": value, "currency_code": currency}, "") == (amount_minor, currency)
    assert read_money(as_money(amount_minor, currency), "") == (amount_minor, currency)


@pytest.mark.parametrize(
    ("value", "currency", "issue"),
    [
        ("1.001", "USD", "DECIMAL_PRECISION"),
        ("1.00", "HUF", "DECIMALS_NOT_SUPPORTED"),
        ("1.000", "KWD", "INVALID_CURRENCY_CODE"),
        ("1e3", "USD", "INVALID_PARAMETER_SYNTAX"),
        ("١", "USD", "INVALID_PARAMETER_SYNTAX"),
        (".", "USD", "INVALID_PARAMETER_SYNTAX"),
        ("-1", "USD", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("1" * 33, "USD", "INVALID_STRING_LENGTH"),
        (1, "USD", "INVALID_PARAMETER_SYNTAX"),
    ],
)
def test_what_paypal_does_not_take_is_refused_by_its_issue(value: object, currency: str, issue: str) -> None:
    with pytest.raises(PayPalFault) as caught:
        read_positive({"value": value, "currency_code": currency}, "/amount")
    assert caught.value.issue == issue
