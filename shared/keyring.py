"""A service's intake keys: made here, kept apart from the data they open, their private halves wrapped under a master key, destroyed in time.

A key is current for five days, takes boxes for seven, and is destroyed `grace` after that. So a box older than twelve days opens nowhere,
whether it lies in a queue, in a log of the broker or in a backup.
"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey
from nacl.secret import SecretBox

from shared.contracts.events import SealedBox as SealedPart
from shared.custody.master import FileMaster, Master, MasterKeyGone, MasterKeyInvalid, Wrapped
from shared.custody.masters import hold_master
from shared.database import Database, type_of_connection
from shared.sealing import BoxUnopenable, IntakeKey, box_bytes, seal, unseal

LIFETIME = timedelta(days=7)  # the contract: keys change at least weekly
OVERLAP = timedelta(days=2)  # a new key stands this long before the old one expires
GRACE = timedelta(days=5)  # what was sealed at the last moment may lie in a queue or be tried again for this long


class Keyring:
    """The intake keys of one service. Safe to use from several processes; `current` makes a key when it is time."""

    def __init__(self, service: str, database: Database, master: Master, *, grace: timedelta = GRACE) -> None:
        self._service, self._database, self._master, self._grace = service, database, master, grace
        self._private: dict[str, PrivateKey] = {}
        self._current: IntakeKey | None = None

    def current(self, at: datetime) -> IntakeKey:
        """The public key to seal to at this time; made where there is none that lasts beyond the overlap.

        Raises MasterKeyInvalid, TryLater.
        """
        if self._current is None or self._current.expires_at - at < OVERLAP:
            self._current = self._find_or_make(at)
        return self._current

    def unseal(self, part: SealedPart) -> bytes:
        """What was sealed to this service. Raises `BoxUnopenable` also where the key is unknown or was destroyed."""
        return unseal(box_bytes(part.box), self._private_key(part.key_id))

    def seal(self, plaintext: bytes, at: datetime) -> tuple[str, bytes]:
        """(key_id, box): sealed to this service's own current key."""
        key = self.current(at)
        return key.key_id, seal(plaintext, key.public_key)

    def destroy_old(self, at: datetime) -> int:
        """Destroy the keys that expired longer than `grace` ago, here and in memory; how many there were. Safe to repeat."""
        with self._database.begin() as connection:
            destroyed = connection.execute("delete from intake_keys where expires_at <= %s", (at - self._grace,)).rowcount
            standing = {key_id for (key_id,) in connection.execute("select key_id from intake_keys")}
        # Another process may have destroyed what this one still remembers.
        for key_id in self._private.keys() - standing:
            del self._private[key_id]
        if self._current is not None and self._current.key_id not in standing:
            self._current = None
        return destroyed

    def adopt_old(self, at: datetime) -> int:
        """Wrap anew what an older release sealed by libsodium's secretbox under a key of the master's file; how many. Safe to repeat.

        Raises MasterKeyInvalid where none of the file's keys opens it.
        """
        keys = self._master.keys if isinstance(self._master, FileMaster) else ()
        with self._database.begin() as connection:
            rows = connection.execute(
                "select key_id, private_sealed from intake_keys where master_id is null for update"
            ).fetchall()
            for key_id, box in rows:
                wrapped = self._master.wrap(_opened_old(box, keys), self._context(key_id))
                hold_master(connection, wrapped.master_id, at)
                connection.execute(
                    "update intake_keys set master_id = %s, private_sealed = %s where key_id = %s", (*wrapped, key_id)
                )
        return len(rows)

    def _context(self, key_id: str) -> bytes:
        return intake_key_context(self._service, key_id)

    def _private_key(self, key_id: str) -> PrivateKey:
        key = self._private.get(key_id)
        if key is None:
            with self._database.begin() as connection:
                row = _row(connection, key_id)
                if row is None:
                    raise BoxUnopenable
                try:
                    key = self._opened(key_id, row)
                except MasterKeyGone:
                    again = _row(connection, key_id)  # wrapped anew while we looked
                    if again is None or again == row:
                        raise BoxUnopenable from None
                    key = self._opened(key_id, again)
            self._private[key_id] = key
        return key

    def _opened(self, key_id: str, wrapped: Wrapped) -> PrivateKey:
        return PrivateKey(self._master.unwrap(wrapped, self._context(key_id)))

    def _find_or_make(self, at: datetime) -> IntakeKey:
        with self._database.begin() as connection:
            connection.execute("lock table intake_keys in exclusive mode")
            row = connection.execute(
                """
                select key_id, public_key, expires_at, master_id, private_sealed from intake_keys
                where expires_at > %s and master_id is not null order by expires_at desc limit 1
                """,
                (at + OVERLAP,),
            ).fetchone()
            if row is not None:
                self._private[row[0]] = self._opened(row[0], Wrapped(*row[3:]))
                return IntakeKey(self._service, *row[:3])
            private = PrivateKey.generate()
            year, week, _ = at.astimezone(UTC).isocalendar()
            key_id = f"{self._service}-{year}-{week:02d}-{secrets.token_hex(2)}"
            public = base64.b64encode(bytes(private.public_key)).decode()
            wrapped = self._master.wrap(bytes(private), self._context(key_id))
            hold_master(connection, wrapped.master_id, at)
            connection.execute(
                """
                insert into intake_keys (key_id, public_key, master_id, private_sealed, created_at, expires_at)
                values (%s, %s, %s, %s, %s, %s)
                """,
                (key_id, public, *wrapped, at, at + LIFETIME),
            )
        return IntakeKey(self._service, key_id, public, at + LIFETIME)


def intake_key_context(service: str, key_id: str) -> bytes:
    """What the wrapping of an intake key's private half is bound to."""
    return f"intake key\0{service}\0{key_id}".encode()


def _row(connection: type_of_connection, key_id: str) -> Wrapped | None:
    row = connection.execute(
        "select master_id, private_sealed from intake_keys where key_id = %s and master_id is not null", (key_id,)
    ).fetchone()
    return Wrapped(*row) if row else None


def _opened_old(box: bytes, keys: tuple[bytes, ...]) -> bytes:
    for key in keys:
        try:
            return SecretBox(key).decrypt(box)
        except CryptoError:
            continue
    raise MasterKeyInvalid
