"""By when an order must have moved on from the state it is in, and what it waits for until then.

Every state that is not the last has both. An order that has not moved by its deadline is stuck: nothing is done about it, but a person is
told, with the service that is to speak, the event that would move the order, and what a person must do first where one must.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.orders.domain import BEGUN_BY, State
from shared.contracts.values import OrderKey


@dataclass(frozen=True, slots=True)
class Wait:
    """Who is to say which event; `act` is what a person must do first. Without an event nothing goes on until a person decides."""

    service: str
    event: str | None
    act: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """How long an order may stay in a state, and what it waits for there."""

    lasts: timedelta
    waits_for: Wait


# What programs do among themselves takes seconds, and minutes where a party is slow. The crew and the carrier rest on a weekend, and
# buyers take their time.
STAGES: Mapping[State, Stage] = {
    State.ACCEPTED: Stage(timedelta(minutes=5), Wait("payments", "payment_authorised")),
    State.PAYMENT_DECLINED: Stage(timedelta(days=3), Wait("storefront", "payment_replaced", "give_another_payment")),
    State.AUTHORISED: Stage(timedelta(minutes=5), Wait("shipping", "pick_list_issued")),
    State.PICKING: Stage(timedelta(days=3), Wait("shipping", "parcel_packed", "pick_and_pack")),
    State.PACKED: Stage(timedelta(minutes=10), Wait("shipping", "label_created")),
    State.LABELLED: Stage(timedelta(minutes=10), Wait("payments", "payment_captured")),
    State.CAPTURED: Stage(timedelta(days=3), Wait("shipping", "shipment_dispatched", "hand_over")),
    State.DISPATCHED: Stage(timedelta(days=14), Wait("shipping", "shipment_delivered")),
    State.DELIVERED: Stage(timedelta(minutes=10), Wait("payments", "payment_captured")),
    State.HELD: Stage(timedelta(days=3), Wait("storefront", "customer_corrected", "correct_the_part")),
}
DECISION = Wait("staff", None, "decide_about_the_payment")
"""Where the capture has failed for good, no event will come by itself (decision 0014)."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """An order that has not moved by its deadline. `since` is when it came into its state, `reasons` are the codes it was given."""

    key: OrderKey
    state: State
    since: datetime
    due_at: datetime
    waits_for: Wait
    reasons: tuple[str, ...]


def waits_for(state: State, facts: Collection[str]) -> Wait:
    """What an order with these facts waits for. Raises KeyError for a final state: it waits for nothing."""
    wait = STAGES[state].waits_for
    return DECISION if wait.event == "payment_captured" and "payment_capture_failed" in facts else wait


class Deadlines:
    """How long an order may stay in each state; `others` replace the times of `STAGES`, by state."""

    def __init__(self, others: Mapping[str, timedelta] | None = None) -> None:
        own = {State(state): lasts for state, lasts in (others or {}).items()}
        self._lasts = {state: own.get(state, stage.lasts) for state, stage in STAGES.items()}

    def cutoffs(self, at: datetime) -> dict[State, datetime]:
        """By state: an order is stuck at `at` if it came into that state before this time."""
        return {state: at - lasts for state, lasts in self._lasts.items()}

    def judge(
        self, key: OrderKey, state: State, facts: Mapping[str, datetime], reasons: tuple[str, ...], at: datetime
    ) -> Stuck | None:
        """This order as one that is stuck at `at`; None where it is not."""
        if state not in self._lasts:
            return None
        since = facts[BEGUN_BY[state]]
        due_at = since + self._lasts[state]
        return Stuck(key, state, since, due_at, waits_for(state, facts), reasons) if due_at < at else None
