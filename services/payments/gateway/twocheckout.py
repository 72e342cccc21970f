"""2Checkout: REST 6.0 to place an order with a one-time token, the delivery notification (IDN) to take the money.

There is no idempotency key and the token serves one order, successful or not. So an order is never placed twice: our key
stands in it as `ExternalReference`, and whatever is in doubt is searched by that first. REST knows no capture: the charge is
held until the shop confirms the delivery, by a signed form to `/order/idn.php`. Sources: docs.2checkout.com (API 6.0;
Instant Delivery Notification) and 2Checkout's own SDKs.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from services.payments.gateway import Authorised, AuthorisePayment, Billing, Captured, CaptureFailed, CapturePayment, Declined
from shared.contracts.errors import Parked, TryLater, Unanswered
from shared.contracts.values import Money
from shared.http_client import Answer, HttpClient

_REF_NO = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_EXPECTED = frozenset({200, 201, 400, 401, 403, 404, 409, 422})
_REVIEW_SECONDS = 300.0
# Without a date the search looks back seven days only; no intent is in doubt for as long as this.
_SEARCH_DAYS = 30
_REGION_REQUIRED = frozenset({"US", "TR", "IN", "RO"})
_TAX_ID_REQUIRED = frozenset({"BR"})
_ENDED = frozenset({"CANCELED", "REVERSED", "REFUND"})
# What is wrong with the order as we wrote it, not with the buyer's money: API 6.0, "error codes for the order object".
_OUR_FAULT = re.compile(r"ORDER_|INVALID_PRODUCT|PRODUCT_ERROR|CURRENCY|PAYMENT_TYPE")
_BILLING_FAULT = re.compile(r"BILLING|ADDRESS|ZIP|FISCAL|EMAIL|FIRST_?NAME|LAST_?NAME|COUNTRY|STATE|CITY")
_IDN_ANSWER = re.compile(r"<EPAYMENT>\s*([^|<]{0,64})\|\s*([0-9]{1,3})\s*(?:\||<)", re.ASCII)
_IDN_DONE = frozenset({1, 7})  # confirmed; already confirmed
_IDN_FAILURES = {
    **dict.fromkeys((2, 9), "authorisation_unknown"),
    **dict.fromkeys((3, 4, 10, 11), "amount_mismatch"),
}


@dataclass(frozen=True, slots=True)
class TwoCheckoutAccount:
    """The merchant's account. `payment_type` is `TEST` for orders that move no money; the URLs are 3-D Secure's way back."""

    merchant_code: str
    secret_key: str = field(repr=False)
    return_url: str
    cancel_url: str
    payment_type: str = "EES_TOKEN_PAYMENT"
    tangible: bool = True


class TwoCheckout:
    """The payment provider `2checkout`. Safe to share between greenthreads.

    `http` has the REST base URL (ending in `/rest/6.0`), `idn` the absolute URL of the delivery notification.
    """

    def __init__(
        self, http: HttpClient, idn: HttpClient, account: TwoCheckoutAccount, *, now: Callable[[], datetime] | None = None
    ) -> None:
        self._http = http
        self._idn = idn
        self._account = account
        self._now = now or (lambda: datetime.now(UTC))

    def authorise(self, ask: AuthorisePayment, *, in_doubt: bool) -> Authorised | Declined:
        """Place an order for the exact total with the one-time token, or find the one that an earlier try placed.

        Safe to repeat with the same key if `in_doubt` is told truly; a token that was already used is looked up too.
        """
        billing, money = ask.billing, Money(ask.amount_minor, ask.currency)
        if in_doubt and (found := self._search(ask.key, money)) is not None:
            return found
        if billing is None or not _complete(billing):
            return Declined("billing_invalid")
        answer = self._call("POST", "/orders/", json=self._order(ask, billing, money))
        content = _dict(answer.json()) if answer.status in {200, 201, 400, 409, 422} else {}
        if content.get("RefNo"):
            return _verdict(content, money)
        code = _code(content)
        if code == "INVALID_EES_TOKEN":
            # It ran out after ten minutes, or an order of ours has used it.
            return self._search(ask.key, money) or Declined("token_expired")
        if answer.status in {200, 201}:
            code = code or "answer_without_reference"
        if _BILLING_FAULT.search(code) and not code.startswith("ORDER_"):
            return Declined("billing_invalid")
        if not code or _OUR_FAULT.match(code) or code == "answer_without_reference":
            raise Parked(f"twocheckout_{(code or 'unknown').lower()}")
        return Declined("declined")

    def capture(self, ask: CapturePayment, *, in_doubt: bool) -> Captured | CaptureFailed:
        """Confirm the delivery of the whole order, which takes the money; `capture_reference` is the order's `RefNo`.

        Safe to repeat: a second confirmation is answered as already confirmed.
        """
        reference = ask.authorisation_reference
        if not _REF_NO.fullmatch(reference):
            return CaptureFailed("authorisation_unknown")
        if in_doubt and (found := self._delivered(reference)) is not None:
            return found
        fields = {
            "MERCHANT": self._account.merchant_code,
            "ORDER_REF": reference,
            "ORDER_AMOUNT": str(Money(ask.amount_minor, ask.currency)),
            "ORDER_CURRENCY": ask.currency,
            "IDN_DATE": f"{self._now():%Y-%m-%d %H:%M:%S}",
        }
        fields["ORDER_HASH"] = sign(self._account.secret_key, fields.values())
        answer = self._idn.call("POST", "", form=fields, headers={"Accept": "*/*"}, repeatable=True)
        match = _IDN_ANSWER.search(answer.body.decode("utf-8", "replace"))
        if match is None or match[1].strip() != reference:
            raise Unanswered("answer_unreadable")
        code = int(match[2])
        if code in _IDN_DONE:
            return Captured(reference)
        if code in _IDN_FAILURES:
            return CaptureFailed(_IDN_FAILURES[code])
        if code == 5:
            raise Parked("twocheckout_idn_date_refused")
        raise Unanswered("capture_pending", after_seconds=_REVIEW_SECONDS)

    def _search(self, key: str, money: Money) -> Authorised | Declined | None:
        query = {
            "ExternalRefNo": key,
            "StartDate": f"{self._now() - timedelta(days=_SEARCH_DAYS):%Y-%m-%d}",
            "IncludeTestOrders": "YES",
            "Limit": "10",
        }
        answer = self._call("GET", "/orders/", query=query)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise TryLater("search_refused")
        content = answer.json()
        items = content if isinstance(content, list) else _dict(content).get("Items")
        # What is found by anything else than exactly our key is somebody else's order.
        found = [item for item in items or [] if _dict(item).get("ExternalReference") == key and item.get("RefNo")]
        if not found:
            return None
        return _verdict(min(found, key=lambda item: item.get("Status") in _ENDED), money)

    def _delivered(self, reference: str) -> Captured | CaptureFailed | None:
        answer = self._call("GET", f"/orders/{reference}/")
        if answer.status != 200:
            return CaptureFailed("authorisation_unknown") if answer.status == 404 else None
        order = answer.json_object()
        if order.get("Status") in _ENDED:
            return CaptureFailed("authorisation_voided")
        done = order.get("Status") == "COMPLETE" or order.get("DeliveryFinalized") is True
        return Captured(reference) if done else None

    def _call(self, method: str, path: str, *, query: dict[str, str] | None = None, json: object = None) -> Answer:
        date = f"{self._now():%Y-%m-%d %H:%M:%S}"
        code = self._account.merchant_code
        digest = sign(self._account.secret_key, (code, date))
        headers = {"X-Avangate-Authentication": f'code="{code}" date="{date}" hash="{digest}" algo="sha256"'}
        # Placing an order is not safe to repeat; asking is.
        answer = self._http.call(
            method, path, query=query, json=json, headers=headers, expected=_EXPECTED, repeatable=method == "GET"
        )
        if answer.status in {401, 403}:
            # A wrong key is an operator's fault and no order's: it waits until that is put right.
            raise TryLater("credentials_refused", after_seconds=_REVIEW_SECONDS)
        return answer

    def _order(self, ask: AuthorisePayment, billing: Billing, money: Money) -> dict[str, object]:
        address = billing.address
        details = {
            "FirstName": billing.given_name,
            "LastName": billing.family_name,
            "Email": billing.email,
            "Address1": address.line1,
            "Address2": address.line2,
            "City": address.city,
            "State": address.region,
            "Zip": address.postal_code,
            "CountryCode": address.country,
            "FiscalCode": billing.tax_id,
        }
        return {
            "Currency": ask.currency,
            "Country": address.country,
            "Language": "en",
            "ExternalReference": ask.key,
            "BillingDetails": {name: value for name, value in details.items() if value},
            # One item for the whole: the processor learns what is paid, not what is bought (privacy policy, clause 14).
            "Items": [
                {
                    "Name": f"Order {ask.order_number}",
                    "Quantity": 1,
                    "IsDynamic": True,
                    "Tangible": self._account.tangible,
                    "PurchaseType": "PRODUCT",
                    # The decimal digits themselves: no number is ever a float here.
                    "Price": {"Amount": orjson.Fragment(str(money)), "Type": "CUSTOM"},
                }
            ],
            "PaymentDetails": {
                "Type": self._account.payment_type,
                "Currency": ask.currency,
                "PaymentMethod": {
                    "EesToken": ask.reference,
                    "Vendor3DSReturnURL": self._account.return_url,
                    "Vendor3DSCancelURL": self._account.cancel_url,
                },
            },
        }


def length_prefixed(values: Iterable[str]) -> str:
    """The source of every 2Checkout signature: each value after its length in UTF-8 bytes; an empty one is `0`."""
    return "".join(f"{len(value.encode())}{value}" for value in values)


def sign(secret_key: str, values: Iterable[str], algorithm: str = "sha256") -> str:
    """The HMAC of the values in their order, in hexadecimal. `algorithm` is a name that `hashlib` knows."""
    return hmac.new(secret_key.encode(), length_prefixed(values).encode(), algorithm).hexdigest()


def _verdict(order: dict[str, Any], money: Money) -> Authorised | Declined:
    """What an order that exists says; raises Unanswered while it is under way, so that it is looked up and not placed again."""
    reference = str(order["RefNo"])
    status, approval = order.get("Status"), order.get("ApproveStatus")
    if status in _ENDED:
        return Declined("authorisation_voided")
    if order.get("Errors") or approval in {"FRAUD", "INVALIDDATA"} or order.get("VendorApproveStatus") == "REJECTED":
        return Declined("declined")
    if status in {"AUTHRECEIVED", "COMPLETE"}:
        return Authorised(reference) if _same_amount(order, money) else Declined("amount_mismatch")
    method = _dict(_dict(order.get("PaymentDetails")).get("PaymentMethod"))
    if method.get("Authorize3DS"):
        # The bank wants to see the buyer, and the buyer is gone.
        return Declined("not_approved")
    raise Unanswered("payment_pending", after_seconds=_REVIEW_SECONDS)


def _same_amount(order: dict[str, Any], money: Money) -> bool:
    gross, currency = order.get("GrossPrice"), order.get("Currency")
    try:
        same = gross is None or Decimal(str(gross)) == Decimal(str(money))
    except InvalidOperation:
        return False
    return same and (currency is None or str(currency).upper() == money.currency)


def _complete(billing: Billing) -> bool:
    address = billing.address
    if not address.postal_code or (address.country in _REGION_REQUIRED and not address.region):
        return False
    return bool(billing.tax_id) or address.country not in _TAX_ID_REQUIRED


def _code(content: dict[str, Any]) -> str:
    code = content.get("error_code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
