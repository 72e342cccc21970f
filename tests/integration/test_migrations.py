"""Every service's migrations: from empty, again, two at once, and the tables that the code asks for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from deploy.local import databases
from deploy.local.postgres import PrivateCluster

PLUMBING = {
    *("inbox", "outbox", "intents", "held", "discards", "legal_holds", "retention_clearings", "erasures_applied"),
    *("staff_accounts", "staff_tries", "staff_sessions", "staff_cases"),
    *("staff_acknowledgements", "staff_reveals", "staff_releases"),
}
OWN = {
    "orders": {
        *("orders", "answers", "intake_keys"),
        *("requests", "persons", "preference_changes", "receipt_keys", "export_pieces"),
        *("record_anchors", "incidents", "hold_record"),
        *("policies", "announcements"),
    },
    "payments": {"payments", "payment_references"},
    "shipping": {"shipments", "labels", "recipients", "shipment_lines"},
    "notifications": {
        *("correspondences", "contacts", "preference_changes", "campaigns", "campaign_letters"),
        *("invitations", "remembered_friends", "special_requests", "complaints"),
    },
}
OWN["orders"] |= {"department_releases", "incident_words"}


@pytest.fixture(params=OWN)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(data_cluster: PrivateCluster) -> Iterator[str]:
    name = f"empty_{secrets.token_hex(4)}"
    yield databases.ensure(data_cluster.admin_url, name, "password")
    databases.drop(data_cluster.admin_url, name)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    return {name for (name,) in found if not name.startswith(("_yoyo", "yoyo"))}


def shape(url: str) -> list[tuple[object, ...]]:
    """Columns, constraints and indexes."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            """
            select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
            where table_schema = 'public' and table_name not like '%yoyo%'
            union all select tablename, indexname, indexdef, '', '' from pg_indexes where schemaname = 'public' and tablename not like '%yoyo%'
            order by 1, 2, 3
            """
        ).fetchall()


def test_from_empty_all_tables_are_made_and_a_second_time_nothing_is_done(service: str, empty_url: str) -> None:
    folders = databases.service_folders(service)
    assert tables(empty_url) == set()
    applied = databases.migrate(empty_url, folders)
    assert applied == sorted(file.stem for folder in folders for file in folder.glob("*.sql"))
    assert tables(empty_url) == PLUMBING | OWN[service]
    before = shape(empty_url)
    assert databases.migrate(empty_url, folders) == []
    assert shape(empty_url) == before


def test_two_at_once_apply_each_migration_once(empty_url: str) -> None:
    folders = databases.service_folders("orders")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: databases.migrate(empty_url, folders), range(4)))
    assert sorted(map(len, done)) == [0, 0, 0, len(max(done, key=len))]
    assert tables(empty_url) == PLUMBING | OWN["orders"]


def test_the_keyrings_tables_are_apart(empty_url: str) -> None:
    assert databases.migrate(empty_url, databases.keyring_folders())
    assert databases.migrate(empty_url, databases.keyring_folders()) == []
    assert tables(empty_url) == {
        *("intake_keys", "service_keys", "part_keys", "masters"),
        *("persons", "choices", "openings", "record_marks"),
    }


def test_what_was_kept_before_a_repeat_is_kept_after_it(empty_url: str) -> None:
    databases.migrate(empty_url, databases.service_folders("payments"))
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("insert into inbox values ('orders', '1', now())")
        databases.migrate(empty_url, databases.service_folders("payments"))
        assert connection.execute("select id from inbox").fetchall() == [("1",)]
