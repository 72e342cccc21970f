"""Calls to outside parties: intents performed outside any transaction, several in flight, their outcomes handed back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import eventlet
from eventlet.event import Event as Happening
from eventlet.semaphore import Semaphore
from nameko.containers import ServiceContainer
from nameko.extensions import Entrypoint

from shared import metrics
from shared.contracts.errors import Parked, TryLater
from shared.database import Database
from shared.delivery import tables
from shared.delivery.work import Delivery, IntentRow
from shared.settings import DeliverySettings

_log = logging.getLogger("brownpaper.delivery")
MOST_UNEXPECTED = 5  # tries of a call that fails by a defect of ours before it is parked


class Settlement:
    """The outcome of a call, for the handler that writes it down."""

    __slots__ = ("intent", "outcome")

    def __init__(self, intent: IntentRow, outcome: Any) -> None:
        self.intent, self.outcome = intent, outcome


class Calls:
    """Performs intents by the door's `performs` methods, and submits each outcome as a delivery for the `settles` method.

    Only who holds an intent's lease for longer than the call can last makes the call; whoever takes over from another looks first
    whether it was made (`in_doubt`).
    """

    def __init__(
        self, container: ServiceContainer, settings: DeliverySettings, database: Database, submit: Callable[[Delivery], None]
    ) -> None:
        self._container, self._settings, self._database, self._submit = container, settings, database, submit
        self._in_flight = Semaphore(settings.calls_in_flight)
        self._performs: dict[str, Entrypoint] = {}
        self._settles: dict[str, str] = {}

    def performed_by(self, kind: str, entrypoint: Entrypoint) -> None:
        self._performs[kind] = entrypoint

    def settled_by(self, kind: str, method: str) -> None:
        self._settles[kind] = method

    def perform(self, intent: IntentRow) -> None:
        """Have this leased intent performed; returns at once."""
        entrypoint = self._performs.get(intent.kind)
        if entrypoint is None:
            self._settle(intent, Parked("intent_unknown"))
        else:
            eventlet.spawn_n(self._call, entrypoint, intent)

    def _call(self, entrypoint: Entrypoint, intent: IntentRow) -> None:
        happening = Happening()
        with self._in_flight:
            if not self._is_still_ours(intent):
                return
            started = perf_counter()
            self._container.spawn_worker(
                entrypoint,
                (intent,),
                {},
                handle_result=lambda _context, result, exc_info: (happening.send((result, exc_info)), (None, None))[1],
            )
            result, exc_info = happening.wait()
        error = exc_info[1] if exc_info else None
        ending = "later" if isinstance(error, TryLater) else "parked" if error else "answered"
        metrics.calls.labels(self._container.service_name, intent.kind, ending).observe(perf_counter() - started)
        if error is not None and not isinstance(error, TryLater | Parked):
            _log.error("call_failed", extra={"kind": intent.kind, "error": type(error).__name__})
            code = f"unexpected_{type(error).__name__}"
            error = TryLater(code) if intent.tries < MOST_UNEXPECTED else Parked(code)
        self._settle(intent, result if error is None else error)

    def _is_still_ours(self, intent: IntentRow) -> bool:
        """Whether the lease outlasts the call; one that has waited for its turn is renewed, unless another process has it by now."""
        now = datetime.now(UTC)
        if intent.leased_until is None or intent.leased_until - now > timedelta(seconds=self._settings.call_seconds):
            return True
        try:
            with self._database.begin() as connection:
                until = now + timedelta(seconds=self._settings.lease_seconds)
                return tables.renew_lease(connection, intent.id, intent.leased_until, until)
        except TryLater:
            return False  # the sweep takes it up when the database is back

    def _settle(self, intent: IntentRow, outcome: Any) -> None:
        self._submit(
            Delivery(
                self._settles.get(intent.kind, ""),
                outcome if isinstance(outcome, Exception) else Settlement(intent, outcome),
                _unheard,
                about=intent.about,
                intent_id=intent.id,
                tries=intent.tries,
                traceparent=intent.traceparent,
            )
        )


def _unheard(_ending: object) -> None:
    """An outcome's ending interests nobody but the log."""
