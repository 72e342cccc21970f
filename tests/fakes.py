"""Small real classes in the place of a database and a broker: stores that keep aggregates in dicts, and a shuffled delivery."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

from services.notifications.domain import Correspondence
from services.notifications.domain import Entrusted as EntrustedContact
from services.orders.domain import Order
from services.orders.intake import Answered
from services.payments.domain import Payment
from services.shipping.domain import Entrusted as EntrustedRecipient
from services.shipping.domain import Shipment
from shared.contracts.errors import Refused, TryLater
from shared.contracts.events import Event
from shared.contracts.values import OrderKey
from shared.delivery.work import IntentRow, OutboxRow, Recorder
from tests.builders import AT, KEY

T = TypeVar("T")
Told = tuple[str, dict[str, Any]]


class FakeStore:
    """What the four fake stores share: `handling` is one transaction, `said` and `asked` are what its outbox and intents hold.

    Like the real ones they hand out copies, and saving tells. What they say goes through the real `Recorder`.
    """

    def __init__(self, speaker: str) -> None:
        self.recorder = Recorder(speaker, AT)
        self._kept: dict[Hashable, Any] = {}

    @contextmanager
    def handling(self) -> Iterator[None]:
        """One handler's work: all of it, or none where it fails."""
        before = dict(self._kept)
        self.recorder.mark(None)
        try:
            yield
        except BaseException:
            self._kept = before
            self.recorder.rollback()
            raise

    @property
    def said(self) -> list[Told]:
        """(type, data) of every event told so far, as they stand on the wire."""
        envelopes = (json.loads(row.body) for row in self.recorder.outbox)
        return [(envelope["type"], envelope["data"]) for envelope in envelopes]

    @property
    def kinds_said(self) -> Counter[str]:
        return Counter(kind for kind, _ in self.said)

    @property
    def asked(self) -> list[IntentRow]:
        """Every intent written so far, also one that is written twice."""
        return list(self.recorder.intents)

    @property
    def kinds_asked(self) -> Counter[str]:
        return Counter(intent.kind for intent in self.recorder.intents)

    @property
    def outbox(self) -> list[OutboxRow]:
        return self.recorder.outbox

    def tell(self, event: Event) -> None:
        self.recorder.tell(event)

    def _get(self, key: Hashable) -> Any:
        return copy(self._kept.get(key))

    def _save_entrusted(self, item: Shipment | Correspondence) -> Any:
        """What an order brings once goes into a table of its own, which is only ever added to; gives what is left."""
        if item.entrusted is not None:
            assert ("entrusted", item.key) not in self._kept, "it would stand twice, and the database would refuse it"
            self._kept["entrusted", item.key] = item.entrusted
        return replace(item, entrusted=None)

    def _save(self, key: Hashable, item: Any, about: OrderKey) -> None:
        self.recorder.remember(item, about)
        self._kept[key] = item


class FakeOrders(FakeStore):
    def __init__(self) -> None:
        super().__init__("orders")

    def order(self, key: OrderKey) -> Order | None:
        order: Order | None = self._get(("order", key))
        return order

    def the_order(self, key: OrderKey = KEY) -> Order:
        order = self.order(key)
        assert order is not None
        return order

    def save(self, order: Order) -> None:
        self._save(("order", order.key), order, order.key)

    def answered(self, source: str, event_id: str) -> Answered | None:
        answered: Answered | None = self._get(("answer", source, event_id))
        return answered

    def is_anybody_gone(self) -> bool:
        return False

    def save_answer(self, answered: Answered) -> None:
        self._save(
            ("answer", answered.source, answered.event_id), answered, OrderKey(answered.source, answered.order_number or "")
        )


class FakePayments(FakeStore):
    def __init__(self) -> None:
        super().__init__("payments")

    def payment(self, key: OrderKey = KEY) -> Payment:
        return self._get(key) or Payment(key=key)

    def claim_reference(self, provider: str, reference: str, key: OrderKey) -> bool:
        return bool(self._kept.setdefault(("reference", provider, reference), key) == key)

    def save(self, payment: Payment) -> None:
        self._save(payment.key, payment, payment.key)


class FakeShipments(FakeStore):
    def __init__(self) -> None:
        super().__init__("shipping")

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        return {name: label for name, label in self._kept.items() if isinstance(name, str)}

    def shipment(self, key: OrderKey = KEY) -> Shipment:
        return self._get(key) or Shipment(key=key)

    def shipments(self) -> list[Shipment]:
        return [item for item in self._kept.values() if isinstance(item, Shipment)]

    def key_of_tracking(self, tracking_number: str) -> OrderKey | None:
        return next((one.key for one in self.shipments() if one.tracking_number == tracking_number), None)

    def entrusted(self, key: OrderKey = KEY) -> EntrustedRecipient | None:
        kept: EntrustedRecipient | None = self._get(("entrusted", key))
        return kept

    def save(self, shipment: Shipment) -> None:
        self.recorder.remember(shipment, shipment.key)
        self._kept[shipment.key] = self._save_entrusted(shipment)

    def keep_label(self, shipment: Shipment, paper: dict[str, Any]) -> None:
        assert shipment.parcel not in self._kept, "a parcel's label would stand twice, and the database would refuse it"
        self._kept[shipment.parcel] = paper


class FakeCorrespondences(FakeStore):
    def __init__(self) -> None:
        super().__init__("notifications")

    def correspondence(self, key: OrderKey = KEY) -> Correspondence:
        return self._get(key) or Correspondence(key=key)

    def entrusted(self, key: OrderKey = KEY) -> EntrustedContact | None:
        kept: EntrustedContact | None = self._get(("entrusted", key))
        return kept

    def save(self, correspondence: Correspondence) -> None:
        self.recorder.remember(correspondence, correspondence.key)
        self._kept[correspondence.key] = self._save_entrusted(correspondence)


# ── any order, any number of times ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Step:
    """One thing that happens to a service: a fact, an ask of staff, the outcome of a call."""

    name: str
    do: Callable[[], None] = field(repr=False)


def play(
    random: Random,
    store: FakeStore,
    steps: Iterable[Step],
    *,
    answer: Callable[[IntentRow], Step | None] = lambda _intent: None,
    follow: Callable[[str], Sequence[Step]] = lambda _kind: (),
    most_times: int = 3,
) -> list[str]:
    """Do the steps in an order that `random` chooses, each up to `most_times` times, and give that order by the steps' names.

    `answer(intent)` is the step that settles an intent, `follow(kind)` what an event of the service's own brings about. What is refused
    or too early is done again after something else has happened, as the queue and staff do.
    """
    waiting = [step for step in steps for _ in range(random.randint(1, most_times))]
    later: list[Step] = []
    course: list[str] = []
    while waiting:
        step = waiting.pop(random.randrange(len(waiting)))
        told, asked = len(store.outbox), len(store.recorder.intents)
        try:
            with store.handling():
                step.do()
        except (TryLater, Refused):
            later.append(step)
            continue
        course.append(step.name)
        waiting, later = [*waiting, *later], []
        answers = [answer(intent) for intent in store.recorder.intents[asked:]]
        followers = [follower for row in store.outbox[told:] for follower in follow(row.type)]
        for fresh in (*answers, *followers):
            if fresh is not None:
                waiting += [fresh] * random.randint(1, most_times)
    return course
