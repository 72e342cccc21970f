"""What ShipEngine checks of a label request, and its error answers.

Source: ShipEngine's OpenAPI of 2026-04-08 (`create_label_request_body`). Its `shipping_address_to` does not require a country;
here both addresses need one, since no carrier can do without.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Any
from uuid import UUID

from deploy.sandbox.party import Answer, as_json

_SERVICE = re.compile(r"[a-z0-9]+(_[a-z0-9-]+)* ?", re.ASCII)
_ADDRESS_NEEDS = ("name", "address_line1", "city_locality", "state_province", "postal_code", "country_code")
_ADDRESS_MAY = frozenset(_ADDRESS_NEEDS) | {
    "phone",
    "email",
    "company_name",
    "address_line2",
    "address_line3",
    "address_residential_indicator",
    "instructions",
    "geolocation",
}
_SHIPMENT_MAY = frozenset(
    [
        "carrier_id",
        "service_code",
        "shipping_rule_id",
        "external_order_id",
        "items",
        "tax_identifiers",
        "external_shipment_id",
        "shipment_number",
        "ship_date",
        "ship_to",
        "ship_from",
        "warehouse_id",
        "return_to",
        "is_return",
        "confirmation",
        "customs",
        "advanced_options",
        "insurance_provider",
        "order_source_code",
        "packages",
        "comparison_rate_type",
        "validate_address",
    ]
)
_LABEL_MAY = frozenset(
    [
        "shipment",
        "is_return_label",
        "rma_number",
        "charge_event",
        "outbound_label_id",
        "test_label",
        "validate_address",
        "label_download_type",
        "label_format",
        "display_scheme",
        "label_layout",
        "label_image_id",
        "ship_to_service_point_id",
        "ship_from_service_point_id",
    ]
)
_CHOICES = {
    "label_download_type": ("url", "inline"),
    "label_format": ("pdf", "png", "zpl"),
    "label_layout": ("4x6", "letter", "A4", "A6"),
}
_WEIGHT_UNITS = ("pound", "ounce", "gram", "kilogram")
_LENGTH_UNITS = ("inch", "centimeter")
_numbers = count(1)


class LabelRefused(Exception):
    """One fault of a label request: a code of ShipEngine's list and the field, never its value."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(code)
        self.code = code
        self.field = field


def error(status: int, code: str, message: str, *, kind: str = "validation", field: str = "", reference: str = "") -> Answer:
    """ShipEngine's error shape: a request id and a list of errors."""
    fault = {"error_source": "shipengine", "error_type": kind, "error_code": code, "message": message}
    if field:
        fault["field_name"] = field
    body = {"request_id": str(UUID(int=next(_numbers))), "errors": [fault]}
    return as_json(status, body, reference=reference)


def check_label_request(body: Any, carrier_ids: frozenset[str]) -> None:
    """Raises LabelRefused with the first thing that is wrong with the body of `POST /v1/labels`."""
    _only(body, _LABEL_MAY, "")
    shipment = _need(body, "shipment", "")
    _only(shipment, _SHIPMENT_MAY, "shipment")
    for name, choices in _CHOICES.items():
        if body.get(name, choices[0]) not in choices:
            raise LabelRefused("invalid_field_value", name)
    if body.get("label_format", "pdf") != "pdf":
        raise LabelRefused("settings_not_supported", "label_format")
    if _need(shipment, "carrier_id", "shipment") not in carrier_ids:
        raise LabelRefused("invalid_identifier", "shipment.carrier_id")
    service = _need(shipment, "service_code", "shipment")
    if not (isinstance(service, str) and _SERVICE.fullmatch(service)):
        raise LabelRefused("invalid_field_value", "shipment.service_code")
    external_id = shipment.get("external_shipment_id")
    if external_id is not None and not (isinstance(external_id, str) and len(external_id) <= 50):
        raise LabelRefused("invalid_string_length", "shipment.external_shipment_id")
    _check_address(_need(shipment, "ship_to", "shipment"), "shipment.ship_to")
    if "ship_from" not in shipment and "warehouse_id" not in shipment:
        raise LabelRefused("field_value_required", "shipment.ship_from")
    if "ship_from" in shipment:
        _check_address(shipment["ship_from"], "shipment.ship_from")
        _text(shipment["ship_from"], "phone", "shipment.ship_from")
    packages = _need(shipment, "packages", "shipment")
    if not isinstance(packages, list) or not packages:
        raise LabelRefused("field_value_required", "shipment.packages")
    for index, package in enumerate(packages):
        _check_package(package, f"shipment.packages[{index}]")


def _check_address(address: Any, field: str) -> None:
    _only(address, _ADDRESS_MAY, field)
    for name in _ADDRESS_NEEDS:
        _text(address, name, field)
    for name in _ADDRESS_MAY - {"geolocation", "address_residential_indicator"}:
        value = address.get(name)
        if value is not None and not isinstance(value, str):
            raise LabelRefused("invalid_field_value", f"{field}.{name}")
        if value == "" and name != "email":
            raise LabelRefused("invalid_string_length", f"{field}.{name}")
    if len(address["country_code"]) != 2:
        raise LabelRefused("invalid_string_length", f"{field}.country_code")


def _check_package(package: Any, field: str) -> None:
    if not isinstance(package, dict):
        raise LabelRefused("invalid_field_value", field)
    weight = _need(package, "weight", field)
    if not isinstance(weight, dict) or weight.get("unit") not in _WEIGHT_UNITS:
        raise LabelRefused("invalid_field_value", f"{field}.weight.unit")
    if not _number(weight.get("value")) or weight["value"] <= 0:
        raise LabelRefused("invalid_field_value", f"{field}.weight.value")
    dimensions = package.get("dimensions")
    if dimensions is not None:
        if not isinstance(dimensions, dict) or dimensions.get("unit") not in _LENGTH_UNITS:
            raise LabelRefused("invalid_field_value", f"{field}.dimensions.unit")
        for name in ("length", "width", "height"):
            if not _number(dimensions.get(name)) or dimensions[name] < 0:
                raise LabelRefused("invalid_field_value", f"{field}.dimensions.{name}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _only(value: Any, may: frozenset[str], field: str) -> None:
    if not isinstance(value, dict):
        raise LabelRefused("invalid_object", field or "body")
    if not value.keys() <= may:
        raise LabelRefused("invalid_field_value", f"{field}.(unknown)".lstrip("."))


def _need(value: dict[str, Any], name: str, field: str) -> Any:
    found = value.get(name)
    if found is None or found == "":
        raise LabelRefused("field_value_required", f"{field}.{name}".lstrip("."))
    return found


def _text(value: dict[str, Any], name: str, field: str) -> None:
    if not isinstance(_need(value, name, field), str):
        raise LabelRefused("invalid_field_value", f"{field}.{name}")
