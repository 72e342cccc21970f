"""What can be set for notifications."""

from __future__ import annotations

from pydantic import Field

from shared.setting_kinds import MailAddress, ReadableFile, SmtpUrl, Text
from shared.settings import DeliverySettings, KeyringSettings, StaffSettings


class NotificationsSettings(DeliverySettings, KeyringSettings, StaffSettings):
    """`smtp_url` is `smtp://`, `smtps://` or `smtp+starttls://` `[user:password@]host[:port]`, credentials percent-encoded.

    Replies to `mail_from` reach the shop; the name shown is `shop_name`.
    """

    smtp_url: SmtpUrl
    smtp_ca_file: ReadableFile | None = None
    smtp_timeout_seconds: float = Field(default=20, gt=0)
    mail_from: MailAddress
    shop_name: Text
