"""Rows of friends and special requests in a real database: one mark for two at a time, and what a restored backup must lose again."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notifications import friend_store, inquiry_store
from services.notifications.friends import Invitation
from services.notifications.inquiries import SpecialRequest
from services.notifications.persons import NotificationsPersons
from services.notifications.retention import REQUESTS, NotificationsRetention
from shared.contracts.errors import Parked
from shared.contracts.values import OrderKey
from shared.custody.journal import Erased, apply_to_rows
from shared.database import Database
from shared.retention import Due
from tests.integration.conftest import DatabaseOf

SHOP = "https://shop.example"
AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
MONTH = timedelta(days=30)
BOX: dict[str, Any] = {"box": "", "policy_version": "1", "form": "part"}


@pytest.fixture
def database(database_of: DatabaseOf) -> Database:
    return database_of("notifications")


def add(database: Database, customer: str, number: str) -> None:
    """An order, a request and an invitation of one person, all under the same number."""
    request = SpecialRequest(shop=SHOP, request_id=number, customer_id=customer, request=BOX, received_at=AT)
    invitation = Invitation(shop=SHOP, referral=number, customer_id=customer)
    with database.begin() as connection:
        inquiry_store.add(connection, request)
        request.complain(AT, MONTH)
        inquiry_store.save(connection, request)
        friend_store.add(connection, invitation, BOX, {"title": "Ring", "url": SHOP}, AT)


def numbers(database: Database, table: str, column: str) -> list[Any]:
    with database.begin() as connection:
        return [value for (value,) in connection.execute(f"select {column} from {table} order by {column}".encode())]


def test_of_two_at_the_same_time_one_is_told_that_the_address_is_new(database: Database) -> None:
    told: list[bool] = []
    with database.begin() as first:
        told.append(friend_store.remember(first, "m", AT))

        def second() -> None:
            with database.begin() as connection:
                told.append(friend_store.remember(connection, "m", AT))

        other = threading.Thread(target=second)
        other.start()
        other.join(0.3)
        assert told == [True], "the second waits for the first one's end"
    other.join(10)
    assert told == [True, False]


def test_a_restored_backup_loses_what_an_erased_person_entrusted_and_nobody_elses(database: Database) -> None:
    add(database, "gone", "N-1")
    add(database, "stays", "N-2")
    with database.begin() as connection:
        connection.execute(
            """insert into contacts (shop, order_number, customer_id, "order") values (%s, 'N-1', 'stays', '{}')""", (SHOP,)
        )
        found = apply_to_rows(connection, [Erased("gone", AT)], NotificationsPersons(), lambda _shop, customer: customer)
    assert found == 1
    assert numbers(database, "special_requests", "request_id") == ["N-2"]
    assert numbers(database, "invitations", "referral") == ["N-2"]
    assert numbers(database, "contacts", "order_number") == ["N-1"], "an order of the same number is another person's"
    assert numbers(database, "complaints", "request_id") == ["N-2", None], "the case stands on, of nobody's request"


def test_a_request_is_due_from_its_end_and_its_case_outlives_it(database: Database) -> None:
    retention = NotificationsRetention()
    add(database, "c-1", "N-1")
    with database.begin() as connection:
        assert retention.ended(connection, REQUESTS, Due(AT + MONTH), 10) == []
        connection.execute("update special_requests set ended_at = %s", (AT,))
        [ended] = retention.ended(connection, REQUESTS, Due(AT), 10)
        assert (ended.key, ended.customer_id) == (OrderKey(SHOP, "N-1"), "c-1")
        assert retention.standing(connection, REQUESTS, Due(AT)).due == 1
        retention.let_go(connection, REQUESTS, [ended.key])
        assert retention.standing(connection, REQUESTS, Due(AT)).due == 0
    assert numbers(database, "complaints", "request_id") == [None]


def test_an_invitation_is_begun_once(database: Database) -> None:
    add(database, "c-1", "N-1")
    with database.begin() as connection:
        assert [friend_store.begin(connection, SHOP, "N-1", AT) for _ in range(2)] == [True, False]
        friend_store.take_back(connection, SHOP, "N-1")
        assert friend_store.begin(connection, SHOP, "N-1", AT)


def test_a_request_s_id_is_one_person_s(database: Database) -> None:
    add(database, "c-1", "N-1")
    with database.begin() as connection, pytest.raises(Parked, match="request_id_taken"):
        inquiry_store.add(connection, SpecialRequest(shop=SHOP, request_id="N-1", customer_id="c-2", request=BOX, received_at=AT))
