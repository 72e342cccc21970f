"""What can be set for shipping."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from shared.settings import DeliverySettings, KeyringSettings, mapping


class ShippingSettings(DeliverySettings, KeyringSettings):
    """`shipping_services` maps the storefront's names to the carrier's service codes: `ground=ups_ground,two_day=…`."""

    staff_token: str
    carrier_base_url: str
    carrier_api_key: SecretStr
    carrier_id: str
    carrier_webhook_secret: str = Field(min_length=16)
    carrier_ca_file: str | None = None
    shipping_services: Annotated[dict[str, str], NoDecode]
    ship_from_name: str
    ship_from_company: str | None = None
    ship_from_phone: str
    ship_from_line1: str
    ship_from_city: str
    ship_from_region: str
    ship_from_postal_code: str
    ship_from_country: str = Field(pattern="^[A-Z]{2}$")
    party_timeout_seconds: float = Field(default=6, gt=0)
    """How long to wait for the next bytes of the carrier's answer; a call as a whole lasts no longer than `call_seconds`."""

    _mapping = field_validator("shipping_services", mode="before")(mapping)
