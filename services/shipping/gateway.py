"""The carrier, in the shape of ShipEngine's API: one label per parcel, found again by the parcel's name.

There is no idempotency key. The parcel's name is the `external_shipment_id`, and after a lost answer the label is looked up by
it before it is bought. The carrier is told where the parcel goes, its size and its weight: no e-mail, no phone of the buyer,
no value, no contents.
Source: ShipEngine's OpenAPI document (labels, addresses, error codes).
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from shared.contracts.errors import Parked, TryLater, Unanswered
from shared.http_client import Answer, HttpClient

_PARCEL = re.compile(r"[A-Za-z0-9._~-]{1,50}", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_EXPECTED = frozenset({200, 400, 401, 403, 404, 409, 422})
_REVIEW_SECONDS = 300.0

# Countries whose post asks for a postal code (Google's address metadata, `require` with Z). A parcel for them without one is
# refused here: a carrier that takes a made-up code sends it astray.
_WITH_POSTAL_CODE = (
    "AS AT AU AX BE BL BR CA CH CN CZ DE DK EE ES FI FK FM FR GB GF GG GL GP GR GS GU HU IM IN IO IT JE JP KR LI "
    "LT LU LV MF MH MP MQ MX MY NC NL NO NZ PF PL PM PN PR PT PW RE RO RU SE SG SH SJ SK SM TC TR TW UA US VI WF YT ZA"
)
_POSTAL_CODE_REQUIRED = frozenset(_WITH_POSTAL_CODE.split())
_NO_POSTAL_CODE = "00000"

_LATER = frozenset({"rate_limit_exceeded", "no_rates_returned", "meter_failure"})
_ACCOUNT_TROUBLE = (
    "insufficient_funds auto_fund_not_supported carrier_disconnected carrier_not_connected carrier_not_supported "
    "subscription_inactive terms_not_accepted trial_expired funding_source_missing_configuration funding_source_error "
    "invalid_billing_plan"
)
_FOR_A_PERSON = frozenset(_ACCOUNT_TROUBLE.split())
_TRACKING_PAGES = {
    **dict.fromkeys(("ups", "ups_walleted"), "https://www.ups.com/track?tracknum="),
    **dict.fromkeys(("usps", "stamps_com", "endicia"), "https://tools.usps.com/go/TrackConfirmAction?tLabels="),
    **dict.fromkeys(("fedex", "fedex_walleted"), "https://www.fedex.com/fedextrack/?trknbr="),
    **dict.fromkeys(
        ("dhl", "dhl_express", "dhl_express_worldwide"), "https://www.dhl.com/global-en/home/tracking.html?tracking-id="
    ),
}


class Address(Protocol):
    """Where a parcel goes: the contract's address."""

    @property
    def line1(self) -> str: ...
    @property
    def line2(self) -> str | None: ...
    @property
    def city(self) -> str: ...
    @property
    def region(self) -> str | None: ...
    @property
    def postal_code(self) -> str | None: ...
    @property
    def country(self) -> str: ...


class Recipient(Protocol):
    """Who a parcel goes to: of the contract's `recipient` part only what stands on the label."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> Address: ...


@dataclass(frozen=True, slots=True)
class Sender:
    """The shop's own address; ShipEngine wants its phone number, and a region and postal code in every country."""

    name: str
    phone: str
    line1: str
    city: str
    region: str
    postal_code: str
    country: str
    company: str | None = None


@dataclass(frozen=True, slots=True)
class BuyLabel:
    """Buy one label for one packed parcel. `parcel` is 1 to 50 letters, digits and `._~-`, and never another parcel's."""

    parcel: str
    service_code: str
    weight_grams: int
    length_mm: int
    width_mm: int
    height_mm: int
    recipient: Recipient = field(repr=False)


@dataclass(frozen=True, slots=True)
class Label:
    """A label that is paid for. `tracking_url` is None where neither the answer nor the carrier's name tells one.

    `pdf` is empty where the carrier gave no paper that can be had: then it is printed from the carrier's own pages.
    """

    label_id: str
    tracking_number: str
    tracking_url: str | None
    carrier: str
    pdf: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LabelRefused:
    """No label was bought, and asking again with the same parcel will not help; `codes` are the carrier's own."""

    codes: tuple[str, ...]


class Carrier(Protocol):
    """One carrier."""

    def buy_label(self, ask: BuyLabel, *, in_doubt: bool) -> Label | LabelRefused:
        """Buy the parcel's label, or say why not. Safe to repeat if `in_doubt` is told truly."""


class ShipEngine:
    """The carrier behind ShipEngine's API. Safe to share between greenthreads.

    `http` is the API's host, `carrier_id` the account that is billed (`se-…`), `sender` what stands on every label as its origin.
    """

    def __init__(self, http: HttpClient, *, api_key: str, carrier_id: str, sender: Sender) -> None:
        self._http = http
        self._headers = {"API-Key": api_key}
        self._carrier_id = carrier_id
        self._ship_from = _sender_address(sender)

    def buy_label(self, ask: BuyLabel, *, in_doubt: bool) -> Label | LabelRefused:
        """Buy the label, or find the one that an earlier try bought.

        Raises TryLater while the carrier is busy, Unanswered where a label may have been bought, Parked where the account needs
        a person.
        """
        if not _PARCEL.fullmatch(ask.parcel) or ask.parcel in {".", ".."}:
            raise ValueError("not a parcel's name")
        if in_doubt and (found := self._find(ask.parcel)) is not None:
            return found
        address = ask.recipient.address
        if not address.postal_code and address.country in _POSTAL_CODE_REQUIRED:
            return LabelRefused(("postal_code_missing",))
        answer = self._http.call(
            "POST", "/v1/labels", json=self._request(ask), headers=self._headers, expected=_EXPECTED, repeatable=False
        )
        if answer.status == 200:
            return self._label(answer.json_object())
        codes = _codes(answer)
        if answer.status == 409 and (found := self._find(ask.parcel)) is not None:
            # The parcel's name is taken: an earlier try has bought its label after all.
            return found
        return LabelRefused(codes)

    def _find(self, parcel: str) -> Label | LabelRefused | None:
        answer = self._http.call(
            "GET",
            f"/v1/labels/external_shipment_id/{parcel}",
            query={"label_download_type": "inline"},
            headers=self._headers,
            expected=_EXPECTED,
            repeatable=True,
        )
        if answer.status == 200:
            return self._label(answer.json_object())
        codes = _codes(answer)
        if answer.status == 404:
            return None
        raise Parked(f"label_search_{codes[0]}")

    def _request(self, ask: BuyLabel) -> dict[str, object]:
        return {
            "shipment": {
                "carrier_id": self._carrier_id,
                "service_code": ask.service_code,
                "external_shipment_id": ask.parcel,
                "ship_to": _recipient_address(ask.recipient),
                "ship_from": self._ship_from,
                "packages": [
                    {
                        "weight": {"value": ask.weight_grams, "unit": "gram"},
                        "dimensions": {
                            "unit": "centimeter",
                            "length": ask.length_mm / 10,
                            "width": ask.width_mm / 10,
                            "height": ask.height_mm / 10,
                        },
                    }
                ],
            },
            "label_format": "pdf",
            "label_layout": "4x6",
            "label_download_type": "inline",
        }

    def _label(self, content: dict[str, Any]) -> Label | LabelRefused:
        status = content.get("status")
        if status == "error":
            return LabelRefused(("label_error",))
        if status == "voided" or content.get("voided") is True:
            raise Parked("label_voided")
        label_id, number, carrier = (content.get(name) for name in ("label_id", "tracking_number", "carrier_code"))
        if status not in {"completed", None} or not all(isinstance(one, str) and one for one in (label_id, number)):
            raise Unanswered("label_in_progress", after_seconds=30.0)
        number, carrier = str(number), carrier if isinstance(carrier, str) and carrier else "carrier"
        return Label(
            str(label_id), number, _tracking_url(content.get("tracking_url"), carrier, number), carrier, self._pdf(content)
        )

    def _pdf(self, content: dict[str, Any]) -> bytes:
        """The label's paper; empty where the answer holds none that can be had. The label is bought all the same."""
        download = content.get("label_download")
        links = [download.get(name) for name in ("pdf", "href")] if isinstance(download, dict) else []
        link = next((one for one in links if isinstance(one, str)), "")
        scheme, _, data = link.partition(",")
        if scheme.startswith("data:application/pdf") and scheme.endswith(";base64"):
            try:
                pdf = b64decode(data, validate=True)
            except ValueError:
                pdf = b""
        else:
            pdf = self._fetch(link)
        return pdf if pdf.startswith(b"%PDF-") else b""

    def _fetch(self, link: str) -> bytes:
        parts, base = urlsplit(link), urlsplit(self._http.base_url)
        if (parts.scheme, parts.netloc) != (base.scheme, base.netloc):
            # Our key goes to the carrier alone, and what an answer names is no reason to call a stranger.
            return b""
        headers = self._headers | {"Accept": "application/pdf"}
        try:
            return self._http.call("GET", parts.path.removeprefix(base.path), headers=headers, repeatable=True).body
        except TryLater as error:
            # The label is bought; only its paper is missing.
            raise Unanswered(error.code, after_seconds=error.after_seconds) from None


def _recipient_address(recipient: Recipient) -> dict[str, object]:
    address = recipient.address
    # Region and postal code are required of every address, also where a country has neither: the city's name and zeros are
    # what carriers ask for then.
    content: dict[str, object] = {
        "name": recipient.name,
        "address_line1": address.line1,
        "city_locality": address.city,
        "state_province": address.region or address.city,
        "postal_code": address.postal_code or _NO_POSTAL_CODE,
        "country_code": address.country,
    }
    return content | ({"address_line2": address.line2} if address.line2 else {})


def _sender_address(sender: Sender) -> dict[str, object]:
    content: dict[str, object] = {
        "name": sender.name,
        "phone": sender.phone,
        "address_line1": sender.line1,
        "city_locality": sender.city,
        "state_province": sender.region or sender.city,
        "postal_code": sender.postal_code or _NO_POSTAL_CODE,
        "country_code": sender.country,
    }
    return content | ({"company_name": sender.company} if sender.company else {})


def _tracking_url(told: object, carrier: str, number: str) -> str | None:
    if isinstance(told, str) and told.startswith("https://"):
        return told
    page = _TRACKING_PAGES.get(carrier)
    return page + quote(number, safe="") if page else None


def _codes(answer: Answer) -> tuple[str, ...]:
    """The codes of an error answer; raises where they say that waiting, an operator or a person is what helps."""
    if answer.status in {401, 403}:
        # A wrong key is an operator's fault and no parcel's: it waits until that is put right.
        raise TryLater("credentials_refused", after_seconds=_REVIEW_SECONDS)
    try:
        errors = answer.json_object().get("errors")
    except Unanswered:
        errors = None
    faults = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    codes = [code for error in faults if isinstance(code := error.get("error_code"), str) and _CODE.fullmatch(code)]
    kinds = {error.get("error_type") for error in faults}
    if _LATER.intersection(codes):
        raise TryLater("carrier_busy")
    if kinds & {"system", "integrations"}:
        # Something broke on the way to the carrier, before or after the label was bought.
        raise Unanswered("carrier_failing")
    for code in codes:
        if code in _FOR_A_PERSON:
            raise Parked(f"carrier_{code}")
    if "account_status" in kinds:
        raise Parked("carrier_account_status")
    return tuple(dict.fromkeys(codes)) or ("unspecified",)
