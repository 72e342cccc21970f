"""What a service's keyring knows and does of persons: their state, the end of their keys, who opened what of theirs.

`PersonKeys` works on the keyring alone; what stands in a service's own tables is its `PersonRows`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from shared.custody import keys
from shared.custody.master import FileMaster
from shared.custody.permits import DEACTIVATED, ERASED, Choice
from shared.custody.receipts import Signer
from shared.custody.vault import Vault, digest_of
from shared.database import Database, type_of_connection
from shared.settings import KeyringSettings

_RECEIPTS_KEY = "receipts"
LOOKED_EVERY = timedelta(seconds=30)  # a service looks this often whether it is time to let go


@dataclass(frozen=True, slots=True)
class KeptEnvelope:
    """One thing of a person's that stands in an envelope: of which order or request, the envelope as JSON, and the part.

    Without a part it is of the one that the holder has of orders.
    """

    order_number: str
    envelope: dict[str, Any]
    part: str = ""


class PersonRows(Protocol):
    """What stands of a person in a service's own tables. Every function works on the caller's transaction.

    `orders` are the numbers that `orders_of` gave: after a sweep they can be found nowhere else.
    """

    def persons(self, connection: type_of_connection) -> Iterable[tuple[str, str]]:
        """Every (shop, customer_id) of whom something stands, in any table."""

    def orders_of(self, connection: type_of_connection, shop: str, customer_id: str) -> list[str]:
        """The person's orders, as far as this service knows."""

    def counted(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> dict[str, int]:
        """Table → how many of its rows name the person or hold something of theirs."""

    def sweep(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> None:
        """Clear and delete what names the person, as the policy says. Safe to repeat."""

    def envelopes(self, connection: type_of_connection, shop: str, customer_id: str) -> list[KeptEnvelope]:
        """The person's parts as they stand."""

    def told(self, connection: type_of_connection, shop: str, customer_id: str) -> dict[str, list[dict[str, Any]]]:
        """Table → its rows about the person, for the copy that a person may ask for; no envelopes."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """How long keys outlive what ends them.

    `intake_key_grace` and then `let_go_every` pass from an intake key's expiry to its end; what was destroyed may still stand elsewhere
    until masters are rotated, and until backups of a keyring are gone.
    """

    intake_key_grace: timedelta
    let_go_every: timedelta
    master_rotation: timedelta
    keyring_backup: timedelta

    @classmethod
    def of(cls, settings: KeyringSettings) -> Horizon:
        """As the service's settings have it: nobody else works these times out."""
        return cls(
            timedelta(days=settings.intake_key_grace_days),
            timedelta(seconds=settings.retention_seconds),
            timedelta(days=settings.master_rotation_days),
            timedelta(days=settings.keyring_backup_days),
        )

    def last_key_gone_at(self, at: datetime, intake_keys_expire: datetime | None) -> datetime:
        """When nothing helps any more that could open what a person sealed before `at`, when their own keys were destroyed.

        A box may lie in a queue, a log of the broker or a backup for as long as the last intake key of that time stands.
        """
        destroyed = at
        if intake_keys_expire is not None:
            destroyed = max(at, intake_keys_expire + self.intake_key_grace + self.let_go_every + LOOKED_EVERY)
        return destroyed + self.master_rotation


@dataclass(frozen=True, slots=True)
class KeysDestroyed:
    """What an erasure found and left in the keyring, and when the last key that could help anybody is gone."""

    destroyed: int
    left: int
    last_key_gone_at: datetime
    last_backup_gone_at: datetime


class PersonKeys:
    """See the module. Every verb is safe to repeat; each raises TryLater where the keyring does not answer."""

    def __init__(self, database: Database, vault: Vault, horizon: Horizon) -> None:
        self._database, self._vault, self._horizon = database, vault, horizon
        self._signer: Signer | None = None

    @property
    def signer(self) -> Signer:
        """Signs this service's receipts. The key is made when first asked for."""
        if self._signer is None:
            self._signer = Signer(self._vault.service, self._vault.secret(_RECEIPTS_KEY))
        return self._signer

    def deactivate(self, shop: str, customer_id: str, at: datetime) -> None:
        """From now on the person's parts open only for what an open order needs."""
        person = self._vault.person(shop, customer_id)
        with self._database.begin() as connection:
            keys.set_person(connection, person, DEACTIVATED, at)

    def note_choice(self, shop: str, customer_id: str, request: str, choice: Choice) -> None:
        """From now on the person's parts open for a new use, or do not, by this word too (clauses 57 to 59)."""
        person = self._vault.person(shop, customer_id)
        with self._database.begin() as connection:
            keys.add_choice(connection, person, request, choice)

    def chosen(self, shop: str, customer_id: str) -> list[dict[str, Any]]:
        """What the person chose, in the order of their choosing."""
        person = self._vault.person(shop, customer_id)
        with self._database.begin() as connection:
            choices = keys.choices_of(connection, [person]).get(person, [])
        return [asdict(choice) for choice in sorted(choices, key=lambda choice: choice.chosen_at)]

    def erase(self, shop: str, customer_id: str, at: datetime) -> KeysDestroyed:
        """Note the person as erased and destroy every key of theirs, in one transaction."""
        person = self._vault.person(shop, customer_id)
        with self._database.begin() as connection:
            keys.set_person(connection, person, ERASED, at)
            destroyed = keys.destroy_keys(connection, person)
            keys.forget_choices(connection, person)
            left = keys.count_keys(connection, person)
            intake_keys_expire = keys.last_intake_key_expires(connection)
        last_key = self._horizon.last_key_gone_at(at, intake_keys_expire)
        return KeysDestroyed(destroyed, left, last_key, last_key + self._horizon.keyring_backup)

    def keys_left(self, shop: str, customer_id: str) -> int:
        """How many keys of the person stand now."""
        person = self._vault.person(shop, customer_id)
        with self._database.begin() as connection:
            return keys.count_keys(connection, person)

    def opened(self, shop: str, customer_id: str) -> list[dict[str, Any]]:
        """Who opened what of the person, when and what for, in order; digests left out."""
        person = self._vault.person(shop, customer_id)
        with self._database.begin() as connection:
            entries = keys.entries_of(connection, person)
        told = ("at", "actor", "purpose", "part", "form", "policy_version", "ending")
        return [{name: getattr(entry, name) for name in told} for entry in entries]


class PersonNames:
    """For a service without a keyring: the digests under which it remembers persons who are gone, and its receipts' key.

    Both come from one secret in a file. The first key of the file counts for good, else nobody would be recognised again.
    """

    def __init__(self, service: str, secret: bytes) -> None:
        self._key = hmac.new(secret, b"persons", hashlib.sha256).digest()
        self.signer = Signer(service, hmac.new(secret, b"receipts", hashlib.sha256).digest())

    @classmethod
    def read(cls, service: str, file: Path) -> PersonNames:
        """Raises MasterKeyInvalid."""
        return cls(service, FileMaster.read(file).keys[0])

    def digest(self, shop: str, customer_id: str) -> str:
        """What cannot be turned back into the person without the file."""
        return digest_of(self._key, shop, customer_id)
