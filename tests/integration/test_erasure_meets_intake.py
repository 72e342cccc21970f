"""An erasure and a part that is taken in at the same moment, each on its own connection: whichever is first, no key is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fix_servers import DatabaseUrl
from tests.integration.custody_bench import AT, SHOP, VERSION, Custody, a_master_file
from tests.integration.facts import rows, wait_for

# isort: split
from shared.custody import keys
from shared.custody.masters import hold_master
from shared.custody.permits import ERASED, Choice
from shared.custody.persons import Horizon, KeysDestroyed, PersonKeys
from shared.custody.vault import part_key_context
from shared.database import type_of_connection

DAY = timedelta(days=1)
WAITING = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
KEYS, CHOICES = "select count(*) from part_keys", "select count(*) from choices"
CHOICE = Choice(AT, VERSION, "all", None)


@pytest.fixture
def custodies(keyring_database_url: DatabaseUrl, tmp_path: Path) -> Iterator[tuple[Custody, Custody]]:
    """Two processes of one service."""
    one = Custody(keyring_database_url("shipping"), a_master_file(tmp_path))
    two = Custody(one.url, one.file)
    two.vault.person(SHOP, "c-1")
    yield one, two
    one.close()
    two.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as it:
        yield it


def erasing(custody: Custody) -> KeysDestroyed:
    persons = PersonKeys(custody.database, custody.vault, Horizon(DAY, DAY, DAY, DAY))
    return persons.erase(SHOP, "c-1", AT)


def add_a_key(custody: Custody, connection: type_of_connection) -> None:
    """As the vault does, up to the commit."""
    name = custody.vault.key_name(custody.name("c-1", "A-1"))
    wrapped = custody.master.wrap(os.urandom(32), part_key_context("shipping", name))
    hold_master(connection, wrapped.master_id, AT)
    keys.add_keys(connection, [(name, VERSION, wrapped)], AT)


def until_it_waits_or_ends(custody: Custody, doing: Future[Any]) -> None:
    wait_for(lambda: doing.done() or rows(custody.url, WAITING), "the other one to wait or to end")


def test_an_erasure_waits_for_a_key_that_is_being_written_and_destroys_it(
    custodies: tuple[Custody, Custody], pool: ThreadPoolExecutor
) -> None:
    one, two = custodies
    with one.database.begin() as connection:
        add_a_key(one, connection)
        erased = pool.submit(erasing, two)
        until_it_waits_or_ends(one, erased)
    assert (erased.result().destroyed, erased.result().left) == (1, 0)
    assert rows(one.url, KEYS) == [(0,)]


def test_a_key_that_comes_while_an_erasure_is_under_way_is_not_written(
    custodies: tuple[Custody, Custody], pool: ThreadPoolExecutor
) -> None:
    one, two = custodies
    person = one.vault.person(SHOP, "c-1")
    with one.database.begin() as connection:
        keys.set_person(connection, person, ERASED, AT)
        keys.destroy_keys(connection, person)
        kept = pool.submit(two.keep, two.name("c-1", "A-1"))
        until_it_waits_or_ends(one, kept)
    assert kept.result() == []
    assert rows(one.url, KEYS) == [(0,)]


def test_a_choice_that_is_being_written_is_forgotten_too(custodies: tuple[Custody, Custody], pool: ThreadPoolExecutor) -> None:
    one, two = custodies
    with one.database.begin() as connection:
        keys.add_choice(connection, one.vault.person(SHOP, "c-1"), "r-1", CHOICE)
        erased = pool.submit(erasing, two)
        until_it_waits_or_ends(one, erased)
    erased.result()
    assert rows(one.url, CHOICES) == [(0,)]


def test_two_that_take_parts_in_do_not_wait_for_each_other(custodies: tuple[Custody, Custody], pool: ThreadPoolExecutor) -> None:
    one, two = custodies
    with one.database.begin() as connection:
        add_a_key(one, connection)
        pool.submit(two.keep, two.name("c-2", "A-2")).result(timeout=120)
    assert rows(one.url, KEYS) == [(2,)]
