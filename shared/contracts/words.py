"""What every event is made of: its bases, and the words that several share."""

from __future__ import annotations

from typing import ClassVar

from shared.contracts.frozen import SealedBox, Word
from shared.contracts.personal import PersonalOrderEvent
from shared.contracts.values import OrderKey


class Event(Word):
    """Something that happened. `exchange` is the speaker's; `type` is the routing key and the CloudEvent's type."""

    type: ClassVar[str]
    exchange: ClassVar[str]

    def about(self) -> OrderKey | None:
        """The order it is about, or None."""
        return None


class OrderEvent(Event, PersonalOrderEvent):
    """Something that happened to one order: (`shop`, `order_number`) is the order's key."""

    def about(self) -> OrderKey:
        return OrderKey(self.shop, self.order_number)


class Reason(Word):
    code: str
    path: str = ""


__all__ = ["Event", "OrderEvent", "Reason", "SealedBox", "Word"]
