"""The door of notifications: what it hears, what it asks of the mail server, what it does with the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.notifications import handlers
from services.notifications.circulation import Circulation
from services.notifications.desk import RequestDesk
from services.notifications.difficulty_door import DifficultyDoor
from services.notifications.domain import SEND_MAIL, Handed, NotTaken, Withheld
from services.notifications.friend_door import FriendDoor
from services.notifications.mailing import Brought
from services.notifications.persons import NotificationsPersons
from services.notifications.retention import CLEARINGS, WAITING, NotificationsRetention
from services.notifications.staff import ContactDesk
from services.notifications.store import NotificationsStore
from shared.contracts.events import (
    ContactEntrusted,
    OrderCancelled,
    PaymentAuthorised,
    ShipmentDelivered,
    ShipmentDispatched,
)
from shared.contracts.person_events import ContactCorrected, PreferencesNoted
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, prepares, settles
from shared.delivery.work import IntentRow, Work

ORDER_NEWS = "order_news"  # the purpose, in the policy's word
Unit = Work[NotificationsStore]


class NotificationsService(DifficultyDoor, FriendDoor, RequestDesk, Circulation, ContactDesk):
    """Tells customers what they should know of their orders, each thing once."""

    name = "notifications"
    part = "contact"
    Store = NotificationsStore
    rows = NotificationsPersons()
    retained = NotificationsRetention()
    clearings = CLEARINGS
    waiting = WAITING

    @hears(ContactEntrusted)
    def contact_entrusted(self, event: ContactEntrusted, work: Unit) -> None:
        handlers.take_contact(event, work.kept, work.store)

    @hears(ContactCorrected)
    def contact_corrected(self, event: ContactCorrected, work: Unit) -> None:
        self.correct(event, work, lambda envelopes: handlers.correct_contact(event, envelopes, work.store))

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
    def open_contacts(self, intents: Sequence[IntentRow]) -> Brought:
        return self.opened_contacts(intents, ORDER_NEWS)

    @performs(SEND_MAIL)
    def send_mail(self, intent: IntentRow) -> Handed | NotTaken | Withheld:
        return self.write_about_an_order(intent)

    @settles(SEND_MAIL)
    def mail_answered(self, settlement: Settlement, work: Unit) -> None:
        handlers.note_mail(settlement.intent.about, settlement.outcome, work.store)
