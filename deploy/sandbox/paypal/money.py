"""PayPal's money: a decimal string and a currency it takes; three of them have no decimals with PayPal, whatever ISO 4217 says.

Source: PayPal's list of currency codes.
"""

from __future__ import annotations

import re
from typing import Any

from deploy.sandbox.paypal.faults import PayPalFault, missing

_WITHOUT_DECIMALS = frozenset(["HUF", "JPY", "TWD"])
_CURRENCIES = _WITHOUT_DECIMALS | frozenset(
    [
        "AUD",
        "BRL",
        "CAD",
        "CNY",
        "CZK",
        "DKK",
        "EUR",
        "HKD",
        "ILS",
        "MYR",
        "MXN",
        "NZD",
        "NOK",
        "PHP",
        "PLN",
        "GBP",
        "SGD",
        "SEK",
        "CHF",
        "THB",
        "USD",
    ]
)
_VALUE = re.compile(r"(-?)([0-9]*)(?:\.([0-9]+))?", re.ASCII)


def read_money(money: Any, field: str) -> tuple[int, str]:
    """Read `{"currency_code", "value"}` into minor units (hundredths, or whole ones) and the currency; raises PayPalFault."""
    if not isinstance(money, dict):
        raise missing(field)
    for name in ("currency_code", "value"):
        if name not in money:
            raise missing(f"{field}/{name}")
        if not isinstance(money[name], str):
            raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", f"{field}/{name}")
    currency, value = money["currency_code"], money["value"]
    if len(currency) != 3 or not 1 <= len(value) <= 32:
        raise PayPalFault(400, "INVALID_STRING_LENGTH", field)
    match = _VALUE.fullmatch(value)
    if match is None or not (match[2] or match[3]):
        raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", f"{field}/value")
    if currency not in _CURRENCIES:
        raise PayPalFault(422, "INVALID_CURRENCY_CODE", f"{field}/currency_code")
    sign, whole, decimals = match[1], match[2] or "0", match[3] or ""
    if currency in _WITHOUT_DECIMALS:
        if decimals:
            raise PayPalFault(422, "DECIMALS_NOT_SUPPORTED", f"{field}/value")
        return int(sign + whole), currency
    if len(decimals) > 2:
        raise PayPalFault(422, "DECIMAL_PRECISION", f"{field}/value")
    return int(sign + whole + decimals.ljust(2, "0")), currency


def read_positive(money: Any, field: str) -> tuple[int, str]:
    """As `read_money`, and the amount must be above zero."""
    amount_minor, currency = read_money(money, field)
    if amount_minor <= 0:
        raise PayPalFault(422, "CANNOT_BE_ZERO_OR_NEGATIVE", f"{field}/value")
    return amount_minor, currency


def text(amount_minor: int, currency: str) -> str:
    if currency in _WITHOUT_DECIMALS:
        return str(amount_minor)
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


def as_money(amount_minor: int, currency: str) -> dict[str, str]:
    return {"currency_code": currency, "value": text(amount_minor, currency)}
