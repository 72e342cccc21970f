"""Clones of finished orders: in every table that keeps them, each different where orders differ, and the same where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from deploy.local import databases
from deploy.local.postgres import PrivateCluster
from tests.bench.cloning import CannotClone, Cloned, clone

SCHEMA = """
    create table orders (shop text, number text, event uuid not null unique, at timestamptz default now(), primary key (shop, number));
    create table labels (
        parcel text primary key, shop text not null, number text not null, position bigint generated always as identity unique,
        paper bytea not null, state text not null, foreign key (shop, number) references orders
    );
    create index labels_sent on labels (number) where state = 'sent';
    create table seen (source text not null, id text not null, primary key (source, id));
    create table keys (name text primary key);
    create table left_over (number text primary key);
    insert into orders (shop, number, event) select 'the shop', 'A-' || n, gen_random_uuid() from generate_series(1, 5) n;
    insert into labels (parcel, shop, number, paper, state)
        select 'P-' || n, 'the shop', 'A-' || n, decode(md5(n::text), 'hex'), 'sent' from generate_series(1, 5) n;
    insert into seen select 'payments', gen_random_uuid()::text from generate_series(1, 10);
    insert into keys values ('one key');
"""


@pytest.fixture
def grown(data_cluster: PrivateCluster) -> Iterator[Callable[[str], str]]:
    """`grown(schema)`: the administrator's URL of a database of its own that holds this."""
    name = "cloning"
    url = urlunsplit(urlsplit(data_cluster.admin_url)._replace(path=f"/{name}"))
    with psycopg.connect(data_cluster.admin_url, autocommit=True) as connection:
        connection.execute("create database cloning")

    def with_schema(schema: str) -> str:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(schema.encode())
        return url

    yield with_schema
    databases.drop(data_cluster.admin_url, name)


def _rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_tables_of_orders_are_multiplied_and_no_others(grown):
    url = grown(SCHEMA)
    done = clone(url, finished=5, wanted=50)
    assert done == [Cloned("labels", 5, 50), Cloned("orders", 5, 50), Cloned("seen", 10, 100)]
    assert _rows(url, "select count(*) from keys") == [(1,)]
    assert _rows(url, "select count(*) from left_over") == [(0,)]


def test_what_tells_orders_apart_is_new_in_each_clone_and_all_else_is_kept(grown):
    url = grown(SCHEMA)
    clone(url, finished=5, wanted=50)
    distinct = "select count(distinct shop), count(distinct number), count(distinct event), count(distinct at) from orders"
    assert _rows(url, distinct) == [(1, 50, 50, 1)]
    assert _rows(url, "select count(distinct source), count(distinct id::uuid) from seen") == [(1, 100)]
    # A paper is no key: its clones are copies. A parcel's number is that of its order's clone.
    assert _rows(url, "select count(distinct paper), count(distinct position), count(distinct state) from labels") == [(5, 50, 1)]
    assert _rows(url, "select count(*) from labels join orders using (shop, number)") == [(50,)]


def test_a_number_that_is_a_key_goes_on_behind_the_highest(grown):
    url = grown(
        "create table record (position bigint primary key, n int); insert into record select n * 2, n from generate_series(1, 5) n"
    )
    assert clone(url, finished=5, wanted=15) == [Cloned("record", 5, 15)]
    assert _rows(url, "select array_agg(position order by position) from record") == [([*range(2, 31, 2)],)]
    assert _rows(url, "select count(distinct n) from record") == [(5,)]


def test_keys_and_indexes_end_as_they_were(grown):
    url = grown(SCHEMA)
    definitions = """
        select conname, pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace
        union all select indexname, indexdef from pg_indexes where schemaname = 'public' order by 1, 2
    """
    before = _rows(url, definitions)
    clone(url, finished=5, wanted=50)
    assert _rows(url, definitions) == before


def test_a_table_whose_clones_would_be_the_same_is_named(grown):
    url = grown(
        "create table counted (at date primary key); insert into counted select date '2026-01-01' + generate_series(1, 5)"
    )
    with pytest.raises(CannotClone, match="counted: no column of counted_pkey"):
        clone(url, finished=5, wanted=10)
