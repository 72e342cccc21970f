"""The door of notifications: what it hears, what it asks of the mail server, what it does with the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.notifications import handlers
from services.notifications.composing import compose
from services.notifications.domain import SEND_MAIL, Handed, NotTaken
from services.notifications.gateway import Mailbox, MailRefused
from services.notifications.letters import Shop, render
from services.notifications.persons import NotificationsPersons
from services.notifications.retention import CLEARINGS, NotificationsRetention
from services.notifications.settings import NotificationsSettings
from services.notifications.staff import ContactDesk
from services.notifications.store import NotificationsReads, NotificationsStore
from shared.contracts.errors import BrownPaperError
from shared.contracts.events import (
    ContactEntrusted,
    OrderCancelled,
    PaymentAuthorised,
    ShipmentDelivered,
    ShipmentDispatched,
)
from shared.contracts.person_events import ContactCorrected, PreferencesNoted
from shared.contracts.values import OrderKey
from shared.custody.vault import Opened
from shared.database import Database
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, prepares, settles
from shared.delivery.work import IntentRow, Work
from shared.dependencies import Made
from shared.rights import RightsHolder

ORDER_NEWS = "order_news"  # the purpose, in the policy's word
Unit = Work[NotificationsStore]


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


class NotificationsService(RightsHolder, ContactDesk):
    """Tells customers what they should know of their orders, each thing once."""

    name = "notifications"
    part = "contact"
    Store = NotificationsStore
    rows = NotificationsPersons()
    retained = NotificationsRetention()
    clearings = CLEARINGS
    reads = Made(_reads)
    mailbox = Made(_mailbox)
    shop = Made(_shop)

    @hears(ContactEntrusted)
    def contact_entrusted(self, event: ContactEntrusted, work: Unit) -> None:
        handlers.take_contact(event, work.kept, work.store)

    @hears(ContactCorrected)
    def contact_corrected(self, event: ContactCorrected, work: Unit) -> None:
        endings = handlers.correct_contact(event, work.kept.envelopes, work.store)
        self.note_correction(event, work.kept, endings, work)

    @hears(PreferencesNoted)
    def preferences_noted(self, event: PreferencesNoted, work: Unit) -> None:
        work.store.note_preferences(event)
        work.tell(self.receipt(event.model_dump(include={"shop", "kind", "request"}), "noted", work.at))

    @hears(PaymentAuthorised)
    def payment_authorised(self, event: PaymentAuthorised, work: Unit) -> None:
        handlers.confirm(event, work.store)

    @hears(ShipmentDispatched)
    def shipment_dispatched(self, event: ShipmentDispatched, work: Unit) -> None:
        handlers.tell_of_dispatch(event, work.store)

    @hears(ShipmentDelivered)
    def shipment_delivered(self, event: ShipmentDelivered, work: Unit) -> None:
        handlers.tell_of_delivery(event, work.store, work.at)

    @hears(OrderCancelled)
    def order_cancelled(self, event: OrderCancelled, work: Unit) -> None:
        handlers.fall_silent(event, work.store, work.at)

    @prepares(SEND_MAIL)
    def open_contacts(self, intents: Sequence[IntentRow]) -> Mapping[OrderKey, tuple[Opened | BrownPaperError, dict[str, Any]]]:
        kept = self.reads.contacts([intent.about for intent in intents])
        opened = self.parts.open({key: (one.customer_id, one.contact) for key, one in kept.items()}, purpose=ORDER_NEWS)
        return {key: (opened[key], kept[key].order) for key in kept}

    @performs(SEND_MAIL)
    def send_mail(self, intent: IntentRow) -> Handed | NotTaken:
        brought, order = intent.brought or (None, None)
        contact = self.parts.read(brought, "contact_missing")
        details = {**intent.details, "order": order}
        mail = render(compose(intent.about, details, contact, self.shop), self.shop, datetime.now(UTC))
        try:
            self.mailbox.send(mail.sender, mail.recipient, mail.message, smtputf8=mail.smtputf8)
        except MailRefused as error:
            return NotTaken(intent.details["kind"], error.code)
        return Handed(intent.details["kind"])

    @settles(SEND_MAIL)
    def mail_answered(self, settlement: Settlement, work: Unit) -> None:
        handlers.note_mail(settlement.intent.about, settlement.outcome, work.store)
