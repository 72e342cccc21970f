"""Where an order stands, worked out from the facts that colleagues tell, in any order and more than once.

    accepted ─▶ authorised ─▶ picking ─▶ packed ─▶ labelled ─▶ captured ─▶ dispatched ─▶ delivered ─▶ completed
        ├──▶ payment_declined (waits for another payment)
        ├──▶ held (a part that its service cannot use) ──corrected──▶ where it was
        └──▶ cancelled (the payment that the buyer approved is not the order's)

An order is completed when it is captured and delivered; a mail never holds it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.contracts.aggregate import Aggregate
from shared.contracts.events import Answer, OrderAccepted, OrderCancelled, OrderCompleted, OrderHeld, OrderReleased, Reason
from shared.contracts.values import OrderKey


class State(StrEnum):
    ACCEPTED = "accepted"
    PAYMENT_DECLINED = "payment_declined"
    AUTHORISED = "authorised"
    PICKING = "picking"
    PACKED = "packed"
    LABELLED = "labelled"
    CAPTURED = "captured"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    HELD = "held"
    CANCELLED = "cancelled"


# From the furthest back: a fact, and the state that an order with it has reached at least.
_COURSE = (
    ("accepted", State.ACCEPTED),
    ("payment_declined", State.PAYMENT_DECLINED),
    ("payment_authorised", State.AUTHORISED),
    ("pick_list_issued", State.PICKING),
    ("parcel_packed", State.PACKED),
    ("label_created", State.LABELLED),
    ("payment_captured", State.CAPTURED),
    ("shipment_dispatched", State.DISPATCHED),
    ("shipment_delivered", State.DELIVERED),
    ("order_completed", State.COMPLETED),
)
BEGUN_BY: Mapping[State, str] = {
    **{state: fact for fact, state in _COURSE},
    State.HELD: "order_held",
    State.CANCELLED: "order_cancelled",
}
"""The fact that brings each state: an order has been in its state since then."""

_PAST_A_HOLD = frozenset({"label_created", "payment_captured", "shipment_dispatched", "shipment_delivered"})
"""Each of these says that there is a label, whether or not that has been heard yet: no hold takes the order back from there."""

FINAL = frozenset({State.COMPLETED, State.CANCELLED})
FACTS = frozenset(fact for fact, _ in _COURSE) | {"order_held", "order_released", "order_cancelled", "payment_capture_failed"}

_PARTS = frozenset({"/data/recipient", "/data/contact", "/data/billing"})
# What the storefront hears of an order's course beside the answers that have members of their own.
_TOLD = frozenset({"shipment_delivered"})


@dataclass(kw_only=True)
class Order(Aggregate):
    """`event_id` is the order_placed that made it; `data_digest` tells a repeat from another order under the same number."""

    key: OrderKey
    event_id: str
    customer_id: str
    policy_version: str
    data_digest: str
    placed_at: datetime
    state: State = State.ACCEPTED
    reasons: tuple[Reason, ...] = ()
    facts: dict[str, datetime] | None = None
    sales: dict[str, Any] | None = None
    """What it sold by department, until its month is counted (`sales.sales_of`)."""

    @classmethod
    def accept(
        cls,
        *,
        key: OrderKey,
        event_id: str,
        customer_id: str,
        policy_version: str,
        data_digest: str,
        placed_at: datetime,
        at: datetime,
        sales: dict[str, Any] | None = None,
    ) -> Order:
        """A sound order that nobody had before."""
        order = cls(
            key=key,
            event_id=event_id,
            customer_id=customer_id,
            policy_version=policy_version,
            data_digest=data_digest,
            placed_at=placed_at,
            facts={"accepted": at},
            sales=sales,
        )
        order.has_come = True
        order.say(OrderAccepted(shop=key.shop, order_number=key.order_number))
        return order

    def note(self, fact: str, at: datetime, **told: Any) -> None:
        """A colleague tells a fact; `told` goes into the storefront's answer. A repeat changes nothing."""
        if not self._note(fact, at):
            return
        if fact in _TOLD or told:
            self._answer(fact, **told)
        self._settle_state(at)

    def note_declined(self, reason: str, at: datetime) -> None:
        """Nothing was taken. What the buyer approved for another amount is no payment of this order: it is cancelled."""
        if reason == "amount_mismatch":
            self._cancel(reason, at)
        elif self._note("payment_declined", at):
            self.reasons = (*self.reasons, Reason(code=reason))
            self._answer("payment_declined", reasons=[{"code": reason, "path": "/data/payment"}])
            self._settle_state(at)

    def note_part_refused(self, part: str, codes: tuple[str, ...], at: datetime) -> None:
        """A service cannot use its part: the order waits for a sound one."""
        code = f"{part}_invalid"
        if (code, f"/data/{part}") in {(reason.code, reason.path) for reason in self.reasons}:
            return
        if not self._is_held:
            self._note_behind("order_held", "order_released", at)
        named = [Reason(code=code, path=f"/data/{part}"), *(Reason(code=fault, path=f"/data/{part}") for fault in codes)]
        self.reasons = (*self.reasons, *named)
        held_at = (self.facts or {})["order_held"]
        self.say(OrderHeld(shop=self.key.shop, order_number=self.key.order_number, reasons=named, held_at=held_at))
        self._answer("order_held", reasons=[reason.model_dump() for reason in named])
        self._settle_state(at)

    def note_part_corrected(self, part: str, at: datetime) -> None:
        """A service has a sound part in the place of the one that it could not use; the last one ends the hold."""
        remaining = tuple(reason for reason in self.reasons if reason.path != f"/data/{part}")
        if len(remaining) == len(self.reasons):
            return
        self.reasons = remaining
        if not self._is_held or any(reason.path in _PARTS for reason in remaining):
            return
        self._note_behind("order_released", "order_held", at)
        released_at = (self.facts or {})["order_released"]
        self.say(OrderReleased(shop=self.key.shop, order_number=self.key.order_number, released_at=released_at))
        self._answer("order_released")
        self._settle_state(at)

    @property
    def is_open(self) -> bool:
        """Whether the order has not come to its end."""
        return self.state not in FINAL

    @property
    def is_unpaid_for_good(self) -> bool:
        """Nothing was taken for it, and nothing will be by itself: it can be cancelled without giving anything back."""
        facts = self.facts or {}
        if "payment_authorised" in facts:
            return False
        return "payment_declined" in facts or "/data/billing" in {reason.path for reason in self.reasons}

    def cancel_unpaid(self, code: str, at: datetime) -> None:
        """The person wants to be erased, and nothing was taken for the order."""
        self._cancel(code, at, path="")

    def _cancel(self, code: str, at: datetime, path: str = "/data/payment") -> None:
        if not self._note("order_cancelled", at):
            return
        reason = Reason(code=code, path=path)
        self.reasons = (*self.reasons, reason)
        self.say(OrderCancelled(shop=self.key.shop, order_number=self.key.order_number, reasons=[reason]))
        self._answer("order_cancelled", reasons=[reason.model_dump()])
        self._settle_state(at)

    def _settle_state(self, at: datetime) -> None:
        facts = self.facts or {}
        if "payment_captured" in facts and "shipment_delivered" in facts and self._note("order_completed", at):
            self.say(OrderCompleted(shop=self.key.shop, order_number=self.key.order_number))
            self._answer("order_completed")
        facts = self.facts or {}
        reached = [state for fact, state in _COURSE if fact in facts]
        if "order_cancelled" in facts:
            self.state = State.CANCELLED
        elif self._is_held and not _PAST_A_HOLD & facts.keys():
            self.state = State.HELD
        else:
            self.state = reached[-1]

    @property
    def _is_held(self) -> bool:
        facts = self.facts or {}
        return "order_held" in facts and ("order_released" not in facts or facts["order_released"] < facts["order_held"])

    def _note_behind(self, fact: str, other: str, at: datetime) -> None:
        """Note a fact of this time, but surely later than the other: who hears of both must be able to tell which came last."""
        facts = self.facts or {}
        behind = facts[other] + timedelta(microseconds=1) if other in facts else at
        self.facts = {**facts, fact: max(at, behind)}

    def _note(self, fact: str, at: datetime) -> bool:
        if fact in (self.facts or {}):
            return False
        self.facts = {**(self.facts or {}), fact: at}
        return True

    def _answer(self, kind: str, **data: Any) -> None:
        caused_by = {"source": self.key.shop, "id": self.event_id}
        self.say(Answer(answer=kind, data={"caused_by": caused_by, "order_number": self.key.order_number, **data}))
