"""What a batch does with the outbox beside writing its own events: what is confirmed goes, what is in doubt is waited for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import eventlet
import pytest

from shared.contracts.events import PaymentCaptured
from shared.database import Database, DatabaseUnavailable
from shared.delivery import tables
from shared.delivery.amqp import Publisher
from shared.delivery.batch import Batches
from shared.delivery.confirmed import Confirmed
from shared.delivery.ladder import Ladder
from shared.delivery.relay import Relay
from shared.delivery.work import Delivery, OutboxRow, Store, Work
from tests.integration.conftest import DatabaseOf
from tests.integration.facts import wait_for

LEASE = timedelta(seconds=30)


def now() -> datetime:
    return datetime.now(UTC)


class NothingKept(Store):
    """A store that keeps nothing of its own."""

    def shelves(self) -> tuple[()]:
        return ()

    def prefetch(self, deliveries: object) -> None:
        pass


class Teller:
    """A door that says what it is asked to say, or loses its database on the way."""

    def carries_part(self, _delivery: Delivery) -> bool:
        return False

    def say(self, event: PaymentCaptured, work: Work[NothingKept]) -> None:
        work.tell(event)

    def lose(self, _event: PaymentCaptured, _work: Work[NothingKept]) -> None:
        raise DatabaseUnavailable


def captured(number: str, amount: str) -> PaymentCaptured:
    return PaymentCaptured(shop="https://shop.example", order_number=number, currency="USD", amount=amount)


def asked(method: str, event: PaymentCaptured) -> Delivery:
    return Delivery(method, event, lambda _ending: None, about=event.about())


@pytest.fixture
def database(database_of: DatabaseOf) -> Database:
    return database_of("payments")


@pytest.fixture
def confirmed() -> Confirmed:
    return Confirmed()


@pytest.fixture
def batches(database: Database, confirmed: Confirmed) -> Batches:
    leases = {"publish_lease": LEASE, "call_lease": LEASE}
    return Batches(database, NothingKept, "payments", Ladder(), writer=uuid.uuid4(), confirmed=confirmed, **leases)


def run(batches: Batches, *deliveries: Delivery) -> list[OutboxRow]:
    """Have these handled; what of their events this process may publish itself."""
    return [row for outcome in batches.run(Teller(), cast(Any, None), deliveries) for row in outcome.outbox]


def standing(database: Database) -> set[uuid.UUID]:
    with database.single() as connection:
        return {identity for (identity,) in connection.execute("select id from outbox")}


# ── what is confirmed ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_next_batch_forgets_what_is_confirmed(batches: Batches, confirmed: Confirmed, database: Database) -> None:
    first = run(batches, *(asked("say", captured(f"A-{place}", "1.00")) for place in range(5)))
    confirmed.add(row.id for row in first)
    then = run(batches, asked("say", captured("A-1", "2.00")))
    assert standing(database) == {row.id for row in then}
    assert not confirmed


def test_what_a_lost_transaction_was_to_forget_is_forgotten_by_the_next(
    batches: Batches, confirmed: Confirmed, database: Database
) -> None:
    first = run(batches, asked("say", captured("A-1", "1.00")))
    confirmed.add(row.id for row in first)
    with pytest.raises(DatabaseUnavailable):
        run(batches, asked("lose", captured("A-1", "2.00")))
    assert standing(database) == {row.id for row in first}
    then = run(batches, asked("say", captured("A-2", "1.00")))
    assert standing(database) == {row.id for row in then}


@pytest.fixture
def a_relay(vhost_uri: str, confirmed: Confirmed) -> Iterator[Callable[[Any], Relay]]:
    """Relays over the given database, at work until the end of the test."""
    made = []

    def make(database: Any) -> Relay:
        relay = Relay("payments", Publisher(vhost_uri, "test"), database, Ladder(), confirmed)
        made.append((relay, eventlet.spawn(relay.run)))
        return relay

    yield make
    for relay, at_work in made:
        relay.stop()
        at_work.wait()


def test_without_another_batch_the_relay_forgets(
    batches: Batches, a_relay: Callable[[Any], Relay], database: Database, confirmed: Confirmed
) -> None:
    a_relay(database).publish(run(batches, asked("say", captured("A-1", "1.00"))))
    wait_for(lambda: not standing(database), "the relay to forget what is confirmed")
    assert not confirmed


def test_while_the_database_is_away_nothing_is_lost_of_what_is_to_be_forgotten_and_the_broker_is_answered(
    batches: Batches, a_relay: Callable[[Any], Relay], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, answered, idle = [], [], Publisher.idle

    def note(publisher: Publisher) -> None:
        answered.append(len(tried))
        idle(publisher)

    monkeypatch.setattr(Publisher, "idle", note)

    class Away:
        """Answers from the third try on."""

        @contextmanager
        def single(self) -> Iterator[Any]:
            tried.append(len(standing(database)))
            if len(tried) < 3:
                raise DatabaseUnavailable
            with database.single() as connection:
                yield connection

    a_relay(Away()).publish(run(batches, asked("say", captured("A-1", "1.00"))))
    wait_for(lambda: not standing(database), "the relay to forget at its third try")
    assert tried == [1, 1, 1]
    assert answered == [0, 1, 2], "as it begins, and after each try that found no database"


def test_many_that_no_batch_takes_are_forgotten_meanwhile(
    batches: Batches, a_relay: Callable[[Any], Relay], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.delivery.relay.MOST_ROWS", 3)
    monkeypatch.setattr("shared.delivery.relay.SOON_SECONDS", 600)
    rows = run(batches, *(asked("say", captured(f"A-{place}", "1.00")) for place in range(7)))
    relay = a_relay(database)
    for start in range(0, 7, 2):
        relay.publish(rows[start : start + 2])
    wait_for(lambda: len(standing(database)) < 3, "the relay to forget while it waits for a batch")


# ── a commit in doubt ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_commit_in_doubt_wrote_is_waited_for_by_the_later_events_of_its_order(
    database: Database, batches: Batches
) -> None:
    def ask(number: str, amount: str, *, is_answer_lost: bool = False) -> list[str]:
        """Handle one, and give what this process may publish of it."""
        saying = asked("say", captured(number, amount))
        together = database.together

        @contextmanager
        def commits_without_an_answer() -> Iterator[Any]:
            with together() as connection:
                yield connection
            raise DatabaseUnavailable

        if not is_answer_lost:
            return [json.loads(it.body)["data"]["amount"] for it in run(batches, saying)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database, "together", commits_without_an_answer)
            with pytest.raises(DatabaseUnavailable):
                run(batches, saying)
        return []

    assert ask("A-1", "1.00") == ["1.00"]
    assert ask("A-2", "1.00", is_answer_lost=True) == []
    assert ask("A-2", "2.00") == [], "it would overtake what stands in the table and in nobody's line"
    assert ask("B-1", "1.00") == ["1.00"], "another order waits for nothing"
    with database.begin() as connection:
        after = now() + 2 * LEASE
        swept = tables.lease_outbox(connection, after, after + LEASE, 10, batches.writer)
    assert [json.loads(it.body)["data"]["amount"] for it in swept if it.subject.endswith("A-2")] == ["1.00"]
