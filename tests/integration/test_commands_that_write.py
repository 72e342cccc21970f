"""Commands that write, told a primary and its standby in one address that does not say which of them is wanted."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from typer.testing import CliRunner, Result

from deploy.local import databases
from deploy.local.postgres_pair import PostgresPair
from shared.cli.main import app
from shared.database import connect_to_write
from tests.integration.facts import rows

PARKED = """
    insert into held (id, state, queue, reason, body, length, tries, first_at, last_at)
    values (gen_random_uuid(), 'parked', 'payments.events', 'much', '{}', 2, 1, now(), now() - interval '1 minute')
"""


@pytest.fixture(scope="module")
def url(_pair: PostgresPair) -> str:
    """The standby stands first, so that whoever does not care gets it."""
    _pair.start()
    writable = databases.ensure(_pair.admin_url, "payments", "password")
    databases.migrate(writable, databases.service_folders("payments"))
    parts = urlsplit(writable)
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in (_pair.standby, _pair.primary))
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{hosts}", query=""))


@pytest.fixture
def run(url: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path_factory.mktemp("nowhere"))
    monkeypatch.setenv("PAYMENTS_DATABASE_URL", url)
    return lambda *words, says="": CliRunner().invoke(app, list(words), input=says)


def writable_rows(url: str, statement: str) -> list[tuple[object, ...]]:
    return rows(f"{url}?target_session_attrs=read-write", statement)


def test_what_is_parked_is_replayed_and_discarded_at_the_primary(url: str, run: Callable[..., Result]) -> None:
    for words in (["replay"], ["discard", "--reason", "test_only", "--by", "s.17"]):
        writable_rows(url, PARKED)
        result = run("parked", *words, "--service", "payments", "--yes")
        assert (result.exit_code, result.stderr) == (0, ""), words
    assert writable_rows(url, "select (select count(*) from held where state = 'later'), (select count(*) from discards)") == [
        (1, 1)
    ]


def test_an_account_is_made_at_the_primary(url: str, run: Callable[..., Result]) -> None:
    result = run("staff", "add", "bill", "--role", "billing_clerk", "--password-stdin", says="a long enough phrase 17\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert writable_rows(url, "select name from staff_accounts") == [("bill",)]


def test_what_an_address_says_of_it_itself_stands(url: str) -> None:
    with connect_to_write(url) as connection:
        assert connection.execute("select pg_is_in_recovery()").fetchone() == (False,)
    with connect_to_write(f"{url}?target_session_attrs=any") as connection:
        assert connection.execute("select pg_is_in_recovery()").fetchone() == (True,)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), connect_to_write(f"{url}?target_session_attrs=any") as connection:
        connection.execute(PARKED.encode())
