"""One short function per message: load, one verb of the domain, save."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from services.orders.domain import Order
from services.orders.intake import Answered, NotTaken, answer, reasons_of
from services.orders.parts import entrust_parts
from services.orders.sales import sales_of
from shared.contracts.errors import Fault, TryLater
from shared.contracts.events import Event, OrderEvent, PartRefused, PaymentDeclined
from shared.contracts.storefront import StorefrontEvent
from shared.contracts.values import OrderKey


class Orders(Protocol):
    """What the handlers need of the store."""

    def order(self, key: OrderKey) -> Order | None: ...

    def save(self, order: Order) -> None: ...

    def answered(self, source: str, event_id: str) -> Answered | None: ...

    def save_answer(self, answered: Answered) -> None: ...

    def tell(self, event: Event) -> None: ...


def place_order(event: StorefrontEvent, store: Orders, at: datetime) -> Answered:
    """A storefront's order is accepted and its parts are passed on; a repeat gets the same answer again."""
    again = _again(event, store)
    if again is not None:
        return again
    key = OrderKey(event.source, str(event.order_number))
    known = store.order(key)
    if known is None:
        order = _accept(event, key, at)
        for part in entrust_parts(event):
            store.tell(part)
        store.save(order)
    elif known.data_digest != event.data_digest:
        return _answer(event, "event_refused", store, (Fault("order_number_taken", "/data/order_number"),))
    return _answer(event, "order_accepted", store)


def defer(event: StorefrontEvent, store: Orders) -> Answered:
    """An event of the contract that this release does not do yet is kept, and the storefront is told so."""
    return _again(event, store) or _answer(event, "event_deferred", store)


def refuse(refusal: NotTaken, store: Orders) -> Answered | None:
    """What is no event of the contract is answered with every fault; None where it cannot be known whether it is a repeat."""
    if refusal.source is None or refusal.id is None:
        store.tell(answer(refusal.kind, refusal.source, refusal.id, refusal.order_number, reasons_of(refusal.faults)))
        return None
    known = store.answered(refusal.source, refusal.id)
    answered = known or Answered(
        source=refusal.source,
        event_id=refusal.id,
        kind=refusal.kind,
        order_number=refusal.order_number,
        reasons=reasons_of(refusal.faults),
    )
    answered.answer()
    store.save_answer(answered)
    return answered


def note(event: OrderEvent, store: Orders, at: datetime, **told: Any) -> None:
    """A colleague tells a fact of an order's course."""
    order = _known(event, store)
    order.note(event.type, at, **told)
    store.save(order)


def note_declined(event: PaymentDeclined, store: Orders, at: datetime) -> None:
    """The order's payment was not taken."""
    order = _known(event, store)
    order.note_declined(event.reason, at)
    store.save(order)


def note_part_refused(event: PartRefused, store: Orders, at: datetime) -> None:
    """A service cannot use its part: the order is held."""
    order = _known(event, store)
    order.note_part_refused(event.part, tuple(event.codes), at)
    store.save(order)


def _known(event: OrderEvent, store: Orders) -> Order:
    order = store.order(event.about())
    if order is None:
        raise TryLater("order_unknown")
    return order


def _accept(event: StorefrontEvent, key: OrderKey, at: datetime) -> Order:
    data: Any = event.data
    return Order.accept(
        key=key,
        event_id=event.id,
        customer_id=data.customer_id,
        policy_version=data.policy_version,
        data_digest=event.data_digest,
        placed_at=data.placed_at,
        at=at,
        sales=sales_of(data.currency, data.lines),
    )


def _again(event: StorefrontEvent, store: Orders) -> Answered | None:
    answered = store.answered(event.source, event.id)
    if answered is not None:
        answered.answer()
        store.save_answer(answered)
    return answered


def _answer(event: StorefrontEvent, kind: str, store: Orders, faults: tuple[Fault, ...] = ()) -> Answered:
    answered = Answered(
        source=event.source, event_id=event.id, kind=kind, order_number=event.order_number, reasons=reasons_of(faults)
    )
    answered.answer()
    store.save_answer(answered)
    return answered
