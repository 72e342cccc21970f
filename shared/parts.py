"""Personal parts in the one service that may open them: read, refused where unsound, and its intake key made known."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nameko.extensions import DependencyProvider
from nameko.timer import timer

from shared.contracts.errors import BrownPaperError, Refused
from shared.contracts.events import IntakeKeyPublished, SealedBox
from shared.contracts.storefront import read_part
from shared.database import Database
from shared.delivery.entrypoints import Door
from shared.delivery.work import Work
from shared.keyring import Keyring
from shared.sealing import IntakeKey

_log = logging.getLogger("brownpaper.parts")
ANNOUNCE_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class OpenedPart:
    """A part as it was read, or the codes that say why it cannot be used."""

    value: Any | None
    codes: tuple[str, ...] = ()


class PartReader:
    """Opens the parts of one service."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self._announced: tuple[str, datetime] | None = None

    def read(self, part: str, sealed: SealedBox, sealed_for_key: str, line_numbers: frozenset[int] | None = None) -> OpenedPart:
        """Open and check; never raises for what a sender did wrong. Plaintext lives no longer than the value given."""
        try:
            return OpenedPart(
                read_part(part, self.keyring.unseal(sealed), sealed_for_key=sealed_for_key, line_numbers=line_numbers)
            )
        except Refused as error:
            return OpenedPart(None, tuple(dict.fromkeys(fault.code for fault in error.faults)))

    def seal_for_rest(self, plaintext: bytes) -> tuple[str, bytes]:
        """(key_id, box): what shows a person is kept sealed to this service's own current key."""
        return self.keyring.seal(plaintext, datetime.now(UTC))

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
        database = Database(settings.keyring_database_url, name=f"{service}.keyring", most_connections=2)
        self._reader = PartReader(Keyring.open(service, database, Path(settings.keyring_master_key_file)))
        self._reader.keyring.current(datetime.now(UTC))  # a master key that is not the right one must not come up as ready

    def get_dependency(self, worker_ctx: Any) -> PartReader:
        return self._reader


class PartHolder(Door):
    """The base of the doors that hold personal parts: they make their intake key known."""

    parts = Parts()

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
