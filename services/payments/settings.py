"""What can be set for payments."""

from __future__ import annotations

from pydantic import Field

from shared.setting_kinds import AuthoritiesFile, PartyUrl, Secret, Text
from shared.settings import DeliverySettings, KeyringSettings, StaffSettings


class PaymentsSettings(DeliverySettings, KeyringSettings, StaffSettings):
    """Base URLs without a trailing slash; `twocheckout_idn_url` is the whole address of 2Checkout's delivery notification."""

    paypal_base_url: PartyUrl
    paypal_client_id: Text
    paypal_client_secret: Secret
    paypal_ca_file: AuthoritiesFile = None
    twocheckout_base_url: PartyUrl
    twocheckout_idn_url: PartyUrl
    twocheckout_merchant_code: Text
    twocheckout_secret_key: Secret
    twocheckout_payment_type: Text = "EES_TOKEN_PAYMENT"
    twocheckout_return_url: PartyUrl = "https://www.astrojewelry.com/order/complete"
    twocheckout_cancel_url: PartyUrl = "https://www.astrojewelry.com/order/cancelled"
    twocheckout_ca_file: AuthoritiesFile = None
    party_timeout_seconds: float = Field(default=6, gt=0)
    """How long to wait for the next bytes of a payment company's answer; a call as a whole lasts no longer than `call_seconds`."""
