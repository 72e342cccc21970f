"""The door of notifications: what it hears, what it asks of the mail server, what it does with the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from services.notifications import gate, handlers
from services.notifications.circulation import CLASSES, Circulation
from services.notifications.composing import compose, reader_of_order_mail
from services.notifications.domain import SEND_MAIL, Handed, NotTaken, Withheld
from services.notifications.gateway import Mailbox
from services.notifications.letters import Shop, render
from services.notifications.persons import NotificationsPersons
from services.notifications.retention import CLEARINGS, NotificationsRetention
from services.notifications.settings import NotificationsSettings
from services.notifications.store import KeptContact, NotificationsReads, NotificationsStore
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


class NotificationsService(Circulation):
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

    def keep_preferences(self, event: PreferencesNoted, work: Work[Any]) -> None:
        work.store.note_preferences(event)

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
    def open_contacts(self, intents: Sequence[IntentRow]) -> Mapping[OrderKey, tuple[Opened | BrownPaperError, KeptContact]]:
        kept = self.reads.contacts(list(dict.fromkeys(intent.about for intent in intents)))
        opened = self.parts.open({key: (one.customer_id, one.contact) for key, one in kept.items()}, purpose=ORDER_NEWS)
        return {key: (opened[key], kept[key]) for key in kept}

    @performs(SEND_MAIL)
    def send_mail(self, intent: IntentRow) -> Handed | NotTaken | Withheld:
        kind = intent.details["kind"]
        opened, kept = cast("tuple[Any, Any]", intent.brought or (None, None))
        contact = self.parts.read(opened, "contact_missing")
        withheld = gate.refusal(CLASSES[kind], reader_of_order_mail(kind, opened, kept))
        if withheld is not None:
            return Withheld(kind, withheld)
        details = {**intent.details, "order": kept.order}
        return self.hand_over(kind, render(compose(intent.about, details, contact, self.shop), self.shop, datetime.now(UTC)))

    @settles(SEND_MAIL)
    def mail_answered(self, settlement: Settlement, work: Unit) -> None:
        handlers.note_mail(settlement.intent.about, settlement.outcome, work.store)
