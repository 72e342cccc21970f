"""Calls on clocks and a database of the test: who may call, and when."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says on import that it is maintained, but no more; nothing is patched by it
    import eventlet

from shared.contracts.values import OrderKey
from shared.database import DatabaseUnavailable
from shared.delivery import calls as calls_module
from shared.delivery.calls import Calls
from shared.delivery.routes import Routes
from shared.delivery.work import IntentRow

LEASE_SECONDS, CALL_SECONDS = 30.0, 20.0
KIND = "capture_payment"


@dataclass
class Place:
    """Calls with what they did; the monotonic clock stands at `seconds`."""

    seconds: float = 1000.0
    is_ours: bool = True
    renewed: int = 0
    while_renewing: Callable[[], None] = lambda: None
    called: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        routes = Routes()
        routes.perform(KIND, "call")
        settings = SimpleNamespace(calls_in_flight=4, call_seconds=CALL_SECONDS, lease_seconds=LEASE_SECONDS, doubt_seconds=0)
        container = SimpleNamespace(service_name="payments")
        self.calls = Calls(*cast(Any, (container, settings, self, routes, lambda _delivery: None)))

    @contextmanager
    def begin(self) -> Iterator[Any]:
        yield SimpleNamespace(execute=lambda *_: SimpleNamespace(rowcount=int(self.is_ours)))
        self.renewed += 1
        self.while_renewing()

    def call(self, intent: IntentRow) -> str:
        self.called.append(intent.key)
        return "answered"

    def make(self, intents: Sequence[IntentRow]) -> None:
        eventlet.spawn(self.calls.make, self, KIND, intents).wait()

    def intent(self, *, left_seconds: float, by_the_wall: float | None = None) -> IntentRow:
        """One whose lease lasts for so long yet."""
        until = datetime.now(UTC) + timedelta(seconds=left_seconds if by_the_wall is None else by_the_wall)
        about = OrderKey("https://shop.example", "A-1")
        return IntentRow(uuid4(), KIND, about, "k", {}, leased_until=until, ours_until=self.seconds + left_seconds)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    it = Place()
    monkeypatch.setattr(calls_module, "monotonic", lambda: it.seconds)
    return it


def test_under_a_fresh_lease_a_call_is_made_at_once(place: Place) -> None:
    place.make([place.intent(left_seconds=LEASE_SECONDS)])
    assert (place.called, place.renewed) == (["k"], 0)


def test_a_lease_that_the_call_may_outlast_is_renewed_first(place: Place) -> None:
    place.make([place.intent(left_seconds=CALL_SECONDS)])
    assert (place.called, place.renewed) == (["k"], 1)


@pytest.mark.parametrize("by_the_wall", [-1.0, 3600.0])
def test_a_call_whose_lease_is_over_and_another_s_is_not_made_whatever_the_wall_says(place: Place, by_the_wall: float) -> None:
    """The wall's clock may have been set back meanwhile."""
    place.is_ours = False
    place.make([place.intent(left_seconds=-1, by_the_wall=by_the_wall)])
    assert (place.called, place.calls.in_hand) == ([], frozenset())


def test_a_machine_that_was_suspended_does_not_trust_its_monotonic_clock(place: Place) -> None:
    place.is_ours = False
    place.make([place.intent(left_seconds=LEASE_SECONDS, by_the_wall=-1)])
    assert place.called == []


def test_a_renewal_that_took_longer_than_its_lease_makes_no_call(place: Place) -> None:
    """The commit waited for a standby, or the process for its turn: by now another may have taken it over."""

    def wait_long() -> None:
        place.seconds += LEASE_SECONDS

    place.while_renewing = wait_long
    place.make([place.intent(left_seconds=1)])
    assert (place.called, place.renewed, place.calls.in_hand) == ([], 1, frozenset())


def test_a_renewal_of_which_nobody_knows_makes_no_call(place: Place) -> None:
    def go_away() -> None:
        raise DatabaseUnavailable

    place.while_renewing = go_away
    place.make([place.intent(left_seconds=1)])
    assert place.called == []
