"""PayPal's doors: tokens, orders, authorisations, captures, refunds, and the buyer's hand in the control endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.sandbox.chance import Switches
from deploy.sandbox.journal import Journal
from deploy.sandbox.party import Answer, Ask, Party, as_json
from deploy.sandbox.paypal import bodies
from deploy.sandbox.paypal.creation import read_order
from deploy.sandbox.paypal.faults import PayPalFault, not_found
from deploy.sandbox.paypal.ledger import Authorisation, Capture, Ledger, Order, Refund, now
from deploy.sandbox.paypal.money import read_positive
from deploy.sandbox.paypal.tokens import Tokens

_MOST_CAPTURES = 10
_OVERAGE_PERCENT = 115


@dataclass(slots=True)
class _Request:
    """What each operation needs of a request, read once."""

    key: str
    whole: bool
    body: Any


class PayPal(Party):
    """PayPal, as one merchant sees it. Everything personal in its answers belongs to a made-up buyer."""

    name = "paypal"

    def __init__(self, switches: Switches, journal: Journal, *, client_id: str, client_secret: str) -> None:
        super().__init__(switches, journal)
        self._tokens = Tokens(self.chance, client_id, client_secret)
        self._order_number = 0
        self._ledger = Ledger()

    def provider(self, ask: Ask) -> Answer:
        if ask.path == "/v1/oauth2/token":
            return self._tokens.give(ask) if ask.method == "POST" else Answer(405)
        key = ask.headers.get("PayPal-Request-Id", "")
        try:
            self._tokens.check(ask)
            request = _Request(key, ask.headers.get("Prefer") == "return=representation", _read_body(ask))
            return self._dispatch(ask.method, ask.path, request)
        except PayPalFault as fault:
            return fault.as_answer(key)

    def _dispatch(self, method: str, path: str, request: _Request) -> Answer:
        match method, *path.split("/")[1:]:
            case "POST", "v2", "checkout", "orders":
                return self._create(request)
            case "GET", "v2", "checkout", "orders", order_id:
                return as_json(200, bodies.order_body(self.base_url, self._order(order_id), whole=True))
            case "POST", "v2", "checkout", "orders", order_id, "authorize":
                return self._authorise(self._order(order_id), request)
            case "GET", "v2", "payments", "authorizations", authorisation_id:
                return as_json(200, bodies.authorisation_body(self.base_url, self._authorisation(authorisation_id), whole=True))
            case "POST", "v2", "payments", "authorizations", authorisation_id, "capture":
                return self._capture(self._authorisation(authorisation_id), request)
            case "POST", "v2", "payments", "authorizations", authorisation_id, "void":
                return self._void(self._authorisation(authorisation_id), request)
            case "GET", "v2", "payments", "captures", capture_id if capture_id in self._ledger.captures:
                return as_json(200, bodies.capture_body(self.base_url, self._ledger.captures[capture_id], whole=True))
            case "POST", "v2", "payments", "captures", capture_id, "refund" if capture_id in self._ledger.captures:
                return self._refund(self._ledger.captures[capture_id], request)
            case "GET", "v2", "payments", "refunds", refund_id if refund_id in self._ledger.refunds:
                return as_json(200, bodies.refund_body(self.base_url, self._ledger.refunds[refund_id], whole=True))
        raise not_found()

    # -- Orders v2 ------------------------------------------------------------------------------------------------------

    def _create(self, request: _Request) -> Answer:
        place = ("create", "", request.key)
        if request.key and (known := self._ledger.keys.get(place)) is not None:
            return as_json(200, bodies.order_body(self.base_url, known, whole=request.whole), reference=request.key)
        order = self._add_order(request.body, has_request_id=bool(request.key))
        if request.key:
            self._ledger.keys[place] = order
        return as_json(
            201, bodies.order_body(self.base_url, order, whole=request.whole), reference=request.key or order.reference
        )

    def _add_order(self, body: Any, *, has_request_id: bool) -> Order:
        order = read_order(body, order_id=self._next_order_id(), has_request_id=has_request_id)
        self._ledger.orders[order.id] = order
        return order

    def _next_order_id(self) -> str:
        self._order_number += 1
        return self.chance.identifier(17, "order", self._order_number)

    def _authorise(self, order: Order, request: _Request) -> Answer:
        place = ("authorise", order.id, request.key)
        if request.key and place in self._ledger.keys:
            return as_json(200, bodies.order_body(self.base_url, order, whole=request.whole))
        if order.intent != "AUTHORIZE":
            raise PayPalFault(422, "ACTION_DOES_NOT_MATCH_INTENT")
        if order.authorisation is not None:
            raise PayPalFault(422, "ORDER_ALREADY_AUTHORIZED")
        if order.status != "APPROVED":
            raise PayPalFault(422, "ORDER_NOT_APPROVED")
        if order.decline if order.decline is not None else self.chance.declines(_decline_reference(order)):
            if order.decline is None:
                order.decline = True
            self._count_decline(order)
            raise PayPalFault(422, "INSTRUMENT_DECLINED")
        unit = order.units[0]
        invoice_id = unit.get("invoice_id")
        self._use_invoice("authorise", invoice_id)
        authorisation = Authorisation(
            self.chance.identifier(17, "authorisation", order.id),
            order,
            order.amount_minor,
            order.currency,
            invoice_id,
            unit.get("custom_id"),
        )
        order.authorisation = self._ledger.authorisations[authorisation.id] = authorisation
        order.status = "COMPLETED"
        if request.key:
            self._ledger.keys[place] = authorisation
        self.journal.note("authorised", order=order.id, reference=order.reference, amount_minor=order.amount_minor)
        return as_json(201, bodies.order_body(self.base_url, order, whole=request.whole))

    def _count_decline(self, order: Order) -> None:
        if ("declined", order.id, "") not in self._ledger.keys:
            self._ledger.keys["declined", order.id, ""] = order
            self._ledger.declined += 1
            self.journal.note("declined", order=order.id, reference=order.reference)

    # -- Payments v2 ----------------------------------------------------------------------------------------------------

    def _capture(self, authorisation: Authorisation, request: _Request) -> Answer:
        place = ("capture", authorisation.id, request.key)
        if request.key and (known := self._ledger.keys.get(place)) is not None:
            return as_json(201, bodies.capture_body(self.base_url, known, whole=request.whole))
        body = request.body if request.body is not None else {}
        currency = authorisation.currency
        amount_minor, amount_currency = authorisation.amount_minor, currency
        if "amount" in body:
            amount_minor, amount_currency = read_positive(body["amount"], "/amount")
        invoice_id = _read_text(body, "invoice_id", 127)
        final = body.get("final_capture", False)
        if not isinstance(final, bool):
            raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", "/final_capture")
        if amount_currency != currency:
            raise PayPalFault(422, "AUTH_CAPTURE_CURRENCY_MISMATCH", "/amount/currency_code")
        if authorisation.status == "VOIDED":
            raise PayPalFault(422, "AUTHORIZATION_VOIDED")
        if authorisation.status == "CAPTURED":
            raise PayPalFault(422, "AUTHORIZATION_ALREADY_CAPTURED")
        if len(authorisation.captures) >= _MOST_CAPTURES:
            raise PayPalFault(422, "MAX_CAPTURE_COUNT_EXCEEDED")
        captured_minor = authorisation.captured_minor + amount_minor
        if captured_minor * 100 > authorisation.amount_minor * _OVERAGE_PERCENT:
            raise PayPalFault(422, "MAX_CAPTURE_AMOUNT_EXCEEDED", "/amount")
        if invoice_id is None:
            invoice_id = authorisation.invoice_id
        self._use_invoice("capture", invoice_id)
        number = len(authorisation.captures)
        capture = Capture(
            self.chance.identifier(17, "capture", authorisation.id, number), authorisation, amount_minor, final, invoice_id
        )
        authorisation.captures.append(capture)
        self._ledger.captures[capture.id] = capture
        done = final or captured_minor >= authorisation.amount_minor
        authorisation.status = "CAPTURED" if done else "PARTIALLY_CAPTURED"
        authorisation.updated = now()
        if request.key:
            self._ledger.keys[place] = capture
        self.journal.note("captured", order=authorisation.order.id, capture=capture.id, amount_minor=amount_minor, final=final)
        return as_json(201, bodies.capture_body(self.base_url, capture, whole=request.whole))

    def _void(self, authorisation: Authorisation, request: _Request) -> Answer:
        # No idempotency key exists for void: a repeat meets PREVIOUSLY_VOIDED.
        if authorisation.status == "VOIDED":
            raise PayPalFault(422, "PREVIOUSLY_VOIDED")
        if authorisation.status == "CAPTURED":
            raise PayPalFault(422, "PREVIOUSLY_CAPTURED")
        authorisation.status = "VOIDED"
        authorisation.updated = now()
        authorisation.order.voids += 1
        self.journal.note("voided", order=authorisation.order.id)
        if request.whole:
            return as_json(200, bodies.authorisation_body(self.base_url, authorisation, whole=True))
        return Answer(204)

    def _refund(self, capture: Capture, request: _Request) -> Answer:
        place = ("refund", capture.id, request.key)
        if request.key and (known := self._ledger.keys.get(place)) is not None:
            return as_json(201, bodies.refund_body(self.base_url, known, whole=request.whole))
        body = request.body if request.body is not None else {}
        left_minor = capture.amount_minor - capture.refunded_minor
        amount_minor, currency = left_minor, capture.authorisation.currency
        if "amount" in body:
            amount_minor, currency = read_positive(body["amount"], "/amount")
        invoice_id = _read_text(body, "invoice_id", 127)
        if left_minor == 0:
            raise PayPalFault(422, "CAPTURE_FULLY_REFUNDED")
        if currency != capture.authorisation.currency:
            raise PayPalFault(422, "REFUND_CAPTURE_CURRENCY_MISMATCH", "/amount/currency_code")
        if amount_minor > left_minor:
            raise PayPalFault(422, "REFUND_AMOUNT_EXCEEDED", "/amount")
        self._use_invoice("refund", invoice_id)
        refund = Refund(self.chance.identifier(17, "refund", capture.id, len(capture.refunds)), capture, amount_minor, invoice_id)
        capture.refunds.append(refund)
        self._ledger.refunds[refund.id] = refund
        if request.key:
            self._ledger.keys[place] = refund
        self.journal.note("refunded", capture=capture.id, amount_minor=amount_minor)
        return as_json(201, bodies.refund_body(self.base_url, refund, whole=request.whole))

    def _use_invoice(self, operation: str, invoice_id: str | None) -> None:
        """An account may ask that invoice ids be unique; this one does, for each operation."""
        if invoice_id is not None:
            if (operation, invoice_id) in self._ledger.invoices:
                raise PayPalFault(422, "DUPLICATE_INVOICE_ID", "/invoice_id")
            self._ledger.invoices.add((operation, invoice_id))

    def _order(self, order_id: str) -> Order:
        if (order := self._ledger.orders.get(order_id)) is None:
            raise not_found()
        return order

    def _authorisation(self, authorisation_id: str) -> Authorisation:
        if (authorisation := self._ledger.authorisations.get(authorisation_id)) is None:
            raise not_found()
        return authorisation

    # -- control and books ----------------------------------------------------------------------------------------------

    def control(self, ask: Ask, action: str) -> Answer | None:
        match ask.method, *action.split("/"):
            case "POST", "orders":
                try:
                    return as_json(200, {"orders": [self._add_approved(wish) for wish in ask.json()]})
                except PayPalFault as fault:
                    return fault.as_answer()
            case "POST", "orders", order_id, "approve":
                order = self._ledger.orders.get(order_id)
                if order is None:
                    return None
                if order.status in {"CREATED", "PAYER_ACTION_REQUIRED"}:
                    order.status = "APPROVED"
                if ask.body:
                    order.decline = bool(ask.json().get("decline", order.decline))
                return as_json(200, {"id": order.id, "status": order.status})
            case "POST", "expire_tokens":
                self._tokens.expire()
                return Answer(204)
            case "POST", "forget_keys":
                # Orders v2 keeps its keys for six hours only.
                kept = {place: value for place, value in self._ledger.keys.items() if place[0] not in {"create", "authorise"}}
                self._ledger.keys = kept
                return Answer(204)
        return None

    def _add_approved(self, wish: dict[str, Any]) -> dict[str, str]:
        unit = {
            "reference_id": wish["reference_id"],
            "amount": {"currency_code": wish["currency"], "value": wish["amount"]},
        }
        body = {"intent": wish.get("intent", "AUTHORIZE"), "purchase_units": [unit]}
        order = self._add_order(body, has_request_id=False)
        order.status = "APPROVED"
        order.decline = wish.get("decline")
        return {"reference_id": order.reference, "id": order.id}

    def books(self) -> dict[str, Any]:
        return self._ledger.as_books()

    def summary(self) -> dict[str, Any]:
        return {
            "orders": len(self._ledger.orders),
            "authorised": len(self._ledger.authorisations),
            "captured": len(self._ledger.captures),
            "refunded": len(self._ledger.refunds),
            "declined": self._ledger.declined,
        }

    def forget(self) -> None:
        # Tokens stay good: a client that runs on must not be thrown out by a reset. Order ids go on: none comes twice.
        self._ledger = Ledger()


def _decline_reference(order: Order) -> str:
    return order.reference if order.reference != "default" else order.id


def _read_body(ask: Ask) -> Any:
    if not ask.body:
        return None
    if ask.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise PayPalFault(400, "MALFORMED_REQUEST_JSON")
    try:
        body = ask.json()
    except ValueError:
        raise PayPalFault(400, "MALFORMED_REQUEST_JSON") from None
    if not isinstance(body, dict):
        raise PayPalFault(400, "MALFORMED_REQUEST_JSON")
    return body


def _read_text(body: dict[str, Any], name: str, longest: int) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise PayPalFault(400, "INVALID_PARAMETER_SYNTAX", f"/{name}")
    if value is not None and not 1 <= len(value) <= longest:
        raise PayPalFault(400, "INVALID_STRING_LENGTH", f"/{name}")
    return value
