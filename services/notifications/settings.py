"""What can be set for notifications."""

from __future__ import annotations

from pydantic import Field

from shared.setting_kinds import MailAddress, PartyUrl, ReadableFile, SmtpUrl, Text, Token
from shared.settings import DeliverySettings, KeyringSettings


class NotificationsSettings(DeliverySettings, KeyringSettings):
    """`smtp_url` is `smtp://`, `smtps://` or `smtp+starttls://` `[user:password@]host[:port]`, credentials percent-encoded.

    Replies to `mail_from` reach the shop; the name shown is `shop_name`.
    """

    smtp_url: SmtpUrl
    smtp_ca_file: ReadableFile | None = None
    smtp_timeout_seconds: float = Field(default=20, gt=0)
    mail_from: MailAddress
    shop_name: Text
    friend_opt_out_url: PartyUrl | None = None
    """The shop's page where a friend refuses further mail: it hands the link's `word` to `POST /friends/opt-out`.

    Without it no friend is written to.
    """
    customer_service_token: Token
    """Whoever shows it has the policy's role `customer_service`."""
    privacy_officer_token: Token
    """Whoever shows it has the policy's role `privacy_officer`."""
    complaint_days: float = Field(default=30, gt=0)
    """By when a complaint is answered."""
