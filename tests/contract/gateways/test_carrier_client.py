"""Our carrier client against a stub, its requests against ShipEngine's own OpenAPI document."""

from __future__ import annotations

from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from services.shipping.gateway import BuyLabel, Label, LabelRefused, Sender, ShipEngine
from shared.contracts.errors import Parked, TryLater, Unanswered

PDF = b"%PDF-1.4 label"
BUY, FIND = "POST /v1/labels", "GET /v1/labels/external_shipment_id/parcel-1"
DOCUMENT = "shipengine/openapi.yaml"
SENDER = Sender("Astro Jewelry", "+1 303 555 0100", "1 Market St", "Denver", "CO", "80202", "US", "Astro Jewelry Ltd")
LABEL = Label("se-1", "1Z999", "https://www.ups.com/track?tracknum=1Z999", "ups", PDF)


def recipient(**address: Any) -> SimpleNamespace:
    given = {
        "line1": "12 Larimer St",
        "line2": "Apt 4",
        "city": "Denver",
        "region": "CO",
        "postal_code": "80202",
        "country": "US",
    }
    return SimpleNamespace(name="Ana Müller", address=SimpleNamespace(**{**given, **address}))


def ask(who: Any = None) -> BuyLabel:
    return BuyLabel("parcel-1", "ups_ground", 340, 205, 150, 60, who or recipient())


def bought(**other: Any) -> dict[str, Any]:
    link = "data:application/pdf;base64," + b64encode(PDF).decode()
    given = {"label_id": "se-1", "status": "completed", "tracking_number": "1Z999", "carrier_code": "ups", "voided": False}
    return given | {"label_download": {"href": link, "pdf": link}} | other


def fault(code: str, kind: str = "validation") -> dict[str, Any]:
    return {
        "request_id": "x",
        "errors": [{"error_source": "shipengine", "error_type": kind, "error_code": code, "message": "Ana"}],
    }


@pytest.fixture
def carrier(stub: Any, http: Any) -> ShipEngine:
    return ShipEngine(http(), api_key="KEY", carrier_id="se-123", sender=SENDER)


def test_a_label_is_bought_and_its_request_keeps_to_the_spec(carrier: ShipEngine, stub: Any, keeps_to: Any) -> None:
    stub.on(BUY, (200, bought()))
    assert carrier.buy_label(ask(), in_doubt=False) == LABEL
    sent = stub.asks(BUY)[0]
    assert sent.headers["API-Key"] == "KEY"
    keeps_to(DOCUMENT, "create_label_request_body", sent.json)
    assert sent.json["shipment"]["external_shipment_id"] == "parcel-1"
    assert sent.json["shipment"]["packages"][0]["dimensions"]["length"] == 20.5
    assert not {"email", "phone"} & sent.json["shipment"]["ship_to"].keys()
    with pytest.raises(jsonschema.ValidationError):
        keeps_to(DOCUMENT, "create_label_request_body", sent.json | {"order_total": "187.65"})


@pytest.mark.parametrize("country", ["AE", "HK", "IE"])
def test_an_address_without_region_and_postal_code_still_keeps_to_the_spec(
    carrier: ShipEngine, stub: Any, keeps_to: Any, country: str
) -> None:
    stub.on(BUY, (200, bought()))
    who = recipient(line2=None, city="Dubai", region=None, postal_code=None, country=country)
    assert carrier.buy_label(ask(who), in_doubt=False) == LABEL
    sent = stub.asks(BUY)[0].json
    keeps_to(DOCUMENT, "create_label_request_body", sent)
    assert (sent["shipment"]["ship_to"]["state_province"], sent["shipment"]["ship_to"]["postal_code"]) == ("Dubai", "00000")


def test_a_postal_code_is_never_made_up_where_the_post_needs_one(carrier: ShipEngine, stub: Any) -> None:
    assert carrier.buy_label(ask(recipient(postal_code=None)), in_doubt=False) == LabelRefused(("postal_code_missing",))
    assert not stub.asked


def test_a_lost_label_is_found_by_its_parcel_and_bought_once(carrier: ShipEngine, stub: Any) -> None:
    stub.on(BUY, "lost")
    with pytest.raises(Unanswered, match="connection_lost"):
        carrier.buy_label(ask(), in_doubt=False)
    stub.on(FIND, (200, bought()))
    assert carrier.buy_label(ask(), in_doubt=True) == LABEL
    assert len(stub.asks(BUY)) == 1
    assert stub.asks(FIND)[0].query == {"label_download_type": "inline"}


def test_a_label_in_doubt_that_was_never_bought_is_bought(carrier: ShipEngine, stub: Any) -> None:
    stub.on(FIND, (404, fault("invalid_identifier")))
    stub.on(BUY, (200, bought()))
    assert carrier.buy_label(ask(), in_doubt=True) == LABEL


def test_a_parcel_name_that_is_taken_is_looked_up(carrier: ShipEngine, stub: Any) -> None:
    stub.on(BUY, (409, fault("identifier_conflict")))
    stub.on(FIND, (200, bought()))
    assert carrier.buy_label(ask(), in_doubt=False) == LABEL


def test_a_paper_behind_a_link_is_fetched_from_the_carrier_alone(carrier: ShipEngine, stub: Any) -> None:
    stub.on("GET /v1/downloads/1/label.pdf", (200, PDF))
    own, strange = f"{stub.url}/v1/downloads/1/label.pdf", "https://elsewhere.example/label.pdf"
    stub.on(BUY, (200, bought(label_download={"pdf": own})), (200, bought(label_download={"pdf": strange})))
    assert carrier.buy_label(ask(), in_doubt=False) == LABEL
    without_paper = carrier.buy_label(ask(), in_doubt=False)
    assert isinstance(without_paper, Label)
    assert (without_paper.tracking_number, without_paper.pdf) == (LABEL.tracking_number, b"")


@pytest.mark.parametrize(
    "paper", [{"pdf": "data:application/pdf;base64,!"}, {"pdf": "data:application/pdf;base64,aGVsbG8="}, {}, None]
)
def test_a_label_without_a_readable_paper_is_bought_all_the_same(carrier: ShipEngine, stub: Any, paper: Any) -> None:
    stub.on(BUY, (200, bought(label_download=paper)))
    label = carrier.buy_label(ask(), in_doubt=False)
    assert isinstance(label, Label)
    assert label.pdf == b""


@pytest.mark.parametrize(
    ("told", "carrier_code", "url"),
    [
        ("https://track.example/1", "ups", "https://track.example/1"),
        (None, "stamps_com", "https://tools.usps.com/go/TrackConfirmAction?tLabels=1Z999"),
        (None, "fedex", "https://www.fedex.com/fedextrack/?trknbr=1Z999"),
        ("javascript:alert(1)", "dhl_express", "https://www.dhl.com/global-en/home/tracking.html?tracking-id=1Z999"),
        (None, "pigeon", None),
    ],
)
def test_where_a_parcel_is_followed(carrier: ShipEngine, stub: Any, told: Any, carrier_code: str, url: Any) -> None:
    stub.on(BUY, (200, bought(tracking_url=told, carrier_code=carrier_code)))
    label = carrier.buy_label(ask(), in_doubt=False)
    assert isinstance(label, Label)
    assert label.tracking_url == url


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((400, fault("invalid_address")), LabelRefused(("invalid_address",))),
        ((400, fault("unspecified", "business_rules")), LabelRefused(("unspecified",))),
        ((400, b"<html>"), LabelRefused(("unspecified",))),
        ((200, bought(status="error")), LabelRefused(("label_error",))),
    ],
)
def test_refusals(carrier: ShipEngine, stub: Any, answer: Any, outcome: Any) -> None:
    stub.on(BUY, answer)
    assert carrier.buy_label(ask(), in_doubt=False) == outcome


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ((400, fault("rate_limit_exceeded", "business_rules")), TryLater, "carrier_busy"),
        ((429, {}, {"Retry-After": "3"}), TryLater, "party_busy"),
        ((401, fault("unauthorized", "security")), TryLater, "credentials_refused"),
        ((400, fault("unknown", "system")), Unanswered, "carrier_failing"),
        ((500, fault("unspecified", "system")), Unanswered, "party_failing"),
        ((200, bought(status="processing")), Unanswered, "label_in_progress"),
        ((400, fault("insufficient_funds", "account_status")), Parked, "carrier_insufficient_funds"),
        ((400, fault("unspecified", "account_status")), Parked, "carrier_account_status"),
        ((200, bought(status="voided")), Parked, "label_voided"),
        ((302, b""), Parked, "unexpected_status_302"),
    ],
)
def test_what_is_no_outcome(carrier: ShipEngine, stub: Any, answer: Any, error: Any, code: str) -> None:
    stub.on(BUY, answer)
    with pytest.raises(error) as raised:
        carrier.buy_label(ask(), in_doubt=False)
    assert (type(raised.value), raised.value.code) == (error, code)
    assert len(stub.asks(BUY)) == 1
