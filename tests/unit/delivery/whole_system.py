"""The four doors, their real methods on stores in memory, and between them a post that shuffles, repeats, delays and loses its way.

There is no inbox here: every repeat reaches its handler. There are crashes: a handler's work is thrown away and done again. What the
outside parties did is counted by the key of the call, as they count it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from services.notifications.domain import SEND_MAIL, Handed, NotTaken
from services.payments.domain import AUTHORISE, CAPTURE, Authorised, Captured, CaptureFailed, Declined
from services.shipping.commands import HandOver, NoteTracking, Pack, Pick
from services.shipping.domain import BUY_LABEL, BoughtLabel, NoLabel, State
from shared.contracts.errors import Refused, TryLater
from shared.contracts.values import Money, OrderKey
from shared.delivery.reading import read_event
from shared.delivery.topology import HEARERS
from shared.delivery.work import IntentRow, OutboxRow, RawMessage, Work
from tests.builders import AT, order_placed
from tests.fakes import FakeCorrespondences, FakeOrders, FakePayments, FakeShipments, FakeStore
from tests.unit.contracts.storefront_samples import SOURCE
from tests.unit.delivery.doors import DOORS, REGISTERS

FATES = (
    "sold",
    "declined",
    "mismatched",
    "not captured",
    "no label",
    "mail not taken",
    "unsound recipient",
    "unsound contact",
    "unsound billing",
)


@dataclass(frozen=True)
class Opened:
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opener:
    """Stands for a service's keyring: says of each order's part whether it is sound."""

    fates: dict[str, str]

    def read(self, part: str, _sealed: object, order_number: str, _line_numbers: object = None) -> Opened:
        return Opened(("box_unopenable",) if self.fates[order_number] == f"unsound {part}" else ())


@dataclass
class Parties:
    """The payment company, the carrier and the mail server: a call with the same key does its deed once and says the same again."""

    fates: dict[str, str]
    deeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def perform(self, intent: IntentRow) -> Any:
        self.calls[intent.key] += 1
        known = self.deeds.setdefault(f"{intent.kind} {intent.key}", {"intent": intent})
        assert known["intent"].details == intent.details, "a repeated call asks for the very same"
        return self._answer(intent, self.fates[intent.about.order_number])

    def done(self, kind: str, order_number: str) -> list[IntentRow]:
        intents: list[IntentRow] = [deed["intent"] for deed in self.deeds.values()]
        return [intent for intent in intents if intent.kind == kind and intent.about.order_number == order_number]

    def _answer(self, intent: IntentRow, fate: str) -> Any:
        number = intent.about.order_number
        match intent.kind, fate:
            case "authorise_payment", "declined":
                return Declined("declined")
            case "authorise_payment", "mismatched":
                return Declined("amount_mismatch")
            case "authorise_payment", _:
                return Authorised(f"AUTH-{number}")
            case "capture_payment", "not captured":
                return CaptureFailed("authorisation_expired")
            case "capture_payment", _:
                return Captured(f"CAP-{number}")
            case "buy_label", "no label":
                return NoLabel(("invalid_address",))
            case "buy_label", _:
                return BoughtLabel(f"se-{number}", "ups", f"1Z{number}", None, "shipping-2026-10", b"sealed")
            case "send_mail", "mail not taken":
                return NotTaken(intent.details["kind"], "mailbox_unknown")
            case _:
                return Handed(intent.details["kind"])


@dataclass(frozen=True)
class Settled:
    """As `shared.delivery.engine.Settlement`: an intent and what came of it."""

    intent: IntentRow
    outcome: Any


class WholeSystem:
    """`fates` says of each order by its number how it goes. `run` ends when nothing is on its way and nobody has anything to do."""

    def __init__(self, random: Random, fates: dict[str, str]) -> None:
        self._random, self.fates = random, fates
        self.parties = Parties(fates)
        self.orders, self.payments = FakeOrders(), FakePayments()
        self.shipping, self.notifications = FakeShipments(), FakeCorrespondences()
        self.stores: dict[str, FakeStore] = {
            store.recorder.speaker: store for store in (self.orders, self.payments, self.shipping, self.notifications)
        }
        self._doors: dict[str, Any] = {name: door() for name, door in DOORS.items()}
        for name in ("payments", "shipping", "notifications"):
            self._doors[name].parts = Opener(fates)
        self._under_way: list[tuple[str, Callable[[], None]]] = []
        self.course: list[str] = []

    def run(self) -> None:
        for number in self.fates:
            placing = self._place(number)
            self._under_way += [(f"placed {number}", placing)] * self._random.randint(1, 2)
        while self._under_way:
            later = []
            while self._under_way:
                name, do = self._under_way.pop(self._random.randrange(len(self._under_way)))
                try:
                    do()
                    self.course.append(name)
                except TryLater:
                    later.append((name, do))
                if not self._random.randrange(4):
                    self._staff_and_carrier()
            assert self.course, "something can be done at first"
            self._under_way = later
            self._staff_and_carrier()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, service: str, work_of: Callable[[Any, Work[Any]], Any]) -> None:
        """One transaction; one in ten crashes just before its commit and is done again."""
        store, door = self.stores[service], self._doors[service]
        told, asked = len(store.outbox), len(store.asked)
        while True:
            store.recorder.mark(None)
            try:
                with store.handling():
                    work_of(door, Work(store, AT))
                    if not self._random.randrange(10):
                        raise _CrashError
            except _CrashError:
                continue
            break
        for row in store.outbox[told:]:
            self._publish(row)
        for intent in store.asked[asked:]:
            self._ask(service, intent)

    def _publish(self, row: OutboxRow) -> None:
        for service in HEARERS.get(row.exchange, {}).get(row.type, ()):
            raw = RawMessage(f"{service}.events", row.body.encode(), row.exchange, row.type)

            def deliver(service: str = service, raw: RawMessage = raw) -> None:
                reading = read_event(raw, REGISTERS[service].heard)
                self._handle(service, lambda door, work: getattr(door, reading.method)(reading.message, work))

            self._under_way += [(f"{service} hears {row.type}", deliver)] * self._random.randint(1, 2)

    def _ask(self, service: str, intent: IntentRow) -> None:
        def settle() -> None:
            settled = Settled(intent, self.parties.perform(intent))
            method = REGISTERS[service].settles[intent.kind]
            self._handle(service, lambda door, work: getattr(door, method)(settled, work))

        self._under_way += [(f"{intent.kind} {intent.about.order_number}", settle)] * self._random.randint(1, 2)

    def _place(self, number: str) -> Callable[[], None]:
        payment = {"provider": "2checkout", "reference": f"tok_{number}"}
        tax = Money.parse("15.54", "EUR") + self._extra(number)
        event = order_placed(number, f"e-{number}", payment=payment, tax=str(tax), total=str(self.total(number)))
        return lambda: self._handle("orders", lambda door, work: door.place_order(event, work))

    def _extra(self, number: str) -> Money:
        return Money(list(self.fates).index(number), "EUR")

    def _staff_and_carrier(self) -> None:
        """What the crew does with its lists, and what the carrier scans."""
        for shipment in self.shipping.shipments():
            asks: dict[State, tuple[str, Any]] = {
                State.TO_PICK: ("pick", Pick(shipment.key)),
                State.TO_PACK: ("pack", Pack(shipment.key, 250, 200, 150, 40)),
                State.TO_HAND_OVER: ("hand_over", HandOver(shipment.key)),
                State.DISPATCHED: (
                    "scanned",
                    NoteTracking(str(shipment.tracking_number), self._random.choice(("AC", "IT", "DE"))),
                ),
            }
            if shipment.state not in asks:
                continue
            method, ask = asks[shipment.state]

            def do(method: str = method, ask: Any = ask) -> None:
                try:
                    self._handle("shipping", lambda door, work: getattr(door, method)(ask, work))
                except Refused:
                    return  # the list was old: a hold or a cancellation came between

            self._under_way.append((f"{method} {shipment.key.order_number}", do))

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def said(self, order_number: str) -> Counter[str]:
        """What the services told each other about this order, answers to the storefront left out."""
        rows = (row for store in self.stores.values() for row in store.outbox if row.exchange in HEARERS)
        return Counter(row.type for row in rows if json.loads(row.body)["data"]["order_number"] == order_number)

    def total(self, order_number: str) -> Money:
        """Each order's is another one, so that money in the wrong place shows."""
        return Money.parse("103.99", "EUR") + self._extra(order_number)

    def state(self, order_number: str) -> str:
        return self.orders.the_order(OrderKey(SOURCE, order_number)).state

    def money(self, kind: str, order_number: str) -> list[Money]:
        """The amounts that calls of this kind moved, one for each deed."""
        calls = self.parties.done(kind, order_number)
        return [Money(call.details["amount_minor"], call.details["currency"]) for call in calls]

    def mails(self, order_number: str) -> list[str]:
        return sorted(call.details["kind"] for call in self.parties.done(SEND_MAIL, order_number))


class _CrashError(Exception):
    """The process ended before the commit."""


KINDS_OF_CALLS: Sequence[str] = (AUTHORISE, CAPTURE, BUY_LABEL, SEND_MAIL)
