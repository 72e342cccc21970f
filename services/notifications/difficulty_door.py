"""The door for trouble: what notifications hears of it, and the mails about it, for whose opening the policy has a purpose of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.notifications import handlers
from services.notifications.domain import SEND_DIFFICULTY_MAIL, Handed, NotTaken, Withheld
from services.notifications.mailing import Brought, MailWriter
from shared.contracts.events import OrderHeld, OrderReleased, PaymentDeclined
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, prepares, settles
from shared.delivery.work import IntentRow, Work

ORDER_DIFFICULTY = "order_difficulty"  # the purpose, in the policy's word
Unit = Work[Any]


class DifficultyDoor(MailWriter):
    """Tells the buyer of an order in trouble, whatever the buyer thinks of mailings (clause 11); the gate has the rest."""

    @hears(PaymentDeclined)
    def payment_declined(self, event: PaymentDeclined, work: Unit) -> None:
        handlers.tell_of_decline(event, work.store)

    @hears(OrderHeld)
    def order_held(self, event: OrderHeld, work: Unit) -> None:
        handlers.tell_of_hold(event, work.store, work.at)

    @hears(OrderReleased)
    def order_released(self, event: OrderReleased, work: Unit) -> None:
        handlers.note_release(event, work.store)

    @prepares(SEND_DIFFICULTY_MAIL)
    def open_contacts_for_trouble(self, intents: Sequence[IntentRow]) -> Brought:
        return self.opened_contacts(intents, ORDER_DIFFICULTY)

    @performs(SEND_DIFFICULTY_MAIL)
    def send_difficulty_mail(self, intent: IntentRow) -> Handed | NotTaken | Withheld:
        return self.write_about_an_order(intent)

    @settles(SEND_DIFFICULTY_MAIL)
    def difficulty_mail_answered(self, settlement: Settlement, work: Unit) -> None:
        handlers.note_mail(settlement.intent.about, settlement.outcome, work.store)
