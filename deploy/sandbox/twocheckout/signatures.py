"""2Checkout's signatures: HMAC, with the account's secret key, over each value preceded by its length in bytes.

Sources: 2Checkout's documentation of API authentication and of the Instant Delivery Notification. MD5, which older integrations
still use, is taken nowhere here.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import datetime

_HASHES = {"sha256": "sha256", "sha3-256": "sha3_256"}
_PAIR = re.compile(r"""([a-z]+)\s*=\s*["']([^"']*)["']""")
_DATE = "%Y-%m-%d %H:%M:%S"


def source_string(values: Iterable[str]) -> bytes:
    """Each value preceded by its length in UTF-8 bytes."""
    pieces = []
    for value in values:
        encoded = value.encode("utf-8", "surrogatepass")
        pieces.append(str(len(encoded)).encode() + encoded)
    return b"".join(pieces)


def sign(secret: bytes, values: Iterable[str], algorithm: str = "sha256") -> str:
    """The signature as lower-case hexadecimal; `algorithm` is `sha256` or `sha3-256` (KeyError for another)."""
    return hmac.new(secret, source_string(values), _HASHES[algorithm]).hexdigest()


def algorithm_of(secret: bytes, values: list[str], signature: str) -> str | None:
    """Which algorithm made this signature of these values, or None if none of those taken did."""
    given = signature.lower().encode("ascii", "replace")
    for algorithm in _HASHES:
        if hmac.compare_digest(given, sign(secret, values, algorithm).encode()):
            return algorithm
    return None


def is_date(text: str) -> bool:
    """Whether this is a date as 2Checkout writes it, `2026-11-22 10:15:00`."""
    try:
        datetime.strptime(text, _DATE)  # noqa: DTZ007 - UTC by the documentation, no zone in the text
    except ValueError:
        return False
    return True


def authenticates(secret: bytes, merchant_code: str, header: str) -> bool:
    """Check an `X-Avangate-Authentication` header: code, date, hash and algorithm (`sha256` or `sha3-256`)."""
    parts = dict(_PAIR.findall(header))
    algorithm, date = parts.get("algo", ""), parts.get("date", "")
    if parts.get("code") != merchant_code or algorithm not in _HASHES or not is_date(date):
        return False
    expected = sign(secret, (merchant_code, date), algorithm)
    return hmac.compare_digest(parts.get("hash", "").lower().encode("ascii", "replace"), expected.encode())
