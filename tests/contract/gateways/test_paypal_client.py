"""Our PayPal client against a stub, its requests against PayPal's own OpenAPI documents."""

from __future__ import annotations

from typing import Any

import pytest

from services.payments.gateway import Authorised, AuthorisePayment, Captured, CaptureFailed, CapturePayment, Declined
from services.payments.gateway.paypal import PayPal
from shared.contracts.errors import Parked, TryLater, Unanswered

ORDER = "5O190127TN364715T"
HOLD = "0VF52814937998046"
TOKEN = "POST /v1/oauth2/token"
GET_ORDER = f"GET /v2/checkout/orders/{ORDER}"
AUTHORIZE = f"POST /v2/checkout/orders/{ORDER}/authorize"
GET_HOLD = f"GET /v2/payments/authorizations/{HOLD}"
CAPTURE = f"POST /v2/payments/authorizations/{HOLD}/capture"
ASK = AuthorisePayment("https://shop.example", "AJ-1", "USD", 18765, "paypal", ORDER, "authorise-AJ-1", None)
TAKE = CapturePayment("https://shop.example", "AJ-1", "USD", 18765, "paypal", HOLD, "capture-AJ-1")


def amount(value: str = "187.65", currency: str = "USD") -> dict[str, str]:
    return {"currency_code": currency, "value": value}


def order(
    status: str = "APPROVED", *, holds: list[str] | None = None, captures: list[Any] | None = None, **other: Any
) -> dict[str, Any]:
    payments: dict[str, Any] = {}
    if holds is not None:
        payments["authorizations"] = [{"id": HOLD, "status": one, "amount": amount()} for one in holds]
    if captures is not None:
        payments["captures"] = captures
    unit = {"reference_id": "default", "amount": other.pop("amount", amount())} | ({"payments": payments} if payments else {})
    return {"id": ORDER, "intent": "AUTHORIZE", "status": status, "purchase_units": [unit], **other}


def hold(status: str, **related: str) -> dict[str, Any]:
    return {"id": HOLD, "status": status, "amount": amount(), "supplementary_data": {"related_ids": related}}


def capture(status: str = "COMPLETED", value: str = "187.65", invoice: str = TAKE.key) -> dict[str, Any]:
    return {"id": "2GG279541U471931P", "status": status, "amount": amount(value), "invoice_id": invoice, "final_capture": True}


def fault(issue: str) -> dict[str, Any]:
    return {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": issue, "description": "Ana Müller"}], "debug_id": "x"}


@pytest.fixture
def paypal(stub: Any, http: Any) -> PayPal:
    stub.on(TOKEN, (200, {"access_token": "A21", "token_type": "Bearer", "expires_in": 32400}))
    return PayPal(http(), client_id="client", client_secret="secret")


def test_the_order_is_read_before_it_is_authorised(paypal: PayPal, stub: Any, keeps_to: Any) -> None:
    stub.on(GET_ORDER, (200, order()))
    stub.on(AUTHORIZE, (201, order("COMPLETED", holds=["CREATED"])))
    assert paypal.authorise(ASK, in_doubt=False) == Authorised(HOLD)
    assert [f"{one.method} {one.path}" for one in stub.asked] == [TOKEN, GET_ORDER, AUTHORIZE]
    sent = stub.asks(AUTHORIZE)[0]
    assert sent.headers["PayPal-Request-Id"] == ASK.key
    assert sent.headers["Authorization"] == "Bearer A21"
    keeps_to("paypal/checkout_orders_v2.json", "order_authorize_request", sent.json)
    assert stub.asks(TOKEN)[0].form == [("grant_type", "client_credentials")]


def test_an_answer_that_got_lost_is_found_by_reading_the_order(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_ORDER, (200, order()), (200, order("COMPLETED", holds=["CREATED"])))
    stub.on(AUTHORIZE, "lost")
    with pytest.raises(Unanswered, match="connection_lost"):
        paypal.authorise(ASK, in_doubt=False)
    assert {one.headers["PayPal-Request-Id"] for one in stub.asks(AUTHORIZE)} == {ASK.key}
    tries = len(stub.asks(AUTHORIZE))
    assert paypal.authorise(ASK, in_doubt=True) == Authorised(HOLD)
    assert len(stub.asks(AUTHORIZE)) == tries


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((200, order(amount=amount("187.64"))), Declined("amount_mismatch")),
        ((200, order(amount=amount(currency="EUR"))), Declined("amount_mismatch")),
        ((200, order(intent="CAPTURE")), Declined("wrong_intent")),
        ((200, order() | {"purchase_units": order()["purchase_units"] * 2}), Declined("not_one_purchase_unit")),
        ((200, order("CREATED")), Declined("not_approved")),
        ((200, order("PAYER_ACTION_REQUIRED")), Declined("not_approved")),
        ((200, order("VOIDED")), Declined("authorisation_voided")),
        ((200, order("COMPLETED", holds=["DENIED"])), Declined("declined")),
        ((200, order("COMPLETED", holds=["VOIDED"])), Declined("authorisation_voided")),
        ((404, fault("INVALID_RESOURCE_ID")), Declined("reference_unknown")),
    ],
)
def test_what_the_order_says_is_enough_to_refuse(paypal: PayPal, stub: Any, answer: Any, outcome: Any) -> None:
    stub.on(GET_ORDER, answer)
    assert paypal.authorise(ASK, in_doubt=False) == outcome
    assert not stub.asks(AUTHORIZE)


def test_a_reference_that_is_no_paypal_id_is_never_asked_for(paypal: PayPal, stub: Any) -> None:
    ask = AuthorisePayment("https://shop.example", "AJ-1", "USD", 1, "paypal", "..", "key", None)
    assert paypal.authorise(ask, in_doubt=False) == Declined("reference_unknown")
    assert not stub.asked


@pytest.mark.parametrize(
    ("issue", "outcome"),
    [
        ("INSTRUMENT_DECLINED", Declined("declined")),
        ("ORDER_NOT_APPROVED", Declined("not_approved")),
        ("ACTION_DOES_NOT_MATCH_INTENT", Declined("wrong_intent")),
        ("ORDER_EXPIRED", Declined("token_expired")),
        ("TRANSACTION_REFUSED", Declined("declined")),
    ],
)
def test_a_refused_authorisation_is_a_decline(paypal: PayPal, stub: Any, issue: str, outcome: Any) -> None:
    stub.on(GET_ORDER, (200, order()))
    stub.on(AUTHORIZE, (422, fault(issue)))
    assert paypal.authorise(ASK, in_doubt=False) == outcome


def test_an_order_authorised_in_the_meantime_is_read_again(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_ORDER, (200, order()), (200, order("COMPLETED", holds=["CREATED"])))
    stub.on(AUTHORIZE, (422, fault("ORDER_ALREADY_AUTHORIZED")))
    assert paypal.authorise(ASK, in_doubt=False) == Authorised(HOLD)


@pytest.mark.parametrize(
    ("status", "issue", "error", "code"),
    [
        (422, "ORDER_COMPLETION_IN_PROGRESS", Unanswered, "payment_in_progress"),
        (409, "PREVIOUS_REQUEST_IN_PROGRESS", Unanswered, "payment_in_progress"),
        (422, "PAYEE_ACCOUNT_RESTRICTED", Parked, "paypal_payee_account_restricted"),
        (403, "PERMISSION_DENIED", Parked, "paypal_permission_denied"),
        (400, "MALFORMED_REQUEST_JSON", Parked, "paypal_malformed_request_json"),
        (422, "DUPLICATE_INVOICE_ID", Parked, "paypal_duplicate_invoice_id"),
    ],
)
def test_what_is_no_decline_waits_or_is_parked(paypal: PayPal, stub: Any, status: int, issue: str, error: Any, code: str) -> None:
    stub.on(GET_ORDER, (200, order()))
    stub.on(AUTHORIZE, (status, fault(issue)))
    with pytest.raises(error) as raised:
        paypal.authorise(ASK, in_doubt=False)
    assert (type(raised.value), raised.value.code) == (error, code)
    assert "Ana" not in repr(raised.value)


def test_a_pending_authorisation_is_looked_at_again_later(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_ORDER, (200, order()))
    stub.on(AUTHORIZE, (201, order("COMPLETED", holds=["PENDING"])))
    with pytest.raises(TryLater, match="payment_pending"):
        paypal.authorise(ASK, in_doubt=False)


def test_a_refused_token_is_renewed_once(paypal: PayPal, stub: Any) -> None:
    stub.on(TOKEN, *((200, {"access_token": token, "expires_in": 32400}) for token in ("old", "new")))
    stub.on(GET_ORDER, (401, {"error": "invalid_token"}), (200, order("COMPLETED", holds=["CREATED"])))
    assert paypal.authorise(ASK, in_doubt=False) == Authorised(HOLD)
    assert [one.headers["Authorization"] for one in stub.asks(GET_ORDER)] == ["Bearer old", "Bearer new"]
    paypal.authorise(ASK, in_doubt=False)
    assert len(stub.asks(TOKEN)) == 2


def test_credentials_that_are_refused_wait_for_an_operator(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_ORDER, (401, {"error": "invalid_token"}))
    with pytest.raises(TryLater, match="credentials_refused"):
        paypal.authorise(ASK, in_doubt=False)
    assert len(stub.asks(GET_ORDER)) == 2
    stub.on(TOKEN, (401, {"error": "invalid_client"}))
    with pytest.raises(TryLater, match="credentials_refused"):
        paypal.authorise(ASK, in_doubt=False)


def test_the_token_is_renewed_shortly_before_it_runs_out(stub: Any, http: Any) -> None:
    now = [1000.0]
    stub.on(TOKEN, (200, {"access_token": "A21", "expires_in": 600}))
    stub.on(GET_ORDER, (404, {}))
    paypal = PayPal(http(), client_id="client", client_secret="secret", clock=lambda: now[0])
    for second, tokens in ((1000, 1), (1539, 1), (1541, 2)):
        now[0] = second
        paypal.authorise(ASK, in_doubt=False)
        assert len(stub.asks(TOKEN)) == tokens


def test_a_busy_paypal_is_left_alone_for_as_long_as_it_asks(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_ORDER, (429, {"name": "RATE_LIMIT_REACHED"}, {"Retry-After": "17"}))
    with pytest.raises(TryLater) as raised:
        paypal.authorise(ASK, in_doubt=False)
    assert (type(raised.value), raised.value.after_seconds) == (TryLater, 17.0)
    assert len(stub.asks(GET_ORDER)) == 1


def test_the_whole_is_captured_finally_under_our_key(paypal: PayPal, stub: Any, keeps_to: Any) -> None:
    stub.on(CAPTURE, (201, capture()))
    assert paypal.capture(TAKE, in_doubt=False) == Captured("2GG279541U471931P")
    sent = stub.asks(CAPTURE)[0]
    assert sent.json == {"amount": amount(), "invoice_id": TAKE.key, "final_capture": True}
    assert sent.headers["PayPal-Request-Id"] == TAKE.key
    keeps_to("paypal/payments_payment_v2.json", "capture_request", sent.json)


def test_a_lost_capture_is_found_and_not_asked_for_again(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_HOLD, (200, hold("CAPTURED", order_id=ORDER)))
    stub.on(GET_ORDER, (200, order("COMPLETED", holds=["CAPTURED"], captures=[capture()])))
    assert paypal.capture(TAKE, in_doubt=True) == Captured("2GG279541U471931P")
    assert not stub.asks(CAPTURE)


def test_a_lost_capture_is_found_by_the_link_to_its_order(paypal: PayPal, stub: Any) -> None:
    links = [{"rel": "up", "href": f"{stub.url}/v2/checkout/orders/{ORDER}"}]
    stub.on(GET_HOLD, (200, {"id": HOLD, "status": "CAPTURED", "links": links}))
    stub.on(GET_ORDER, (200, order("COMPLETED", holds=["CAPTURED"], captures=[capture()])))
    assert paypal.capture(TAKE, in_doubt=True) == Captured("2GG279541U471931P")
    assert not stub.asks(CAPTURE)


def test_a_capture_that_nothing_leads_to_is_told_by_the_same_key(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_HOLD, (200, {"id": HOLD, "status": "CAPTURED"}))
    stub.on(CAPTURE, (200, capture()), (422, fault("AUTHORIZATION_ALREADY_CAPTURED")))
    assert paypal.capture(TAKE, in_doubt=True) == Captured("2GG279541U471931P")
    with pytest.raises(Parked, match="paypal_capture_not_found"):
        paypal.capture(TAKE, in_doubt=True)


def test_a_capture_in_doubt_that_never_arrived_is_asked_for(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_HOLD, (200, hold("CREATED", order_id=ORDER)))
    stub.on(CAPTURE, (201, capture()))
    assert paypal.capture(TAKE, in_doubt=True) == Captured("2GG279541U471931P")


def test_already_captured_is_looked_up_and_compared(paypal: PayPal, stub: Any) -> None:
    stub.on(CAPTURE, (422, fault("AUTHORIZATION_ALREADY_CAPTURED")))
    stub.on(GET_HOLD, (200, hold("CAPTURED", capture_id="2GG279541U471931P")))
    stub.on("GET /v2/payments/captures/2GG279541U471931P", (200, capture()), (200, capture(value="90.00", invoice="by hand")))
    assert paypal.capture(TAKE, in_doubt=False) == Captured("2GG279541U471931P")
    assert paypal.capture(TAKE, in_doubt=False) == CaptureFailed("amount_mismatch")


def test_a_part_captured_by_hand_is_for_a_person(paypal: PayPal, stub: Any) -> None:
    stub.on(GET_HOLD, (200, hold("PARTIALLY_CAPTURED", order_id=ORDER)))
    stub.on(GET_ORDER, (200, order("COMPLETED", captures=[capture(value="90.00", invoice="by hand")])))
    with pytest.raises(Parked, match="paypal_capture_not_found"):
        paypal.capture(TAKE, in_doubt=True)
    assert not stub.asks(CAPTURE)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((201, capture("DECLINED")), CaptureFailed("declined")),
        ((201, capture("FAILED")), CaptureFailed("declined")),
        ((422, fault("AUTHORIZATION_EXPIRED")), CaptureFailed("authorisation_expired")),
        ((422, fault("AUTHORIZATION_VOIDED")), CaptureFailed("authorisation_voided")),
        ((422, fault("AUTHORIZATION_DENIED")), CaptureFailed("declined")),
        ((422, fault("MAX_CAPTURE_AMOUNT_EXCEEDED")), CaptureFailed("amount_mismatch")),
        ((404, fault("INVALID_RESOURCE_ID")), CaptureFailed("authorisation_unknown")),
    ],
)
def test_a_capture_that_will_not_be(paypal: PayPal, stub: Any, answer: Any, outcome: Any) -> None:
    stub.on(CAPTURE, answer)
    assert paypal.capture(TAKE, in_doubt=False) == outcome


def test_a_pending_capture_waits(paypal: PayPal, stub: Any) -> None:
    stub.on(CAPTURE, (201, capture("PENDING")))
    with pytest.raises(TryLater, match="capture_pending"):
        paypal.capture(TAKE, in_doubt=False)


def test_currencies_without_decimals_at_paypal(paypal: PayPal, stub: Any) -> None:
    stub.on(CAPTURE, (201, capture() | {"amount": amount("5000", "HUF")}))
    take = CapturePayment("https://shop.example", "AJ-1", "HUF", 500000, "paypal", HOLD, TAKE.key)
    assert paypal.capture(take, in_doubt=False) == Captured("2GG279541U471931P")
    assert stub.asks(CAPTURE)[0].json["amount"] == amount("5000", "HUF")
