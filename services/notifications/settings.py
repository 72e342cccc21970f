"""What can be set for notifications."""

from __future__ import annotations

from pydantic import Field, SecretStr

from shared.settings import DeliverySettings, KeyringSettings


class NotificationsSettings(DeliverySettings, KeyringSettings):
    """`smtp_url` is `smtp://`, `smtps://` or `smtp+starttls://` `[user:password@]host[:port]`; `mail_from` replies reach the shop."""

    smtp_url: SecretStr
    smtp_ca_file: str | None = None
    smtp_timeout_seconds: float = Field(default=20, gt=0)
    mail_from: str
    shop_name: str
