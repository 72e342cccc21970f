"""Calls to outside parties: intents performed outside any transaction, several in flight, their outcomes handed back."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic, perf_counter
from typing import Any
from uuid import UUID

import eventlet
from eventlet.semaphore import Semaphore
from nameko.containers import ServiceContainer

from shared import metrics
from shared.contracts.errors import Parked, TryLater, Unanswered
from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery import tables
from shared.delivery.routes import Routes
from shared.delivery.steps import reach
from shared.delivery.work import Delivery, IntentRow
from shared.settings import DeliverySettings
from shared.workers import run_worker

_log = logging.getLogger("brownpaper.delivery")
MOST_IN_HAND = 2000
MOST_OF_ONE_PARTY = 1500  # one that does not answer leaves room for the others
MOST_SWEPT = 200
APART_SECONDS = 0.2  # as far as the clocks of two processes may be apart
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
        self,
        container: ServiceContainer,
        settings: DeliverySettings,
        database: Database,
        routes: Routes,
        submit: Callable[[Delivery], None],
    ) -> None:
        self._container, self._settings, self._database, self._routes = container, settings, database, routes
        self._submit = submit
        self._in_flight: defaultdict[str, Semaphore] = defaultdict(lambda: Semaphore(settings.calls_in_flight))
        self._in_hand: dict[UUID, tuple[str, IntentRow | None]] = {}  # intent → its party, and itself until its outcome is known
        self._of_party: Counter[str] = Counter()
        self._is_stopping = False

    @property
    def in_hand(self) -> frozenset[UUID]:
        """Intents that wait for their turn, are being performed, or whose outcome is not committed yet."""
        return frozenset(self._in_hand)

    @property
    def has_room(self) -> bool:
        """Whether the sweep may hand over all that it takes at once; what is not taken up stands in the table."""
        return len(self._in_hand) + MOST_SWEPT <= MOST_IN_HAND and not self._is_stopping

    @property
    def no_room_for(self) -> list[tuple[str, dict[str, str]]]:
        """The intents (kind, what their details hold) of those parties for which the same is not so."""
        full = [party for party, count in self._of_party.items() if count + MOST_SWEPT > MOST_OF_ONE_PARTY]
        return [intents for party in full for intents in self._routes.intents_for(party)]

    def stop(self) -> None:
        """Begin no further call; those under way end."""
        self._is_stopping = True

    def perform(self, intents: Sequence[IntentRow]) -> None:
        """Have these leased intents performed; returns at once."""
        by_kind: dict[str, list[IntentRow]] = {}
        left = []
        for intent in intents:
            if intent.id in self._in_hand:
                continue
            if self._take(intent):
                by_kind.setdefault(intent.kind, []).append(intent)
            else:
                left.append(intent)
        if left:
            eventlet.spawn_n(self._give_back, left)
        for kind, group in by_kind.items():
            if kind in self._routes.performed_by:
                eventlet.spawn_n(run_worker, self._container, self._routes.calls_entrypoint, kind, group)
            else:
                for intent in group:
                    self._settle(intent, Parked("intent_unknown"))

    def _take(self, intent: IntentRow) -> bool:
        """Take it in hand, unless there is no room for it."""
        party = self._routes.party_of(intent.kind, intent.details)
        has_room = len(self._in_hand) < MOST_IN_HAND and self._of_party[party] < MOST_OF_ONE_PARTY
        if self._is_stopping or not has_room:
            return False
        self._in_hand[intent.id] = party, intent
        self._of_party[party] += 1
        return True

    def _give_back(self, intents: Sequence[IntentRow]) -> None:
        """What there is no room for is anybody's at once: the sweep takes it up as soon as there is, and not when a lease is over."""
        try:
            with self._database.begin() as connection:
                leases = {it.id: it.leased_until for it in intents if it.leased_until is not None}
                tables.renew_leases(connection, leases, datetime.now(UTC))
        except TryLater:
            return  # their leases end by themselves

    def _let_go(self, identity: UUID) -> None:
        party, _ = self._in_hand.pop(identity, (None, None))
        if party is not None:
            self._of_party[party] -= 1

    def renew_leases(self, at: datetime) -> None:
        """Renew the leases of what is in hand and ends soon: what waits for its turn is not another process's to take up. Raises TryLater."""
        lease = timedelta(seconds=self._settings.lease_seconds)
        open_ones = [it for _, it in self._in_hand.values() if it is not None]
        ending = {it.id: it for it in open_ones if it.leased_until is not None and it.leased_until < at + lease / 2}
        if not ending:
            return
        began = monotonic()
        with self._database.begin() as connection:
            ours = tables.renew_leases(
                connection, {it.id: it.leased_until for it in ending.values() if it.leased_until}, at + lease
            )
        for identity in ours:
            ending[identity].leased_until, ending[identity].ours_until = at + lease, began + self._settings.lease_seconds

    def make(self, door: object, kind: str, intents: Sequence[IntentRow]) -> None:
        """Read at once what these calls need beside their intents, then make them, several at a time; returns when all have ended.

        One worker makes them all: a worker of its own for each costs more than many a call.
        """
        preparing = self._routes.prepared_by.get(kind)
        brought: Mapping[OrderKey, Any] = {}
        if preparing is not None:
            try:
                brought = dict(getattr(door, preparing)(intents))
            except TryLater as error:
                # The keys may be away for long: each waits on the ladder, and none counts as one that killed whoever took it up.
                for intent in intents:
                    self._settle(intent, TryLater(error.code, after_seconds=error.after_seconds))
                return
            except Exception as error:
                if len(intents) == 1:
                    self._settle(intents[0], _unexpected(intents[0], error))
                    return
                # Each alone, so that one that cannot be prepared neither spoils nor holds up another.
                for alone in [eventlet.spawn(self.make, door, kind, [intent]) for intent in intents]:
                    alone.wait()
                return
        method = getattr(door, self._routes.performed_by[kind])
        waiting: defaultdict[str, deque[IntentRow]] = defaultdict(deque)
        for intent in intents:
            intent.brought = brought.get(intent.about)
            waiting[self._routes.party_of(kind, intent.details)].append(intent)

        def work_off(party: str) -> None:
            while waiting[party]:
                intent = waiting[party].popleft()
                try:
                    self._call(method, intent, party)
                except Exception as error:  # of ours, outside the call: the sweep takes it up again
                    _log.error("call_failed", extra={"kind": intent.kind, "error": type(error).__name__})
                    self._let_go(intent.id)

        # No more greenthreads than may call at once: one for each intent would cost more than many a call.
        at_once = self._settings.calls_in_flight
        workers = [party for party, theirs in waiting.items() for _ in range(min(len(theirs), at_once))]
        for ours in [eventlet.spawn(work_off, party) for party in workers]:
            ours.wait()

    def _call(self, method: Callable[[IntentRow], Any], intent: IntentRow, party: str) -> None:
        with self._in_flight[party]:
            ours = None if self._is_stopping else self._under_lease(intent)
            if ours is None:
                self._let_go(intent.id)
                return
            intent = ours
            started = perf_counter()
            reach("call_begun")
            outcome = self._ask(method, intent)
            reach("call_answered")
        ending = "later" if isinstance(outcome, TryLater) else "parked" if isinstance(outcome, Parked) else "answered"
        metrics.calls.labels(self._container.service_name, intent.kind, ending).observe(perf_counter() - started)
        self._settle(intent, outcome)
        reach("outcome_submitted")

    def _ask(self, method: Callable[[IntentRow], Any], intent: IntentRow) -> Any:
        """The outcome, or the error of ours that stands for it. Bounded by `call_seconds`, which the lease outlasts."""
        too_long = eventlet.Timeout(self._settings.call_seconds)
        try:
            return method(intent)
        except Unanswered as error:
            # Looked up only when the call has surely ended at the other side.
            return Unanswered(error.code, after_seconds=max(error.after_seconds or 0, self._settings.doubt_seconds))
        except (TryLater, Parked) as error:
            return error
        except Exception as error:
            return _unexpected(intent, error)
        except eventlet.Timeout as timeout:
            # It is no Exception, so that nobody on the way takes it for a failure of his own: the call is ended where it waits.
            if timeout is not too_long:
                raise
            return Unanswered("call_too_long", after_seconds=self._settings.call_seconds)
        finally:
            too_long.cancel()

    def _under_lease(self, intent: IntentRow) -> IntentRow | None:
        """The intent under a lease that outlasts the call, renewed where it has waited long; None where another process has it by now.

        Looked at right before the call: also a renewal may have come so late that its lease is over.
        """
        if self._outlasts_the_call(intent):
            return intent
        began, old = monotonic(), intent.leased_until
        until = datetime.now(UTC) + timedelta(seconds=self._settings.lease_seconds)
        try:
            with self._database.begin() as connection:
                is_ours = old is not None and intent.id in tables.renew_leases(connection, {intent.id: old}, until)
        except TryLater:
            return None  # the sweep takes it up when the database is back
        if not is_ours:
            return None
        intent.leased_until, intent.ours_until = until, began + self._settings.lease_seconds
        return intent if self._outlasts_the_call(intent) else None

    def _outlasts_the_call(self, intent: IntentRow) -> bool:
        """By both clocks: the wall's may be set back, the monotonic one stands still while the machine is suspended."""
        if intent.leased_until is None:
            return False
        by_the_wall = (intent.leased_until - datetime.now(UTC)).total_seconds()
        return min(by_the_wall, intent.ours_until - monotonic()) > self._settings.call_seconds + APART_SECONDS

    def _settle(self, intent: IntentRow, outcome: Any) -> None:
        if intent.id in self._in_hand:  # its outcome is settled under the lease that it has now
            self._in_hand[intent.id] = self._in_hand[intent.id][0], None
        self._submit(
            Delivery(
                self._routes.settled_by.get(intent.kind, ""),
                outcome if isinstance(outcome, Exception) else Settlement(intent, outcome),
                lambda _ending: self._let_go(intent.id),
                about=intent.about,
                intent_id=intent.id,
                lease=intent.leased_until,
                tries=intent.tries,
                traceparent=intent.traceparent,
            )
        )


def _unexpected(intent: IntentRow, error: Exception) -> TryLater | Parked:
    """What a defect of ours makes of a call: tried a few times, then a person's. The class of the error only: its text may hold a value."""
    _log.error("call_failed", extra={"kind": intent.kind, "error": type(error).__name__})
    code = f"unexpected_{type(error).__name__}"
    return TryLater(code) if intent.tries < MOST_UNEXPECTED else Parked(code)
