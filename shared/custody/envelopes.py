"""Envelopes: a part at rest, under a key of its own, with its context bound to it (AES-256-GCM).

The context is the service, the person, the order, the part and the policy version under which it was collected. An envelope that was
changed, that was put in another's place or whose version was changed cannot be opened.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.contracts.errors import Parked
from shared.contracts.values import OrderKey

_NONCE_BYTES = 12
_FORMAT = "1"
_PAD_TO_BYTES = 64  # the length of a name or an address tells something too


class PartName(NamedTuple):
    """Which part of which order it is: (`shop`, `customer_id`, `order_number`, `part`). Each has a key of its own."""

    shop: str
    customer_id: str
    order_number: str
    part: str

    @property
    def order(self) -> OrderKey:
        return OrderKey(self.shop, self.order_number)


class EnvelopeBroken(Parked):
    """The envelope was changed, moved to another's place, or sealed under another key: somebody must look."""

    def __init__(self) -> None:
        super().__init__("envelope_broken")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A part at rest. `form` tells what of the part it is: the part itself, or a paper made of it."""

    box: bytes
    policy_version: str
    form: str

    def as_json(self) -> dict[str, Any]:
        """For a column of type jsonb."""
        return {"box": base64.b64encode(self.box).decode(), "policy_version": self.policy_version, "form": self.form}

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Envelope:
        """Raises EnvelopeBroken for what is no envelope."""
        try:
            return cls(base64.b64decode(value["box"], validate=True), str(value["policy_version"]), str(value["form"]))
        except (KeyError, TypeError, ValueError):
            raise EnvelopeBroken from None


def context(service: str, name: PartName, policy_version: str, form: str) -> bytes:
    """What an envelope is bound to; no member can run into the next one."""
    return b"".join(
        len(word.encode()).to_bytes(4, "big") + word.encode()
        for word in ("brownpaper part", _FORMAT, service, *name, policy_version, form)
    )


def close(key: bytes, plaintext: bytes, service: str, name: PartName, policy_version: str, form: str) -> Envelope:
    """The plaintext in an envelope; twice the same gives two that differ."""
    nonce = os.urandom(_NONCE_BYTES)
    padded = plaintext + b"\x80" + bytes(-(len(plaintext) + 1) % _PAD_TO_BYTES)
    box = nonce + AESGCM(key).encrypt(nonce, padded, context(service, name, policy_version, form))
    return Envelope(box, policy_version, form)


def open_(key: bytes, envelope: Envelope, service: str, name: PartName) -> bytes:
    """The plaintext. Raises EnvelopeBroken."""
    try:
        padded = AESGCM(key).decrypt(
            envelope.box[:_NONCE_BYTES],
            envelope.box[_NONCE_BYTES:],
            context(service, name, envelope.policy_version, envelope.form),
        )
    except (InvalidTag, ValueError):
        raise EnvelopeBroken from None
    return padded[: padded.rindex(b"\x80")]
