"""The line in front of a service: whatever waits becomes a batch, a batch a transaction, and what a transaction leaves is done.

Messages from the queues, outcomes of calls and asks over HTTP all stand in it. One greenthread works it off.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic, perf_counter

import eventlet
from eventlet.event import Event as Happening
from eventlet.queue import Empty, Queue

from shared import metrics
from shared.contracts.errors import TryLater
from shared.database import DatabaseUnavailable
from shared.delivery.batch import Outcome
from shared.delivery.steps import reach
from shared.delivery.work import Delivery, Ending
from shared.logs import info_of_each

_log = logging.getLogger("brownpaper.delivery")
_STOP = object()
MOST_BATCH_BYTES = 2 * 1024 * 1024
MOST_WAITING_ASKS = 2000
BUSY_DELIVERIES, HALF_LIFE_SECONDS = 4, 0.05
UNREAD_SECONDS = 1  # after which a message that could not be read yet is offered again


class Rate:
    """How many deliveries came of late, each counting half after `HALF_LIFE_SECONDS`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._count, self._noted_at = 0.0, clock()

    def note(self, deliveries: int) -> None:
        self._count, self._noted_at = self._now() + deliveries, self._clock()

    def is_busy(self) -> bool:
        """Whether more come than one order alone brings about."""
        return self._now() >= BUSY_DELIVERIES

    def _now(self) -> float:
        halves: float = 0.5 ** ((self._clock() - self._noted_at) / HALF_LIFE_SECONDS)
        return self._count * halves


class Line:
    """`run_batch` handles deliveries and gives what was committed; `after_commit` publishes, calls and acknowledges.

    `linger_seconds` is how long a busy process waits for a fuller batch. `is_known` tells the kinds that a log line
    or a metric may name.
    """

    def __init__(
        self,
        service: str,
        run_batch: Callable[[list[Delivery]], list[Outcome]],
        after_commit: Callable[[Outcome], None],
        *,
        batch_size: int,
        linger_seconds: float,
        is_known: Callable[[str], bool],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._service, self._run_batch, self._after_commit = service, run_batch, after_commit
        self._batch_size, self._linger_seconds, self._is_known = batch_size, linger_seconds, is_known
        self._waiting: Queue = Queue()
        self._rate = Rate(clock)
        self._is_working = False
        self._asking: set[Happening] = set()
        self.is_stopping = False

    @property
    def is_idle(self) -> bool:
        return not self._is_working and self._waiting.empty()

    @property
    def has_room(self) -> bool:
        """Whether what waits here is so little that what can wait elsewhere may come too."""
        waiting: int = self._waiting.qsize()
        return waiting < self._batch_size

    def submit(self, delivery: Delivery) -> None:
        """Have this handled in one of the next batches; `on_end` tells how it ended."""
        self._waiting.put(delivery)

    def ask(self, asks: Sequence[Delivery], timeout_seconds: float = 15) -> list[Ending]:
        """Have these handled and wait for their endings, in the order given.

        Raises TryLater when too much waits already, when the process is stopping, or when it takes too long; what was asked may then be
        done all the same, so asks must be safe to repeat.
        """
        if self.is_stopping or self._waiting.qsize() > MOST_WAITING_ASKS:
            raise TryLater("service_busy")
        endings: dict[int, Ending] = {}
        happening = Happening()

        def note(place: int, ending: Ending) -> None:
            endings[place] = ending
            if len(endings) == len(asks) and not happening.ready():
                happening.send(None)

        for place, delivery in enumerate(asks):
            delivery.on_end, delivery.is_asked = partial(note, place), True
            self.submit(delivery)
        if asks:
            self._asking.add(happening)
            try:
                with eventlet.Timeout(timeout_seconds, False):
                    happening.wait()
            finally:
                self._asking.discard(happening)
            if len(endings) < len(asks):
                raise TryLater("service_busy")
        return [endings[place] for place in range(len(asks))]

    def stop(self) -> None:
        """Let `run` return when it has worked off what waits."""
        self._waiting.put(_STOP)

    def run(self) -> None:
        while (first := self._waiting.get()) is not _STOP:
            self._is_working = True
            # A lone message goes at once; a busy process waits a moment for a fuller batch, unless one stands there already.
            is_full = self._waiting.qsize() + 1 >= self._batch_size
            eventlet.sleep(0 if is_full or not self._rate.is_busy() else self._linger_seconds)
            deliveries = self._fill(first)
            self._rate.note(len(deliveries))
            self._work_off(deliveries)
            self._is_working = False

    def _fill(self, first: Delivery) -> list[Delivery]:
        deliveries, length = [first], _length(first)
        while len(deliveries) < self._batch_size and length < MOST_BATCH_BYTES:
            try:
                delivery = self._waiting.get_nowait()
            except Empty:
                break
            if delivery is _STOP:
                self._waiting.put(_STOP)
                break
            deliveries.append(delivery)
            length += _length(delivery)
        return deliveries

    def _work_off(self, deliveries: list[Delivery]) -> None:
        delay_seconds = 0.1
        while True:
            started = perf_counter()
            try:
                outcomes = self._run_batch(deliveries)
            except DatabaseUnavailable:
                _log.warning("database_unavailable", extra={"batch": len(deliveries)})
                if self.is_stopping:
                    self._give_up()
                    return
                eventlet.sleep(delay_seconds)
                delay_seconds = min(delay_seconds * 2, 5)
            else:
                break
        for outcome in outcomes:
            self._finish(outcome, perf_counter() - started)

    def _give_up(self) -> None:
        """Nothing is acknowledged: the messages come again. Whoever asks need not wait."""
        for happening in self._asking:
            if not happening.ready():
                happening.send(None)

    def _finish(self, outcome: Outcome, seconds: float) -> None:
        for delivery in outcome.unread:
            eventlet.spawn_after(UNREAD_SECONDS, self.submit, delivery)
        if not outcome.endings:
            return
        reach("committed")
        if any(delivery.intent_id for delivery, _ in outcome.endings):
            reach("outcome_committed")
        metrics.batch_size.labels(self._service).observe(len(outcome.endings))
        for delivery, ending in outcome.endings:
            delivery.on_end(ending)
        self._after_commit(outcome)
        self._tell(outcome.endings, seconds)

    def _tell(self, endings: list[tuple[Delivery, Ending]], seconds: float) -> None:
        """Count and log what was done, after the work that it led to is under way."""
        named = [(delivery, ending, self._kind_of(delivery)) for delivery, ending in endings]
        for (kind, ended), times in Counter((kind, ending.kind) for _, ending, kind in named).items():
            metrics.messages.labels(self._service, kind, ended).inc(times)
        milliseconds = round(seconds * 1000, 1)
        info_of_each(
            _log,
            "handled",
            (
                {
                    "type": kind,
                    "id": delivery.raw.id if delivery.raw else None,
                    "order_number": delivery.about.order_number if delivery.about else None,
                    "ending": ending.kind,
                    "code": ending.code or None,
                    "tries": delivery.tries or None,
                    "batch": len(endings),
                    "milliseconds": milliseconds,
                    "traceparent": delivery.traceparent,
                }
                for delivery, ending, kind in named
            ),
        )

    def _kind_of(self, delivery: Delivery) -> str:
        kind = (delivery.raw.type if delivery.raw else None) or delivery.method
        return kind if self._is_known(kind) else "unknown"


def _length(delivery: Delivery) -> int:
    return len(delivery.raw.body) if delivery.raw else 0
