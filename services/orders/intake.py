"""How a storefront's event is answered: the contract's "Answers", and what a repeat gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.contracts.aggregate import Aggregate
from shared.contracts.errors import Fault
from shared.contracts.events import Answer, Reason


@dataclass(frozen=True, slots=True)
class NotTaken:
    """An event that could not be read as one of the contract's, and what is known of it for sure."""

    kind: str  # event_refused or order_rejected
    faults: tuple[Fault, ...]
    source: str | None
    id: str | None
    type: str | None
    order_number: str | None


NOTED = "noted"
"""What was taken without a word of the contract that says so: over HTTP it is accepted, on the queue nothing is said."""


@dataclass(kw_only=True)
class Answered(Aggregate):
    """The answer that a storefront's event got, by (source, id): its repeat gets the same again."""

    source: str
    event_id: str
    kind: str
    order_number: str | None = None
    reasons: tuple[Reason, ...] = field(default=())

    def answer(self) -> None:
        """Say it, for the first time or again."""
        if self.kind != NOTED:
            self.say(answer(self.kind, self.source, self.event_id, self.order_number, self.reasons))


def answer(
    kind: str, source: str | None, event_id: str | None, order_number: str | None, reasons: tuple[Reason, ...] = ()
) -> Answer:
    """The contract's answer; what is not known for sure of the event is null."""
    data: dict[str, Any] = {"caused_by": {"source": source, "id": event_id}}
    if order_number is not None:
        data["order_number"] = order_number
    if reasons:
        data["reasons"] = [reason.model_dump() for reason in reasons]
    return Answer(answer=kind, data=data)


def reasons_of(faults: tuple[Fault, ...]) -> tuple[Reason, ...]:
    return tuple(Reason(code=fault.code, path=fault.path) for fault in faults)
