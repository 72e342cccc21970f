"""Shelves on a real PostgreSQL: locks, conflicts between two processes, and what a failed handler saved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import psycopg
import pytest

from services.payments.domain import Payment
from services.payments.store import PaymentsStore
from shared.contracts.values import Money, OrderKey
from shared.database import Contended, Database, DatabaseUnavailable
from shared.delivery.work import Recorder
from tests.fix_servers import DatabaseUrl
from tests.integration.facts import wait_for

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def key(number: int) -> OrderKey:
    return OrderKey("https://shop.example", f"A-{number:05d}")


def store(connection: psycopg.Connection[tuple[object, ...]]) -> PaymentsStore:
    return PaymentsStore(connection, Recorder("payments", AT))


@pytest.fixture
def url(database_url: DatabaseUrl) -> str:
    return database_url("payments")


@pytest.fixture
def database(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    # Nothing is patched in the tests' own process, so psycopg may wait as it likes here.
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")
    it = Database(url, name="test")
    yield it
    it.close()


def _save(begin: Callable[[], AbstractContextManager[psycopg.Connection[tuple[object, ...]]]], *payments: Payment) -> None:
    with begin() as connection:
        shelves = store(connection)
        for payment in payments:
            shelves.payment(payment.key)
            shelves.save(payment)
        for shelf in shelves.shelves():
            shelf.flush()


def test_of_two_that_insert_the_same_row_the_slower_one_is_contended(database: Database, url: str) -> None:
    ends: list[str] = []

    def slower() -> None:
        try:
            _save(database.begin, Payment(key=key(1), customer_id="slower"))
        except Contended:
            ends.append("contended")
        else:
            ends.append("saved")

    second = threading.Thread(target=slower)
    with psycopg.connect(url, autocommit=True) as watcher:
        with database.begin() as connection:
            faster = store(connection)
            assert faster.payment(key(1)).customer_id == ""
            faster.save(Payment(key=key(1), customer_id="faster"))
            faster.shelves()[0].flush()
            second.start()
            wait_for(
                lambda: watcher.execute(
                    "select 1 from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()"
                ).fetchone(),
                "the slower one to wait for the faster",
            )
        second.join(timeout=30)
        assert ends == ["contended"]
        assert watcher.execute("select customer_id from payments").fetchall() == [("faster",)]


def test_a_row_that_is_read_is_locked_until_the_end(database: Database, url: str) -> None:
    _save(database.begin, Payment(key=key(1)))
    with database.begin() as connection:
        store(connection).payment(key(1))
        with psycopg.connect(url) as other, pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("select 1 from payments for update nowait")
    with psycopg.connect(url) as other:
        assert other.execute("select 1 from payments for update nowait").fetchall() == [(1,)]


def test_two_that_want_the_same_rows_in_opposite_order_both_get_through(database: Database) -> None:
    _save(database.begin, *(Payment(key=key(number)) for number in range(40)))
    failures: list[BaseException] = []

    def work(numbers: list[int]) -> None:
        try:
            for _ in range(15):
                with database.begin() as connection:
                    shelves = store(connection)
                    shelves._payments.prefetch(key(number) for number in numbers)
                    for number in numbers:
                        payment = shelves.payment(key(number))
                        payment.money = Money(payment.money.amount_minor + 1, "USD")
                        shelves.save(payment)
                    shelves.shelves()[0].flush()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(list(order),)) for order in (range(40), reversed(range(40)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    with database.begin() as connection:
        assert connection.execute("select distinct amount_minor from payments").fetchall() == [(30,)]


def test_what_a_failed_handler_saved_is_taken_back_and_its_neighbours_stand(database: Database) -> None:
    with database.begin() as connection:
        shelves = store(connection)
        shelf = shelves.shelves()[0]
        shelf.mark()
        shelves.save(Payment(key=key(1), customer_id="first"))
        shelf.mark()
        shelves.save(Payment(key=key(1), customer_id="spoilt"))
        shelves.save(Payment(key=key(2), customer_id="spoilt"))
        shelf.rollback()
        assert shelves.payment(key(1)).customer_id == "first"
        shelf.flush()
    with database.begin() as connection:
        assert connection.execute("select order_number, customer_id from payments").fetchall() == [("A-00001", "first")]


def test_an_exception_undoes_the_transaction_and_the_connection_serves_on(database: Database) -> None:
    def fail() -> None:
        with database.begin() as connection:
            seen.append(connection.info.backend_pid)
            connection.execute("insert into inbox values ('orders', '1', now())")
            raise LookupError

    seen: list[int] = []
    with pytest.raises(LookupError):
        fail()
    with database.begin() as connection:
        assert [connection.info.backend_pid] == seen
        assert connection.execute("select count(*) from inbox").fetchone() == (0,)


def test_a_connection_that_the_server_ended_is_replaced(database: Database, url: str) -> None:
    with database.begin() as connection:
        pid = connection.info.backend_pid
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", (pid,))
    with pytest.raises(DatabaseUnavailable), database.begin() as connection:
        connection.execute("select 1")
    with database.begin() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")
    nowhere = Database("postgresql://somebody:secret@127.0.0.1:1/nothing", name="test")
    with pytest.raises(DatabaseUnavailable) as caught, nowhere.begin():
        pass
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
