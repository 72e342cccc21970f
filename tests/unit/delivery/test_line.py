"""The line in front of a service, on a clock that stands still: who goes at once, who lingers, and what stopping leaves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says on import that it is maintained, but no more; nothing is patched by it
    import eventlet

from shared.contracts.errors import TryLater
from shared.database import DatabaseUnavailable
from shared.delivery import line as line_module
from shared.delivery.batch import Outcome
from shared.delivery.line import HALF_LIFE_SECONDS, MOST_BATCH_BYTES, MOST_WAITING_ASKS, UNREAD_SECONDS, Line, Rate
from shared.delivery.work import Delivery, Ending, RawMessage

LINGER_SECONDS = 0.004
BATCH_SIZE = 20
NO_TIME = eventlet.sleep


@dataclass
class Place:
    """A line with what it did: the batches it ran, what it slept, what was ended and finished."""

    slept: list[float] = field(default_factory=list)
    batches: list[list[Delivery]] = field(default_factory=list)
    finished: list[Outcome] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    while_running: Callable[[list[Delivery]], None] = lambda _deliveries: None
    unread: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.line = Line(
            "payments",
            self.run_batch,
            self.finished.append,
            batch_size=BATCH_SIZE,
            linger_seconds=LINGER_SECONDS,
            is_known=lambda kind: kind == "label_created",
            clock=lambda: 100.0,
        )

    def run_batch(self, deliveries: list[Delivery]) -> list[Outcome]:
        self.batches.append(deliveries)
        self.while_running(deliveries)
        unread = [it for it in deliveries if it.method in self.unread]
        return [Outcome(endings=[(it, Ending("done", result=it.method)) for it in deliveries if it not in unread], unread=unread)]

    def delivery(self, name: str, *, body: bytes | None = None) -> Delivery:
        raw = None if body is None else RawMessage("payments.events", body)
        return Delivery(name, name, lambda ending: self.ended.append(f"{name} {ending.kind}"), raw=raw)

    def submit(self, *names: str) -> None:
        for name in names:
            self.line.submit(self.delivery(name))

    def names(self) -> list[list[str]]:
        return [[it.method for it in batch] for batch in self.batches]

    def run_all(self) -> None:
        """Work off what waits, and stop."""
        self.line.stop()
        self.line.run()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    it = Place()

    def sleep(seconds: float = 0) -> None:
        it.slept.append(seconds)
        NO_TIME(0)

    def spawn_after(seconds: float, do: Callable[..., None], *args: object) -> None:
        it.slept.append(seconds)
        do(*args)

    monkeypatch.setattr(line_module.eventlet, "sleep", sleep)
    monkeypatch.setattr(line_module.eventlet, "spawn_after", spawn_after)
    return it


def some(count: int, of: str = "m") -> list[str]:
    return [f"{of}{number}" for number in range(count)]


def work_through(place: Place) -> None:
    """Let it work until nothing is left to do, and stop it then."""
    worker = eventlet.spawn(place.line.run)
    NO_TIME(0)
    while not place.line.is_idle:
        NO_TIME(0)
    place.line.stop()
    worker.wait()


# ── lone and busy ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lone_message_goes_at_once(place: Place) -> None:
    worker = eventlet.spawn(place.line.run)
    for name in ("a", "b", "c"):
        NO_TIME(0)  # the line waits by now
        place.submit(name)
        for _ in range(3):
            NO_TIME(0)
    place.line.stop()
    worker.wait()
    assert place.names() == [["a"], ["b"], ["c"]]
    assert place.slept == [0, 0, 0]


def test_what_waits_together_is_one_batch_and_no_larger_than_allowed(place: Place) -> None:
    place.submit(*some(BATCH_SIZE + 1))
    place.run_all()
    assert place.names() == [some(BATCH_SIZE), [f"m{BATCH_SIZE}"]]


@pytest.mark.parametrize(("size", "busy"), [(1, False), (3, False), (4, True), (20, True)])
def test_a_busy_process_lingers_for_a_fuller_batch(size: int, busy: bool, place: Place) -> None:
    place.submit(*some(size))
    place.while_running = lambda _batch: place.submit("next") if len(place.batches) == 1 else None
    work_through(place)
    assert place.names() == [some(size), ["next"]]
    assert place.slept == [0, LINGER_SECONDS if busy else 0]


def test_a_full_batch_that_stands_already_is_not_lingered_for(place: Place) -> None:
    place.submit(*some(BATCH_SIZE))
    place.while_running = lambda _batch: place.submit(*some(BATCH_SIZE)) if len(place.batches) == 1 else None
    work_through(place)
    assert place.names() == [some(BATCH_SIZE)] * 2
    assert place.slept == [0, 0]


def test_what_came_some_time_ago_makes_no_process_busy() -> None:
    at = [100.0]
    rate = Rate(lambda: at[0])
    rate.note(100)
    assert rate.is_busy()
    at[0] += HALF_LIFE_SECONDS * 5  # a thirty-second part of them
    assert not rate.is_busy()
    rate.note(1)
    assert rate.is_busy(), "what is left of them counts"


def test_what_comes_while_it_lingers_is_in_the_same_batch(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.submit(*some(5))
    place.while_running = lambda _batch: place.submit("first") if len(place.batches) == 1 else None

    def sleep(seconds: float = 0) -> None:
        if seconds:
            place.submit("second", "third")

    monkeypatch.setattr(line_module.eventlet, "sleep", sleep)
    work_through(place)
    assert place.names() == [some(5), ["first", "second", "third"]]


def test_large_messages_make_small_batches(place: Place) -> None:
    body = b"x" * (MOST_BATCH_BYTES // 2)
    for name in some(5):
        place.line.submit(place.delivery(name, body=body))
    place.run_all()
    assert place.names() == [["m0", "m1"], ["m2", "m3"], ["m4"]]


# ── asks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_asks_get_their_endings_in_the_order_asked(place: Place) -> None:
    worker = eventlet.spawn(place.line.run)
    assert [ending.result for ending in place.line.ask([place.delivery(name) for name in ("a", "b", "c")])] == ["a", "b", "c"]
    assert place.line.ask([]) == []
    place.line.stop()
    worker.wait()


def test_an_ask_that_takes_too_long_is_told_so_and_its_late_ending_harms_nobody(place: Place) -> None:
    with pytest.raises(TryLater, match=r"^service_busy$"):
        place.line.ask([place.delivery("a"), place.delivery("b")], timeout_seconds=0)
    place.run_all()
    assert place.names() == [["a", "b"]], "it is done all the same"


def test_where_too_much_waits_or_nothing_new_is_taken_an_ask_is_turned_away(place: Place) -> None:
    place.submit(*some(MOST_WAITING_ASKS + 1))
    with pytest.raises(TryLater, match=r"^service_busy$"):
        place.line.ask([place.delivery("a")])
    place.run_all()
    place.line.is_stopping = True
    with pytest.raises(TryLater, match=r"^service_busy$"):
        place.line.ask([place.delivery("a")])
    assert place.line.is_idle


# ── stopping, and a database that is away ────────────────────────────────────────────────────────────────────────────────────


def test_stopping_works_off_what_waits(place: Place) -> None:
    place.submit(*some(BATCH_SIZE * 2 + 3))
    place.line.stop()
    place.submit("behind the stop")  # the outcome of a call that ended meanwhile
    place.line.run()
    assert [name for batch in place.names() for name in batch] == [*some(BATCH_SIZE * 2 + 3), "behind the stop"]
    assert len(place.ended) == BATCH_SIZE * 2 + 4
    assert len(place.finished) == len(place.batches)
    assert place.line.is_idle


def test_it_is_idle_only_when_nothing_waits_and_nothing_is_being_done(place: Place) -> None:
    seen: list[bool] = []
    place.while_running = lambda _batch: seen.append(place.line.is_idle)
    assert place.line.is_idle
    place.submit("a")
    assert not place.line.is_idle
    place.run_all()
    assert (seen, place.line.is_idle) == ([False], True)


def test_while_the_database_is_away_the_same_batch_is_tried_again_with_growing_delays(place: Place) -> None:
    def fail_thrice(_batch: list[Delivery]) -> None:
        if len(place.batches) <= 7:
            raise DatabaseUnavailable

    place.while_running = fail_thrice
    place.submit("a", "b")
    place.run_all()
    assert place.names() == [["a", "b"]] * 8
    assert place.slept == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5]
    assert place.ended == ["a done", "b done"]


def test_a_database_that_is_away_while_stopping_leaves_the_messages_unacknowledged(place: Place) -> None:
    def fail(_batch: list[Delivery]) -> None:
        raise DatabaseUnavailable

    place.while_running = fail
    place.line.is_stopping = True
    place.submit("a")
    place.run_all()
    assert (place.names(), place.ended, place.finished) == ([["a"]], [], [])


def test_who_asks_for_what_is_given_up_need_not_wait(place: Place) -> None:
    def fail(_batch: list[Delivery]) -> None:
        place.line.is_stopping = True
        raise DatabaseUnavailable

    place.while_running = fail
    asking = eventlet.spawn(place.line.ask, [place.delivery("a"), place.delivery("b")], timeout_seconds=3600)
    NO_TIME(0)
    place.run_all()
    with eventlet.Timeout(60), pytest.raises(TryLater, match=r"^service_busy$"):
        asking.wait()
    assert (place.names(), place.ended) == ([["a", "b"]], [])


def test_what_cannot_be_read_yet_is_offered_again_after_a_while(place: Place) -> None:
    place.unread = {"a"}

    def mend(_batch: list[Delivery]) -> None:
        if len(place.batches) == 3:
            place.unread = set()

    place.while_running = mend
    place.submit("a", "b")
    work_through(place)
    assert place.names() == [["a", "b"], ["a"], ["a"]]
    assert place.ended == ["b done", "a done"]
    assert place.slept.count(UNREAD_SECONDS) == 2
