"""Of the carrier's webhook two members are read; what else it says of a person never gets past the form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from services.shipping.commands import TrackingData, TrackingForm

CANARY = "canary Zoë Nováková"
WEBHOOK: dict[str, Any] = {
    "resource_url": "https://api.example/v1/tracking?carrier_code=usps&tracking_number=9400111298370264401222",
    "resource_type": "API_TRACK",
    "data": {
        "label_url": None,
        "tracking_number": "9400111298370264401222",
        "status_code": "DE",
        "status_description": f"Delivered to {CANARY}",
        "events": [{"city_locality": CANARY, "signer": CANARY, "company_name": CANARY, "latitude": 1.5}],
        "signed_by": CANARY,
    },
    "recipient": {"name": CANARY},
}
READ = {"tracking_number", "status_code"}


def kept(form: type[BaseModel], sent: dict[str, Any]) -> str:
    """All that is left of a webhook once the form has read it."""
    return json.dumps(form.model_validate(sent).model_dump(), ensure_ascii=False)


def test_what_the_carrier_says_besides_is_not_read() -> None:
    assert CANARY not in kept(TrackingForm, WEBHOOK)
    assert json.loads(kept(TrackingForm, WEBHOOK)) == {"data": {"tracking_number": "9400111298370264401222", "status_code": "DE"}}
    assert set(TrackingData.model_fields) == READ


def test_a_form_that_keeps_more_is_red() -> None:
    class Data(TrackingData):
        model_config = ConfigDict(extra="allow")

    class Form(BaseModel):
        model_config = ConfigDict(extra="allow")
        data: Data

    assert CANARY in kept(Form, WEBHOOK)


@pytest.mark.parametrize("member", ["tracking_number", "status_code"])
def test_a_person_in_the_place_of_a_number_is_refused_unrepeated(member: str) -> None:
    with pytest.raises(ValueError, match="validation error") as refused:
        kept(TrackingForm, {**WEBHOOK, "data": {**WEBHOOK["data"], member: CANARY}})
    assert CANARY not in str(refused.value)
