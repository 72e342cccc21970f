"""What can be set for notifications."""

from __future__ import annotations

from email.utils import parseaddr

from pydantic import Field, SecretStr, field_validator

from shared.settings import DeliverySettings, KeyringSettings


class NotificationsSettings(DeliverySettings, KeyringSettings):
    """`smtp_url` is `smtp://`, `smtps://` or `smtp+starttls://` `[user:password@]host[:port]`; `mail_from` replies reach the shop."""

    smtp_url: SecretStr
    smtp_ca_file: str | None = None
    smtp_timeout_seconds: float = Field(default=20, gt=0)
    mail_from: str = Field(pattern=r"^[^\s<>@]+@[^\s<>@]+$")
    shop_name: str

    @field_validator("mail_from", mode="before")
    @classmethod
    def _bare(cls, value: object) -> object:
        """`Name <address>` is taken too; the name shown is the shop's."""
        return parseaddr(value)[1] if isinstance(value, str) else value
