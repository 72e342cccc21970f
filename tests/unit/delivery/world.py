"""The four services in one process: their real doors through the real batches, on databases of dicts, with a post between them.

Nothing here happens by itself. Whoever drives it (a Hypothesis machine, or `settle_down`) says which letter is delivered next, how
the transaction ends, whether the acknowledgement arrives, which call is made and whether its answer comes back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from services.shipping.commands import HandOver, Pack, Pick
from services.shipping.domain import DELIVERED
from shared.contracts.errors import Parked, TryLater, Unanswered
from shared.contracts.values import OrderKey
from shared.database import DatabaseUnavailable
from shared.delivery.batch import Batches, Reading
from shared.delivery.confirmed import Confirmed
from shared.delivery.engine import Settlement
from shared.delivery.horizon import Horizon
from shared.delivery.ladder import Ladder
from shared.delivery.topology import HEARERS, INTAKE_EXCHANGE, INTAKE_QUEUE, SERVICES, events_queue
from shared.delivery.work import Delivery, Ending, IntentRow, OutboxRow, RawMessage
from tests.unit.delivery.doors import DOORS, REGISTERS, routes_of
from tests.unit.delivery.memory import STORES, MemoryDatabase, Trouble
from tests.unit.delivery.outside import Books, doors
from tests.unit.delivery.plans import Plan

CLOUD_EVENT = "application/cloudevents+json"
WEBHOOK = "webhook"
A_MINUTE = timedelta(minutes=1)
HORIZON = Horizon(timedelta(days=30))
ROUTES = {name: routes_of(door) for name, door in DOORS.items()}


@dataclass(frozen=True, eq=False)
class Letter:
    """A message on its way to one service. Two letters with one body are two deliveries of one message."""

    queue: str
    body: bytes
    exchange: str
    type: str
    about: OrderKey

    def __str__(self) -> str:
        return f"{self.queue} gets {self.type} of {self.about.order_number}"


@dataclass(frozen=True)
class How:
    """How a delivery goes. Without its acknowledgement a letter comes again; what is not published stands, as what was early."""

    trouble: Trouble = Trouble.NOTHING
    is_acknowledged: bool = True
    is_published: bool = True


CLEANLY = How()


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a call, on its way back to the service that made it."""

    service: str
    intent: IntentRow
    outcome: Any


class World:
    """Four services and the outside. `post` holds the letters of each service, `answers` what calls gave."""

    def __init__(self) -> None:
        self.plans: dict[OrderKey, Plan] = {}
        self.books = Books(self.plans)
        self.databases = {name: MemoryDatabase() for name in SERVICES}
        self.post: dict[str, list[Letter]] = {name: [] for name in SERVICES}
        self.answers: list[Answer] = []
        self.delivered: set[str] = set()
        self.doors = doors(self.books, self.databases)
        self.effects: Counter[tuple[str, str, str]] = Counter()
        self.endings: Counter[str] = Counter()
        self._leases: Counter[UUID] = Counter()
        self._batches = {
            name: Batches(
                database,  # type: ignore[arg-type]
                STORES[name],
                name,
                Ladder((1.0,) * 10_000),
                writer=uuid4(),
                publish_lease=A_MINUTE,
                call_lease=A_MINUTE,
                confirmed=Confirmed(),
            )
            for name, database in self.databases.items()
        }

    # ── storefronts, colleagues ──────────────────────────────────────────────────────────────────────────────────────────────

    def place(self, plan: Plan, event_id: str, **changes: Any) -> None:
        """A storefront sends this order, for the first time or again."""
        self.plans[plan.key] = plan
        body = plan.event(event_id, **changes)
        self.post["orders"].append(Letter(INTAKE_QUEUE, body, INTAKE_EXCHANGE, "order_placed", plan.key))

    def say(self, row: OutboxRow) -> None:
        """The broker gets an event and gives it to each of its hearers."""
        for service in HEARERS.get(row.exchange, {}).get(row.type, ()):
            data = json.loads(row.body)["data"]
            about = OrderKey(data["shop"], data["order_number"])
            self.post[service].append(Letter(events_queue(service), row.body.encode(), row.exchange, row.type, about))

    def publish(self, service: str, row: OutboxRow, *, is_confirmed: bool) -> None:
        """An event that stands in the outbox goes out; without a confirm it stands there still."""
        self.say(row)
        if is_confirmed:
            del self.databases[service].rows("outbox")[row.id]

    def said(self) -> list[OutboxRow]:
        """Every event that any service has said."""
        return [row for database in self.databases.values() for row in database.rows("told").values()]

    def outbox(self, service: str) -> list[OutboxRow]:
        return list(self.databases[service].rows("outbox").values())

    # ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, service: str, letters: Sequence[Letter], how: How = CLEANLY) -> None:
        """These letters, in this order, in one batch."""

        def acknowledge(letter: Letter, _ending: Ending) -> None:
            if how.is_acknowledged:
                self.post[service].remove(letter)

        self._handle(service, [self._delivery(letter, partial(acknowledge, letter)) for letter in letters], how)

    def held(self, service: str) -> list[Any]:
        """What waits for its time in a service's database."""
        return [row for row in self.databases[service].rows("held").values() if row.state == "later"]

    def try_again(self, service: str, rows: Sequence[Any], how: How = CLEANLY) -> None:
        """The time of these held messages has come."""
        deliveries = [
            Delivery("", None, _nothing, held_id=row.id, tries=row.tries, first_at=row.first_at, raw=row.as_message())
            for row in rows
        ]
        self._handle(service, deliveries, how)

    @staticmethod
    def _delivery(letter: Letter, on_end: Callable[[Ending], None]) -> Delivery:
        return Delivery("", None, on_end, raw=RawMessage(letter.queue, letter.body, letter.exchange, letter.type, CLOUD_EVENT))

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def intents(self, service: str) -> list[IntentRow]:
        """Calls that are not settled."""
        return list(self.databases[service].rows("intents").values())

    def call(self, service: str, intent_id: UUID, *, reaches: bool = True, is_heard: bool = True, dies: bool = False) -> None:
        """Make a call, under a lease of its own; a second time in doubt.

        Where it does not reach the party nothing is done; where its answer is not heard, or the caller dies, it is done unknown.
        """
        rows = self.databases[service].rows("intents")
        self._leases[intent_id] += 1
        tries = self._leases[intent_id]
        lease = datetime(2030, 1, 1, tzinfo=UTC) + self._leases.total() * A_MINUTE
        intent: IntentRow = replace(rows[intent_id], leased_until=lease, tries=tries, in_doubt=tries > 1)
        rows[intent_id] = intent
        outcome: Any = TryLater("party_unavailable")
        if reaches:
            outcome = self._ask(service, intent)
            outcome = outcome if is_heard else Unanswered("answer_lost")
        if not dies:
            self.answers.append(Answer(service, intent, outcome))

    def _ask(self, service: str, intent: IntentRow) -> Any:
        self.doors["notifications"].mailbox = SimpleNamespace(send=partial(self.books.send, in_doubt=intent.in_doubt))
        door, kind = self.doors[service], intent.kind
        try:
            if prepares := REGISTERS[service].prepares.get(kind):
                intent = replace(intent, brought=getattr(door, prepares)([intent]).get(intent.about))
            return getattr(door, REGISTERS[service].performs[kind])(intent)
        except (TryLater, Parked) as error:
            return error

    def settle(self, answer: Answer, how: How = CLEANLY, *, once_more: bool = False) -> None:
        """The outcome of a call comes back; `once_more` leaves it to come a second time."""
        outcome = answer.outcome if isinstance(answer.outcome, Exception) else Settlement(answer.intent, answer.outcome)

        def end(_ending: Ending) -> None:
            if not once_more:
                self.answers.remove(answer)

        delivery = Delivery(
            REGISTERS[answer.service].settles[answer.intent.kind],
            outcome,
            end,
            about=answer.intent.about,
            intent_id=answer.intent.id,
            lease=answer.intent.leased_until,
            tries=answer.intent.tries,
        )
        if not self._handle(answer.service, [delivery], how):
            self.answers.remove(answer)  # it was known to the process that died

    # ── staff and carrier ────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask_staff(self, verb: str, about: OrderKey, how: How = CLEANLY, *, weight_grams: int = 250) -> None:
        """Staff say that a shipment is picked, packed or handed over, whether it may be or not."""
        command = {"pick": Pick(about), "pack": Pack(about, weight_grams, 200, 150, 40), "hand_over": HandOver(about)}[verb]
        self._handle("shipping", [Delivery(verb, command, _nothing, about=about)], how)

    def scan(self, tracking_number: str, code: str, how: How = CLEANLY) -> None:
        """The carrier's webhook, which he repeats until he is heard; `delivered` are the parcels of which he said that they are."""
        if code == DELIVERED and how.trouble is not Trouble.LOST:
            self.delivered.add(tracking_number)
        body = json.dumps({"tracking_number": tracking_number, "status_code": code}).encode()
        self._handle("shipping", [Delivery("", None, _nothing, raw=RawMessage(WEBHOOK, body))], how)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, service: str, deliveries: list[Delivery], how: How) -> bool:
        """One batch as the engine runs it; False where the process died before it knew of the commit."""
        if not deliveries:
            return True
        self.databases[service].trouble = how.trouble
        run = partial(self._batches[service].run, self.doors[service], partial(self._read, service), deliveries)
        try:
            outcomes = run()
        except DatabaseUnavailable:
            if how.trouble is Trouble.LOST:
                return False
            outcomes = run()  # the engine waits for the database and does the same batch again
        finally:
            self.databases[service].trouble = Trouble.NOTHING
        for outcome in outcomes:
            assert not outcome.unread
            for row in outcome.outbox if how.is_published else ():
                self.publish(service, row, is_confirmed=True)
            for delivery, ending in outcome.endings:
                self._check(service, delivery, ending)
                delivery.on_end(ending)
            self.endings["waits no longer"] += len(outcome.early)
            if how.is_published:
                self.try_again(service, outcome.early)
        return True

    def _read(self, service: str, raw: RawMessage) -> Reading:
        return ROUTES[service].read(service, self.doors[service], HORIZON, raw)

    def _check(self, service: str, delivery: Delivery, ending: Ending) -> None:
        """No message has its effect twice, and what is about an unknown order waits."""
        self.endings[ending.kind] += 1
        raw = delivery.raw
        if raw is None or raw.queue != events_queue(service):
            return
        if ending.kind == "done":
            self.effects[service, str(raw.source), str(raw.id)] += 1
            assert self.effects[service, str(raw.source), str(raw.id)] == 1, "a message had its effect twice"
        if service == "orders" and tuple(delivery.about or ()) not in self.databases["orders"].rows("orders"):
            assert ending.kind in ("later", "repeated"), "an event about an unknown order waits"
            self.endings["waits for its order"] += ending.kind == "later"


def _nothing(_ending: Ending) -> None:
    return None
