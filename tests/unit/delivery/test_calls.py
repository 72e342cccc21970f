"""Calls on clocks and a database of the test: who may call, and when."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says on import that it is maintained, but no more; nothing is patched by it
    import eventlet
    from eventlet.event import Event as Happening

from services.payments.domain import Payment
from shared.contracts.errors import TryLater
from shared.contracts.values import Money, OrderKey
from shared.database import DatabaseUnavailable
from shared.delivery import calls as calls_module
from shared.delivery.calls import Calls
from shared.delivery.routes import Routes
from shared.delivery.work import Ending, IntentRow
from tests.unit.delivery.doors import PaymentsService, routes_of

LEASE_SECONDS, CALL_SECONDS = 30.0, 20.0
KIND, OTHER_KIND = "capture_payment", "forget_friend"
ABOUT = OrderKey("https://shop.example", "A-1")
SLOTS = 4


@dataclass
class Place:
    """Calls with what they did; the monotonic clock stands at `seconds`."""

    seconds: float = 1000.0
    is_ours: bool = True
    renewed: int = 0
    while_renewing: Callable[[], None] = lambda: None
    called: list[str] = field(default_factory=list)
    answered: Happening = field(default_factory=Happening)

    def __post_init__(self) -> None:
        routes = self.routes = Routes()
        routes.perform(KIND, "call", party_in="provider")
        routes.perform(OTHER_KIND, "call", party="keyring")
        settings = SimpleNamespace(calls_in_flight=SLOTS, call_seconds=CALL_SECONDS, lease_seconds=LEASE_SECONDS, doubt_seconds=0)
        container = SimpleNamespace(service_name="payments")
        self.calls = Calls(*cast(Any, (container, settings, self, routes, lambda delivery: delivery.on_end(Ending("done")))))

    @contextmanager
    def begin(self) -> Iterator[Any]:
        yield SimpleNamespace(execute=self._execute)
        self.renewed += 1
        self.while_renewing()

    def _execute(self, _statement: str, values: Sequence[Any]) -> list[tuple[Any]]:
        return [(identity,) for identity in values[1]] if self.is_ours else []

    def call(self, intent: IntentRow) -> str:
        self.called.append(intent.key)
        if intent.details.get("provider") == "silent":
            self.answered.wait()
        return "answered"

    def make(self, intents: Sequence[IntentRow]) -> None:
        """Have them performed, and give every greenthread its turn until all is done that can be."""
        self.calls.perform(intents)
        for _ in range(20):
            eventlet.sleep(0)

    def intent(self, *, left_seconds: float, by_the_wall: float | None = None) -> IntentRow:
        """One whose lease lasts for so long yet."""
        until = datetime.now(UTC) + timedelta(seconds=left_seconds if by_the_wall is None else by_the_wall)
        return IntentRow(uuid4(), KIND, ABOUT, "k", {}, leased_until=until, ours_until=self.seconds + left_seconds)

    def intents(self, key: str, *, of: str = "", kind: str = KIND, count: int = 1) -> list[IntentRow]:
        """Fresh ones for this party."""
        fresh = self.intent(left_seconds=LEASE_SECONDS)
        return [replace(fresh, id=uuid4(), key=key, kind=kind, details={"provider": of} if of else {}) for _ in range(count)]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    it = Place()
    monkeypatch.setattr(calls_module, "monotonic", lambda: it.seconds)
    monkeypatch.setattr(calls_module, "run_worker", lambda _container, _entrypoint, kind, group: it.calls.make(it, kind, group))
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


def test_what_waits_for_its_turn_stays_this_process_s_own(place: Place) -> None:
    """Else two processes take it from each other until it looks as if it had killed them."""
    waiting = place.intents("silent", of="silent", count=3 * SLOTS)
    place.make(waiting)
    place.seconds += LEASE_SECONDS
    for intent in waiting:
        intent.leased_until = datetime.now(UTC) + timedelta(seconds=1)
    at = datetime.now(UTC)
    place.calls.renew_leases(at)
    assert {intent.leased_until for intent in waiting} == {at + timedelta(seconds=LEASE_SECONDS)}
    place.calls.renew_leases(at)
    assert place.renewed == 1, "one statement for all, and none where nothing ends soon"
    place.answered.send(None)
    for _ in range(20):
        eventlet.sleep(0)
    assert len(place.called) == len(waiting)
    place.calls.renew_leases(at + timedelta(seconds=LEASE_SECONDS))
    assert place.renewed == 1


def test_what_there_is_no_room_for_is_given_back_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its lease it would stand still for half a minute in every burst."""
    given_back: list[Any] = []
    monkeypatch.setattr(calls_module, "MOST_OF_ONE_PARTY", SLOTS)
    monkeypatch.setattr(calls_module.tables, "renew_leases", lambda _connection, old, _new: given_back.extend(old) or [])
    burst = place.intents("silent", of="silent", count=3 * SLOTS)
    place.make(burst)
    assert given_back == [intent.id for intent in burst[SLOTS:]]
    place.make(burst[:1])
    assert len(given_back) == 2 * SLOTS, "what is in hand stays"


def test_what_cannot_be_prepared_now_waits_on_the_ladder(place: Place) -> None:
    """The keys may be away for an hour: taken up again and again it would look deadly."""
    settled: list[Any] = []

    def prepare(_intents: Sequence[IntentRow]) -> None:
        raise TryLater("key_service_refuses")

    vars(place)["prepare"] = prepare
    place.routes.prepare(KIND, "prepare")
    place.calls._submit = lambda delivery: (settled.append(delivery.message), delivery.on_end(Ending("later")))
    place.make(place.intents("k", count=3))
    assert [(type(it), it.code) for it in settled] == [(TryLater, "key_service_refuses")] * 3
    assert (place.called, place.calls.in_hand) == ([], frozenset())


def test_an_error_of_ours_before_a_call_leaves_nothing_in_hand(place: Place) -> None:
    def fail() -> None:
        raise ValueError

    place.while_renewing = fail
    place.make([place.intent(left_seconds=1) for _ in range(3 * SLOTS)])
    assert (place.called, place.calls.in_hand) == ([], frozenset())


# ── parties ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_silent_party_holds_up_no_other(place: Place) -> None:
    silent = place.intents("silent", of="silent", count=10 * SLOTS)
    place.make([*silent, *place.intents("beside", of="quick")])
    assert place.called == [*["silent"] * SLOTS, "beside"], "handed over together, and each party has slots of its own"
    place.make(place.intents("later", of="quick", count=10 * SLOTS))
    place.make(place.intents("forget", kind=OTHER_KIND))
    assert place.called[SLOTS + 1 :] == [*["later"] * 10 * SLOTS, "forget"]
    place.answered.send(None)
    place.make([])
    assert place.called.count("silent") == len(silent), "all in the end"
    assert place.calls.in_hand == frozenset()


def test_what_waits_for_a_silent_party_leaves_room_for_others_and_is_not_swept(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "MOST_IN_HAND", 20)
    monkeypatch.setattr(calls_module, "MOST_OF_ONE_PARTY", 12)
    monkeypatch.setattr(calls_module, "MOST_SWEPT", 5)
    place.make(place.intents("silent", of="silent", count=7))
    assert (place.calls.has_room, place.calls.no_room_for) == (True, [])
    place.make(place.intents("silent", of="silent", count=30))
    assert len(place.calls.in_hand) == 12
    assert (place.calls.has_room, place.calls.no_room_for) == (True, [(KIND, {"provider": "silent"})])
    place.make(place.intents("quick", of="quick", count=5))
    assert place.called.count("quick") == 5
    place.answered.send(None)
    place.make([])
    assert (place.calls.in_hand, place.calls.no_room_for) == (frozenset(), [])
    assert place.called.count("silent") == 12, "the others stand in the table"


@pytest.mark.parametrize("company", ["paypal", "2checkout"])
def test_each_payment_company_is_a_party_of_its_own(company: str) -> None:
    routes, at = routes_of(PaymentsService), datetime(2026, 11, 22, tzinfo=UTC)
    payment = Payment(key=ABOUT)
    payment.entrust(customer_id="m-1", provider=company, reference="r", money=Money(100, "USD"), billing=None, at=at)
    payment.note_authorised("a", at)
    payment.note_label()
    assert [routes.party_of(intent.kind, intent.details) for intent in payment.intents] == [company] * 2
    assert routes.intents_for(company) == [(intent.kind, {"provider": company}) for intent in payment.intents]
