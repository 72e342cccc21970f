"""Personal parts in the one service that may open them: taken in, kept under keys of their own, opened for a purpose.

The service's intake key is made known from here too.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from nameko.extensions import DependencyProvider
from nameko.timer import timer

from shared.contracts.errors import BrownPaperError, Parked, Refused
from shared.contracts.events import Event, IntakeKeyPublished
from shared.contracts.storefront import read_part
from shared.contracts.values import KeptPart, OrderKey
from shared.custody.envelopes import Envelope, EnvelopeBroken, PartName
from shared.custody.permits import PolicyPermits
from shared.custody.persons import Horizon, PersonKeys
from shared.custody.transit import open_master
from shared.custody.vault import Opened, Opening, PartToKeep, Vault
from shared.database import Database
from shared.delivery.work import Delivery, Work
from shared.keeping import Keeper, Keeping
from shared.keyring import Keyring
from shared.policy import load_versions
from shared.sealing import IntakeKey

_log = logging.getLogger("brownpaper.parts")
ANNOUNCE_EVERY = timedelta(hours=1)


class PartReader:
    """Takes in and opens the parts of one service."""

    def __init__(self, part: str, keyring: Keyring, vault: Vault, persons: PersonKeys, keeper: Keeper) -> None:
        self.part, self.keyring, self.vault, self.persons, self.keeper = part, keyring, vault, persons, keeper
        self._announced: tuple[str, datetime] | None = None

    def take_in(self, deliveries: Sequence[Delivery]) -> None:
        """Open what these messages bring, check it, and put it into envelopes; each delivery gets its `kept`.

        Raises TryLater where the keyring does not answer; then nothing was taken in. Safe to repeat.
        """
        sound: list[tuple[Delivery, PartToKeep]] = []
        self._drop_for_the_erased([delivery for delivery in deliveries if getattr(delivery.message, self.part) is None])
        for delivery in deliveries:
            if getattr(delivery.message, self.part) is None:
                continue
            event, box = delivery.message, getattr(delivery.message, self.part)
            lines = frozenset(line.line for line in event.lines) if self.part == "recipient" else None
            try:
                plaintext = self.keyring.unseal(box)
                read_part(self.part, plaintext, sealed_for_key=event.order_number, line_numbers=lines)
            except Refused as error:
                delivery.kept = KeptPart(None, tuple(dict.fromkeys(fault.code for fault in error.faults)))
            else:
                name = PartName(event.shop, event.customer_id, event.order_number, self.part)
                sound.append((delivery, PartToKeep(name, event.policy_version, plaintext)))
        envelopes = self.vault.take_in([part for _, part in sound], datetime.now(UTC))
        for (delivery, _), envelope in zip(sound, envelopes, strict=True):
            delivery.kept = KeptPart(None, (KeptPart.ERASED,)) if envelope is None else KeptPart(envelope.as_json())

    def carries(self, message: object) -> bool:
        """Whether a message brings this service's part, or could have brought it: who was erased must not come back without it either."""
        return isinstance(message, Event) and self.part in type(message).model_fields

    def _drop_for_the_erased(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        persons = {id(delivery): (delivery.message.shop, delivery.message.customer_id) for delivery in deliveries}
        erased = self.vault.erased_among(list(persons.values()))
        for delivery in deliveries:
            if persons[id(delivery)] in erased:
                delivery.kept = KeptPart(None, (KeptPart.ERASED,))

    def open(
        self,
        envelopes: Mapping[OrderKey, tuple[str, dict[str, Any]]],
        *,
        purpose: str,
        actor: str = "",
        to: str = "",
        needs: Collection[str] = (),
    ) -> dict[OrderKey, Opened | BrownPaperError]:
        """What is in these (customer_id, envelope), or why it stays closed; all of it is written down first. See `Vault.open`."""
        results: dict[OrderKey, Opened | BrownPaperError] = {}
        openings: dict[OrderKey, Opening] = {}
        for key, (customer_id, envelope) in envelopes.items():
            name = PartName(key.shop, customer_id, key.order_number, self.part)
            try:
                openings[key] = Opening(name, Envelope.of_json(envelope))
            except EnvelopeBroken as broken:  # also what an older release kept: it spoils no neighbour
                results[key] = broken
        opened = self.vault.open(list(openings.values()), purpose=purpose, at=datetime.now(UTC), actor=actor, to=to, needs=needs)
        return results | dict(zip(openings, opened, strict=True))

    def read(self, brought: Opened | BrownPaperError | None, missing: str) -> Any:
        """The opened part as a value. Raises the reason why it stays closed, Parked with `missing` where there is none."""
        if isinstance(brought, BrownPaperError):
            raise brought
        if brought is None:
            raise Parked(missing)
        return read_part(self.part, brought.plaintext, sealed_for_key=brought.name.order_number)

    def due_for_announcement(self, at: datetime) -> IntakeKey | None:
        """The current intake key, where it is new or was last announced an hour ago."""
        key = self.keyring.current(at)
        if self._announced is not None and self._announced[0] == key.key_id and at - self._announced[1] < ANNOUNCE_EVERY:
            return None
        return key

    def note_announced(self, key: IntakeKey, at: datetime) -> None:
        self._announced = (key.key_id, at)


class Parts(DependencyProvider):
    """Injects the service's `PartReader`."""

    def setup(self) -> None:
        settings = self.container.config["settings"]
        service = self.container.service_name
        database = Database(settings.keyring_database_url, name=f"{service}.keyring", most_connections=4)
        master, now = open_master(settings), datetime.now(UTC)
        horizon = Horizon.of(settings)
        keyring = Keyring(service, database, master, grace=horizon.intake_key_grace)
        keyring.adopt_old(now)
        versions = load_versions(Path(settings.policy_folder) if settings.policy_folder else None)
        permits = PolicyPermits(versions)
        vault = Vault(service, database, master, permits)
        persons = PersonKeys(database, vault, horizon)
        door = self.container.service_cls
        kept = {"held": door.rows, "parts_of": door.clearings, "waiting": door.waiting, "versions": versions}
        keeper = Keeper(service, settings, keyring, vault, database, door.retained, horizon, **kept)
        self._reader = PartReader(door.part, keyring, vault, persons, keeper)
        self._reader.keyring.current(now)  # a master key that is not the right one must not come up as ready
        _ = persons.signer

    def get_dependency(self, worker_ctx: Any) -> PartReader:
        return self._reader


class PartHolder(Keeping):
    """The base of the doors that hold a personal part: it is taken in before the transaction, and the intake key is made known."""

    part: ClassVar[str]
    parts = Parts()

    def keep_parts(self, deliveries: Sequence[Delivery]) -> None:
        self.parts.take_in(deliveries)

    def carries_part(self, delivery: Delivery) -> bool:
        carries: bool = self.parts.carries(delivery.message)
        return carries

    @timer(interval=30, eager=True)  # type: ignore[untyped-decorator]
    def renew_intake_key(self) -> None:
        now = datetime.now(UTC)
        try:
            key = self.parts.due_for_announcement(now)
            if key is not None and self.asks("announce_intake_key", [(key, None)])[0].kind == "done":
                self.parts.note_announced(key, now)
        except BrownPaperError as error:
            _log.warning("intake_key_not_announced", extra={"error": type(error).__name__})

    def announce_intake_key(self, key: IntakeKey, work: Work[Any]) -> None:
        work.tell(
            IntakeKeyPublished(service=key.service, key_id=key.key_id, public_key=key.public_key, expires_at=key.expires_at)
        )
