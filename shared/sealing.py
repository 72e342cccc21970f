"""Sealing a personal part to one service: libsodium's sealed box (`crypto_box_seal`), in base64, under a key with a name.

The context is not bound by the box itself, so the part's JSON carries `for`, the order it belongs to (the storefront's contract,
"The sealed parts").
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from shared.contracts.errors import Fault, Refused
from shared.contracts.storefront import read_base64


class BoxUnopenable(Refused):
    """The box is no base64, was sealed to another key, or was changed."""

    def __init__(self) -> None:
        super().__init__([Fault("box_unopenable")])


@dataclass(frozen=True, slots=True)
class IntakeKey:
    """A service's public key: what is sealed to it is taken until `expires_at` (aware UTC)."""

    service: str
    key_id: str
    public_key: str
    expires_at: datetime


def seal(plaintext: bytes, public_key: str) -> bytes:
    """The sealed box of this; only the holder of the private half can open it, not even the sealer."""
    return SealedBox(PublicKey(base64.b64decode(public_key))).encrypt(plaintext)


def seal_to_base64(plaintext: bytes, public_key: str) -> str:
    return base64.b64encode(seal(plaintext, public_key)).decode()


def unseal(box: bytes, private_key: PrivateKey) -> bytes:
    """What was sealed. Raises `BoxUnopenable`."""
    try:
        return SealedBox(private_key).decrypt(box)
    except (CryptoError, ValueError, TypeError):
        raise BoxUnopenable from None


def box_bytes(box: str) -> bytes:
    """The box's bytes, from base64 by RFC 4648 section 4 or the URL-safe form. Raises `BoxUnopenable`."""
    plain = read_base64(box)
    if plain is None:
        raise BoxUnopenable
    return plain
