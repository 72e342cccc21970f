"""The carrier sandbox against ShipEngine's OpenAPI."""

from __future__ import annotations

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import pypdf
import pytest
import yaml

from tests.integration.facts import PATIENCE_SECONDS, wait_for

_KEY = {"API-Key": "TEST_sandbox"}
_ADDRESS = {
    "name": "Ana Müller",
    "address_line1": "12 Larimer St",
    "city_locality": "Denver",
    "state_province": "CO",
    "postal_code": "80202",
    "country_code": "US",
}


@pytest.fixture(scope="module")
def spec(data, spec_of):
    text = (data / "provider-specs/shipengine/openapi.yaml").read_text("utf-8")
    # Ten types are written `'boolean,'` and one `'string,'`: mended before reading.
    text = text.replace("'boolean,'", "boolean").replace("'string,'", "string")
    return spec_of(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@pytest.fixture(scope="module")
def carrier(start):
    return start("carrier")


def _request(external_id, **more):
    shipment = {
        "carrier_id": "se-100001",
        "service_code": "ups_ground",
        "external_shipment_id": external_id,
        "ship_to": dict(_ADDRESS),
        "ship_from": {**_ADDRESS, "name": "Brown Paper Shop", "phone": "+1 303 555 0100"},
        "packages": [
            {
                "weight": {"value": 240, "unit": "gram"},
                "dimensions": {"unit": "centimeter", "length": 20, "width": 15, "height": 5},
            }
        ],
    }
    return {"shipment": shipment, "label_format": "pdf", "label_layout": "4x6", **more}


def _buy(carrier, external_id, **more):
    answer = carrier.ask("POST", "/v1/labels", headers=_KEY, json=_request(external_id, **more))
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("download", ["url", "inline"])
def test_a_label_is_bought_found_and_read(carrier, spec, download):
    request = _request(f"parcel-{download}", label_download_type=download)
    spec.check(spec.request_schema("create_label"), request)
    label = carrier.ask("POST", "/v1/labels", headers=_KEY, json=request).json()
    spec.check(spec.answer_schema("create_label", 200), label)
    assert set(label) <= set(spec.document["components"]["schemas"]["label"]["properties"])
    for path in (f"/v1/labels/external_shipment_id/parcel-{download}", f"/v1/labels/{label['label_id']}"):
        found = carrier.ask("GET", f"{path}?label_download_type={download}", headers=_KEY)
        assert (found.status_code, found.json()) == (200, label)
    href = label["label_download"]["href"]
    content = (
        base64.b64decode(href.partition(",")[2])
        if download == "inline"
        else carrier.session.get(href, timeout=PATIENCE_SECONDS).content
    )
    (page,) = pypdf.PdfReader(io.BytesIO(content), strict=True).pages
    text = page.extract_text()
    assert "Ana Müller" in text
    assert label["tracking_number"] in text
    assert (page.mediabox.width, page.mediabox.height) == (288, 432)


def test_two_posts_buy_two_labels(carrier):
    first, second = _buy(carrier, "parcel-twice"), _buy(carrier, "parcel-twice")
    assert first["label_id"] != second["label_id"]
    bought = [label for label in carrier.books()["labels"].values() if label["external_shipment_id"] == "parcel-twice"]
    assert len(bought) == 2


def test_tracking_fits_the_spec(carrier, spec):
    label = _buy(carrier, "parcel-track")
    tracked = carrier.ask("GET", f"/v1/labels/{label['label_id']}/track", headers=_KEY).json()
    spec.check(spec.answer_schema("get_tracking_log_from_label", 200), tracked)
    assert tracked["status_code"] == "NY"


def test_a_refused_void_is_a_200(carrier, spec):
    label = _buy(carrier, "parcel-void")
    path = f"/v1/labels/{label['label_id']}/void"
    first, second = (carrier.ask("PUT", path, headers=_KEY) for _ in range(2))
    for answer in (first, second):
        assert answer.status_code == 200
        spec.check(spec.answer_schema("void_label", 200), answer.json())
    assert first.json()["approved"] is True
    assert (second.json()["approved"], second.json()["reason_code"]) == (False, "label_already_voided")


def _without(request, path):
    *parents, last = path.split(".")
    node = request
    for name in parents:
        node = node[name]
    del node[last]
    return request


@pytest.mark.parametrize(
    "path",
    [
        "shipment.carrier_id",
        "shipment.service_code",
        "shipment.packages",
        "shipment.ship_from",
        "shipment.ship_from.phone",
        *(f"shipment.ship_to.{name}" for name in _ADDRESS),
    ],
)
def test_what_the_carrier_needs_is_asked_for(carrier, spec, path):
    answer = carrier.ask("POST", "/v1/labels", headers=_KEY, json=_without(_request("parcel-faulty"), path))
    assert answer.status_code == 400
    spec.check(spec.answer_schema("create_label", 400), answer.json())
    assert [(fault["error_code"], fault["field_name"]) for fault in answer.json()["errors"]] == [("field_value_required", path)]


def test_other_faults_are_refused(carrier, spec):
    long = _request("p" * 51)
    stranger = _request("parcel-stranger")
    stranger["shipment"]["carrier_id"] = "se-999"
    unknown = _request("parcel-unknown")
    unknown["shipment"]["ship_to"]["shoe_size"] = "42"
    codes = []
    for request in (long, stranger, unknown):
        answer = carrier.ask("POST", "/v1/labels", headers=_KEY, json=request)
        spec.check(spec.answer_schema("create_label", 400), answer.json())
        codes.append(answer.json()["errors"][0]["error_code"])
    assert codes == ["invalid_string_length", "invalid_identifier", "invalid_field_value"]


def test_the_unknown_and_the_unauthorised(carrier, spec):
    unknown = carrier.ask("GET", "/v1/labels/external_shipment_id/nothing", headers=_KEY)
    assert unknown.status_code == 404
    spec.check(spec.answer_schema("get_label_by_external_shipment_id", 404), unknown.json())
    stranger = carrier.ask("GET", "/v1/labels/external_shipment_id/nothing", headers={"API-Key": "wrong"})
    assert (stranger.status_code, stranger.json()["errors"][0]["error_code"]) == (401, "unauthorized")


class _Receiver(ThreadingHTTPServer):
    """A webhook receiver that refuses the first requests with the statuses it is given."""

    def __init__(self, first: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.first = first
        self.taken: Queue[dict[str, object]] = Queue()


class _Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.first.pop(0) if self.server.first else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if status == 200:
            self.server.taken.put(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver():
    server = _Receiver([503, 404])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_collected_parcel_is_told_until_it_is_acknowledged(start, receiver, data, spec):
    carrier = start("carrier", "--repeat-webhooks", "1")
    label = _buy(carrier, "parcel-collected")
    number = label["tracking_number"]
    collected = carrier.ask("POST", "/_sandbox/collect", json={"tracking_numbers": [number, "1Z0"]})
    assert collected.json() == {"accepted": 1, "refused": ["1Z0"]}
    # Nobody listens at port 1, so the first tries go nowhere until the right address is given.
    assert carrier.ask("PUT", "/_sandbox/webhook", json={"url": "http://127.0.0.1:1/"}).status_code == 204
    hook = f"http://127.0.0.1:{receiver.server_port}/webhooks/carrier/secret"
    assert carrier.ask("PUT", "/_sandbox/webhook", json={"url": hook}).status_code == 204
    taken = [receiver.taken.get(timeout=PATIENCE_SECONDS) for _ in range(4)]
    sample = json.loads((data / "provider-specs/shipengine/webhook-track-event-sample.json").read_text("utf-8"))
    for event in taken:
        assert set(event) == set(sample)
        assert event["resource_type"] == "API_TRACK"
        assert event["data"]["tracking_number"] == number
        spec.check("tracking_information", event["data"])
    # Each is sent twice here, and the delivery only after the departure was acknowledged.
    assert [event["data"]["status_code"] for event in taken] == ["IT", "IT", "DE", "DE"]
    wait_for(lambda: carrier.summary()["delivered"] == 1, "the delivery to be acknowledged")
    summary = carrier.summary()
    assert (summary["delivered"], summary["repeats"]) == (1, 2)
    assert carrier.books()["labels"][label["label_id"]]["webhooks_acknowledged"] == ["IT", "DE"]
    void = carrier.ask("PUT", f"/v1/labels/{label['label_id']}/void", headers=_KEY).json()
    assert (void["approved"], void["reason_code"]) == (False, "label_already_used")


def test_a_driver_may_scan_parcels_once_only_as_delivered(start, receiver):
    carrier = start("carrier", "--repeat-webhooks", "0")
    hook = f"http://127.0.0.1:{receiver.server_port}/webhooks/carrier/secret"
    assert carrier.ask("PUT", "/_sandbox/webhook", json={"url": hook}).status_code == 204
    numbers = [_buy(carrier, f"parcel-scanned-{place}")["tracking_number"] for place in range(2)]
    for scans in ([], ["XX"], ["DE", "XX"]):
        assert carrier.ask("POST", "/_sandbox/collect", json={"tracking_numbers": numbers, "scans": scans}).status_code == 400
    collected = carrier.ask("POST", "/_sandbox/collect", json={"tracking_numbers": numbers, "scans": ["DE"]})
    assert collected.json() == {"accepted": 2, "refused": []}
    taken = [receiver.taken.get(timeout=PATIENCE_SECONDS)["data"] for _ in numbers]
    assert sorted((event["tracking_number"], event["status_code"]) for event in taken) == sorted(
        (number, "DE") for number in numbers
    )
    wait_for(lambda: carrier.summary()["webhooks"]["delivered"] == 2, "both deliveries to be acknowledged")
    summary = carrier.summary()
    assert (summary["delivered"], summary["webhooks"]["delivered"], summary["webhooks"]["outstanding"]) == (2, 2, 0)
