"""The frozen value that events are made of, and the one that a personal part travels in."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


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
