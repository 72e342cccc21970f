"""Sealing an order's personal parts at the source, as the storefront's contract asks: each for one service alone."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

from nacl.public import PublicKey, SealedBox

from shared.cli.doors import Door
from shared.cli.order_sets.wording import now
from shared.cli.terminal import NotDone

PART_FOR = {"recipient": "shipping", "contact": "notifications", "billing": "payments"}
"""Each personal part and the one service that may open it."""
_RENEW_BEFORE = timedelta(minutes=5)
_ASK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class SealingKey:
    key_id: str
    box: SealedBox[PublicKey]
    expires_at: datetime


class Keys:
    """The services' current sealing keys from `GET /keys`, fetched when first needed and again before one expires.

    A service that has just started may not have announced its key yet: it is waited for, `patience_seconds` at most. `seal` raises
    NotDone where a service shows no usable key. Not safe for two threads at once.
    """

    def __init__(self, orders: Door, *, patience_seconds: float = 15.0) -> None:
        self._orders, self._patience_seconds = orders, patience_seconds
        self._keys: dict[str, SealingKey] = {}

    def seal(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """`data` with every personal part in the clear sealed for its service; what is sealed already stands."""
        sealed = dict(data)
        for part, service in PART_FOR.items():
            if isinstance(sealed.get(part), dict) and "sealed_for" not in sealed[part]:
                sealed[part] = self._sealed(sealed[part], service, str(data.get("order_number", "")))
        return sealed

    def _sealed(self, part: Mapping[str, Any], service: str, bound_to: str) -> dict[str, str]:
        key = self._key(service)
        clear = json.dumps({**part, "for": bound_to}, ensure_ascii=False, separators=(",", ":")).encode()
        return {"sealed_for": service, "key_id": key.key_id, "box": base64.b64encode(key.box.encrypt(clear)).decode("ascii")}

    def _key(self, service: str) -> SealingKey:
        key = self._keys.get(service)
        deadline = monotonic() + self._patience_seconds
        while key is None or key.expires_at - _RENEW_BEFORE <= datetime.now(UTC):
            self._keys = read_keys(self._orders.get_json("/keys"))
            key = self._keys.get(service)
            if key is not None or monotonic() > deadline:
                break
            sleep(_ASK_AGAIN_SECONDS)
        if key is None or key.expires_at <= now():
            raise NotDone(f"The orders service shows no current sealing key of {service}; is that service running?")
        return key


def read_keys(answer: object) -> dict[str, SealingKey]:
    """The answer of `GET /keys`, by service; of two keys of one service, the one that lives longer.

    Raises NotDone where the answer is not what the contract says.
    """
    keys: dict[str, SealingKey] = {}
    try:
        for entry in answer if isinstance(answer, list) else []:
            key = SealingKey(
                str(entry["key_id"]),
                SealedBox(PublicKey(base64.b64decode(entry["public_key"], validate=True))),
                datetime.fromisoformat(entry["expires_at"]),
            )
            service = str(entry["service"])
            if service not in keys or keys[service].expires_at < key.expires_at:
                keys[service] = key
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise NotDone("GET /keys of the orders service did not answer as its contract says.") from None
    return keys
