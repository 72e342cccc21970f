"""Many deliveries in one transaction, each by the service's own one-message handler.

A handler that fails takes back what it saved and recorded, not what its neighbours did. A transaction that fails as a whole is done again, one
delivery at a time, so that one bad message neither holds up nor undoes the others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4

import eventlet
import psycopg

from shared.contracts.errors import Parked, Refused, TryLater
from shared.database import Contended, Database, DatabaseUnavailable, type_of_connection
from shared.delivery import tables, topology
from shared.delivery.ladder import Ladder
from shared.delivery.steps import reach
from shared.delivery.work import Delivery, Ending, IntentRow, OutboxRow, RawMessage, Recorder, Store, Work

_log = logging.getLogger("brownpaper.delivery")
T = TypeVar("T")
MOST_CONTENTIONS = 5
LONG_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
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


@dataclass(slots=True)
class Outcome:
    """What a committed transaction leaves to do: endings to report, events to publish, calls to make.

    `unread` are messages that cannot be read yet (a key is missing): they were not touched and are to be offered again later.
    """

    endings: list[tuple[Delivery, Ending]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    intents: list[IntentRow] = field(default_factory=list)
    unread: list[Delivery] = field(default_factory=list)


class Batches:
    """Runs deliveries through a door's methods.

    The leases are how long this process, the `writer`, may take to publish and to call.
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
    ) -> None:
        self._database, self._store_class, self._speaker, self._ladder = database, store_class, speaker, ladder
        self.writer, self.publish_lease, self.call_lease = writer, publish_lease, call_lease

    def run(self, door: object, read: Reader, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Handle these, commit, and say what came of it.

        Raises DatabaseUnavailable when waiting may help; what was committed of these by then comes again as `repeated`.
        """
        reach("received")
        readable = [delivery for delivery in deliveries if self._read(read, delivery)]
        reach("read")
        unread = Outcome(unread=[delivery for delivery in deliveries if delivery.message is None])
        if len(readable) > 1:
            try:
                return [self._one_transaction(door, readable), unread]
            except (Contended, psycopg.Error) as error:
                _log.info("batch_split", extra={"error": type(error).__name__, "batch": len(readable)})
        return [*(self._alone(door, delivery) for delivery in readable), unread]

    def _alone(self, door: object, delivery: Delivery) -> Outcome:
        refusals = 0
        for tries in range(MOST_CONTENTIONS + 3):
            try:
                return self._one_transaction(door, [delivery])
            except Contended:
                if tries < MOST_CONTENTIONS:
                    continue
                code = "contended"  # no race lasts so long: the rows themselves are in each other's way
            except psycopg.Error as error:
                # The class of the error only: its text may hold a value.
                code = f"database_{(error.sqlstate or 'error').lower()}"
            # Whatever of it the database would not take is left out, so that it can be parked: first what it asks for, then its claim.
            # Without a claim a replay could do it twice, so then its body is left out too.
            delivery.message, delivery.about = Parked(code), None
            refusals += 1
            if refusals > 1:
                delivery.claim = None
                if delivery.raw is not None:
                    delivery.raw.sealed, delivery.raw.about = False, None
        raise DatabaseUnavailable

    def _read(self, read: Reader, delivery: Delivery) -> bool:
        """Read a raw message; one that cannot be read ends as its `message`, an error, then says. False where it must wait unread."""
        raw = delivery.raw
        if raw is None or delivery.message is not None:
            return True
        if len(raw.body) > LONG_BODY_BYTES:
            eventlet.sleep(0)  # a long one takes a while: heartbeats and the others come in between
        try:
            reading = read(raw)
        except (DatabaseUnavailable, Contended):
            raise
        except TryLater:
            return False
        except (Parked, Refused) as error:
            delivery.message = error
        except Exception as error:
            delivery.message = Parked(f"unexpected_{type(error).__name__}")
        else:
            delivery.method, delivery.message, delivery.about = reading.method, reading.message, reading.about
            delivery.traceparent = reading.traceparent
            if delivery.held_id is None:  # what is held has its claim already
                delivery.claim = reading.claim
            raw.source, raw.id, raw.type, raw.sealed = reading.source, reading.id, reading.type, reading.sealed
            raw.about = reading.about
            raw.body = raw.body if reading.body is None else reading.body
        return True

    def _one_transaction(self, door: object, deliveries: Sequence[Delivery]) -> Outcome:
        at = datetime.now(UTC)
        with self._database.begin() as connection:
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
            self._write_endings(connection, outcome.endings, at)
            reach("endings_written")
            outcome.intents = self._write_intents(connection, recorder.intents, at)
            outcome.outbox = self._write_events(connection, recorder.outbox, at)
            reach("events_written")
        return outcome

    def _write_intents(self, connection: type_of_connection, intents: list[IntentRow], at: datetime) -> list[IntentRow]:
        """The intents that are new, under our lease: for this process to perform."""
        if not intents:
            return []
        leased_until = at + self.call_lease
        written = tables.write_intents(connection, intents, at, leased_until)
        return [replace(intent, leased_until=leased_until) for intent in intents if intent.id in written]

    def _write_events(self, connection: type_of_connection, rows: list[OutboxRow], at: datetime) -> list[OutboxRow]:
        """The events that this process may publish at once."""
        if not rows:
            return []
        waiting = tables.write_outbox(connection, rows, at, at + self.publish_lease, self.writer)
        return [row for row in rows if row.id not in waiting]

    def _handle(self, door: object, delivery: Delivery, work: Work[Any], unclaimed: _Unclaimed) -> Ending:
        """One delivery by its method; a failure takes back what this delivery saved and recorded, and nothing else."""
        if not unclaimed.take(delivery):
            return Ending("repeated")
        work.store.recorder.mark(delivery.traceparent)
        for shelf in work.store.shelves():
            shelf.mark()
        try:
            if isinstance(delivery.message, Exception):
                raise delivery.message
            result = getattr(door, delivery.method)(delivery.message, work)
        except (DatabaseUnavailable, Contended, psycopg.Error):
            raise  # the whole transaction is lost
        except Exception as error:
            ending = _ending_of(error, delivery)
        else:
            return result if isinstance(result, Ending) else Ending("done", result=result)
        work.store.recorder.rollback()
        for shelf in work.store.shelves():
            shelf.rollback()
        return ending

    def _write_endings(self, connection: type_of_connection, endings: list[tuple[Delivery, Ending]], at: datetime) -> None:
        settled, released = [], []
        for place, (delivery, ending) in enumerate(endings):
            if ending.kind == "repeated":
                continue  # its row, if it has one, is the business of the delivery that came first
            if delivery.intent_id is not None:
                if ending.kind == "done":
                    settled.append(delivery.intent_id)
                elif ending.kind == "later":
                    tables.put_off_intent(
                        connection, delivery.intent_id, delivery.lease, at + self._delay(delivery.tries, ending)
                    )
                else:
                    tables.park_intent(connection, delivery.intent_id, delivery.lease, ending.code)
            elif delivery.raw is not None:
                if ending.kind != "done":
                    endings[place] = (delivery, self._hold(connection, delivery, delivery.raw, ending, at))
                elif delivery.held_id is not None:
                    released.append(delivery.held_id)
        if settled:
            tables.settle_intents(connection, settled)
        if released:
            tables.release_held(connection, released)

    def _delay(self, tries: int, ending: Ending) -> timedelta:
        """As the ladder says, and no sooner than the party asked for."""
        return max(self._ladder.delay(tries), timedelta(seconds=ending.after_seconds or 0))

    def _hold(self, connection: type_of_connection, delivery: Delivery, raw: RawMessage, ending: Ending, at: datetime) -> Ending:
        tries = delivery.tries + 1
        if ending.kind != "later" or self._ladder.is_over(tries) or not raw.sealed:
            state, due_at = "parked", None
            ending = replace(ending, kind="parked") if ending.kind == "later" else ending
        else:
            state, due_at = "later", at + self._delay(tries, ending)
        tables.hold(
            connection,
            tables.HeldRow(
                id=delivery.held_id or uuid4(),
                state=state,
                queue=raw.queue,
                source=raw.source,
                event_id=raw.id,
                type=raw.type,
                reason=ending.code,
                faults=ending.faults,
                body=raw.body.decode() if raw.sealed else None,
                length=len(raw.body),
                headers=_headers(raw),
                tries=tries,
                first_at=delivery.first_at or at,
                last_at=at,
                due_at=due_at,
                shop=raw.about.shop if raw.about else None,
                order_number=raw.about.order_number if raw.about else None,
            ),
        )
        return ending


class _Unclaimed:
    """What of a batch nobody has done before: claims that are new, intents and held messages that still stand, each once."""

    def __init__(self, connection: type_of_connection, deliveries: Sequence[Delivery], at: datetime) -> None:
        self._claims = tables.claim(connection, (d.claim for d in deliveries if d.claim), at)
        intents = [d.intent_id for d in deliveries if d.intent_id]
        held = [d.held_id for d in deliveries if d.held_id]
        self._rows = tables.lock_intents(connection, intents) if intents else set()
        self._rows |= tables.lock_held(connection, held) if held else set()

    def take(self, delivery: Delivery) -> bool:
        """Whether this delivery is to be handled; a second one of the same is not."""
        if delivery.claim is not None and not _discard(self._claims, delivery.claim):
            return False
        row = delivery.intent_id or delivery.held_id
        return row is None or _discard(self._rows, row)


def _discard(names: set[T], name: T) -> bool:
    if name not in names:
        return False
    names.remove(name)
    return True


def _headers(raw: RawMessage) -> dict[str, Any]:
    """What is kept of how it came. Of what was not read in full only words of ours: a stranger may write any routing key."""
    is_ours = raw.sealed or raw.routing_key in topology.words_on(raw.exchange)
    kept: dict[str, Any] = {"exchange": raw.exchange, "routing_key": raw.routing_key} if is_ours else {}
    return {**kept, "death": dict(raw.death)} if raw.death else kept


def _ending_of(error: Exception, delivery: Delivery) -> Ending:
    match error:
        case TryLater():
            return Ending("later", error.code, after_seconds=error.after_seconds)
        case Parked():
            return Ending("parked", error.code, error.faults)
        case Refused():
            return Ending("refused", error.code, error.faults)
        case _:
            # The class and the place of the error only: its text may hold a value.
            _log.error("handler_failed", extra={"method": delivery.method, "error": type(error).__name__, "place": _place(error)})
            return Ending("parked", f"unexpected_{type(error).__name__}")


def _place(error: BaseException) -> str:
    """Where an error was raised, file and line of our own innermost frame: no text of it."""
    place, frame = "", error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_globals.get("__name__", "")
        if name.startswith(("services.", "shared.")):
            place = f"{name}:{frame.tb_lineno}"
        frame = frame.tb_next
    return place
