"""PayPal: Orders v2 to authorise what the buyer approved, Payments v2 to capture it.

PayPal keeps an idempotency key of Orders v2 for six hours only, so no key is trusted across tries: the order (or the
authorisation) is read first, and only what is not yet done is asked for. Branches are taken on `issue`, never on a description.
Statuses and issues: PayPal's OpenAPI documents `checkout_orders_v2` and `payments_payment_v2`.
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from services.payments.gateway import Authorised, AuthorisePayment, Captured, CaptureFailed, CapturePayment, Declined
from services.payments.gateway.paypal_answers import (
    REVIEW_SECONDS,
    amount_of,
    as_dict,
    as_list,
    capture_outcome,
    issue_of,
    payments_of,
    raise_for,
    read,
    verdict,
)
from shared.contracts.errors import Parked, TryLater, Unanswered
from shared.contracts.values import Money
from shared.http_client import Answer, HttpClient

_ID = re.compile(r"[A-Z0-9]{1,36}", re.ASCII)
_EXPECTED = frozenset({200, 201, 400, 401, 403, 404, 409, 422})
_RENEW_BEFORE_EXPIRY_SECONDS = 60.0
_SPENT = frozenset({"ORDER_COMPLETED_OR_VOIDED", "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED", "MAX_AUTHORIZATION_COUNT_EXCEEDED"})
_DONE_BEFORE = frozenset({"ORDER_ALREADY_AUTHORIZED", "ORDER_ALREADY_CAPTURED", "AUTHORIZATION_ALREADY_CAPTURED"})
_ALREADY = _SPENT | _DONE_BEFORE | {"DUPLICATE_INVOICE_ID"}
_DECLINE_REASONS = {
    "ORDER_NOT_APPROVED": "not_approved",
    "PAYER_ACTION_REQUIRED": "not_approved",
    "ACTION_DOES_NOT_MATCH_INTENT": "wrong_intent",
    "AUTHORIZATION_AMOUNT_EXCEEDED": "amount_mismatch",
    "AUTHORIZATION_CURRENCY_MISMATCH": "amount_mismatch",
    "INVALID_RESOURCE_ID": "reference_unknown",
    "ORDER_EXPIRED": "token_expired",
    "TOKEN_EXPIRED": "token_expired",
}
_CAPTURE_FAILURES = {
    "AUTHORIZATION_EXPIRED": "authorisation_expired",
    "AUTHORIZATION_VOIDED": "authorisation_voided",
    "AUTH_CAPTURE_CURRENCY_MISMATCH": "amount_mismatch",
    "INVALID_RESOURCE_ID": "authorisation_unknown",
    "MAX_CAPTURE_AMOUNT_EXCEEDED": "amount_mismatch",
}


NO_TOKEN_SECONDS = 3.0  # for so long nobody asks for a token again after a failure


class PayPal:
    """The payment provider `paypal`. Safe to share between greenthreads; `http` is PayPal's API host."""

    def __init__(
        self, http: HttpClient, *, client_id: str, client_secret: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._basic = "Basic " + b64encode(f"{client_id}:{client_secret}".encode()).decode("ascii")
        self._clock = clock
        self._token, self._renew_at, self._no_token_until = "", 0.0, float("-inf")
        self._renewing = threading.Lock()

    def authorise(self, ask: AuthorisePayment, *, in_doubt: bool) -> Authorised | Declined:  # noqa: ARG002 - it looks first anyway
        """Authorise the order that the buyer approved, if it is exactly ours in amount, currency and intent.

        Safe to repeat: an order that is already authorised is read, not authorised again.
        """
        if not _ID.fullmatch(ask.reference):
            return Declined("reference_unknown")
        order = self._order(ask.reference)
        if order is None:
            return Declined("reference_unknown")
        money = Money(ask.amount_minor, ask.currency)
        if (outcome := verdict(order, money)) is not None:
            return outcome
        answer = self._call("POST", f"/v2/checkout/orders/{ask.reference}/authorize", json={}, key=ask.key)
        if answer.status in {200, 201}:
            return verdict(answer.json_object(), money) or self._reread(ask.reference, money)
        issue = issue_of(answer)
        if issue in _ALREADY:
            return self._reread(ask.reference, money, issue)
        raise_for(issue, answer.status)
        return Declined(_DECLINE_REASONS.get(issue, "declined"))

    def capture(self, ask: CapturePayment, *, in_doubt: bool) -> Captured | CaptureFailed:
        """Capture the whole authorisation in one final capture whose `invoice_id` is the key.

        Safe to repeat: in doubt the authorisation is read first, and PayPal keeps this key for 45 days.
        """
        if not _ID.fullmatch(ask.authorisation_reference):
            return CaptureFailed("authorisation_unknown")
        if in_doubt and (found := self._find_capture(ask, asked=False)) is not None:
            return found
        content = {
            "amount": amount_of(Money(ask.amount_minor, ask.currency)),
            "invoice_id": ask.key,
            # The rest of the hold, if any, is let go.
            "final_capture": True,
        }
        path = f"/v2/payments/authorizations/{ask.authorisation_reference}/capture"
        answer = self._call("POST", path, json=content, key=ask.key)
        if answer.status in {200, 201}:
            return capture_outcome(answer.json_object(), ask)
        issue = issue_of(answer)
        if issue in _ALREADY:
            found = self._find_capture(ask, asked=True)
            if found is not None:
                return found
            if issue == "DUPLICATE_INVOICE_ID":
                # The number was used, but not on this authorisation.
                raise Parked("paypal_duplicate_invoice_id")
            raise Unanswered("capture_pending")
        raise_for(issue, answer.status)
        return CaptureFailed(_CAPTURE_FAILURES.get(issue, "declined"))

    def _order(self, reference: str) -> dict[str, Any] | None:
        answer = self._call("GET", f"/v2/checkout/orders/{reference}")
        if answer.status == 404:
            return None
        return read(answer)

    def _reread(self, reference: str, money: Money, issue: str = "") -> Authorised | Declined:
        """Read the order after PayPal said that it is done, or said nothing of what it did."""
        order = self._order(reference)
        outcome = None if order is None else verdict(order, money)
        if outcome is not None:
            return outcome
        if issue == "DUPLICATE_INVOICE_ID":
            raise Parked("paypal_duplicate_invoice_id")
        if issue in _SPENT:
            return Declined("declined")
        raise Unanswered("payment_pending")

    def _find_capture(self, ask: CapturePayment, *, asked: bool) -> Captured | CaptureFailed | None:
        """The capture of this authorisation, or None if there is none yet or only asking (not yet `asked`) will tell."""
        answer = self._call("GET", f"/v2/payments/authorizations/{ask.authorisation_reference}")
        if answer.status == 404:
            return CaptureFailed("authorisation_unknown")
        authorisation = read(answer)
        status = authorisation.get("status")
        if status in {"CREATED", "PENDING"}:
            return None
        if status == "VOIDED":
            return CaptureFailed("authorisation_voided")
        if status == "DENIED":
            return CaptureFailed("declined")
        captures = self._captures(authorisation)
        ours = [capture for capture in captures if capture.get("invoice_id") == ask.key]
        if status == "CAPTURED":
            # Somebody may have captured it by hand: taken is taken, if it is the right amount.
            ours = ours or captures
            if not ours and not asked:
                # Nothing is left to take, so the same key only repeats what the first request brought about.
                return None
        if not ours:
            # Asking for the whole now could take more than the order's total: PayPal allows 115 %.
            raise Parked("paypal_capture_not_found")
        return capture_outcome(ours[0], ask)

    def _captures(self, authorisation: dict[str, Any]) -> list[dict[str, Any]]:
        """The captures that an authorisation leads to: it names the last capture, or the order, or links to the order."""
        related = as_dict(as_dict(authorisation.get("supplementary_data")).get("related_ids"))
        links = [as_dict(link) for link in as_list(authorisation.get("links"))]
        up = next((str(link.get("href")) for link in links if link.get("rel") == "up"), "")
        capture_id = str(related.get("capture_id", ""))
        order_id = str(related.get("order_id", up.rpartition("/v2/checkout/orders/")[2]))
        if _ID.fullmatch(capture_id):
            answer = self._call("GET", f"/v2/payments/captures/{capture_id}")
            return [] if answer.status == 404 else [read(answer)]
        if _ID.fullmatch(order_id):
            order = self._order(order_id) or {}
            return [capture for unit in as_list(order.get("purchase_units")) for capture in payments_of(unit, "captures")]
        return []

    def _call(self, method: str, path: str, *, json: object = None, key: str = "") -> Answer:
        """One call under a valid token; a token that is refused is renewed once."""
        token = self._current_token()
        answer = self._call_with(token, method, path, json, key)
        if answer.status == 401:
            answer = self._call_with(self._current_token(refused=token), method, path, json, key)
        if answer.status == 401:
            raise TryLater("credentials_refused", after_seconds=REVIEW_SECONDS)
        return answer

    def _call_with(self, token: str, method: str, path: str, json: object, key: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        if key:
            # The short form of an answer leaves out the amounts that are compared.
            headers |= {"PayPal-Request-Id": key, "Prefer": "return=representation"}
        return self._http.call(method, path, json=json, headers=headers, expected=_EXPECTED, repeatable=True)

    def _current_token(self, refused: str | None = None) -> str:
        """The token in use, renewed by one greenthread while the others wait if it has run out or is the one `refused`."""
        if self._token != refused and self._clock() < self._renew_at:
            return self._token
        with self._renewing:
            if self._token == refused or self._clock() >= self._renew_at:
                if self._clock() < self._no_token_until:
                    raise TryLater("token_unavailable")  # the one before us waited for it in vain, just now
                try:
                    self._token, self._renew_at = self._new_token()
                except TryLater:
                    self._no_token_until = self._clock() + NO_TOKEN_SECONDS
                    raise
            return self._token

    def _new_token(self) -> tuple[str, float]:
        asked_at = self._clock()
        answer = self._http.call(
            "POST",
            "/v1/oauth2/token",
            form={"grant_type": "client_credentials"},
            headers={"Authorization": self._basic},
            expected={200, 400, 401, 403},
            repeatable=True,
            harmless=True,
        )
        content = as_dict(answer.json()) if answer.status == 200 else {}
        token, lifetime_seconds = content.get("access_token"), content.get("expires_in")
        if not isinstance(token, str) or not isinstance(lifetime_seconds, int):
            # A wrong secret is an operator's fault and no order's: it waits until that is put right.
            raise TryLater("credentials_refused", after_seconds=REVIEW_SECONDS)
        return token, asked_at + max(lifetime_seconds - _RENEW_BEFORE_EXPIRY_SECONDS, lifetime_seconds / 2)
