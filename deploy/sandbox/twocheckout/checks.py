"""What 2Checkout checks of an order before it takes the payment.

Sources: the documentation of order placement with dynamic products and the API 6.0 error codes; where a code could not be read
there, the name is ours (`BILLING_…`, `ORDER_…_REQUIRED`).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

_BILLING = ("FirstName", "LastName", "CountryCode", "City", "Address1", "Zip", "Email")
_NEED_STATE = frozenset({"US", "TR", "IN", "RO"})
_PURCHASE_TYPES = frozenset({"PRODUCT", "SHIPPING", "COUPON", "TAX"})
_MOST_PIECES = 99_999
CATALOGUE_PRICE = Decimal(1)
"""What a catalogue product costs here; there is no catalogue."""


class OrderRefused(Exception):
    """The order is not placed: HTTP 400 with `error_code` and `message`, no RefNo."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def total_of(order: Any) -> Decimal:
    """Check a place-order body and give its total; raises OrderRefused with the first thing that is wrong."""
    if not isinstance(order, dict):
        raise OrderRefused("ORDER_INVALID")
    for name in ("Country", "Currency"):
        if not _is_text(order.get(name)):
            raise OrderRefused(f"ORDER_{name.upper()}_REQUIRED")
    reference = order.get("ExternalReference")
    if reference is not None and (not isinstance(reference, str) or len(reference) > 100):
        raise OrderRefused("ORDER_EXTERNAL_REFERENCE_INVALID")
    _check_billing(order.get("BillingDetails"))
    _check_payment(order.get("PaymentDetails"))
    return _total_of_items(order.get("Items"))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _check_billing(billing: Any) -> None:
    if not isinstance(billing, dict):
        raise OrderRefused("BILLING_DETAILS_REQUIRED")
    for name in _BILLING:
        if not _is_text(billing.get(name)):
            raise OrderRefused(f"BILLING_{name.upper()}_REQUIRED")
    country = billing["CountryCode"].upper()
    if country in _NEED_STATE and not _is_text(billing.get("State")):
        raise OrderRefused("BILLING_STATE_REQUIRED")
    if (country == "BR" or _is_text(billing.get("Company"))) and not _is_text(billing.get("FiscalCode")):
        raise OrderRefused("BILLING_FISCALCODE_REQUIRED")


def _check_payment(payment: Any) -> None:
    if not isinstance(payment, dict):
        raise OrderRefused("PAYMENT_DETAILS_REQUIRED")
    if payment.get("Type") not in ("EES_TOKEN_PAYMENT", "TEST"):
        raise OrderRefused("PAYMENT_TYPE_INVALID")
    if payment["Type"] == "EES_TOKEN_PAYMENT":
        method = payment.get("PaymentMethod")
        for name in ("EesToken", "Vendor3DSReturnURL", "Vendor3DSCancelURL"):
            if not (isinstance(method, dict) and _is_text(method.get(name))):
                raise OrderRefused(f"PAYMENT_{name.upper()}_REQUIRED")


def _total_of_items(items: Any) -> Decimal:
    if not isinstance(items, list) or not items:
        raise OrderRefused("ORDER_PRODUCTS_EMPTY")
    if not all(isinstance(item, dict) for item in items):
        raise OrderRefused("ORDER_PRODUCT_INVALID")
    if len({bool(item.get("IsDynamic")) for item in items}) > 1:
        raise OrderRefused("ORDER_ITEMS_INVALID")
    return sum((_price_of(item) for item in items), Decimal(0))


def _price_of(item: dict[str, Any]) -> Decimal:
    quantity = _number(item.get("Quantity"), "ORDER_ITEMS_QUANTITY_INVALID")
    if quantity != int(quantity) or not 1 <= quantity <= _MOST_PIECES:
        raise OrderRefused("ORDER_ITEMS_QUANTITY_INVALID")
    if not item.get("IsDynamic"):
        if not _is_text(item.get("Code")):
            raise OrderRefused("ORDER_PRODUCT_CODE_INVALID")
        return CATALOGUE_PRICE * quantity
    if item["IsDynamic"] is not True:
        raise OrderRefused("ORDER_PRODUCT_IS_DYNAMIC_INVALID")
    if not _is_text(item.get("Name")):
        raise OrderRefused("ORDER_PRODUCT_NAME_INVALID")
    if not isinstance(item.get("Tangible"), bool):
        raise OrderRefused("ORDER_PRODUCT_TANGIBLE_INVALID")
    if item.get("PurchaseType") not in _PURCHASE_TYPES:
        raise OrderRefused("ORDER_PRODUCT_PURCHASE_TYPE_INVALID")
    price = item.get("Price")
    if not isinstance(price, dict):
        raise OrderRefused("ORDER_PRODUCT_PRICE_STRUCTURE_INVALID")
    if price.get("Type") != "CUSTOM":
        raise OrderRefused("ORDER_PRODUCT_PRICE_TYPE_INVALID")
    if isinstance(price.get("Amount"), str):  # amounts are JSON numbers
        raise OrderRefused("ORDER_PRODUCT_PRICE_AMOUNT_INVALID")
    amount = _number(price.get("Amount"), "ORDER_PRODUCT_PRICE_AMOUNT_INVALID") * quantity
    if amount < 0:
        raise OrderRefused("ORDER_PRODUCT_PRICE_AMOUNT_INVALID")
    return -amount if item["PurchaseType"] == "COUPON" else amount


def _number(value: Any, code: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise OrderRefused(code)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise OrderRefused(code) from None
    if not number.is_finite():
        raise OrderRefused(code)
    return number
