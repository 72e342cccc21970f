"""The board of the services' public sealing keys: for `GET /keys`, for the door's checks, and for sealing at the door."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.orders.store import OrdersReads
from shared.contracts.errors import TryLater
from shared.contracts.storefront import SealedPart
from shared.sealing import IntakeKey, seal

LOOK_AGAIN_AFTER = timedelta(seconds=1)
FRESH_FOR = timedelta(seconds=10)  # another process may have heard of a key before this one


class KeyBoard:
    """Keys as the database knows them, read at most every ten seconds, at once after `forget`."""

    def __init__(self, reads: OrdersReads) -> None:
        self._reads = reads
        self._keys: list[IntakeKey] = []
        self._expiries: dict[tuple[str, str], datetime] = {}
        self._read_at: datetime | None = None

    def forget(self) -> None:
        """Read again at the next look."""
        self._read_at = None

    def look_again(self, at: datetime) -> bool:
        """Whether it is worth another look for a key that is not known: not if the last one was within this second."""
        if self._read_at is None or at - self._read_at < LOOK_AGAIN_AFTER:
            return False
        self.forget()
        return True

    def expiries(self, at: datetime) -> Mapping[tuple[str, str], datetime]:
        """(service, key_id) → when it expires, of all keys that are taken."""
        self._refresh(at)
        return self._expiries

    def expiries_as_of(self, at: datetime) -> Mapping[tuple[str, str], datetime]:
        """The same as of an earlier time, read anew: for what came then and is tried again now."""
        return {(key.service, key.key_id): key.expires_at for key in self._reads.intake_keys(at)}

    def current(self, at: datetime) -> list[IntakeKey]:
        """The key of each service to seal to: the one that it announced last."""
        self._refresh(at)
        newest: dict[str, IntakeKey] = {}
        for key in self._keys:
            newest.setdefault(key.service, key)
        return [key for key in newest.values() if key.expires_at > at]

    def seal(self, service: str, plaintext: bytes, at: datetime) -> SealedPart:
        """Seal to this service. Raises TryLater where it has not published its key yet."""
        key = next((key for key in self.current(at) if key.service == service), None)
        if key is None:
            self.forget()
            raise TryLater("intake_key_missing")
        return SealedPart(service, key.key_id, base64.b64encode(seal(plaintext, key.public_key)).decode())

    def _refresh(self, at: datetime) -> None:
        if self._read_at is None or at - self._read_at > FRESH_FOR:
            self._keys = self._reads.intake_keys(at)
            self._expiries = {(key.service, key.key_id): key.expires_at for key in self._keys}
            self._read_at = at
