"""What can be set for notifications."""

from __future__ import annotations

from pydantic import Field

from shared.setting_kinds import AuthoritiesFile, MailAddress, PartyUrl, SmtpUrl, Text
from shared.settings import DeliverySettings, KeyringSettings, StaffSettings


class NotificationsSettings(DeliverySettings, KeyringSettings, StaffSettings):
    """`smtp_url` is `smtp://`, `smtps://` or `smtp+starttls://` `[user:password@]host[:port]`, credentials percent-encoded.

    Replies to `mail_from` reach the shop; the name shown is `shop_name`.
    """

    smtp_url: SmtpUrl
    smtp_ca_file: AuthoritiesFile = None
    smtp_timeout_seconds: float = Field(default=20, gt=0)
    mail_from: MailAddress
    shop_name: Text
    policy_choice_url: PartyUrl | None = None
    """Where the shop lets people say yes or no to a changed policy; the same for everybody."""
    mail_preferences_url: PartyUrl | None = None
    """Where the shop lets people stop mail: the way out of every letter that must show one."""
    campaign_batch: int = Field(default=50, ge=1, le=1000)
    """How many persons a campaign takes up in one step …"""
    campaign_seconds: float = Field(default=5, ge=0)
    """… and how long it then rests, over all processes."""
    friend_opt_out_url: PartyUrl | None = None
    """The shop's page where a friend refuses further mail: it hands the link's `word` to `POST /friends/opt-out`.

    Without it no friend is written to.
    """
    complaint_days: float = Field(default=30, gt=0)
    """By when a complaint is answered."""
