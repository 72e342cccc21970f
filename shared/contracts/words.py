"""What every event is made of: frozen words, the box of a personal part, and the bases of events."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.contracts.values import OrderKey


class Word(BaseModel):
    """A frozen value in an event; its errors never show what was sent."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class SealedBox(Word):
    """A personal part, readable by one service alone: libsodium's sealed box in base64 under the key `key_id`."""

    sealed_for: str
    key_id: str
    box: str

    def __repr__(self) -> str:
        return f"SealedBox(sealed_for={self.sealed_for!r}, key_id={self.key_id!r})"

    __str__ = __repr__


class Event(Word):
    """Something that happened. `exchange` is the speaker's; `type` is the routing key and the CloudEvent's type."""

    type: ClassVar[str]
    exchange: ClassVar[str]

    def about(self) -> OrderKey | None:
        """The order it is about, or None."""
        return None


class OrderEvent(Event):
    """Something that happened to one order: (`shop`, `order_number`) is the order's key."""

    shop: str
    order_number: str

    def about(self) -> OrderKey:
        return OrderKey(self.shop, self.order_number)


class Reason(Word):
    code: str
    path: str = ""
