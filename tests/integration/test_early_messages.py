"""What waits for an order is leased with the transaction that the order comes in, on a real PostgreSQL, two connections at a time."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from shared.contracts.values import OrderKey
from shared.delivery import held_messages
from shared.delivery.endings import Endings
from shared.delivery.held_messages import HeldRow, lease_early
from shared.delivery.ladder import Ladder
from shared.delivery.tables import MOST_TAKES
from shared.delivery.work import Delivery, Ending, RawMessage
from tests.fix_servers import DatabaseUrl
from tests.integration.conftest import DatabaseOf
from tests.integration.facts import wait_for

Connection = psycopg.Connection[tuple[Any, ...]]
AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
FAR, LEASED = AT + timedelta(hours=1), AT + timedelta(seconds=30)
KEY, OTHER = OrderKey("https://shop.example", "A-1"), OrderKey("https://shop.example", "A-2")
SAME_NUMBER = OrderKey("https://other.example", "A-1")


@pytest.fixture
def two(database_url: DatabaseUrl) -> Iterator[tuple[Connection, Connection]]:
    """Two connections to one fresh database; each statement is a transaction until `transaction()` says otherwise."""
    url = database_url("orders")
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as other:
        yield one, other


def held(about: OrderKey | None, state: str = "later") -> HeldRow:
    shop, number = about or (None, None)
    return HeldRow(
        uuid.uuid4(), state, "orders.events", "payments", str(uuid.uuid4()), "payment_authorised", "order_unknown", (), "{}", 2, {}, 8, AT,
        AT, FAR if state == "later" else None, shop, number,
    )  # fmt: skip


def test_what_waits_for_an_order_is_leased_and_nothing_else(two: tuple[Connection, Connection]) -> None:
    one, other = two
    ours, deadly = [held(KEY), held(KEY), held(OTHER)], held(KEY)
    for row in (*ours, deadly, held(None), held(SAME_NUMBER), held(OrderKey(KEY.shop, "A-10")), held(KEY, "parked")):
        held_messages.hold(one, row)
    one.execute("update held set takes = %s where id = %s", (MOST_TAKES, deadly.id))
    leased = {row.id: row for row in lease_early(other, [KEY, OTHER, KEY], LEASED)}
    assert leased == {row.id: replace(row, due_at=LEASED) for row in ours}
    assert one.execute("select sum(takes) from held where id = any(%s)", (list(leased),)).fetchone() == (3,)
    assert held_messages.lease_held(one, LEASED, FAR, 10) == [], "nobody else takes it up while it is leased"
    assert {row.id for row in held_messages.lease_held(one, LEASED + timedelta(seconds=1), FAR, 10)} == set(leased)


@pytest.mark.parametrize("ends", ["later", "done"])
def test_what_another_process_tries_at_this_moment_is_waited_for(ends: str, two: tuple[Connection, Connection]) -> None:
    """It does not see the order yet and would put the message off for an hour more."""
    one, other = two
    row = held(KEY)
    held_messages.hold(one, row)
    leased: list[HeldRow] = []
    coming = threading.Thread(target=lambda: leased.extend(lease_early(other, [KEY], LEASED)))
    with psycopg.connect(one.info.dsn, password=one.info.password, autocommit=True) as watcher:
        waiting = "select 1 from pg_locks where pid = %s and not granted"
        with one.transaction():
            assert held_messages.lock_held(one, [row.id]) == {row.id}
            coming.start()
            wait_for(lambda: watcher.execute(waiting, (other.info.backend_pid,)).fetchone(), "the order to wait for the try")
            if ends == "later":
                held_messages.hold(one, replace(row, tries=9, due_at=FAR + timedelta(hours=1)))
            else:
                held_messages.release_held(one, [row.id])
        coming.join(timeout=60)
    assert leased == ([replace(row, tries=9, due_at=LEASED)] if ends == "later" else [])


def test_who_waits_for_the_order_s_transaction_sees_the_order(two: tuple[Connection, Connection]) -> None:
    """A try that comes after the lease is locked out until the order is committed."""
    one, other = two
    row = held(KEY)
    held_messages.hold(one, row)
    seen: list[Any] = []

    def try_again() -> None:
        with other.transaction():
            assert set(held_messages.lock_held(other, [row.id])) == {row.id}
            seen.append(other.execute("select answers.event_id from answers").fetchall())

    trying = threading.Thread(target=try_again)
    with psycopg.connect(one.info.dsn, password=one.info.password, autocommit=True) as watcher:
        waiting = "select 1 from pg_locks where pid = %s and not granted"
        with one.transaction():
            one.execute("insert into answers (source, event_id, kind, order_number, reasons) values ('s', 'e', 'k', 'A-1', '[]')")
            assert [it.id for it in lease_early(one, [KEY], LEASED)] == [row.id]
            trying.start()
            wait_for(lambda: watcher.execute(waiting, (other.info.backend_pid,)).fetchone(), "the try to wait for the order")
        trying.join(timeout=60)
    assert seen == [[("e",)]]


def test_a_message_about_no_order_is_found_by_the_one_that_it_waits_for(two: tuple[Connection, Connection]) -> None:
    """A correction is for several orders; what it waits for at its second try is another."""
    one, _ = two
    raw = RawMessage("payments.events", b"{}", "orders.parts", "billing_corrected", source="orders", id="e-1", sealed=True)
    first = Delivery("", None, lambda _ending: None, raw=raw)
    endings = Endings(Ladder())
    endings.write(one, [(first, Ending("later", "billing_unknown", awaits=KEY))], AT)
    [row] = lease_early(one, [KEY], LEASED)
    endings.write(one, [(row.as_delivery(), Ending("parked", "billing_unexpected"))], AT)
    assert one.execute("select shop, order_number from held").fetchall() == [KEY], "what does not wait any more keeps its order"
    again = replace(row.as_delivery(), raw=raw)
    endings.write(one, [(again, Ending("later", "billing_unknown", awaits=OTHER))], AT)
    assert list(lease_early(one, [KEY], LEASED)) == []
    assert [it.id for it in lease_early(one, [OTHER], LEASED)] == [row.id]


def test_it_is_found_among_many_and_awaited_after_the_commit(database_of: DatabaseOf) -> None:
    """As a batch asks for it."""
    database = database_of("orders")
    rows = [held(OrderKey(KEY.shop, f"B-{number}")) for number in range(2000)]
    with database.begin() as connection:
        for row in rows:
            held_messages.hold(connection, row)
    with database.together() as connection:
        early = lease_early(connection, [OrderKey(KEY.shop, "B-7"), KEY], LEASED)
    assert [row.order_number for row in early] == ["B-7"]


def test_what_waited_is_taken_up_in_the_order_of_its_coming(two: tuple[Connection, Connection]) -> None:
    """Of two corrections the later one is the person's last word."""
    one, other = two
    rows = [replace(held(KEY), first_at=AT + timedelta(seconds=second)) for second in (3, 1, 2, 0)]
    for row in rows:
        held_messages.hold(one, row)
    expected = sorted((row.first_at, row.id) for row in rows)
    assert [(row.first_at, row.id) for row in lease_early(other, [KEY], LEASED)] == expected
    after = LEASED + timedelta(seconds=1)
    line = [expected[0][1]]
    assert [(row.first_at, row.id) for row in held_messages.lease_held(one, after, FAR, 10, line)] == expected[1:]
