"""Reading what PayPal answers: orders, authorisations, captures and errors, as PayPal's OpenAPI documents describe them."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from services.payments.gateway import Authorised, Captured, CaptureFailed, CapturePayment, Declined
from shared.contracts.errors import Parked, Unanswered
from shared.contracts.values import Money
from shared.http_client import Answer

# PayPal takes no decimals in these, whatever ISO 4217 says of the first and the last.
_WITHOUT_DECIMALS = frozenset({"HUF", "JPY", "TWD"})
_ISSUE = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
REVIEW_SECONDS = 300.0

_HELD = ("CREATED", "CAPTURED", "PARTIALLY_CAPTURED")
_IN_PROGRESS = frozenset({"PREVIOUS_REQUEST_IN_PROGRESS", "ORDER_COMPLETION_IN_PROGRESS"})
_PAYEE_TROUBLE = (
    "PENDING_CAPTURE TRANSACTION_DISPUTED PAYEE_ACCOUNT_RESTRICTED PAYEE_ACCOUNT_LOCKED_OR_CLOSED PERMISSION_DENIED "
    "MAX_CAPTURE_COUNT_EXCEEDED AUTH_CAPTURE_NOT_ENABLED PAYEE_BLOCKED_TRANSACTION TRANSACTION_RECEIVING_LIMIT_EXCEEDED"
)
_FOR_A_PERSON = frozenset(_PAYEE_TROUBLE.split())


def verdict(order: dict[str, Any], money: Money) -> Authorised | Declined | None:
    """What an order says already, or None where it is exactly ours, approved and not yet authorised."""
    units = as_list(order.get("purchase_units"))
    if order.get("intent") != "AUTHORIZE":
        return Declined("wrong_intent")
    if len(units) != 1:
        return Declined("not_one_purchase_unit")
    if not _same_amount(as_dict(units[0]).get("amount"), money):
        return Declined("amount_mismatch")
    status = order.get("status")
    authorisations = payments_of(units[0], "authorizations")
    if status == "COMPLETED" or authorisations:
        return _held(authorisations, money)
    if status == "APPROVED":
        return None
    return Declined("authorisation_voided" if status == "VOIDED" else "not_approved")


def _held(authorisations: list[dict[str, Any]], money: Money) -> Authorised | Declined | None:
    by_status = {str(one.get("status")): one for one in authorisations}
    for status in _HELD:
        if (held := by_status.get(status)) is not None:
            if not isinstance(held.get("id"), str):
                raise Unanswered("answer_unreadable")
            same = "amount" not in held or _same_amount(held["amount"], money)
            return Authorised(held["id"]) if same else Declined("amount_mismatch")
    if "PENDING" in by_status:
        raise Unanswered("payment_pending", after_seconds=REVIEW_SECONDS)
    if "VOIDED" in by_status:
        return Declined("authorisation_voided")
    return Declined("declined") if "DENIED" in by_status else None


def capture_outcome(capture: dict[str, Any], ask: CapturePayment) -> Captured | CaptureFailed:
    """What a capture says; raises Unanswered while it is pending."""
    status = capture.get("status")
    if status == "PENDING":
        raise Unanswered("capture_pending", after_seconds=REVIEW_SECONDS)
    if status in {"DECLINED", "FAILED"}:
        return CaptureFailed("declined")
    if status not in {"COMPLETED", "REFUNDED", "PARTIALLY_REFUNDED"} or not isinstance(capture.get("id"), str):
        raise Unanswered("answer_unreadable")
    if "amount" in capture and not _same_amount(capture["amount"], Money(ask.amount_minor, ask.currency)):
        return CaptureFailed("amount_mismatch")
    return Captured(capture["id"])


def amount_of(money: Money) -> dict[str, str]:
    """The amount as PayPal writes it, without decimals where it takes none."""
    value = str(money)
    if money.currency in _WITHOUT_DECIMALS:
        # A part of a unit was never approved: the order's amount was compared before.
        value = value.partition(".")[0]
    return {"currency_code": money.currency, "value": value}


def _same_amount(amount: object, money: Money) -> bool:
    content = as_dict(amount)
    try:
        return content.get("currency_code") == money.currency and Decimal(content.get("value", "")) == Decimal(str(money))
    except (InvalidOperation, TypeError):
        return False


def read(answer: Answer) -> dict[str, Any]:
    """What a look-up brought; raises Unanswered or Parked for an answer that is an error."""
    if answer.status == 200:
        return answer.json_object()
    issue = issue_of(answer)
    raise_for(issue, answer.status)
    raise Parked(f"paypal_{issue.lower()}")


def issue_of(answer: Answer) -> str:
    """The first `issue` of an error, else its `name`, else UNKNOWN; never text that might hold a value."""
    try:
        content = answer.json_object()
    except Unanswered:
        return "UNKNOWN"
    issues = [as_dict(detail).get("issue") for detail in as_list(content.get("details"))]
    for issue in (*issues, content.get("name")):
        if isinstance(issue, str) and _ISSUE.fullmatch(issue):
            return "INVALID_RESOURCE_ID" if issue == "RESOURCE_NOT_FOUND" else issue
    return "UNKNOWN"


def raise_for(issue: str, status: int) -> None:
    """Raise what is neither a decline nor done: in progress, for a person, or a request that PayPal cannot read."""
    if status == 409 or issue in _IN_PROGRESS:
        raise Unanswered("payment_in_progress")
    if issue in _FOR_A_PERSON or status in {400, 403}:
        raise Parked(f"paypal_{issue.lower()}")


def payments_of(unit: object, kind: str) -> list[dict[str, Any]]:
    """The `authorizations` or `captures` of a purchase unit."""
    return [as_dict(one) for one in as_list(as_dict(as_dict(unit).get("payments")).get(kind))]


def as_dict(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one: an answer is believed member by member."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The value if it is an array, else an empty one."""
    return value if isinstance(value, list) else []
