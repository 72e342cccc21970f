"""What PayPal checks of a new order before it takes it: the request's shape (400) and its sense (422)."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.paypal.faults import PayPalFault, missing
from deploy.sandbox.paypal.ledger import Order
from deploy.sandbox.paypal.money import as_money, read_money, read_positive

_LONGEST = {"reference_id": 256, "invoice_id": 127, "custom_id": 127, "description": 127, "soft_descriptor": 22}
_ADDED = ("item_total", "tax_total", "shipping", "handling", "insurance")
_TAKEN_OFF = ("shipping_discount", "discount")


def read_order(body: Any, *, order_id: str, has_request_id: bool) -> Order:
    """Make an order of a create request; raises PayPalFault with the first thing that is wrong."""
    if not isinstance(body, dict):
        raise PayPalFault(400, "MALFORMED_REQUEST_JSON")
    intent = body.get("intent")
    if intent is None:
        raise missing("/intent")
    if intent not in ("AUTHORIZE", "CAPTURE"):
        raise PayPalFault(400, "INVALID_PARAMETER_VALUE", "/intent")
    units = body.get("purchase_units")
    if units is None:
        raise missing("/purchase_units")
    if not isinstance(units, list):
        raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", "/purchase_units")
    if not units:
        raise PayPalFault(400, "INVALID_ARRAY_MIN_ITEMS", "/purchase_units")
    if len(units) > 10:
        raise PayPalFault(400, "INVALID_ARRAY_MAX_ITEMS", "/purchase_units")
    if "payment_source" in body and not has_request_id:
        raise PayPalFault(400, "PAYPAL_REQUEST_ID_REQUIRED")
    read = [_read_unit(unit, f"/purchase_units/{index}") for index, unit in enumerate(units)]
    currencies = {currency for _, _, currency in read}
    if len(currencies) > 1:
        raise PayPalFault(422, "MULTI_CURRENCY_ORDER")
    if len(units) > 1:
        _check_many(intent, units)
    return Order(
        order_id,
        intent,
        [unit for unit, _, _ in read],
        sum(amount_minor for _, amount_minor, _ in read),
        currencies.pop(),
        # A payer named in the request must still act; without one the order waits for an approval.
        status="PAYER_ACTION_REQUIRED" if "payment_source" in body else "CREATED",
    )


def _check_many(intent: str, units: list[dict[str, Any]]) -> None:
    references = [unit.get("reference_id") for unit in units]
    if None in references:
        raise PayPalFault(422, "REFERENCE_ID_REQUIRED", "/purchase_units")
    if len(set(references)) < len(references):
        raise PayPalFault(422, "DUPLICATE_REFERENCE_ID", "/purchase_units")
    if intent == "AUTHORIZE":
        raise PayPalFault(422, "UNSUPPORTED_INTENT", "/intent")


def _read_unit(unit: Any, field: str) -> tuple[dict[str, Any], int, str]:
    if not isinstance(unit, dict):
        raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", field)
    for name, longest in _LONGEST.items():
        if name in unit:
            value = unit[name]
            if not isinstance(value, str):
                raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", f"{field}/{name}")
            if not 1 <= len(value) <= longest:
                raise PayPalFault(400, "INVALID_STRING_LENGTH", f"{field}/{name}")
    if "amount" not in unit:
        raise missing(f"{field}/amount")
    amount_minor, currency = read_positive(unit["amount"], f"{field}/amount")
    breakdown = unit["amount"].get("breakdown")
    if breakdown is not None:
        _check_breakdown(breakdown, amount_minor, currency, f"{field}/amount/breakdown")
    if unit.get("items"):
        _check_items(unit["items"], breakdown, field)
    kept = {name: unit[name] for name in ("invoice_id", "custom_id", "description", "soft_descriptor", "items") if name in unit}
    amount: dict[str, Any] = as_money(amount_minor, currency)
    if breakdown is not None:
        amount["breakdown"] = breakdown
    return {"reference_id": unit.get("reference_id", "default"), "amount": amount, **kept}, amount_minor, currency


def _check_breakdown(breakdown: Any, amount_minor: int, currency: str, field: str) -> None:
    if not isinstance(breakdown, dict):
        raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", field)
    total = 0
    for names, sign in ((_ADDED, 1), (_TAKEN_OFF, -1)):
        for name in names:
            if name in breakdown:
                part_minor, part_currency = read_money(breakdown[name], f"{field}/{name}")
                if part_currency != currency:
                    raise PayPalFault(422, "MULTI_CURRENCY_ORDER", f"{field}/{name}")
                if part_minor < 0:
                    raise PayPalFault(422, "CANNOT_BE_NEGATIVE", f"{field}/{name}")
                total += sign * part_minor
    if total != amount_minor:
        raise PayPalFault(422, "AMOUNT_MISMATCH", field)


def _check_items(items: Any, breakdown: Any, field: str) -> None:
    if not isinstance(items, list):
        raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", f"{field}/items")
    total = 0
    for index, item in enumerate(items):
        where = f"{field}/items/{index}"
        if not isinstance(item, dict):
            raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", where)
        for name in ("name", "quantity", "unit_amount"):
            if name not in item:
                raise missing(f"{where}/{name}")
        quantity = item["quantity"]
        if not (isinstance(quantity, str) and quantity.isdecimal() and len(quantity) <= 10):
            raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", f"{where}/quantity")
        if not (isinstance(item["name"], str) and 1 <= len(item["name"]) <= 127):
            raise PayPalFault(400, "INVALID_STRING_LENGTH", f"{where}/name")
        total += read_money(item["unit_amount"], f"{where}/unit_amount")[0] * int(quantity)
    if not breakdown or "item_total" not in breakdown:
        raise PayPalFault(422, "ITEM_TOTAL_REQUIRED", f"{field}/amount/breakdown/item_total")
    if read_money(breakdown["item_total"], field)[0] != total:
        raise PayPalFault(422, "ITEM_TOTAL_MISMATCH", f"{field}/amount/breakdown/item_total")
