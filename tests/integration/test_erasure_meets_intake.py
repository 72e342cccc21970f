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
from shared.custody.journal import Erased, apply_to_keys
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


def test_a_start_whose_journal_brings_no_news_waits_for_no_intake(
    custodies: tuple[Custody, Custody], pool: ThreadPoolExecutor
) -> None:
    one, two = custodies
    gone = [Erased(one.vault.person(SHOP, "c-gone"), AT)]
    assert apply_to_keys(one.database, gone) == 0
    with one.database.begin() as connection:
        add_a_key(one, connection)
        applied = pool.submit(apply_to_keys, two.database, gone)
        until_it_waits_or_ends(one, applied)
        assert applied.done(), "intake would stand still for as long as the journal is gone through"
    assert applied.result() == 0
    assert rows(one.url, KEYS) == [(1,)]


def test_a_long_journal_is_applied_in_pieces_and_only_to_whom_it_is_news(custodies: tuple[Custody, Custody]) -> None:
    one, _ = custodies
    persons = [one.vault.person(SHOP, f"c-{number}") for number in range(450)]
    one.keep(one.name("c-0", "A-1"))
    rows(one.url, "insert into persons (person, state, since) values (%s, 'deactivated', %s)", persons[1], AT)
    for person in persons[2:4]:  # erased, and something of theirs came back
        rows(one.url, "insert into persons (person, state, since) values (%s, 'erased', %s)", person, AT - DAY)
    rows(one.url, "update part_keys set person = %s where person = %s", persons[2], persons[0])
    rows(one.url, "insert into choices (person, request, chosen_at, policy_version) values (%s, 'r', %s, 'v')", persons[3], AT)
    assert apply_to_keys(one.database, [Erased(person, AT) for person in (*persons, *persons)]) == 1
    assert rows(one.url, "select count(*), count(distinct state) from persons where state = 'erased'") == [(450, 1)]
    assert rows(one.url, KEYS) == rows(one.url, CHOICES) == [(0,)]
    [(pieces,)] = rows(one.url, "select count(distinct xmin::text) from persons where since = %s", AT)
    assert pieces > 1, "the lock was held once for all"


def test_two_that_take_parts_in_do_not_wait_for_each_other(custodies: tuple[Custody, Custody], pool: ThreadPoolExecutor) -> None:
    one, two = custodies
    with one.database.begin() as connection:
        add_a_key(one, connection)
        pool.submit(two.keep, two.name("c-2", "A-2")).result(timeout=120)
    assert rows(one.url, KEYS) == [(2,)]
