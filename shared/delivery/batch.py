"""Many deliveries in one transaction, each by the service's own one-message handler.

A handler that fails takes back what it saved and recorded, not what its neighbours did. A transaction that fails as a whole is done again, one
delivery at a time, so that one bad message neither holds up nor undoes the others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from time import monotonic
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID, uuid4

import eventlet
import psycopg

from shared.contracts.errors import Parked, Refused, TryLater
from shared.database import Contended, Database, DatabaseUnavailable, StatementRefused, type_of_connection
from shared.delivery import held_messages, tables
from shared.delivery.confirmed import Confirmed
from shared.delivery.endings import Endings, ending_of, place_of
from shared.delivery.ladder import Ladder
from shared.delivery.steps import reach
from shared.delivery.work import Delivery, Ending, IntentRow, OutboxRow, RawMessage, Recorder, Store, Work

_log = logging.getLogger("brownpaper.delivery")
T = TypeVar("T")
MOST_CONTENTIONS = 5
LONG_BODY_BYTES = 64 * 1024


class Reading(NamedTuple):
    """What a raw message says: which method of the door it is for, and what it hands it.

    `sealed` tells that the message validated with every personal part sealed, so that its body may be kept; `body` replaces one that
    came in the clear by its sealed form.
    """

    method: str
    message: Any
    about: Any = None
    claim: tuple[str, str] | None = None
    traceparent: str | None = None
    source: str | None = None
    id: str | None = None
    type: str | None = None
    sealed: bool = False
    body: bytes | None = None


class Reader(Protocol):
    def __call__(self, raw: RawMessage) -> Reading: ...


class Door(Protocol):
    """What batches ask of a door beside its handlers: see `shared.delivery.entrypoints.Door`."""

    def carries_part(self, delivery: Delivery) -> bool: ...

    def keep_parts(self, deliveries: Sequence[Delivery]) -> None: ...


@dataclass(slots=True)
class Outcome:
    """What a committed transaction leaves to do: endings to report, events to publish, calls to make.

    `early` are messages that waited for an order that has come, to be tried again at once. `unread` are messages that cannot be read
    yet and not be kept either: an order in the clear, while the holder of a part has not published its key. They were not touched and are to
    be offered again later.
    """

    endings: list[tuple[Delivery, Ending]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    intents: list[IntentRow] = field(default_factory=list)
    early: list[held_messages.HeldRow] = field(default_factory=list)
    unread: list[Delivery] = field(default_factory=list)


class Batches:
    """Runs deliveries through a door's methods.

    The leases are how long this process, the `writer`, may take to publish and to call. What is `confirmed` is forgotten on the way.
    """

    def __init__(
        self,
        database: Database,
        store_class: type[Store],
        speaker: str,
        ladder: Ladder,
        *,
        writer: UUID,
        publish_lease: timedelta,
        call_lease: timedelta,
        confirmed: Confirmed,
    ) -> None:
        self._database, self._store_class, self._speaker, self._endings = database, store_class, speaker, Endings(ladder)
        self.writer, self.publish_lease, self.call_lease = writer, publish_lease, call_lease
        self._confirmed = confirmed

    def run(self, door: Door, read: Reader, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Handle these, commit, and say what came of it.

        Raises DatabaseUnavailable when waiting may help; what was committed of these by then comes again as `repeated`.
        """
        reach("received")
        outside, readable = Outcome(), []
        for delivery in deliveries:
            not_yet = self._read(read, delivery)
            if not_yet is None:
                readable.append(delivery)
            elif delivery.is_asked:
                outside.endings.append((delivery, Ending("later", not_yet.code)))
            else:
                outside.unread.append(delivery)
        reach("read")
        self._keep_parts(door, readable)
        return [*self._transactions(door, readable), outside]

    def _transactions(self, door: Door, deliveries: Sequence[Delivery]) -> list[Outcome]:
        if len(deliveries) > 1:
            try:
                return [self._one_transaction(door, deliveries)]
            except Exception as error:
                if _is_outage(error):
                    raise
                _log.info("batch_split", extra={"error": type(error).__name__, "batch": len(deliveries)})
        return [self._alone(door, delivery) for delivery in deliveries]

    @staticmethod
    def _keep_parts(door: Door, deliveries: Sequence[Delivery]) -> None:
        """Take in what the messages bring of persons. One whose part cannot be taken in ends as what was wrong, and holds up nobody."""
        carrying = [delivery for delivery in deliveries if delivery.kept is None and door.carries_part(delivery)]
        if not carrying:
            return
        try:
            door.keep_parts(carrying)
        except Exception as error:
            for delivery in carrying:
                if isinstance(error, TryLater) and not isinstance(error, Contended):
                    # The keys are out of reach, for all of them: each is kept as it is, sealed, until they are back.
                    delivery.message = _ending_error(error)
                else:
                    _keep_part(door, delivery)

    def _alone(self, door: Door, delivery: Delivery) -> Outcome:
        refusals = 0
        for tries in range(MOST_CONTENTIONS + 3):
            failed: Exception
            try:
                return self._one_transaction(door, [delivery])
            except Contended:
                if tries < MOST_CONTENTIONS:
                    continue
                failed = Parked("contended")  # no race lasts so long: the rows themselves are in each other's way
            except DatabaseUnavailable as error:
                if refusals or _is_outage(error):
                    raise  # also where not even that it must wait can be written down
                failed = _ending_error(error)
            except Exception as error:
                failed = _ending_error(error)
            # Whatever of it the database would not take is left out, so that it can be parked: first what it asks for, then its claim.
            # Without a claim a replay could do it twice, so then its body is left out too, and what names it.
            delivery.message, delivery.about = failed, None
            refusals += 1
            if refusals > 1:
                delivery.claim = None
                if delivery.raw is not None:
                    delivery.raw.forget()
        raise DatabaseUnavailable

    def _read(self, read: Reader, delivery: Delivery) -> TryLater | None:
        """Read a raw message; one that cannot be read ends as its `message`, an error, then says. Gives why one must wait unread."""
        raw = delivery.raw
        if raw is None or delivery.message is not None:
            return None
        if len(raw.body) > LONG_BODY_BYTES:
            eventlet.sleep(0)  # a long one takes a while: heartbeats and the others come in between
        try:
            reading = read(raw)
        except (DatabaseUnavailable, Contended):
            raise
        except TryLater as error:
            return error
        except Exception as error:
            delivery.message = _ending_error(error)
        else:
            delivery.method, delivery.message, delivery.about = reading.method, reading.message, reading.about
            delivery.traceparent = reading.traceparent
            if delivery.held_id is None:  # what is held has its claim already
                delivery.claim = reading.claim
            raw.source, raw.id, raw.type, raw.sealed = reading.source, reading.id, reading.type, reading.sealed
            raw.about = reading.about
            raw.body = raw.body if reading.body is None else reading.body
        return None

    def _one_transaction(self, door: Door, deliveries: Sequence[Delivery]) -> Outcome:
        try:
            return self._transaction(door, deliveries)
        except DatabaseUnavailable:
            # It may have been committed: then its events stand under our name, and nobody publishes them before the sweep does. Under
            # another name the later events of their orders wait for them.
            self.writer = uuid4()
            raise

    def _transaction(self, door: Door, deliveries: Sequence[Delivery]) -> Outcome:
        began, at = monotonic(), datetime.now(UTC)
        with self._confirmed.taken() as confirmed, self._database.together() as connection:
            if confirmed:
                tables.delete_outbox(connection, confirmed)
            recorder = Recorder(self._speaker, at)
            store = self._store_class(connection, recorder)
            outcome = Outcome()
            unclaimed = _Unclaimed(connection, deliveries, at)
            reach("claimed")
            store.prefetch(deliveries)
            work = Work(store, at)
            for delivery in deliveries:
                outcome.endings.append((delivery, self._handle(door, delivery, work, unclaimed)))
            reach("handled")
            for shelf in store.shelves():
                shelf.flush()
            reach("rows_written")
            self._endings.write(connection, outcome.endings, at)
            reach("endings_written")
            leased_until = at + self.call_lease
            # After the endings: what came before its order may be in the order's own batch.
            early = held_messages.lease_early(connection, recorder.come, leased_until) if recorder.come else ()
            intents = tables.write_intents(connection, recorder.intents, at, leased_until) if recorder.intents else ()
            until = at + self.publish_lease
            must_wait = tables.write_outbox(connection, recorder.outbox, at, until, self.writer) if recorder.outbox else ()
            reach("events_written")
        # Their answers have come with the commit's.
        outcome.intents = [intent for intent in recorder.intents if intent.id in intents]
        for intent in outcome.intents:
            intent.leased_until, intent.ours_until = leased_until, began + self.call_lease.total_seconds()
        outcome.outbox = [row for row in recorder.outbox if row.id not in must_wait]
        outcome.early = list(early)
        return outcome

    def _handle(self, door: Door, delivery: Delivery, work: Work[Any], unclaimed: _Unclaimed) -> Ending:
        """One delivery by its method; a failure takes back what this delivery saved and recorded, and nothing else."""
        if not unclaimed.take(delivery):
            return Ending("repeated")
        work.store.recorder.mark(delivery.traceparent)
        for shelf in work.store.shelves():
            shelf.mark()
        try:
            if isinstance(delivery.message, Exception):
                raise delivery.message
            given = work if delivery.kept is None else Work(work.store, work.at, delivery.kept)
            result = getattr(door, delivery.method)(delivery.message, given)
        except (DatabaseUnavailable, Contended, psycopg.Error):
            raise  # the whole transaction is lost
        except Exception as error:
            ending = ending_of(error, delivery)
        else:
            return result if isinstance(result, Ending) else Ending("done", result=result)
        work.store.recorder.rollback()
        for shelf in work.store.shelves():
            shelf.rollback()
        return ending


def _keep_part(door: Door, delivery: Delivery) -> None:
    try:
        door.keep_parts([delivery])
    except Exception as error:
        delivery.message = _ending_error(error)


def _ending_error(error: Exception) -> TryLater | Parked | Refused:
    """What stands for an error in the place of a message: what nobody reckoned with by its class, for its text may hold a value."""
    if isinstance(error, TryLater):
        return TryLater(error.code)  # its kind would end the whole transaction
    if isinstance(error, Parked | Refused):
        return error
    if isinstance(error, psycopg.Error):
        return Parked(f"database_{(error.sqlstate or 'error').lower()}")
    _log.error("delivery_failed", extra={"error": type(error).__name__, "place": place_of(error)})
    return Parked(f"unexpected_{type(error).__name__}")


def _is_outage(error: Exception) -> bool:
    """Whether waiting is all that helps: no one delivery can be at fault."""
    return isinstance(error, DatabaseUnavailable) and not isinstance(error, StatementRefused)


class _Unclaimed:
    """What of a batch nobody has done before: claims that are new, intents and held messages that still stand, each once.

    Asked for at once, and waited for when the first delivery is taken.
    """

    def __init__(self, connection: type_of_connection, deliveries: Sequence[Delivery], at: datetime) -> None:
        intents = [d.intent_id for d in deliveries if d.intent_id]
        held = [d.held_id for d in deliveries if d.held_id]
        self._asked_claims = tables.claim(connection, (d.claim for d in deliveries if d.claim), at)
        self._asked_rows = [tables.lock_intents(connection, intents)] if intents else []
        self._asked_rows += [held_messages.lock_held(connection, held)] if held else []

    def take(self, delivery: Delivery) -> bool:
        """Whether this delivery is to be handled; a second one of the same is not."""
        if delivery.claim is not None and not _discard(self._claims, delivery.claim):
            return False
        row = delivery.intent_id or delivery.held_id
        return row is None or _discard(self._rows, row)

    @cached_property
    def _claims(self) -> set[tuple[str, str]]:
        return set(self._asked_claims)

    @cached_property
    def _rows(self) -> set[UUID]:
        return set().union(*self._asked_rows)


def _discard(names: set[T], name: T) -> bool:
    if name not in names:
        return False
    names.remove(name)
    return True
