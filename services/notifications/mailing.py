"""What every room that writes mails needs: the mail server, the shop's name, the gate, and the contacts that a mail is opened for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from services.notifications import gate
from services.notifications.composing import compose, reader_of_order_mail
from services.notifications.domain import Handed, NotTaken, Withheld
from services.notifications.gateway import MAILBOX, Mailbox, MailRefused
from services.notifications.letters import RenderedMail, Shop, render
from services.notifications.settings import NotificationsSettings
from services.notifications.store import KeptContact, NotificationsReads
from shared.contracts.errors import BrownPaperError
from shared.contracts.values import OrderKey
from shared.custody.vault import Opened
from shared.database import Database
from shared.delivery.work import IntentRow
from shared.dependencies import Made, settings_themselves
from shared.policy import load
from shared.rights import RightsHolder

Brought = Mapping[OrderKey, tuple[Opened | BrownPaperError, KeptContact]]
CLASSES = gate.classes_by_kind(load().mails)
"""Kind of letter → its class in the policy."""


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
        """The contacts of these intents' orders, opened for a purpose, each with what else is kept of it."""
        kept = self.reads.contacts(list(dict.fromkeys(intent.about for intent in intents)))
        contacts = {key: (one.customer_id, one.contact) for key, one in kept.items()}
        opened = self.parts.open(contacts, purpose=purpose, to=MAILBOX)
        return {key: (opened[key], kept[key]) for key in kept}

    def write_about_an_order(self, intent: IntentRow) -> Handed | NotTaken | Withheld:
        """Write the intent's letter with what was brought for it, if its reader may have it now, and hand it to the mail server.

        Raises TryLater, Unanswered, Parked.
        """
        kind = intent.details["kind"]
        opened, kept = cast("tuple[Any, Any]", intent.brought or (None, None))
        contact = self.parts.read(opened, "contact_missing")
        withheld = gate.refusal(CLASSES[kind], reader_of_order_mail(kind, opened, kept))
        if withheld is not None:
            return Withheld(kind, withheld)
        details = {**intent.details, "order": kept.order}
        return self.hand_over(kind, render(compose(intent.about, details, contact, self.shop), self.shop, datetime.now(UTC)))

    def hand_over(self, kind: str, mail: RenderedMail) -> Handed | NotTaken:
        """Hand a mail of this kind to the mail server. Raises TryLater, and Unanswered where nobody knows."""
        try:
            self.mailbox.send(mail.sender, mail.recipient, mail.message, smtputf8=mail.smtputf8)
        except MailRefused as error:
            return NotTaken(kind, error.code)
        return Handed(kind)
