"""The door of notifications: what it hears, what it asks of the mail server, what it does with the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from services.notifications import handlers
from services.notifications.composing import compose
from services.notifications.domain import SEND_MAIL, Handed, NotTaken
from services.notifications.gateway import Mailbox, MailRefused
from services.notifications.letters import Shop, render
from services.notifications.settings import NotificationsSettings
from services.notifications.store import KeptContact, NotificationsReads, NotificationsStore
from shared.contracts.errors import Parked
from shared.contracts.events import (
    ContactEntrusted,
    OrderCancelled,
    PaymentAuthorised,
    SealedBox,
    ShipmentDelivered,
    ShipmentDispatched,
)
from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, prepares, settles
from shared.delivery.work import IntentRow, Work
from shared.dependencies import Made
from shared.parts import PartHolder

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


class NotificationsService(PartHolder):
    """Tells customers what they should know of their orders, each thing once."""

    name = "notifications"
    Store = NotificationsStore
    reads = Made(_reads)
    mailbox = Made(_mailbox)
    shop = Made(_shop)

    @hears(ContactEntrusted)
    def contact_entrusted(self, event: ContactEntrusted, work: Unit) -> None:
        faults = self.parts.read("contact", event.contact, event.order_number).codes
        handlers.take_contact(event, faults, work.store)

    @hears(PaymentAuthorised)
    def payment_authorised(self, event: PaymentAuthorised, work: Unit) -> None:
        handlers.confirm(event, work.store)

    @hears(ShipmentDispatched)
    def shipment_dispatched(self, event: ShipmentDispatched, work: Unit) -> None:
        handlers.tell_of_dispatch(event, work.store)

    @hears(ShipmentDelivered)
    def shipment_delivered(self, event: ShipmentDelivered, work: Unit) -> None:
        handlers.tell_of_delivery(event, work.store)

    @hears(OrderCancelled)
    def order_cancelled(self, event: OrderCancelled, work: Unit) -> None:
        handlers.fall_silent(event, work.store)

    @prepares(SEND_MAIL)
    def find_contacts(self, intents: Sequence[IntentRow]) -> Mapping[OrderKey, KeptContact]:
        found: Mapping[OrderKey, KeptContact] = self.reads.contacts([intent.about for intent in intents])
        return found

    @performs(SEND_MAIL)
    def send_mail(self, intent: IntentRow) -> Handed | NotTaken:
        kept: KeptContact | None = intent.brought
        if kept is None:
            raise Parked("contact_missing")
        contact = self.parts.read("contact", SealedBox(**kept.contact), intent.about.order_number).value
        if contact is None:
            raise Parked("contact_unreadable")
        details = {**intent.details, "order": kept.order}
        mail = render(compose(intent.about, details, contact, self.shop), self.shop, datetime.now(UTC))
        try:
            self.mailbox.send(mail.sender, mail.recipient, mail.message, smtputf8=mail.smtputf8)
        except MailRefused as error:
            return NotTaken(intent.details["kind"], error.code)
        return Handed(intent.details["kind"])

    @settles(SEND_MAIL)
    def mail_answered(self, settlement: Settlement, work: Unit) -> None:
        handlers.note_mail(settlement.intent.about, settlement.outcome, work.store)
