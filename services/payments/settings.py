"""What can be set for payments."""

from __future__ import annotations

from pydantic import Field, SecretStr

from shared.settings import DeliverySettings, KeyringSettings


class PaymentsSettings(DeliverySettings, KeyringSettings):
    """Base URLs without a trailing slash; `twocheckout_idn_url` is the whole address of 2Checkout's delivery notification."""

    paypal_base_url: str
    paypal_client_id: str
    paypal_client_secret: SecretStr
    paypal_ca_file: str | None = None
    twocheckout_base_url: str
    twocheckout_idn_url: str
    twocheckout_merchant_code: str
    twocheckout_secret_key: SecretStr
    twocheckout_payment_type: str = "EES_TOKEN_PAYMENT"
    twocheckout_return_url: str = "https://www.astrojewelry.com/order/complete"
    twocheckout_cancel_url: str = "https://www.astrojewelry.com/order/cancelled"
    twocheckout_ca_file: str | None = None
    party_timeout_seconds: float = Field(default=6, gt=0)
    """How long to wait for the next bytes of a payment company's answer; a call as a whole lasts no longer than `call_seconds`."""
