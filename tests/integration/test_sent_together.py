"""Statements that are sent together: how often a transaction waits, and what becomes of it when one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import shared.database
from shared.database import Awaited, Contended, Database, DatabaseUnavailable
from tests.integration.conftest import DatabaseOf

TAKE = "insert into inbox (source, id, received_at) values ('a', %s, now())"


@pytest.fixture
def database(database_of: DatabaseOf) -> Database:
    return database_of("payments")


@pytest.fixture
def written(database: Database) -> Callable[[], list[str]]:
    """What stands by now, read on a transaction of its own."""

    def read() -> list[str]:
        with database.begin() as connection:
            found = connection.execute("select id from inbox where source = 'a' order by id")
            return [identity for (identity,) in found]

    return read


def run(database: Database, *statements: str, reads: bool = False, error: Exception | None = None) -> None:
    """One transaction of these; with `reads` something is read behind them, with an `error` it ends by that."""
    with database.together() as connection:
        for statement in statements:
            connection.execute(statement.encode())
        if reads:
            connection.execute("select 1").fetchall()
        if error is not None:
            raise error


def take(identity: str) -> str:
    return TAKE.replace("%s", f"'{identity}'")


def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each time that the process waits for the server from now on."""
    found: list[int] = []
    trampoline = shared.database.trampoline

    def counting(*words: Any, **more: Any) -> Any:
        found.append(1)
        return trampoline(*words, **more)

    monkeypatch.setattr(shared.database, "trampoline", counting)
    return found


def test_it_waits_once_for_what_is_read_and_once_for_the_end(
    database: Database, written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):  # so often that all is prepared
        found = waits(monkeypatch) if number == 3 else []
        with database.together() as connection:
            first = connection.execute("select 1")
            second = connection.execute("select 2")
            assert (first.fetchall(), second.fetchall()) == ([(1,)], [(2,)])
            connection.execute(TAKE, (f"{number}-1",))
            connection.execute(TAKE, (f"{number}-2",))
            last = connection.execute(TAKE + " returning id", (f"{number}-3",))
        assert last.fetchall() == [(f"{number}-3",)], "what was not read in it can be read after it"
    assert len(found) <= 4, "each wait may be one for a statement's rows and one for the end of them"
    assert len(written()) == 12


def test_a_count_and_the_names_of_columns_are_waited_for(database: Database) -> None:
    with database.together() as connection:
        connection.execute(TAKE, ("1",))
        assert connection.execute("update inbox set received_at = now() where source = 'a'").rowcount == 1
        assert connection.execute("delete from inbox where source = 'a'").rowcount == 1
        assert connection.execute("delete from inbox where source = 'a'").rowcount == 0
        assert [column.name for column in connection.execute("select 1 as one, 2 as two").description or ()] == ["one", "two"]


@pytest.mark.parametrize("reads", [False, True])
def test_a_failure_that_nobody_reads_undoes_all_and_is_raised(
    reads: bool, database: Database, written: Callable[[], list[str]]
) -> None:
    for _ in range(4):  # also when all is prepared by then
        with pytest.raises(Contended):
            run(database, take("1"), take("2"), take("1"), take("3"), reads=reads)
    assert written() == []
    run(database, take("4"))
    assert written() == ["4"]


def test_a_fault_of_the_statement_is_raised_as_it_is(database: Database, written: Callable[[], list[str]]) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        run(database, take("1"), "select 1 / 0", take("2"))
    assert written() == []


def test_an_error_of_ours_undoes_what_was_sent(database: Database, written: Callable[[], list[str]]) -> None:
    with pytest.raises(KeyError):
        run(database, take("1"), error=KeyError())
    run(database, take("2"))
    assert written() == ["2"]


def test_what_fails_only_at_the_commit_is_raised_too(database: Database) -> None:
    with database.single() as connection:
        connection.execute("create temporary table late (id int unique deferrable initially deferred)")
    with pytest.raises(Contended):
        run(database, "insert into late values (1), (1)")


@pytest.mark.parametrize("reads", [False, True])
def test_a_server_process_that_dies_is_unavailable_and_the_next_one_serves(
    reads: bool, database: Database, written: Callable[[], list[str]]
) -> None:
    with pytest.raises(DatabaseUnavailable):
        run(database, take("1"), "select pg_terminate_backend(pg_backend_pid())", take("2"), reads=reads)
    assert written() == []
    run(database, take("3"))
    assert written() == ["3"]


def test_what_is_awaited_is_a_set_that_is_read_once() -> None:
    times = []

    def read() -> Iterator[int]:
        times.append(1)
        yield from (1, 2, 2)

    awaited = Awaited(read)
    assert times == []
    assert awaited == {1, 2}
    assert (1 in awaited, 3 in awaited, len(awaited), sorted(awaited)) == (True, False, 2, [1, 2])
    assert times == [1]
