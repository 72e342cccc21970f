"""The carrier's doors: buy, find, void and track labels; the driver's hand in the control endpoints."""

from __future__ import annotations

import base64
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from deploy.sandbox.carrier import tracking
from deploy.sandbox.carrier.checks import LabelRefused, check_label_request, error
from deploy.sandbox.carrier.label_pdf import label_pdf
from deploy.sandbox.carrier.webhooks import Webhook, WebhookSender
from deploy.sandbox.chance import Switches
from deploy.sandbox.journal import Journal
from deploy.sandbox.party import Answer, Ask, Party, as_json

_SCANS = (tracking.IN_TRANSIT, tracking.DELIVERED)


@dataclass(slots=True)
class _Label:
    id: str
    number: int
    external_shipment_id: str | None
    external_order_id: str | None
    tracking_number: str
    carrier_id: str
    service_code: str
    layout: str
    packages: list[dict[str, Any]]
    ship_to: dict[str, Any]
    ship_from: dict[str, Any]
    created: str
    ship_date: str
    voided: bool = False
    collected: bool = False
    status: str = tracking.UNSEEN
    acknowledged: list[str] = field(default_factory=list)


class Carrier(Party):
    """A carrier behind ShipEngine's API. It has no idempotency: two POSTs for one external_shipment_id buy two labels."""

    name = "carrier"

    def __init__(
        self, switches: Switches, journal: Journal, *, api_key: str, carrier_ids: frozenset[str], webhook_url: str = ""
    ) -> None:
        super().__init__(switches, journal)
        self._api_key = api_key
        self._carrier_ids = carrier_ids
        self._labels: dict[str, _Label] = {}
        self._by_tracking: dict[str, _Label] = {}
        self._by_external_id: dict[str, list[_Label]] = {}
        self._serial = 0
        self._voided = self._delivered = 0
        self._sender = WebhookSender()
        self._sender.url = webhook_url

    def background(self) -> list[Coroutine[Any, Any, None]]:
        return [self._sender.run()]

    def provider(self, ask: Ask) -> Answer:
        if ask.path.startswith("/downloads/") and ask.method == "GET":
            # A label's link needs no key at ShipEngine: the address itself is the secret.
            label = self._labels.get(ask.path.removeprefix("/downloads/").removesuffix(".pdf"))
            return Answer(404) if label is None else Answer(200, _draw(label), "application/pdf")
        if ask.headers.get("API-Key") != self._api_key:
            return error(401, "unauthorized", "A valid API key is required.", kind="security")
        match ask.method, *ask.path.split("/")[1:]:
            case "POST", "v1", "labels":
                return self._buy(ask)
            case "GET", "v1", "labels", "external_shipment_id", external_id:
                labels = self._by_external_id.get(external_id)
                return _unknown("external_shipment_id") if not labels else self._shown(labels[-1], ask)
            case "GET", "v1", "labels", label_id:
                found = self._labels.get(label_id)
                return _unknown("label_id") if found is None else self._shown(found, ask)
            case "PUT", "v1", "labels", label_id, "void":
                found = self._labels.get(label_id)
                return _unknown("label_id") if found is None else self._void(found)
            case "GET", "v1", "labels", label_id, "track":
                found = self._labels.get(label_id)
                return _unknown("label_id") if found is None else self._track(found)
            case "GET", "v1", "tracking":
                query = ask.query()
                found = self._by_tracking.get(query.get("tracking_number", ""))
                return _unknown("tracking_number") if found is None else self._track(found)
        return error(404, "invalid_identifier", "There is nothing at this address.")

    def _buy(self, ask: Ask) -> Answer:
        try:
            body = ask.json()
        except ValueError:
            return error(400, "request_body_required", "The body is no JSON.")
        try:
            check_label_request(body, self._carrier_ids)
        except LabelRefused as refusal:
            return error(400, refusal.code, f"{refusal.field}: {refusal.code.replace('_', ' ')}.", field=refusal.field)
        shipment = body["shipment"]
        self._serial += 1
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        external_id = shipment.get("external_shipment_id")
        label = _Label(
            f"se-{self.chance.identifier(16, 'label', self._serial).lower()}",
            self._serial,
            external_id,
            shipment.get("external_order_id"),
            tracking.tracking_number(self._serial),
            shipment["carrier_id"],
            shipment["service_code"],
            body.get("label_layout", "4x6"),
            shipment["packages"],
            shipment["ship_to"],
            shipment.get("ship_from") or {},
            now,
            shipment.get("ship_date") or now,
        )
        self._labels[label.id] = self._by_tracking[label.tracking_number] = label
        if external_id is not None:
            self._by_external_id.setdefault(external_id, []).append(label)
        self.journal.note("label", label=label.id, external_shipment_id=external_id, tracking_number=label.tracking_number)
        answer = as_json(200, self._body_of(label, inline=body.get("label_download_type") == "inline"))
        answer.reference = external_id or ""
        return answer

    def _shown(self, label: _Label, ask: Ask) -> Answer:
        inline = "inline" in ask.query_string and ask.query().get("label_download_type") == "inline"
        return as_json(200, self._body_of(label, inline=inline))

    def _void(self, label: _Label) -> Answer:
        # A refused void is a 200 with approved=false: ShipEngine's documentation of voiding.
        if label.voided:
            return _void_answer(False, "This label was voided before.", "label_already_voided")
        if label.collected:
            return _void_answer(False, "This label has been used.", "label_already_used")
        label.voided = True
        self._voided += 1
        self.journal.note("voided", label=label.id, external_shipment_id=label.external_shipment_id)
        return _void_answer(True, "This label has been voided.", None)

    def _track(self, label: _Label) -> Answer:
        return as_json(200, tracking.tracking_information(label.tracking_number, label.status, label.created))

    def _body_of(self, label: _Label, *, inline: bool) -> dict[str, Any]:
        link = f"{self.base_url}/downloads/{label.id}.pdf"
        if inline:
            link = "data:application/pdf;base64," + base64.b64encode(_draw(label)).decode("ascii")
        download = {"href": link} if inline else {"href": link, "pdf": link}
        zero = {"currency": "usd", "amount": 0.0}
        international = label.ship_from.get("country_code", "US") != label.ship_to["country_code"]
        statuses = {tracking.UNSEEN: "unknown", tracking.IN_TRANSIT: "in_transit", tracking.DELIVERED: "delivered"}
        return {
            "label_id": label.id,
            "status": "voided" if label.voided else "completed",
            "shipment_id": f"se-{label.number}",
            "external_shipment_id": label.external_shipment_id,
            "external_order_id": label.external_order_id,
            "ship_date": label.ship_date,
            "created_at": label.created,
            "shipment_cost": {"currency": "usd", "amount": 7.5},
            "insurance_cost": zero,
            "tracking_number": label.tracking_number,
            "is_return_label": False,
            "rma_number": None,
            "is_international": international,
            "batch_id": f"se-b{label.number}",
            "carrier_id": label.carrier_id,
            "charge_event": "carrier_default",
            "service_code": label.service_code,
            "package_code": label.packages[0].get("package_code", "package"),
            "voided": label.voided,
            "voided_at": label.created if label.voided else None,
            "label_format": "pdf",
            "display_scheme": "label",
            "label_layout": label.layout,
            "trackable": True,
            "label_image_id": None,
            "carrier_code": "ups",
            "tracking_status": statuses[label.status],
            "label_download": download,
            "form_download": None,
            "qr_code_download": None,
            "paperless_download": None,
            "insurance_claim": None,
            "packages": [
                {
                    "package_id": index,
                    "package_code": package.get("package_code", "package"),
                    "weight": package["weight"],
                    **({"dimensions": package["dimensions"]} if package.get("dimensions") else {}),
                    "insured_value": zero,
                    "tracking_number": label.tracking_number,
                    "sequence": index,
                }
                for index, package in enumerate(label.packages, 1)
            ],
            "tracking_url": f"https://www.ups.com/track?tracknum={label.tracking_number}",
            "ship_to": label.ship_to,
        }

    # -- control and books ----------------------------------------------------------------------------------------------

    def control(self, ask: Ask, action: str) -> Answer | None:
        match ask.method, action:
            case "POST", "collect":
                wish = ask.json()
                scans = tuple(str(scan) for scan in wish.get("scans", _SCANS))
                if not scans or not set(scans) <= set(_SCANS):
                    raise ValueError
                return as_json(200, self._collect([str(number) for number in wish["tracking_numbers"]], scans))
            case "PUT", "webhook":
                self._sender.point_to(str(ask.json()["url"]))
                return Answer(204)
        return None

    def _collect(self, numbers: list[str], scans: tuple[str, ...]) -> dict[str, Any]:
        """The driver has these parcels; his scans become webhooks, one after the other for each parcel."""
        accepted, refused = 0, []
        for number in numbers:
            label = self._by_tracking.get(number)
            if label is None or label.voided or label.collected:
                refused.append(number)
                continue
            label.collected = True
            accepted += 1
            self._sender.enqueue(self._webhook(label, *scans))
        self.journal.note("collected", parcels=accepted, refused=len(refused))
        return {"accepted": accepted, "refused": refused}

    def _webhook(self, label: _Label, status: str, *then: str) -> Webhook:
        label_number = label.tracking_number

        def body() -> bytes:
            label.status = status
            place = f"{self.base_url}/v1/tracking?carrier_code=ups&tracking_number={quote(label_number)}"
            data = tracking.tracking_information(label_number, status, label.created)
            return orjson.dumps({"resource_url": place, "resource_type": "API_TRACK", "data": data})

        def acknowledged() -> None:
            label.acknowledged.append(status)
            self.journal.note("acknowledged", tracking_number=label_number, status=status)
            if status == tracking.DELIVERED:
                self._delivered += 1
            if then:
                self._sender.enqueue(self._webhook(label, *then))

        return Webhook(label_number, body, acknowledged, twice=self.chance.repeats(f"{label_number} {status}"))

    def books(self) -> dict[str, Any]:
        labels = {
            label.id: {
                "external_shipment_id": label.external_shipment_id,
                "tracking_number": label.tracking_number,
                "voided": label.voided,
                "collected": label.collected,
                "webhooks_acknowledged": label.acknowledged,
            }
            for label in self._labels.values()
        }
        return {"labels": labels, "webhooks": self._webhook_counts()}

    def summary(self) -> dict[str, Any]:
        return {
            "labels": len(self._labels),
            "voided": self._voided,
            "delivered": self._delivered,
            "repeats": self._sender.counts.repeats,
            "webhooks": self._webhook_counts(),
        }

    def _webhook_counts(self) -> dict[str, int]:
        counts = self._sender.counts
        return {
            "sent": counts.sent,
            "delivered": counts.delivered,
            "repeats": counts.repeats,
            "given_up": counts.given_up,
            "outstanding": self._sender.outstanding,
        }

    def forget(self) -> None:
        self._labels.clear()
        self._by_tracking.clear()
        self._by_external_id.clear()
        self._voided = self._delivered = 0
        self._sender.forget()


def _draw(label: _Label) -> bytes:
    return label_pdf(
        sender=_lines(label.ship_from) if label.ship_from else [],
        recipient=_lines(label.ship_to),
        service=label.service_code.replace("_", " "),
        tracking_number=label.tracking_number,
        layout=label.layout,
    )


def _lines(address: dict[str, Any]) -> list[str]:
    town = f"{address['city_locality']} {address['state_province']} {address['postal_code']}"
    names = ("name", "company_name", "address_line1", "address_line2", "address_line3")
    return [*(address[name] for name in names if address.get(name)), town, address["country_code"]]


def _void_answer(approved: bool, message: str, reason_code: str | None) -> Answer:
    body: dict[str, Any] = {"approved": approved, "message": message}
    if reason_code is not None:
        body["reason_code"] = reason_code
    return as_json(200, body)


def _unknown(field: str) -> Answer:
    return error(404, "invalid_identifier", f"No label has this {field}.", field=field)
