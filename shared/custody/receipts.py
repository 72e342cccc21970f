"""Receipts: what a service has done for a person's request, signed (Ed25519), so that it can be proved later and elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.contracts.errors import Parked
from shared.contracts.person_events import SignedReceipt

SEED_BYTES = 32


class ReceiptUnsigned(Parked):
    """The signature is not that key's over that text: somebody must look."""

    def __init__(self) -> None:
        super().__init__("receipt_unsigned")


class Signer:
    """Signs one service's receipts. The same seed is the same key."""

    def __init__(self, service: str, seed: bytes) -> None:
        self.service, self._private = service, Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.public_key = base64.b64encode(public).decode()
        self.key_id = key_id_of(service, self.public_key)

    def sign(self, told: Mapping[str, Any]) -> SignedReceipt:
        """What was told as canonical JSON, with this service's signature."""
        text = canonical({**told, "service": self.service})
        signature = base64.b64encode(self._private.sign(text.encode())).decode()
        return SignedReceipt(service=self.service, receipt=text, key_id=self.key_id, signature=signature)


def canonical(told: Mapping[str, Any]) -> str:
    """JSON with sorted members and no blanks; times in UTC with a `Z`."""
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z).decode()


def key_id_of(service: str, public_key: str) -> str:
    """A key's name holds its digest, so that nobody can put another key under the same name."""
    return f"{service}-receipts-{hashlib.sha256(base64.b64decode(public_key)).hexdigest()[:12]}"


def read_receipt(signed: SignedReceipt, public_key: str) -> dict[str, Any]:
    """What the receipt tells. Raises ReceiptUnsigned where signature, key's name or service do not fit. Safe to repeat."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signed.signature, validate=True), signed.receipt.encode())
        told: dict[str, Any] = orjson.loads(signed.receipt)
        if told["service"] != signed.service or signed.key_id != key_id_of(signed.service, public_key):
            raise ReceiptUnsigned
    except (InvalidSignature, ValueError, TypeError, KeyError):
        raise ReceiptUnsigned from None
    return told
