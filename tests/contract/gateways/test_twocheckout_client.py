"""Our 2Checkout client against a stub, its signatures against 2Checkout's published vectors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.payments.gateway import Authorised, AuthorisePayment, Captured, CaptureFailed, CapturePayment, Declined
from services.payments.gateway.twocheckout import TwoCheckout, TwoCheckoutAccount, length_prefixed, sign
from shared.contracts.errors import Parked, TryLater, Unanswered

SPECS = Path(__file__).parents[4] / "shared" / "data" / "provider-specs" / "2checkout"
ORDERS = "/rest/6.0/orders/"
PLACE, SEARCH = f"POST {ORDERS}", f"GET {ORDERS}"
ONE, IDN = f"GET {ORDERS}147288494/", "POST /order/idn.php"
ADDRESS = SimpleNamespace(line1="12 Larimer St", line2=None, city="Denver", region="CO", postal_code="80202", country="US")
BILLING = SimpleNamespace(given_name="Ana", family_name="Müller", email="ana@example.com", address=ADDRESS, tax_id=None)
ASK = AuthorisePayment("https://shop.example", "AJ-1", "USD", 18765, "2checkout", "cdefa07d-0595-4469", "authorise-AJ-1", BILLING)
TAKE = CapturePayment("https://shop.example", "AJ-1", "USD", 18765, "2checkout", "147288494", "capture-AJ-1")
ACCOUNT = TwoCheckoutAccount("YOURCODE123", "AABBCCDDEEFF", "https://shop.example/paid", "https://shop.example/basket", "TEST")


def vectors(name: str) -> Any:
    path = SPECS / name
    if not path.is_file():
        pytest.skip("the providers' specs (../shared/data) are not here")
    return json.loads(path.read_text())


def order(status: str = "AUTHRECEIVED", **other: Any) -> dict[str, Any]:
    given = {"RefNo": "147288494", "ExternalReference": ASK.key, "Status": status, "ApproveStatus": "OK", "Errors": None}
    return given | {"Currency": "usd", "GrossPrice": 187.65} | other


def idn(code: int, reference: str = "147288494") -> tuple[int, bytes]:
    return (200, f"<EPAYMENT>{reference}|{code}|text|2020-06-18 08:05:46|0f</EPAYMENT>".encode())


@pytest.fixture
def company(stub: Any, http: Any) -> TwoCheckout:
    return TwoCheckout(
        http("/rest/6.0"), http("/order/idn.php"), ACCOUNT, now=lambda: datetime(2020, 6, 18, 8, 5, 46, tzinfo=UTC)
    )


def test_published_signatures() -> None:
    given = vectors("signature-vectors.json")
    receipts = given["ipn_read_receipt"] + [
        one | {"IPN_PID": ["1"], "IPN_PNAME": ["Software program"], "IPN_DATE": "20050303123434", "DATE": "20050303123434"}
        for one in given["ipn_read_receipt_derived_here"]
    ]
    for one in receipts:
        values = [one["IPN_PID"][0], one["IPN_PNAME"][0], one["IPN_DATE"], one["DATE"]]
        assert length_prefixed(values) == one["source_string"]
        assert sign(one["key"], values, one["algo"].replace("-", "_")) == one["digest"]
    source = given["rest_auth_source_string"][0]
    assert length_prefixed([source["merchant_code"], source["date"]]) == source["source_string"]
    assert length_prefixed(["", "ü"]) == "02ü"


def test_one_item_for_the_whole_is_ordered_with_the_token(company: TwoCheckout, stub: Any) -> None:
    stub.on(PLACE, (201, order()))
    assert company.authorise(ASK, in_doubt=False) == Authorised("147288494")
    sent = stub.asks(PLACE)[0]
    digest = sign("AABBCCDDEEFF", ["YOURCODE123", "2020-06-18 08:05:46"])
    wanted = f'code="YOURCODE123" date="2020-06-18 08:05:46" hash="{digest}" algo="sha256"'
    assert sent.headers["X-Avangate-Authentication"] == wanted
    assert json.loads(sent.body, parse_float=Decimal) == {
        "Currency": "USD",
        "Country": "US",
        "Language": "en",
        "ExternalReference": "authorise-AJ-1",
        "BillingDetails": {
            "FirstName": "Ana",
            "LastName": "Müller",
            "Email": "ana@example.com",
            "Address1": "12 Larimer St",
            "City": "Denver",
            "State": "CO",
            "Zip": "80202",
            "CountryCode": "US",
        },
        "Items": [
            {
                "Name": "Order AJ-1",
                "Quantity": 1,
                "IsDynamic": True,
                "Tangible": True,
                "PurchaseType": "PRODUCT",
                "Price": {"Amount": Decimal("187.65"), "Type": "CUSTOM"},
            }
        ],
        "PaymentDetails": {
            "Type": "TEST",
            "Currency": "USD",
            "PaymentMethod": {
                "EesToken": "cdefa07d-0595-4469",
                "Vendor3DSReturnURL": "https://shop.example/paid",
                "Vendor3DSCancelURL": "https://shop.example/basket",
            },
        },
    }


def test_what_we_send_is_made_of_members_that_their_own_example_has(company: TwoCheckout, stub: Any) -> None:
    example = vectors("requests.json")["dynamic_token_order_readme"]
    billing = {*example["BillingDetails"], *vectors("order-get-response.json")["BillingDetails"]}
    stub.on(PLACE, (201, order()))
    company.authorise(ASK, in_doubt=False)
    sent = stub.asks(PLACE)[0].json
    assert sent.keys() <= example.keys()
    assert sent["BillingDetails"].keys() <= billing
    assert sent["Items"][0].keys() <= example["Items"][0].keys()
    assert sent["PaymentDetails"].keys() <= example["PaymentDetails"].keys()
    assert sent["PaymentDetails"]["PaymentMethod"].keys() <= example["PaymentDetails"]["PaymentMethod"].keys()


@pytest.mark.parametrize(("minor", "currency", "text"), [(99999999999999, "USD", b"999999999999.99"), (5000, "JPY", b"5000")])
def test_amounts_are_written_digit_by_digit(company: TwoCheckout, stub: Any, minor: int, currency: str, text: bytes) -> None:
    ask = AuthorisePayment("https://shop.example", "AJ-1", currency, minor, "2checkout", "token", ASK.key, BILLING)
    stub.on(PLACE, (201, order(GrossPrice=None, Currency=currency)))
    company.authorise(ask, in_doubt=False)
    assert b'"Amount":' + text + b"," in stub.asks(PLACE)[0].body


def test_a_lost_order_is_searched_by_our_key_and_placed_once(company: TwoCheckout, stub: Any) -> None:
    stub.on(PLACE, "lost")
    with pytest.raises(Unanswered, match="connection_lost"):
        company.authorise(ASK, in_doubt=False)
    stub.on(SEARCH, (200, {"Items": [order(ExternalReference="another"), order(RefNo="2")], "Pagination": {}}))
    assert company.authorise(ASK, in_doubt=True) == Authorised("2")
    assert len(stub.asks(PLACE)) == 1
    allowed = vectors("requests.json")["order_search_params"]
    query = stub.asks(SEARCH)[0].query
    assert query["ExternalRefNo"] == ASK.key
    assert query["StartDate"] == "2020-05-19"
    assert query.keys() <= {*allowed, "IncludeTestOrders"}


def test_an_order_in_doubt_that_never_arrived_is_placed(company: TwoCheckout, stub: Any) -> None:
    stub.on(SEARCH, (200, {"Items": []}))
    stub.on(PLACE, (201, order()))
    assert company.authorise(ASK, in_doubt=True) == Authorised("147288494")


def test_a_used_token_is_no_decline_before_it_was_searched(company: TwoCheckout, stub: Any) -> None:
    stub.on(PLACE, (400, {"error_code": "INVALID_EES_TOKEN", "message": "…"}))
    stub.on(SEARCH, (200, {"Items": [order()]}), (200, {"Items": []}))
    assert company.authorise(ASK, in_doubt=False) == Authorised("147288494")
    assert company.authorise(ASK, in_doubt=False) == Declined("token_expired")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (order("COMPLETE"), Authorised("147288494")),
        (order(GrossPrice=187.66), Declined("amount_mismatch")),
        (order(Currency="eur"), Declined("amount_mismatch")),
        (order("CANCELED"), Declined("authorisation_voided")),
        (order("PENDING", ApproveStatus="FRAUD"), Declined("declined")),
        (order("PENDING", ApproveStatus="INVALIDDATA"), Declined("declined")),
        (order("PENDING", Errors={"GW_INSUFFICIENT_FUNDS": "…"}), Declined("declined")),
        (order("PENDING", PaymentDetails={"PaymentMethod": {"Authorize3DS": {"Href": "…"}}}), Declined("not_approved")),
        ({"error_code": "BILLING_DETAILS_INVALID", "message": "…"}, Declined("billing_invalid")),
        ({"error_code": "CARD_DECLINED", "message": "…"}, Declined("declined")),
    ],
)
def test_outcomes_of_placing(company: TwoCheckout, stub: Any, answer: Any, outcome: Any) -> None:
    stub.on(PLACE, (201 if "RefNo" in answer else 400, answer))
    assert company.authorise(ASK, in_doubt=False) == outcome


def test_an_order_under_way_is_looked_up_later_and_not_placed_again(company: TwoCheckout, stub: Any) -> None:
    stub.on(PLACE, (201, order("PENDING", ApproveStatus="WAITING")))
    with pytest.raises(Unanswered, match="payment_pending"):
        company.authorise(ASK, in_doubt=False)


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ((401, {"error_code": "AUTHENTICATION_ERROR"}), TryLater, "credentials_refused"),
        ((429, {}, {"Retry-After": "9"}), TryLater, "party_busy"),
        ((502, b"<html>"), Unanswered, "party_failing"),
        ((400, {"error_code": "ORDER_PRODUCT_PRICE_AMOUNT_INVALID"}), Parked, "twocheckout_order_product_price_amount_invalid"),
        ((201, {}), Parked, "twocheckout_answer_without_reference"),
        ((200, b"not json"), Unanswered, "answer_unreadable"),
    ],
)
def test_what_is_no_outcome(company: TwoCheckout, stub: Any, answer: Any, error: Any, code: str) -> None:
    stub.on(PLACE, answer)
    with pytest.raises(error) as raised:
        company.authorise(ASK, in_doubt=False)
    assert (type(raised.value), raised.value.code) == (error, code)
    assert len(stub.asks(PLACE)) == 1


@pytest.mark.parametrize("missing", [{"region": None}, {"postal_code": None}, {"country": "BR"}])
def test_billing_that_they_would_refuse_is_not_sent(company: TwoCheckout, stub: Any, missing: dict[str, Any]) -> None:
    billing = SimpleNamespace(**{**vars(BILLING), "address": SimpleNamespace(**{**vars(ADDRESS), **missing})})
    ask = AuthorisePayment("https://shop.example", "AJ-1", "USD", 1, "2checkout", "token", "key", billing)
    assert company.authorise(ask, in_doubt=False) == Declined("billing_invalid")
    assert not stub.asked


def test_delivery_is_confirmed_with_a_signed_form(company: TwoCheckout, stub: Any) -> None:
    stub.on(IDN, idn(1))
    assert company.capture(TAKE, in_doubt=False) == Captured("147288494")
    values = ["YOURCODE123", "147288494", "187.65", "USD", "2020-06-18 08:05:46"]
    names = ["MERCHANT", "ORDER_REF", "ORDER_AMOUNT", "ORDER_CURRENCY", "IDN_DATE"]
    assert stub.asks(IDN)[0].form == [*zip(names, values, strict=True), ("ORDER_HASH", sign("AABBCCDDEEFF", values))]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(7, Captured("147288494")), (2, CaptureFailed("authorisation_unknown")), (3, CaptureFailed("amount_mismatch"))],
)
def test_answers_to_the_delivery_notification(company: TwoCheckout, stub: Any, code: int, outcome: Any) -> None:
    stub.on(IDN, idn(code))
    assert company.capture(TAKE, in_doubt=False) == outcome


@pytest.mark.parametrize("answer", [idn(8), idn(1, "another"), (200, b"Invalid signature")])
def test_an_answer_that_is_not_about_our_order_leaves_doubt(company: TwoCheckout, stub: Any, answer: Any) -> None:
    stub.on(IDN, answer)
    with pytest.raises(Unanswered):
        company.capture(TAKE, in_doubt=False)


@pytest.mark.parametrize(
    ("found", "outcome", "confirmed"),
    [
        (order("COMPLETE"), Captured("147288494"), 0),
        (order(DeliveryFinalized=True), Captured("147288494"), 0),
        (order("REVERSED"), CaptureFailed("authorisation_voided"), 0),
        (order(DeliveryFinalized=False), Captured("147288494"), 1),
    ],
)
def test_a_capture_in_doubt_is_looked_up(company: TwoCheckout, stub: Any, found: Any, outcome: Any, confirmed: int) -> None:
    stub.on(ONE, (200, found))
    stub.on(IDN, idn(1))
    assert company.capture(TAKE, in_doubt=True) == outcome
    assert len(stub.asks(IDN)) == confirmed
