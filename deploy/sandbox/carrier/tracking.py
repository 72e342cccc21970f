"""Where a parcel is, in ShipEngine's words, and the webhook that tells of it."""

from __future__ import annotations

import time
from typing import Any

IN_TRANSIT, DELIVERED, UNSEEN = "IT", "DE", "NY"

_WORDS = {
    UNSEEN: ("Not Yet In System", "NOT_YET_RECEIVED_BY_CARRIER", "MP"),
    IN_TRANSIT: ("In Transit", "PICKED_UP", "OR"),
    DELIVERED: ("Delivered", "DELIVERED", "FS"),
}
_STEPS = (UNSEEN, IN_TRANSIT, DELIVERED)


def tracking_number(serial: int, shipper: str = "SNDBX1") -> str:
    """A number of UPS's form: 1Z, the shipper's six characters, service 03, seven digits, a check digit."""
    body = f"{shipper}03{serial % 10_000_000:07d}"
    total = sum(
        (1 + index % 2) * (int(character) if character.isdecimal() else (ord(character) - 63) % 10)
        for index, character in enumerate(body)
    )
    return f"1Z{body}{-total % 10}"


def tracking_information(number: str, status: str, shipped: str) -> dict[str, Any]:
    """ShipEngine's tracking information (`tracking_information` of its OpenAPI); it names no recipient and no place."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    description, detail, carrier_code = _WORDS[status]
    body: dict[str, Any] = {
        "tracking_number": number,
        "tracking_url": f"https://www.ups.com/track?tracknum={number}",
        "status_code": status,
        "status_detail_code": detail,
        "status_description": description,
        "status_detail_description": description,
        "carrier_code": "ups",
        "carrier_id": 3,
        "carrier_detail_code": carrier_code,
        "carrier_status_code": carrier_code,
        "carrier_status_description": description,
        "ship_date": shipped,
        "estimated_delivery_date": shipped,
        "events": [_event(step, now) for step in reversed(_STEPS[1 : _STEPS.index(status) + 1])],
    }
    if status == DELIVERED:
        body["actual_delivery_date"] = now
    return body


def _event(step: str, at: str) -> dict[str, Any]:
    description, detail, carrier_code = _WORDS[step]
    return {
        "occurred_at": at,
        "carrier_occurred_at": at,
        "description": description,
        "city_locality": "",
        "state_province": "--",
        "postal_code": "",
        "carrier_detail_code": carrier_code,
        "status_code": step,
        "status_detail_code": detail,
        "status_description": description,
        "carrier_status_code": carrier_code,
        "carrier_status_description": description,
    }
