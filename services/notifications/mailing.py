"""What every room that writes mails needs: the mail server, the shop's name, and the contacts of orders, opened for the purpose of the mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.notifications.composing import compose
from services.notifications.domain import Handed, NotTaken
from services.notifications.gateway import Mailbox, MailRefused
from services.notifications.letters import RenderedMail, Shop, render
from services.notifications.settings import NotificationsSettings
from services.notifications.store import NotificationsReads
from shared.contracts.errors import BrownPaperError
from shared.contracts.values import OrderKey
from shared.custody.vault import Opened
from shared.database import Database
from shared.delivery.work import IntentRow
from shared.dependencies import Made, settings_themselves
from shared.rights import RightsHolder

Brought = Mapping[OrderKey, tuple[Opened | BrownPaperError, dict[str, Any]]]


def _mailbox(settings: NotificationsSettings) -> Mailbox:
    return Mailbox(
        settings.smtp_url.get_secret_value(),
        timeout_seconds=(5.0, settings.smtp_timeout_seconds),
        pool_size=settings.calls_in_flight,
        ca_file=settings.smtp_ca_file,
    )


def _shop(settings: NotificationsSettings) -> Shop:
    """In whose name mails are written."""
    return Shop(settings.shop_name, settings.mail_from)


def _reads(settings: NotificationsSettings) -> NotificationsReads:
    return NotificationsReads(Database(settings.database_url, name="notifications.reads"))


class MailWriter(RightsHolder):
    """Opens what a mail needs, writes it, and hands it over."""

    settings = Made(settings_themselves)
    reads = Made(_reads)
    mailbox = Made(_mailbox)
    shop = Made(_shop)

    def opened_contacts(self, intents: Sequence[IntentRow], purpose: str) -> Brought:
        """The contacts of these intents' orders, opened for a purpose, each with what the confirmation tells of its order."""
        kept = self.reads.contacts([intent.about for intent in intents])
        opened = self.parts.open({key: (one.customer_id, one.contact) for key, one in kept.items()}, purpose=purpose)
        return {key: (opened[key], kept[key].order) for key in kept}

    def write_about_an_order(self, intent: IntentRow) -> Handed | NotTaken:
        """Write the intent's letter with what was brought for it, and hand it to the mail server. Raises TryLater, Unanswered, Parked."""
        brought, order = intent.brought or (None, None)
        contact = self.parts.read(brought, "contact_missing")
        details = {**intent.details, "order": order}
        return self.hand_over(render(compose(intent.about, details, contact, self.shop), self.shop, datetime.now(UTC)), intent)

    def hand_over(self, mail: RenderedMail, intent: IntentRow) -> Handed | NotTaken:
        """Hand a mail of the intent's kind to the mail server. Raises TryLater, and Unanswered where nobody knows."""
        try:
            self.mailbox.send(mail.sender, mail.recipient, mail.message, smtputf8=mail.smtputf8)
        except MailRefused as error:
            return NotTaken(intent.details["kind"], error.code)
        return Handed(intent.details["kind"])
