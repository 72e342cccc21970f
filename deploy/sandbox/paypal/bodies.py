"""PayPal's resources as JSON. The buyer is a made-up person: a client must not keep what PayPal tells of him."""

from __future__ import annotations

from typing import Any

from deploy.sandbox.paypal.ledger import Authorisation, Capture, Order, Refund
from deploy.sandbox.paypal.money import as_money

_BUYER_NAME = {"given_name": "Sandbox", "surname": "Buyer"}
_PAYER = {
    "name": _BUYER_NAME,
    "email_address": "sandbox.buyer@example.com",
    "payer_id": "SANDBXBUYER22",
    "address": {"country_code": "US"},
}
_SOURCE = {
    "paypal": {
        "email_address": "sandbox.buyer@example.com",
        "account_id": "SANDBXBUYER22",
        "account_status": "VERIFIED",
        "name": _BUYER_NAME,
        "address": {"country_code": "US"},
    }
}
_PROTECTION = {"status": "ELIGIBLE", "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"]}


def _link(href: str, rel: str, method: str) -> dict[str, str]:
    return {"href": href, "rel": rel, "method": method}


def order_body(base: str, order: Order, *, whole: bool) -> dict[str, Any]:
    """An order; the minimal form has id, status and links, and the payments once there are any (as PayPal itself answers)."""
    url = f"{base}/v2/checkout/orders/{order.id}"
    links = [_link(url, "self", "GET")]
    if order.status == "CREATED":
        links.append(_link(f"{base}/checkoutnow?token={order.id}", "approve", "GET"))
    elif order.status == "PAYER_ACTION_REQUIRED":
        links.append(_link(f"{base}/checkoutnow?token={order.id}", "payer-action", "GET"))
    if order.status in {"CREATED", "APPROVED"}:
        verb = "authorize" if order.intent == "AUTHORIZE" else "capture"
        links.append(_link(f"{url}/{verb}", verb, "POST"))
    body: dict[str, Any] = {"id": order.id, "status": order.status, "links": links}
    paid = order.authorisation is not None
    if whole:
        body |= {"intent": order.intent, "create_time": order.created}
        if order.status in {"APPROVED", "COMPLETED"}:
            body |= {"payer": _PAYER, "payment_source": _SOURCE}
    if whole or paid:
        body["purchase_units"] = [_unit_body(base, order, unit, whole=whole) for unit in order.units]
    return body


def _unit_body(base: str, order: Order, unit: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    body = dict(unit) if whole else {"reference_id": unit["reference_id"]}
    if order.authorisation is not None:
        captures = [capture_body(base, capture, whole=True) for capture in order.authorisation.captures]
        payments: dict[str, Any] = {"authorizations": [authorisation_body(base, order.authorisation, whole=True)]}
        if captures:
            payments["captures"] = captures
        body["payments"] = payments
    return body


def authorisation_body(base: str, authorisation: Authorisation, *, whole: bool) -> dict[str, Any]:
    url = f"{base}/v2/payments/authorizations/{authorisation.id}"
    links = [_link(url, "self", "GET")]
    if authorisation.status in {"CREATED", "PARTIALLY_CAPTURED"}:
        links += [_link(f"{url}/capture", "capture", "POST"), _link(f"{url}/void", "void", "POST")]
    links.append(_link(f"{base}/v2/checkout/orders/{authorisation.order.id}", "up", "GET"))
    body: dict[str, Any] = {"id": authorisation.id, "status": authorisation.status, "links": links}
    if whole:
        body |= {
            "amount": as_money(authorisation.amount_minor, authorisation.currency),
            "seller_protection": _PROTECTION,
            "expiration_time": authorisation.expires,
            "create_time": authorisation.created,
            "update_time": authorisation.updated,
        }
        if authorisation.invoice_id is not None:
            body["invoice_id"] = authorisation.invoice_id
        if authorisation.custom_id is not None:
            body["custom_id"] = authorisation.custom_id
    return body


def capture_body(base: str, capture: Capture, *, whole: bool) -> dict[str, Any]:
    url = f"{base}/v2/payments/captures/{capture.id}"
    links = [
        _link(url, "self", "GET"),
        _link(f"{url}/refund", "refund", "POST"),
        _link(f"{base}/v2/payments/authorizations/{capture.authorisation.id}", "up", "GET"),
    ]
    body: dict[str, Any] = {"id": capture.id, "status": capture.status, "links": links}
    if whole:
        money = as_money(capture.amount_minor, capture.authorisation.currency)
        body |= {
            "amount": money,
            "final_capture": capture.final,
            "seller_protection": _PROTECTION,
            "seller_receivable_breakdown": {"gross_amount": money, "net_amount": money},
            "disbursement_mode": "INSTANT",
            "create_time": capture.created,
            "update_time": capture.created,
        }
        if capture.invoice_id is not None:
            body["invoice_id"] = capture.invoice_id
    return body


def refund_body(base: str, refund: Refund, *, whole: bool) -> dict[str, Any]:
    links = [
        _link(f"{base}/v2/payments/refunds/{refund.id}", "self", "GET"),
        _link(f"{base}/v2/payments/captures/{refund.capture.id}", "up", "GET"),
    ]
    body: dict[str, Any] = {"id": refund.id, "status": "COMPLETED", "links": links}
    if whole:
        body["amount"] = as_money(refund.amount_minor, refund.capture.authorisation.currency)
        body |= {"create_time": refund.created, "update_time": refund.created}
        if refund.invoice_id is not None:
            body["invoice_id"] = refund.invoice_id
    return body
