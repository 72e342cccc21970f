"""What a holder of a personal part does by itself now and then: destroys old keys, watches over its record, lets go of what has its time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import eventlet
from nameko.extensions import DependencyProvider
from nameko.timer import timer

from shared import metrics
from shared.contracts.errors import BrownPaperError, TryLater
from shared.contracts.events import IncidentNoticed, LegalHoldLifted, LegalHoldPlaced, RecordAnchored
from shared.custody import journal
from shared.custody.journal import ErasureJournal, HeldRows
from shared.custody.persons import LOOKED_EVERY, Horizon
from shared.custody.vault import Vault
from shared.custody.watch import Look, RecordWatch
from shared.database import Database
from shared.delivery.entrypoints import Door, hears
from shared.delivery.work import Work
from shared.keyring import Keyring
from shared.policy import Policy, load
from shared.policy.waiting import waiting_days
from shared.retention import RetainedRows, Retention, clearings_of, note_hold

_log = logging.getLogger("brownpaper.keeping")


class Keeper:
    """One service's keeping; made when the service starts, and then everything that was erased is gone for good before it is ready."""

    def __init__(
        self,
        service: str,
        settings: Any,
        keyring: Keyring,
        vault: Vault,
        keyring_database: Database,
        rows: RetainedRows,
        horizon: Horizon,
        *,
        held: HeldRows,
        parts_of: Mapping[str, Sequence[str]],
        waiting: Mapping[str, Sequence[str]],
        versions: Mapping[str, Policy],
    ) -> None:
        self.service, self.keyring, self._person = service, keyring, vault.person
        self.journal = ErasureJournal(Path(settings.erasure_journal)) if settings.erasure_journal else None
        database = Database(settings.database_url, name=f"{service}.keeping", most_connections=1)
        self.watch = RecordWatch(keyring_database, vault.record_seal, pause=lambda: eventlet.sleep(0))
        clearings = (
            *clearings_of(load(), service, parts_of, versions),
            *clearings_of(load(), service, waiting, versions, days_of=waiting_days),
        )
        self._retention = Retention(service, database, vault, rows, clearings)
        self._every = horizon.let_go_every
        self._cleared_at: datetime | None = None
        if self.journal is not None:
            journal.apply(self.journal, keyring_database, database, held, vault.person)

    def remember_erased(self, shop: str, customer_id: str, at: datetime) -> None:
        """Write an erasure into the journal, where there is one, before anything is destroyed: no restored backup brings the person back.

        Safe to repeat. Raises TryLater where the file cannot be written.
        """
        if self.journal is None:
            return
        try:
            self.journal.append(self._person(shop, customer_id), at)
        except OSError:
            raise TryLater("erasure_journal_unavailable") from None

    def let_go(self, at: datetime) -> None:
        """Destroy old intake keys, and let go of what has its time, where the last time is long enough ago."""
        if self._cleared_at is not None and at - self._cleared_at < self._every:
            return
        gone = self.keyring.destroy_old(at)
        done = self._retention.run(at, patience=2 * self._every)
        self._cleared_at = at
        if gone:
            _log.info("intake_keys_destroyed", extra={"rows": gone})
        if done:
            _log.info("let_go", extra={"rows": done})


class Keeping(Door):
    """The base of the doors that hold a personal part, as far as they look after it by themselves.

    `retained` is what of the service's own tables has its time, `clearings` what goes together: clearing → parts; `waiting` the same of what
    waits for something that may never come.
    """

    retained: ClassVar[RetainedRows]
    clearings: ClassVar[Mapping[str, Sequence[str]]]
    waiting: ClassVar[Mapping[str, Sequence[str]]] = {}
    parts: DependencyProvider

    @timer(interval=30, eager=True)  # type: ignore[untyped-decorator]
    def watch_over_record(self) -> None:
        keeper, now = self._keeper(), datetime.now(UTC)
        try:
            look = keeper.watch.look(now)
            if look is not None and self.asks("anchor_record", [(look, None)])[0].kind == "done":
                keeper.watch.note_told(look, now)
                for it in look.noticed:
                    metrics.incidents.labels(self.name, it.kind).inc()
                    _log.error("incident", extra={"kind": it.kind})
        except BrownPaperError as error:
            _log.warning("record_not_watched", extra={"error": type(error).__name__})

    def anchor_record(self, look: Look, work: Work[Any]) -> None:
        work.tell(RecordAnchored(service=self.name, position=look.position, hash=look.hash))
        for it in look.noticed:
            work.tell(IncidentNoticed(service=self.name, kind=it.kind, place=it.place, noticed_at=work.at))

    @timer(interval=LOOKED_EVERY.total_seconds(), eager=True)  # type: ignore[untyped-decorator]
    def let_go(self) -> None:
        try:
            self._keeper().let_go(datetime.now(UTC))
        except BrownPaperError as error:
            _log.warning("not_let_go", extra={"error": type(error).__name__})

    @hears(LegalHoldPlaced)
    def legal_hold_placed(self, event: LegalHoldPlaced, work: Work[Any]) -> None:
        note_hold(work.store.connection, event.about(), event.clause, event.said_at, is_held=True)

    @hears(LegalHoldLifted)
    def legal_hold_lifted(self, event: LegalHoldLifted, work: Work[Any]) -> None:
        note_hold(work.store.connection, event.about(), event.clause, event.said_at, is_held=False)

    def _keeper(self) -> Keeper:
        keeper: Keeper = self.parts.keeper
        return keeper
