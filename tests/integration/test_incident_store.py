"""How many persons had something somewhere in a window of time, by the policy's own times, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from services.orders.incident_store import IncidentReads
from services.orders.incidents import People, windows_of
from services.orders.store import OrdersStore
from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery.work import Recorder
from shared.policy import load
from tests.builders import an_order
from tests.fix_servers import DatabaseUrl

ONE, TWO = "https://one.example", "https://two.example"
PLACED = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PARTS = ("recipient", "billing", "references")


@pytest.fixture
def database(database_url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")  # as the services do: see shared.database
    it = Database(database_url("orders"), name="test")
    yield it
    it.close()


def keep(database: Database, number: str, customer: str, shop: str = ONE, **facts: datetime) -> None:
    with database.begin() as connection:
        store = OrdersStore(connection, Recorder("orders", PLACED))
        order = an_order(OrderKey(shop, number), customer_id=customer, placed_at=PLACED, at=PLACED)
        order.facts = {"accepted": PLACED, **facts}
        store.save(order)
        for shelf in store.shelves():
            shelf.flush()


def counted(database: Database, since: datetime, until: datetime) -> dict[str, int]:
    by_part, _ = IncidentReads(database).people(windows_of(load(), PARTS), since, until)
    return {part: people.persons for part, people in by_part.items()}


def test_a_part_counts_from_its_order_until_its_time_is_over(database: Database) -> None:
    authorised, delivered = PLACED + 2 * DAY, PLACED + 10 * DAY
    keep(database, "A-1", "c-1", payment_authorised=authorised, shipment_delivered=delivered)
    everything = {"recipient": 1, "billing": 1, "references": 1}
    assert counted(database, PLACED - 2 * DAY, PLACED - DAY) == dict.fromkeys(PARTS, 0)
    assert counted(database, PLACED - DAY, PLACED) == everything
    assert counted(database, authorised, authorised) == everything
    assert counted(database, authorised + DAY, authorised + 2 * DAY) == {**everything, "billing": 0}
    assert counted(database, delivered + 60 * DAY, delivered + 90 * DAY) == {**everything, "billing": 0}
    after = delivered + 60 * DAY + timedelta(seconds=1)
    assert counted(database, after, after + 1000 * DAY) == {"recipient": 0, "billing": 0, "references": 1}


def test_what_has_not_ended_stands_however_long(database: Database) -> None:
    keep(database, "A-1", "c-1")
    assert counted(database, PLACED + 400 * DAY, PLACED + 401 * DAY) == {"recipient": 1, "billing": 1, "references": 1}


def test_persons_are_counted_once_and_those_of_two_shops_are_two(database: Database) -> None:
    keep(database, "A-1", "c-1")
    keep(database, "A-2", "c-1")
    keep(database, "A-3", "c-2")
    keep(database, "A-1", "c-1", shop=TWO)
    by_part, together = IncidentReads(database).people(windows_of(load(), PARTS), PLACED, PLACED + DAY)
    assert by_part == dict.fromkeys(PARTS, People(3, 0))
    assert together == People(3, 0)


def test_who_was_erased_since_is_counted_by_the_orders_at_most(database: Database) -> None:
    keep(database, "A-1", "")
    keep(database, "A-2", "")
    keep(database, "A-3", "c-1")
    _, together = IncidentReads(database).people(windows_of(load(), PARTS), PLACED, PLACED + DAY)
    assert together == People(1, 2)


def test_nothing_is_counted_where_nothing_stands(database: Database) -> None:
    keep(database, "A-1", "c-1")
    assert IncidentReads(database).people([], PLACED, PLACED + DAY) == ({}, People(0, 0))
