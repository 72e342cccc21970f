"""What can be set for shipping."""

from __future__ import annotations

from pydantic import Field

from shared.setting_kinds import AuthoritiesFile, Country, Mapping, PartyUrl, Secret, Text, Token
from shared.settings import DeliverySettings, KeyringSettings, StaffSettings


class ShippingSettings(DeliverySettings, KeyringSettings, StaffSettings):
    """`shipping_services` maps the storefront's names to the carrier's service codes: `ground=ups_ground,two_day=…`."""

    staff_token: Token
    carrier_base_url: PartyUrl
    carrier_api_key: Secret
    carrier_id: Text
    carrier_webhook_secret: Token
    carrier_ca_file: AuthoritiesFile = None
    shipping_services: Mapping
    ship_from_name: Text
    ship_from_company: str | None = None
    ship_from_phone: Text
    ship_from_line1: Text
    ship_from_city: Text
    ship_from_region: str = ""
    ship_from_postal_code: str = ""
    ship_from_country: Country
    party_timeout_seconds: float = Field(default=6, gt=0)
    """How long to wait for the next bytes of the carrier's answer; a call as a whole lasts no longer than `call_seconds`."""
