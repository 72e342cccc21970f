"""How far a state is on its way: nothing that comes late or again may take it back, and nothing leads out of an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.notifications import domain as mails
from services.orders.domain import State as Order
from services.payments.domain import State as Payment
from services.shipping.domain import State as Shipment
from tests.unit.delivery.world import World

_ORDER = (
    *(Order.ACCEPTED, Order.PAYMENT_DECLINED, Order.AUTHORISED, Order.PICKING, Order.PACKED, Order.HELD, Order.LABELLED),
    *(Order.CAPTURED, Order.DISPATCHED, Order.DELIVERED, Order.COMPLETED, Order.CANCELLED),
)
_PAYMENT = (
    *(Payment.EXPECTED, Payment.AUTHORISING, Payment.DECLINED, Payment.REFUSED, Payment.AUTHORISED, Payment.CAPTURING),
    *(Payment.CAPTURED, Payment.CAPTURE_FAILED),
)
_SHIPMENT = (
    *(Shipment.WAITING, Shipment.TO_PICK, Shipment.TO_PACK, Shipment.HELD, Shipment.LABELLING, Shipment.LABEL_REFUSED),
    *(Shipment.CANCELLED, Shipment.REFUSED, Shipment.LABELLED, Shipment.TO_HAND_OVER, Shipment.DISPATCHED),
    Shipment.DELIVERED,
)
_MAIL = (mails.OWED, mails.SENDING, mails.SENT, mails.REFUSED)
_ENDS = {
    "orders": {Order.COMPLETED, Order.CANCELLED},
    "payments": {Payment.DECLINED, Payment.REFUSED, Payment.CAPTURED, Payment.CAPTURE_FAILED},
    "shipments": {Shipment.REFUSED, Shipment.DELIVERED},
    "mails": {mails.SENT, mails.REFUSED},
}
_COURSES = {"orders": _ORDER, "payments": _PAYMENT, "shipments": _SHIPMENT, "mails": _MAIL}

Place = tuple[str, Any]


def states(world: World) -> dict[Place, str]:
    """(kind, key) → state, of everything that the four services keep."""
    return dict(_states(world))


def _states(world: World) -> Iterator[tuple[Place, str]]:
    for service, table in (("orders", "orders"), ("payments", "payments"), ("shipping", "shipments")):
        for key, row in world.databases[service].rows(table).items():
            yield (table, key), row["state"]
    for key, row in world.databases["notifications"].rows("correspondences").items():
        for kind, state in (row["mails"] or {}).items():
            yield ("mails", (*key, kind)), state


def went_back(before: dict[Place, str], after: dict[Place, str]) -> list[str]:
    """Every state that was lost, taken back or led out of its end."""
    found = [f"{place} is gone" for place in before.keys() - after.keys()]
    for place in before.keys() & after.keys():
        kind, course = place[0], _COURSES[place[0]]
        was, now = before[place], after[place]
        if was != now and (was in _ENDS[kind] or course.index(now) < course.index(was)):
            found.append(f"{kind}: from {was} to {now}")
    return found
