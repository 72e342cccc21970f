"""2Checkout's doors: place, get, find and refund an order; confirm its delivery; tokens and a cancellation by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from deploy.sandbox.chance import Switches
from deploy.sandbox.journal import Journal
from deploy.sandbox.party import Answer, Ask, Party, as_json
from deploy.sandbox.twocheckout import signatures
from deploy.sandbox.twocheckout.checks import OrderRefused, total_of
from deploy.sandbox.twocheckout.orders import FIRST_REF_NO, Order, body_of, in_books, now

_TOKEN_LIFE_SECONDS = 600.0  # "10 minutes", documentation of token payments
_ORDERS = "/rest/6.0/orders/"
_PAGE = 10
_IDN_MESSAGES = {
    1: "Confirmed",
    2: "ORDER_REF missing or incorrect",
    3: "ORDER_AMOUNT missing or incorrect",
    4: "ORDER_CURRENCY is missing or incorrect",
    5: "IDN_DATE is not in the correct format",
    6: "Error confirming order",
    7: "Order already confirmed",
    8: "Unknown error",
    9: "Invalid ORDER_REF",
    10: "Invalid ORDER_AMOUNT",
    11: "Invalid ORDER_CURRENCY",
}
"""The IDN's documented answers."""


@dataclass(slots=True)
class _Token:
    made: float
    amount: str | None
    currency: str | None
    decline: bool | None
    used: bool = False


class TwoCheckout(Party):
    """2Checkout, as one merchant sees it. It has no idempotency key; its tokens serve one order each."""

    name = "twocheckout"

    def __init__(self, switches: Switches, journal: Journal, *, merchant_code: str, secret_key: str) -> None:
        super().__init__(switches, journal)
        self._merchant_code = merchant_code
        self._secret = secret_key.encode()
        self._orders: dict[str, Order] = {}
        self._by_reference: dict[str, list[Order]] = {}
        self._tokens: dict[str, _Token] = {}
        self._order_number = 0
        self._token_number = 0
        self._counts = {"authorised": 0, "declined": 0, "captured": 0, "refunded": 0, "refused": 0}

    def provider(self, ask: Ask) -> Answer:
        if ask.path == "/order/idn.php":
            return self._confirm_delivery(ask) if ask.method == "POST" else Answer(405)
        if not ask.path.startswith(_ORDERS):
            return _error(404, "NOT_FOUND")
        if not signatures.authenticates(self._secret, self._merchant_code, ask.headers.get("X-Avangate-Authentication", "")):
            return _error(401, "AUTHENTICATION_FAILED")
        rest = ask.path.removeprefix(_ORDERS).strip("/").split("/")
        match ask.method, rest:
            case "POST", [""]:
                return self._place(ask)
            case "GET", [""]:
                return self._find(ask)
            case "GET", [ref_no] if ref_no in self._orders:
                return as_json(200, self._show(self._orders[ref_no]))
            case "POST", [ref_no, "refund"] if ref_no in self._orders:
                return self._refund(self._orders[ref_no], ask)
        return _error(404, "ORDER_NOT_FOUND")

    def _place(self, ask: Ask) -> Answer:
        try:
            body = ask.json()
        except ValueError:
            return _error(400, "INVALID_JSON")
        try:
            total = total_of(body)
        except OrderRefused as refusal:
            self._counts["refused"] += 1
            return _error(400, refusal.code)
        reference = body.get("ExternalReference")
        payment = body["PaymentDetails"]
        token_text, token = "", None
        if payment["Type"] == "EES_TOKEN_PAYMENT":
            token_text = payment["PaymentMethod"]["EesToken"]
            token = self._tokens.get(token_text)
            if token is None or token.used or time.monotonic() - token.made > _TOKEN_LIFE_SECONDS:
                self._counts["refused"] += 1
                return _error(400, "INVALID_EES_TOKEN", reference or "")
            token.used = True  # one order, successful or not
        forced = token.decline if token is not None else None
        declined = self.chance.declines(reference or token_text) if forced is None else forced
        self._order_number += 1
        order = Order(
            str(FIRST_REF_NO + self._order_number),
            reference,
            body["Currency"].upper(),
            total,
            body,
            # A declined payment leaves an order with a RefNo and Errors; it never reaches AUTHRECEIVED.
            "PENDING" if declined else "AUTHRECEIVED",
            now(),
            token_text,
            payment["Type"] == "TEST",
            declined,
            token.amount if token is not None else None,
        )
        self._orders[order.ref_no] = order
        self._by_reference.setdefault(reference or "", []).append(order)
        self._counts["declined" if declined else "authorised"] += 1
        effect = "declined" if declined else "authorised"
        self.journal.note(effect, order=order.ref_no, reference=reference, amount=str(total), currency=order.currency)
        return as_json(201, self._show(order), reference=reference or token_text)

    def _find(self, ask: Ask) -> Answer:
        query = ask.query()
        found = list(self._orders.values())
        if "ExternalRefNo" in query:
            found = self._by_reference.get(query["ExternalRefNo"], [])
        if "RefNo" in query:
            found = [order for order in found if order.ref_no == query["RefNo"]]
        if "Status" in query:
            found = [order for order in found if order.status == query["Status"]]
        try:
            page, limit = int(query.get("Page", 1)), int(query.get("Limit", _PAGE))
        except ValueError:
            return _error(400, "INVALID_PAGINATION")
        if page < 1 or limit < 1:
            return _error(400, "INVALID_PAGINATION")
        items = [self._show(order) for order in found[(page - 1) * limit : page * limit]]
        answer = as_json(200, {"Items": items, "Pagination": {"Page": page, "Limit": limit, "Count": len(found)}})
        answer.reference = ask.query_string
        return answer

    def _refund(self, order: Order, ask: Ask) -> Answer:
        try:
            # The official SDKs send the names in lower case, the documentation writes them with capitals.
            wish = {str(name).lower(): value for name, value in ask.json().items()}
            amount = Decimal(str(wish["amount"]))
        except (ValueError, AttributeError, KeyError, InvalidOperation):
            return _error(400, "REFUND_AMOUNT_INVALID")
        if not (_filled(wish.get("comment")) and _filled(wish.get("reason"))):
            return _error(400, "REFUND_REASON_REQUIRED")
        if order.status != "COMPLETE":
            return _error(400, "REFUND_ORDER_STATUS_INVALID")
        if not amount.is_finite() or amount <= 0 or order.refunded + amount > order.total:
            return _error(400, "REFUND_AMOUNT_INVALID")
        order.refunded += amount
        if order.refunded == order.total:
            order.status = "REFUND"
        self._counts["refunded"] += 1
        self.journal.note("refunded", order=order.ref_no, amount=str(amount))
        return Answer(200, b"true")

    # -- delivery notification ------------------------------------------------------------------------------------------

    def _confirm_delivery(self, ask: Ask) -> Answer:
        """The form of the Instant Delivery Notification; only with it is the money taken."""
        form = dict(parse_qsl(ask.body.decode("utf-8", "replace"), keep_blank_values=True))
        names = ("MERCHANT", "ORDER_REF", "ORDER_AMOUNT", "ORDER_CURRENCY", "IDN_DATE")
        values = [form.get(name, "") for name in names]
        algorithm = signatures.algorithm_of(self._secret, values, form.get("ORDER_HASH", ""))
        if algorithm is None or values[0] != self._merchant_code:
            return self._idn_answer(values[1], 8, "sha256")
        code = self._idn_code(*values[1:])
        if code == 1:
            order = self._orders[values[1]]
            order.status, order.finished = "COMPLETE", now()
            order.deliveries += 1
            self._counts["captured"] += 1
            self.journal.note("captured", order=order.ref_no, reference=order.external_reference, amount=str(order.total))
        return self._idn_answer(values[1], code, algorithm)

    def _idn_code(self, ref_no: str, amount_text: str, currency: str, date: str) -> int:
        if not ref_no:
            return 2
        try:
            amount = Decimal(amount_text)
        except InvalidOperation:
            return 3
        if not currency:
            return 4
        if not signatures.is_date(date):
            return 5
        order = self._orders.get(ref_no)
        if order is None:
            return 9
        if amount != order.total:
            return 10
        if currency.upper() != order.currency:
            return 11
        if order.status in {"COMPLETE", "REFUND"}:
            return 7
        return 1 if order.status == "AUTHRECEIVED" else 6

    def _idn_answer(self, ref_no: str, code: int, algorithm: str) -> Answer:
        values = [ref_no, str(code), _IDN_MESSAGES[code], now()]
        text = "|".join([*values, signatures.sign(self._secret, values, algorithm)])
        return Answer(200, f"<EPAYMENT>{text}</EPAYMENT>".encode(), "text/html; charset=UTF-8", reference=ref_no)

    def _show(self, order: Order) -> dict[str, Any]:
        references = [
            self.chance.identifier(20, "line", order.ref_no, index).lower() for index in range(len(order.body["Items"]))
        ]
        return body_of(order, self._merchant_code, references)

    # -- control and books ----------------------------------------------------------------------------------------------

    def control(self, ask: Ask, action: str) -> Answer | None:
        match ask.method, *action.split("/"):
            case "POST", "tokens":
                return as_json(200, {"tokens": self._make_tokens(ask.json())})
            case "POST", "tokens", "expire":
                for token in self._tokens.values():
                    token.made -= _TOKEN_LIFE_SECONDS + 1
                return Answer(204)
            case "POST", "orders", ref_no, "cancel":
                # Staff cancel in 2Checkout's control panel; REST has no void.
                order = self._orders.get(ref_no)
                if order is None or order.status not in {"PENDING", "AUTHRECEIVED"}:
                    return as_json(409, {"title": "not to be cancelled", "status": 409})
                order.status = "CANCELED"
                self.journal.note("cancelled", order=ref_no)
                return as_json(200, {"RefNo": ref_no, "Status": order.status})
        return None

    def _make_tokens(self, wish: dict[str, Any]) -> list[str]:
        texts = [str(text) for text in wish.get("tokens", [])]
        for _ in range(int(wish.get("count", 0 if texts else 1))):
            self._token_number += 1
            digits = self.chance.identifier(32, "token", self._token_number).lower()
            texts.append(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")
        for text in texts:
            self._tokens[text] = _Token(time.monotonic(), wish.get("amount"), wish.get("currency"), wish.get("decline"))
        return texts

    def books(self) -> dict[str, Any]:
        return {"orders": {order.ref_no: in_books(order) for order in self._orders.values()}, **self._counts}

    def summary(self) -> dict[str, Any]:
        return {"orders": len(self._orders), **self._counts, "tokens": len(self._tokens)}

    def forget(self) -> None:
        self._orders.clear()
        self._by_reference.clear()
        self._tokens.clear()
        self._counts = dict.fromkeys(self._counts, 0)


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _error(status: int, code: str, reference: str = "") -> Answer:
    message = code.replace("_", " ").capitalize() + "."
    return as_json(status, {"error_code": code, "message": message}, reference=reference)
