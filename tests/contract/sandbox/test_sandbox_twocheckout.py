"""The 2Checkout sandbox against 2Checkout's own fixtures and documented signatures."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

import pytest

from deploy.sandbox.twocheckout.signatures import sign, source_string

_SECRET = b"sandbox-secret-key"
_MERCHANT = "SANDBOX"


class _Client:
    def __init__(self, running):
        self.running = running

    def ask(self, method, path, body=None, *, algorithm="sha256", secret=_SECRET):
        date = "2026-11-22 10:15:00"
        digest = sign(secret, [_MERCHANT, date], algorithm)
        header = f'code="{_MERCHANT}" date="{date}" hash="{digest}" algo="{algorithm}"'
        return self.running.ask(method, f"/rest/6.0/orders/{path}", headers={"X-Avangate-Authentication": header}, json=body)

    def token(self, **more):
        (token,) = self.running.ask("POST", "/_sandbox/tokens", json={"count": 1, **more}).json()["tokens"]
        return token

    def place(self, example, reference, **more):
        body = json.loads(json.dumps(example))
        body["ExternalReference"] = reference
        body["PaymentDetails"]["PaymentMethod"]["EesToken"] = self.token(**more)
        return body, self.ask("POST", "", body)

    def deliver(self, ref_no, amount, currency="USD", *, algorithm="sha256", secret=_SECRET):
        values = [_MERCHANT, ref_no, amount, currency, "2026-11-22 10:16:00"]
        names = ("MERCHANT", "ORDER_REF", "ORDER_AMOUNT", "ORDER_CURRENCY", "IDN_DATE")
        form = [*zip(names, values, strict=True), ("ORDER_HASH", sign(secret, values, algorithm))]
        answer = self.running.ask(
            "POST",
            "/order/idn.php",
            data=urlencode(form),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == 200
        match = re.fullmatch(r"<EPAYMENT>([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)</EPAYMENT>", answer.text)
        assert match is not None
        return match.groups()


@pytest.fixture(scope="module")
def twocheckout(start):
    return _Client(start("twocheckout"))


@pytest.fixture(scope="module")
def fixtures(data):
    folder = data / "provider-specs/2checkout"
    return {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


@pytest.fixture(scope="module")
def example(fixtures):
    return fixtures["requests"]["dynamic_token_order_readme"]


def test_signatures_match_the_vectors(fixtures):
    vectors = fixtures["signature-vectors"]
    (documented,) = vectors["rest_auth_source_string"]
    source = source_string([documented["merchant_code"], documented["date"]])
    assert source.decode() == documented["source_string"]
    published = vectors["ipn_read_receipt"][1]
    values = [*published["IPN_PID"], *published["IPN_PNAME"], published["IPN_DATE"], published["DATE"]]
    assert source_string(values).decode() == published["source_string"]
    for vector in vectors["ipn_read_receipt_derived_here"]:
        assert sign(vector["key"].encode(), values, vector["algo"]) == vector["digest"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha3-256"])
def test_an_order_is_placed_found_delivered_and_refunded(twocheckout, fixtures, example, algorithm):
    reference = f"AJ-{algorithm}"
    _, placed = twocheckout.place(example, reference)
    assert placed.status_code == 201
    order = placed.json()
    assert (order["Status"], order["GrossPrice"], order["Errors"]) == ("AUTHRECEIVED", 22, None)
    assert set(order) <= set(fixtures["order-get-response"])
    found = twocheckout.ask("GET", f"?ExternalRefNo={reference}", algorithm=algorithm).json()
    assert [item["RefNo"] for item in found["Items"]] == [order["RefNo"]]
    assert found["Pagination"]["Count"] == 1

    ref_no, code, message, date, digest = twocheckout.deliver(order["RefNo"], "22.00", algorithm=algorithm)
    assert (ref_no, code, message) == (order["RefNo"], "1", "Confirmed")
    assert digest == sign(_SECRET, [ref_no, code, message, date], algorithm)
    assert twocheckout.deliver(order["RefNo"], "22.00")[1] == "7"
    shown = twocheckout.ask("GET", f"{order['RefNo']}/").json()
    assert (shown["Status"], shown["DeliveryFinalized"]) == ("COMPLETE", True)

    refund = fixtures["requests"]["refund_full"] | {"amount": shown["GrossPrice"]}
    assert twocheckout.ask("POST", f"{order['RefNo']}/refund/", refund).json() is True
    assert twocheckout.ask("GET", f"{order['RefNo']}/").json()["Status"] == "REFUND"
    books = twocheckout.running.books()["orders"][order["RefNo"]]
    assert (books["reference"], books["deliveries_confirmed"]) == (reference, 1)


def test_the_fixtures_orders_are_taken_or_refused_as_they_say(twocheckout, fixtures):
    assert twocheckout.ask("POST", "", fixtures["requests"]["catalog_order_brazil"]).status_code == 201
    refused = twocheckout.ask("POST", "", fixtures["requests"]["invalid_no_items"])
    assert refused.status_code == 400
    assert set(refused.json()) == {"error_code", "message"}


def test_a_token_serves_one_order_only(twocheckout, example):
    body, first = twocheckout.place(example, "AJ-once")
    assert first.status_code == 201
    again = twocheckout.ask("POST", "", body)
    assert (again.status_code, again.json()["error_code"]) == (400, "INVALID_EES_TOKEN")


def test_a_token_grows_old(twocheckout, example):
    body = json.loads(json.dumps(example))
    body["PaymentDetails"]["PaymentMethod"]["EesToken"] = twocheckout.token()
    assert twocheckout.running.ask("POST", "/_sandbox/tokens/expire").status_code == 204
    assert twocheckout.ask("POST", "", body).json()["error_code"] == "INVALID_EES_TOKEN"


def test_a_declined_order_has_a_refno_and_errors(twocheckout, example):
    _, placed = twocheckout.place(example, "AJ-declined", decline=True)
    order = placed.json()
    assert order["RefNo"]
    assert order["Errors"]
    assert order["Status"] == "PENDING"
    assert twocheckout.deliver(order["RefNo"], "22.00")[1] == "6"


@pytest.mark.parametrize(
    ("name", "country"),
    [
        *((name, "US") for name in ("FirstName", "LastName", "CountryCode", "City", "Address1", "Zip", "Email")),
        *(("State", country) for country in ("US", "TR", "IN", "RO")),
        ("FiscalCode", "BR"),
    ],
)
def test_billing_needs_what_the_country_asks(twocheckout, example, name, country):
    body = json.loads(json.dumps(example))
    body["BillingDetails"] |= {"CountryCode": country, "FiscalCode": "056.027.963-98"}
    del body["BillingDetails"][name]
    body["PaymentDetails"]["PaymentMethod"]["EesToken"] = twocheckout.token()
    refused = twocheckout.ask("POST", "", body)
    assert (refused.status_code, refused.json()["error_code"]) == (400, f"BILLING_{name.upper()}_REQUIRED")
    body["BillingDetails"][name] = country if name == "CountryCode" else "something"
    assert twocheckout.ask("POST", "", body).status_code == 201


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Quantity": 0}, "ORDER_ITEMS_QUANTITY_INVALID"),
        ({"Name": ""}, "ORDER_PRODUCT_NAME_INVALID"),
        ({"PurchaseType": "GIFT"}, "ORDER_PRODUCT_PURCHASE_TYPE_INVALID"),
        ({"Tangible": "yes"}, "ORDER_PRODUCT_TANGIBLE_INVALID"),
        ({"Price": {"Amount": "6.00", "Type": "CUSTOM"}}, "ORDER_PRODUCT_PRICE_AMOUNT_INVALID"),
        ({"Price": {"Amount": 6}}, "ORDER_PRODUCT_PRICE_TYPE_INVALID"),
        ({"IsDynamic": False, "Code": "X"}, "ORDER_ITEMS_INVALID"),
    ],
)
def test_items_are_checked_by_documented_codes(twocheckout, fixtures, example, change, code):
    body = json.loads(json.dumps(example))
    body["Items"][0] |= change
    assert twocheckout.ask("POST", "", body).json()["error_code"] == code
    assert code in fixtures["enums-and-errors"]["order_object_errors"]


def test_nobody_gets_in_with_a_wrong_key(twocheckout, fixtures):
    answer = twocheckout.ask("GET", "", secret=b"wrong")
    assert (answer.status_code, answer.json()["error_code"]) == (401, "AUTHENTICATION_FAILED")
    assert "AUTHENTICATION_FAILED" in fixtures["enums-and-errors"]["auth_errors"]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"amount": "22.01"}, "10"), ({"currency": "EUR"}, "11"), ({"ref_no": "1"}, "9"), ({"secret": b"wrong"}, "8")],
)
def test_a_faulty_delivery_notification_takes_no_money(twocheckout, example, change, code):
    _, placed = twocheckout.place(example, f"AJ-idn-{code}")
    ref_no = placed.json()["RefNo"]
    assert twocheckout.deliver(**({"ref_no": ref_no, "amount": "22.00"} | change))[1] == code
    assert twocheckout.ask("GET", f"{ref_no}/").json()["Status"] == "AUTHRECEIVED"
