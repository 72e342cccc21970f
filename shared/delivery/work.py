"""One transaction's work: deliveries in, a store for their handlers, events and intents out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import orjson

from shared.contracts.aggregate import Aggregate
from shared.contracts.errors import Fault
from shared.contracts.events import Answer, Event
from shared.contracts.values import OrderKey, new_id
from shared.database import type_of_connection
from shared.delivery.shelf import Shelf


class Ending(NamedTuple):
    """How a delivery ended: `done`, `repeated` (had been done before), `later` (not before `after_seconds`), `parked` or `refused`.

    `awaits` is the order that one that is not about an order itself waits for.
    """

    kind: str
    code: str = ""
    faults: tuple[Fault, ...] = ()
    result: Any = None
    after_seconds: float | None = None
    awaits: OrderKey | None = None


@dataclass(slots=True)
class Delivery:
    """One thing for one handler: a message from a queue, the outcome of a call, an ask over HTTP.

    `method` names the door's method. `claim` (speaker, id) is taken in the inbox, where there is one; `intent_id` is the intent that this
    settles, under this `lease`; `held_id` the held row that this tries again. `kept` is what was taken in of its personal part. `is_asked`:
    somebody waits for its ending and asks again, so that nothing is kept of it while it cannot be read. `on_end` is called once, after the
    commit.
    """

    method: str
    message: Any
    on_end: Callable[[Ending], None]
    about: OrderKey | None = None
    claim: tuple[str, str] | None = None
    intent_id: UUID | None = None
    lease: datetime | None = None
    held_id: UUID | None = None
    tries: int = 0
    first_at: datetime | None = None
    traceparent: str | None = None
    raw: RawMessage | None = None
    kept: Any = None
    is_asked: bool = False


@dataclass(slots=True)
class RawMessage:
    """A message as it came from a queue. `sealed` tells that it validated with every part sealed: only then its body may be kept.

    `properties` are those that it came with. `received_at` says when it came first, where it is tried again from the table `held`;
    `death` says how the broker gave it up, where it did.
    """

    queue: str
    body: bytes
    exchange: str = ""
    routing_key: str = ""
    content_type: str | None = None
    redelivered: bool = False
    source: str | None = None
    id: str | None = None
    type: str | None = None
    sealed: bool = False
    about: OrderKey | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    received_at: datetime | None = None
    death: Mapping[str, Any] | None = None

    def forget(self) -> None:
        """Leave out whatever of it may be kept, body and names: it is then known by its queue and its length alone."""
        self.sealed, self.about, self.source, self.id, self.type = False, None, None, None, None


class OutboxRow(NamedTuple):
    """An event as it goes to the broker, in the words of the table `outbox`.

    `subject` is the order that it is about: an order's events go in the order of their writing. `is_first`: no earlier one of its order stands.
    """

    id: UUID
    exchange: str
    type: str
    subject: str
    body: str
    is_first: bool = False


@dataclass(slots=True)
class IntentRow:
    """An intent as it is performed. `in_doubt`: an earlier try may have reached the party, so look it up first.

    `leased_until` is set when it is written, and renewed; `ours_until` is the same by this process's monotonic clock, read before the
    lease was written. `brought` is what the door's `prepares` method found for this order: it may hold a
    personal part and is written nowhere.
    """

    id: UUID
    kind: str
    about: OrderKey
    key: str
    details: dict[str, Any]
    traceparent: str | None = None
    tries: int = 1
    in_doubt: bool = False
    leased_until: datetime | None = None
    ours_until: float = 0.0
    brought: Any = field(default=None, repr=False)


@dataclass(slots=True)
class Recorder:
    """Collects what a transaction will tell and ask for, and which orders came with it; `mark` and `rollback` bracket one handler."""

    speaker: str
    at: datetime
    traceparent: str | None = None
    outbox: list[OutboxRow] = field(default_factory=list)
    intents: list[IntentRow] = field(default_factory=list)
    come: list[OrderKey] = field(default_factory=list)
    _marks: tuple[int, int, int] = (0, 0, 0)

    def mark(self, traceparent: str | None) -> None:
        self.traceparent = traceparent
        self._marks = (len(self.outbox), len(self.intents), len(self.come))

    def rollback(self) -> None:
        del self.outbox[self._marks[0] :]
        del self.intents[self._marks[1] :]
        del self.come[self._marks[2] :]

    def tell(self, event: Event) -> None:
        """Write an event to the outbox of this transaction."""
        about = event.about()
        kind, data = (event.answer, event.data) if isinstance(event, Answer) else (event.type, event.model_dump())
        identity = new_id()
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(identity),
            "source": self.speaker,
            "type": kind,
            "time": self.at,
            "datacontenttype": "application/json",
        }
        if self.traceparent:
            envelope["traceparent"] = self.traceparent
        envelope["data"] = data
        exchange = event.exchange or f"{self.speaker}.events"
        subject = f"{about.shop} {about.order_number}" if about else ""
        self.outbox.append(OutboxRow(identity, exchange, kind, subject, orjson.dumps(envelope, option=orjson.OPT_UTC_Z).decode()))

    def remember(self, item: Aggregate, about: OrderKey) -> None:
        """Take over what a domain object remembers, and let it forget."""
        for event in item.events:
            self.tell(event)
        for intent in item.intents:
            self.intents.append(IntentRow(new_id(), intent.kind, about, intent.key, intent.details, self.traceparent))
        if item.has_come:
            self.come.append(about)
        item.events, item.intents, item.has_come = [], [], False


class Store:
    """The base of a service's store: its shelves on one transaction, and the recorder that saving feeds."""

    def __init__(self, connection: type_of_connection, recorder: Recorder) -> None:
        self.connection = connection
        self.recorder = recorder

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        """All shelves, in the order in which they are locked and written."""
        raise TypeError("a store names its shelves")

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        """Read and lock at once what these deliveries are about."""
        raise TypeError("a store says what a delivery needs")


S = TypeVar("S", bound=Store)


@dataclass(frozen=True, slots=True)
class Work(Generic[S]):
    """What a door's method gets beside the message: the service's store on this transaction, and the time (aware UTC).

    `kept` is what was taken in of the message's personal part before the transaction, for a door that holds one.
    """

    store: S
    at: datetime
    kept: Any = None

    def tell(self, event: Event) -> None:
        """Say an event that no domain object remembers."""
        self.store.recorder.tell(event)
