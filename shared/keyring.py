"""A service's intake keys: made here, kept apart from the data they open, the private halves under a master key.

The private half stands sealed (libsodium's secretbox) in the service's keyring database; the master key is a file that neither database holds.
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey
from nacl.secret import SecretBox

from shared.contracts.errors import BrownPaperError
from shared.contracts.events import SealedBox as SealedPart
from shared.database import Database
from shared.sealing import BoxUnopenable, IntakeKey, box_bytes, seal, unseal

LIFETIME = timedelta(days=7)  # the contract: keys change at least weekly
OVERLAP = timedelta(days=2)  # a new key stands this long before the old one expires


class MasterKeyInvalid(BrownPaperError):
    """The master key file cannot be read, is not 32 bytes in base64, or is not the one that the keys were sealed under."""

    def __init__(self) -> None:
        super().__init__("master_key_invalid")


class Keyring:
    """The intake keys of one service. Safe to use from several processes; `current` makes a key when it is time."""

    def __init__(self, service: str, database: Database, master_key: bytes) -> None:
        self._service, self._database = service, database
        self._master = SecretBox(master_key)
        self._private: dict[str, PrivateKey] = {}
        self._current: IntakeKey | None = None

    @classmethod
    def open(cls, service: str, database: Database, master_key_file: Path) -> Keyring:
        """Raises `MasterKeyInvalid`."""
        try:
            master_key = base64.b64decode(master_key_file.read_bytes(), validate=True)
            return cls(service, database, master_key)
        except (OSError, ValueError):
            raise MasterKeyInvalid from None

    def current(self, at: datetime) -> IntakeKey:
        """The public key to seal to at this time; made where there is none that lasts beyond the overlap."""
        if self._current is None or self._current.expires_at - at < OVERLAP:
            self._current = self._find_or_make(at)
        return self._current

    def unseal(self, part: SealedPart) -> bytes:
        """What was sealed to this service. Raises `BoxUnopenable` also where the key is unknown."""
        return unseal(box_bytes(part.box), self._private_key(part.key_id))

    def seal(self, plaintext: bytes, at: datetime) -> tuple[str, bytes]:
        """(key_id, box): sealed to this service's own current key, for rest."""
        key = self.current(at)
        return key.key_id, seal(plaintext, key.public_key)

    def unseal_own(self, key_id: str, box: bytes) -> bytes:
        """What `seal` sealed. Raises `BoxUnopenable`."""
        return unseal(box, self._private_key(key_id))

    def _private_key(self, key_id: str) -> PrivateKey:
        key = self._private.get(key_id)
        if key is None:
            with self._database.begin() as connection:
                row = connection.execute("select private_sealed from intake_keys where key_id = %s", (key_id,)).fetchone()
            if row is None:
                raise BoxUnopenable
            key = self._private[key_id] = self._opened(row[0])
        return key

    def _opened(self, private_sealed: bytes) -> PrivateKey:
        try:
            return PrivateKey(self._master.decrypt(private_sealed))
        except CryptoError:
            raise MasterKeyInvalid from None

    def _find_or_make(self, at: datetime) -> IntakeKey:
        with self._database.begin() as connection:
            connection.execute("lock table intake_keys in exclusive mode")
            row = connection.execute(
                """
                select key_id, public_key, expires_at, private_sealed from intake_keys
                where expires_at > %s order by expires_at desc limit 1
                """,
                (at + OVERLAP,),
            ).fetchone()
            if row is not None:
                self._private[row[0]] = self._opened(row[3])
                return IntakeKey(self._service, *row[:3])
            private = PrivateKey.generate()
            year, week, _ = at.astimezone(UTC).isocalendar()
            key_id = f"{self._service}-{year}-{week:02d}-{secrets.token_hex(2)}"
            public = base64.b64encode(bytes(private.public_key)).decode()
            connection.execute(
                "insert into intake_keys (key_id, public_key, private_sealed, created_at, expires_at) values (%s, %s, %s, %s, %s)",
                (key_id, public, bytes(self._master.encrypt(bytes(private))), at, at + LIFETIME),
            )
        return IntakeKey(self._service, key_id, public, at + LIFETIME)
