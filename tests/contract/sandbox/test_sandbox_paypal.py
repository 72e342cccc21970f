"""The PayPal sandbox against PayPal's OpenAPI of Orders v2 and Payments v2."""

from __future__ import annotations

import json
from itertools import count

import pytest
import requests

_numbers = count(1)


@pytest.fixture(scope="module")
def orders_spec(data, spec_of):
    return spec_of(json.loads((data / "provider-specs/paypal/checkout_orders_v2.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def payments_spec(data, spec_of):
    return spec_of(json.loads((data / "provider-specs/paypal/payments_payment_v2.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def specs(orders_spec, payments_spec):
    return {True: orders_spec, False: payments_spec}


@pytest.fixture(scope="module")
def paypal(start):
    return _Client(start("paypal"))


class _Client:
    def __init__(self, running):
        self.running = running
        self.token = self._token()

    def _token(self):
        answer = self.running.ask(
            "POST",
            "/v1/oauth2/token",
            auth=("sandbox-client", "sandbox-client-secret"),
            data={"grant_type": "client_credentials"},
        )
        assert answer.status_code == 200
        assert answer.json()["token_type"] == "Bearer"
        return answer.json()["access_token"]

    def ask(self, method, path, body=None, *, key="", whole=True):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["PayPal-Request-Id"] = key
        if whole:
            headers["Prefer"] = "return=representation"
        return self.running.ask(method, path, headers=headers, data=None if body is None else json.dumps(body))

    def approved(self, amount="187.65", currency="USD", **more):
        wish = {"reference_id": f"AJ-{next(_numbers)}", "amount": amount, "currency": currency, **more}
        answer = self.running.ask("POST", "/_sandbox/orders", json=[wish])
        assert answer.status_code == 200
        return answer.json()["orders"][0]["id"]

    def authorised(self, amount="187.65", **more):
        order_id = self.approved(amount, **more)
        answer = self.ask("POST", f"/v2/checkout/orders/{order_id}/authorize", {})
        assert answer.status_code == 201
        return order_id, answer.json()["purchase_units"][0]["payments"]["authorizations"][0]["id"]

    def captured(self, amount="187.65", body=None):
        order_id, authorisation_id = self.authorised(amount)
        answer = self.ask("POST", f"/v2/payments/authorizations/{authorisation_id}/capture", body or {"final_capture": True})
        assert answer.status_code == 201
        return order_id, answer.json()["id"]


def _order(**more):
    unit = {"reference_id": "AJ-1", "amount": {"currency_code": "USD", "value": "187.65"}}
    return {"intent": "AUTHORIZE", "purchase_units": [unit | more]}


@pytest.mark.parametrize("whole", [True, False], ids=["representation", "minimal"])
def test_the_default_course_answers_as_the_spec_says(paypal, orders_spec, payments_spec, whole):
    request = _order(invoice_id=f"INV-{whole}")
    orders_spec.check(orders_spec.request_schema("orders.create"), request)
    created = paypal.ask("POST", "/v2/checkout/orders", request, key=f"create-{whole}", whole=whole)
    assert created.status_code == 201
    orders_spec.check(orders_spec.answer_schema("orders.create", 201), created.json())
    order_id = created.json()["id"]
    assert paypal.running.ask("POST", f"/_sandbox/orders/{order_id}/approve").status_code == 200

    authorised = paypal.ask("POST", f"/v2/checkout/orders/{order_id}/authorize", {}, key=f"authorise-{whole}", whole=whole)
    assert authorised.status_code == 201
    orders_spec.check(orders_spec.answer_schema("orders.authorize", 201), authorised.json())
    authorisation = authorised.json()["purchase_units"][0]["payments"]["authorizations"][0]
    assert (authorisation["status"], authorisation["amount"]["value"]) == ("CREATED", "187.65")

    shown = paypal.ask("GET", f"/v2/checkout/orders/{order_id}")
    assert shown.json()["purchase_units"][0]["amount"] == {"currency_code": "USD", "value": "187.65"}
    orders_spec.check(orders_spec.answer_schema("orders.get", 200), shown.json())

    path = f"/v2/payments/authorizations/{authorisation['id']}"
    payments_spec.check(payments_spec.answer_schema("authorizations.get", 200), paypal.ask("GET", path).json())
    captured = paypal.ask("POST", f"{path}/capture", {"final_capture": True}, key=f"capture-{whole}", whole=whole)
    assert captured.status_code == 201
    payments_spec.check(payments_spec.answer_schema("authorizations.capture", 201), captured.json())
    assert paypal.ask("GET", path).json()["status"] == "CAPTURED"

    capture_path = f"/v2/payments/captures/{captured.json()['id']}"
    payments_spec.check(payments_spec.answer_schema("captures.get", 200), paypal.ask("GET", capture_path).json())
    refunded = paypal.ask("POST", f"{capture_path}/refund", None, key=f"refund-{whole}", whole=whole)
    assert refunded.status_code == 201
    payments_spec.check(payments_spec.answer_schema("captures.refund", 201), refunded.json())
    refund = paypal.ask("GET", f"/v2/payments/refunds/{refunded.json()['id']}")
    payments_spec.check(payments_spec.answer_schema("refunds.get", 200), refund.json())
    assert refund.json()["amount"]["value"] == "187.65"


def test_a_void_is_answered_as_the_spec_says_and_cannot_be_repeated(paypal, payments_spec):
    _, authorisation_id = paypal.authorised()
    voided = paypal.ask("POST", f"/v2/payments/authorizations/{authorisation_id}/void")
    assert (voided.status_code, voided.json()["status"]) == (200, "VOIDED")
    payments_spec.check(payments_spec.answer_schema("authorizations.void", 200), voided.json())
    again = paypal.ask("POST", f"/v2/payments/authorizations/{authorisation_id}/void")
    assert again.json()["details"][0]["issue"] == "PREVIOUSLY_VOIDED"
    _, other = paypal.authorised()
    assert paypal.ask("POST", f"/v2/payments/authorizations/{other}/void", whole=False).status_code == 204


def test_the_specs_own_example_requests_are_taken(paypal, data):
    folder = data / "payloads/paypal"
    examples = json.loads((folder / "checkout_orders_v2-examples.json").read_text("utf-8"))
    examples += json.loads((folder / "payments_payment_v2-examples.json").read_text("utf-8"))
    requests_of = {example["operation"]: example["value"] for example in examples if example["kind"] == "request"}
    created = paypal.ask("POST", "/v2/checkout/orders", requests_of["orders.create"], key="example")
    assert (created.status_code, created.json()["status"]) == (201, "PAYER_ACTION_REQUIRED")
    _, capture_id = paypal.captured("10.99", requests_of["authorizations.capture"])
    refunded = paypal.ask("POST", f"/v2/payments/captures/{capture_id}/refund", requests_of["captures.refund"])
    assert refunded.status_code == 201
    assert paypal.ask("GET", f"/v2/payments/captures/{capture_id}").json()["status"] == "PARTIALLY_REFUNDED"


def test_a_repeated_request_id_does_nothing_twice(paypal):
    order_id = paypal.approved()
    path = f"/v2/checkout/orders/{order_id}/authorize"
    first, second = (paypal.ask("POST", path, {}, key="authorise-once") for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    authorisation_id = first.json()["purchase_units"][0]["payments"]["authorizations"][0]["id"]
    path = f"/v2/payments/authorizations/{authorisation_id}/capture"
    first, second = (paypal.ask("POST", path, {"final_capture": True}, key="capture-once") for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    books = paypal.running.books()["orders"][order_id]
    assert [capture["amount"] for capture in books["captures"]] == ["187.65"]
    assert len(books["authorisations"]) == 1


def _create(unit=None, **more):
    return lambda paypal: paypal.ask("POST", "/v2/checkout/orders", {**_order(**(unit or {})), **more})


def _authorise(**more):
    return lambda paypal: paypal.ask("POST", f"/v2/checkout/orders/{paypal.approved(**more)}/authorize", {})


def _unapproved(paypal):
    order_id = paypal.ask("POST", "/v2/checkout/orders", _order()).json()["id"]
    return paypal.ask("POST", f"/v2/checkout/orders/{order_id}/authorize", {})


def _authorise_twice(paypal):
    return paypal.ask("POST", f"/v2/checkout/orders/{paypal.authorised()[0]}/authorize", {}, key=f"new-{next(_numbers)}")


def _capture(body, *, before=(), end="capture"):
    def act(paypal):
        _, authorisation_id = paypal.authorised()
        path = f"/v2/payments/authorizations/{authorisation_id}"
        for verb in before:
            assert paypal.ask("POST", f"{path}/{verb}", {"final_capture": True} if verb == "capture" else None).ok
        return paypal.ask("POST", f"{path}/{end}", body)

    return act


def _one_invoice_twice(paypal):
    invoice_id = f"INV-{next(_numbers)}"
    paypal.captured("5.00", {"final_capture": True, "invoice_id": invoice_id})
    return _capture({"invoice_id": invoice_id})(paypal)


def _refund(*bodies):
    def act(paypal):
        _, capture_id = paypal.captured()
        return [paypal.ask("POST", f"/v2/payments/captures/{capture_id}/refund", body) for body in bodies][-1]

    return act


def _money(value, currency="USD"):
    return {"amount": {"currency_code": currency, "value": value}}


_CAPTURE, _VOID, _REFUND = "authorizations.capture", "authorizations.void", "captures.refund"


@pytest.mark.parametrize(
    "expected",
    [
        ("orders.create", lambda paypal: paypal.ask("POST", "/v2/checkout/orders", {}), 400, "MISSING_REQUIRED_PARAMETER"),
        ("orders.create", _create(intent="STEAL"), 400, "INVALID_PARAMETER_VALUE"),
        ("orders.create", _create(purchase_units=[]), 400, "INVALID_ARRAY_MIN_ITEMS"),
        ("orders.create", _create(purchase_units=[{}]), 400, "MISSING_REQUIRED_PARAMETER"),
        ("orders.create", _create(_money("1,00")), 400, "INVALID_PARAMETER_SYNTAX"),
        ("orders.create", _create({"invoice_id": "i" * 128}), 400, "INVALID_STRING_LENGTH"),
        ("orders.create", _create(payment_source={"paypal": {}}), 400, "PAYPAL_REQUEST_ID_REQUIRED"),
        ("orders.create", _create(_money("0.00")), 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("orders.create", _create(_money("1.001")), 422, "DECIMAL_PRECISION"),
        ("orders.create", _create(_money("1.000", "KWD")), 422, "INVALID_CURRENCY_CODE"),
        ("orders.create", _create(purchase_units=_order()["purchase_units"] * 2), 422, "DUPLICATE_REFERENCE_ID"),
        ("orders.get", lambda paypal: paypal.ask("GET", "/v2/checkout/orders/NOWHERE"), 404, "INVALID_RESOURCE_ID"),
        ("orders.authorize", _unapproved, 422, "ORDER_NOT_APPROVED"),
        ("orders.authorize", _authorise_twice, 422, "ORDER_ALREADY_AUTHORIZED"),
        ("orders.authorize", _authorise(intent="CAPTURE"), 422, "ACTION_DOES_NOT_MATCH_INTENT"),
        ("orders.authorize", _authorise(decline=True), 422, "INSTRUMENT_DECLINED"),
        (_CAPTURE, _capture({}, before=["capture"]), 422, "AUTHORIZATION_ALREADY_CAPTURED"),
        (_CAPTURE, _capture({}, before=["void"]), 422, "AUTHORIZATION_VOIDED"),
        (_CAPTURE, _capture(_money("215.80")), 422, "MAX_CAPTURE_AMOUNT_EXCEEDED"),
        (_CAPTURE, _capture(_money("187.65", "EUR")), 422, "AUTH_CAPTURE_CURRENCY_MISMATCH"),
        (_CAPTURE, _capture(_money("187.5", "JPY")), 422, "DECIMALS_NOT_SUPPORTED"),
        (_CAPTURE, _capture({"invoice_id": 5}), 400, "INVALID_PARAMETER_SYNTAX"),
        (_CAPTURE, _one_invoice_twice, 422, "DUPLICATE_INVOICE_ID"),
        (_VOID, _capture(None, before=["capture"], end="void"), 422, "PREVIOUSLY_CAPTURED"),
        (_VOID, _capture(None, before=["void"], end="void"), 422, "PREVIOUSLY_VOIDED"),
        (_REFUND, _refund(None, None), 422, "CAPTURE_FULLY_REFUNDED"),
        (_REFUND, _refund(_money("187.66")), 422, "REFUND_AMOUNT_EXCEEDED"),
        (_REFUND, _refund(_money("1.00", "EUR")), 422, "REFUND_CAPTURE_CURRENCY_MISMATCH"),
    ],
)
def test_errors_have_the_specs_shape_and_issue(paypal, specs, expected):
    operation, act, status, issue = expected
    spec = specs[operation.startswith("orders.")]
    answer = act(paypal)
    assert (answer.status_code, [detail["issue"] for detail in answer.json()["details"]]) == (status, [issue])
    assert issue in spec.issues(operation, status) or (operation, issue) in _ISSUES_THE_SPEC_LISTS_ELSEWHERE
    spec.check(f"error_{status}", answer.json())


# The spec lists this issue for creating and capturing an order, not for authorising one, where means may fail just so.
_ISSUES_THE_SPEC_LISTS_ELSEWHERE = {("orders.authorize", "INSTRUMENT_DECLINED")}


def test_the_yardstick_itself_refuses_what_does_not_fit(orders_spec):
    with pytest.raises(AssertionError):
        orders_spec.check(orders_spec.answer_schema("orders.get", 200), {"id": "X", "status": "SHIPPED"})
    with pytest.raises(AssertionError):
        orders_spec.check("error_422", {"name": "OOPS"})


def test_no_request_without_a_token(paypal, payments_spec):
    answer = paypal.running.ask("GET", "/v2/payments/authorizations/X", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
    payments_spec.check("error_401", answer.json())
    refused = paypal.running.ask(
        "POST", "/v1/oauth2/token", auth=("sandbox-client", "wrong"), data="grant_type=client_credentials"
    )
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_a_lost_answer_leaves_its_effect_once(start):
    client = _Client(start("paypal"))
    order_id = client.approved()
    assert client.running.ask("PUT", "/_sandbox/switches", json={"lose_answers": 1}).status_code == 204
    path = f"/v2/checkout/orders/{order_id}/authorize"
    endings = []
    for _ in range(3):
        try:
            endings.append(client.ask("POST", path, {}, key="k").status_code)
        except requests.ConnectionError:
            endings.append("lost")
    # Never more than twice in a row, and what was done stays done.
    assert endings == ["lost", "lost", 200]
    books = client.running.books()
    assert [authorisation["amount"] for authorisation in books["orders"][order_id]["authorisations"]] == ["187.65"]
    assert books["lost_answers"] == 2


def test_a_forced_fault_has_no_effect(start):
    client = _Client(start("paypal"))
    order_id = client.approved()
    fault = {"method": "POST", "path_prefix": "/v2/checkout", "status": 429, "headers": {"Retry-After": "3"}}
    assert client.running.ask("POST", "/_sandbox/faults", json=fault).status_code == 204
    path = f"/v2/checkout/orders/{order_id}/authorize"
    limited = client.ask("POST", path, {})
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    assert client.running.summary()["authorised"] == 0
    assert client.ask("POST", path, {}).status_code == 201


def test_it_ends_at_a_signal_with_its_books_written(start):
    client = _Client(start("paypal"))
    order_id, _ = client.authorised()
    assert client.running.stop() == 0
    lines = [json.loads(line) for line in (client.running.books_folder / "paypal.jsonl").read_text("utf-8").splitlines()]
    assert [(line["effect"], line["order"]) for line in lines] == [("authorised", order_id)]
