"""The vault on a real keyring: keys of their own, a record of every opening that its own role cannot change, digests that tell nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from deploy.local.postgres import PrivateCluster
from tests.fix_servers import DatabaseUrl
from tests.integration.custody_bench import AT, SHOP, VERSION, Custody, a_master_file, begin
from tests.integration.facts import everything_in, rows

# isort: split
from shared.custody import keys
from shared.custody.master import MasterKeyInvalid
from shared.custody.record import breaks
from shared.custody.vault import PartToKeep
from shared.database import Contended

ENTRIES = f"select {', '.join(keys.COLUMNS)} from openings order by position"
Make = Callable[..., Custody]


@pytest.fixture
def make(keyring_database_url: DatabaseUrl, tmp_path: Path) -> Iterator[Make]:
    urls: dict[str, str] = {}
    made: list[Custody] = []

    def make_one(service: str = "shipping") -> Custody:
        if service not in urls:
            urls[service] = keyring_database_url(service)
        made.append(Custody(urls[service], a_master_file(tmp_path), service))
        return made[-1]

    yield make_one
    for it in made:
        it.close()


def record_of(custody: Custody) -> list[keys.Entry]:
    return [keys.Entry(*row) for row in rows(custody.url, ENTRIES)]


# ── envelopes and their keys ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_part_has_a_key_of_its_own_and_a_repeat_keeps_it(make: Make) -> None:
    it, other = make(), make()
    names = [it.name("c-1", "A-1"), it.name("c-1", "A-2"), it.name("c-2", "A-3")]
    first, again = it.keep(*names), other.keep(*names)
    assert rows(it.url, "select count(*), count(distinct wrapped) from part_keys") == [(3, 3)]
    assert other.endings(list(zip(names, first, strict=True))) == ["opened"] * 3
    assert it.endings(list(zip(names, again, strict=True))) == ["opened"] * 3


def test_an_envelope_in_another_s_place_is_refused_and_written_down(make: Make) -> None:
    it = make()
    mine, yours = it.name("c-1", "A-1"), it.name("c-2", "A-2")
    my_envelope, your_envelope = it.keep(mine, yours)
    tampered = replace(my_envelope, box=my_envelope.box[:-1] + bytes([my_envelope.box[-1] ^ 1]))
    wishes = [(mine, your_envelope), (mine, my_envelope), (mine, tampered), (mine, replace(my_envelope, form="label"))]
    assert it.endings(wishes) == ["envelope_broken", "opened", "envelope_broken", "envelope_broken"]
    assert [entry.ending for entry in record_of(it)] == ["envelope_broken", "opened", "envelope_broken", "envelope_broken"]


def test_a_wrapped_key_that_was_changed_or_swapped_opens_nothing_and_hurts_nobody_else(make: Make) -> None:
    it = make()
    names = [it.name("c-1", "A-1"), it.name("c-2", "A-2"), it.name("c-3", "A-3")]
    envelopes = it.keep(*names)
    mine, yours = (it.vault.key_name(name) for name in names[:2])
    with psycopg.connect(it.url) as connection:
        connection.execute(
            """
            update part_keys set wrapped = other.wrapped from part_keys other
            where (part_keys.person, other.person) in ((%s, %s), (%s, %s))
            """,
            (mine.person, yours.person, yours.person, mine.person),
        )
    assert it.endings(list(zip(names, envelopes, strict=True))) == ["envelope_broken", "envelope_broken", "opened"]


def test_a_service_opens_nothing_of_another_even_with_its_keyring(make: Make) -> None:
    shipping = make("shipping")
    name = shipping.name("c-1", "A-1")
    (envelope,) = shipping.keep(name)
    stranger = Custody(shipping.url, shipping.file, "notifications")
    with pytest.raises(MasterKeyInvalid):  # the digests' key is bound to the service: not even whose it is can be told
        stranger.endings([(name, envelope)], "fill_order")
    stranger.close()


@pytest.mark.parametrize("service", ["shipping", "payments", "notifications"])
def test_every_refusal_by_the_policy_is_written_down_too(make: Make, service: str) -> None:
    from shared.policy import load

    it = make(service)
    name = it.name("c-1", "A-1")
    (envelope,) = it.keep(name)
    purposes = list(load().purposes)
    endings = [it.endings([(name, envelope)], purpose)[0] for purpose in purposes]
    assert set(endings) == {"opened", "purpose_not_allowed"}
    assert [(entry.purpose, entry.ending) for entry in record_of(it)] == list(zip(purposes, endings, strict=True))
    assert it.endings([(name, replace(envelope, policy_version="1999-01-01"))]) == ["policy_version_unknown"]
    assert record_of(it)[-1].ending == "policy_version_unknown"


def test_a_purpose_gets_its_own_fields_alone_and_a_wish_for_another_stays_closed(make: Make) -> None:
    it = make("notifications")
    name = it.name("c-1", "A-1")
    kept = {"for": "A-1", "name": "n", "email": "e", "phone": "p", "language": "en"}
    [envelope] = it.vault.take_in([PartToKeep(name, VERSION, json.dumps(kept).encode())], AT)
    assert envelope is not None
    assert json.loads(it.opened(name, envelope, purpose="order_difficulty").plaintext) == kept
    del kept["phone"]
    assert json.loads(it.opened(name, envelope, purpose="order_news", to="mailbox").plaintext) == kept
    assert it.opened(name, envelope, purpose="order_news", needs=("email",)).plaintext
    assert it.opened(name, envelope, purpose="order_news", needs=("email", "phone")).code == "new_use_not_allowed"
    assert [entry.ending for entry in record_of(it)] == ["opened", "opened", "opened", "new_use_not_allowed"]


def test_who_is_erased_is_never_taken_in_again_and_says_so(make: Make) -> None:
    it = make()
    name, other = it.name("c-1", "A-1"), it.name("c-2", "A-2")
    envelope, others = it.keep(name, other)
    with it.database.begin() as connection:
        keys.set_person(connection, it.vault.person(SHOP, "c-1"), "erased", AT)
        assert keys.destroy_keys(connection, it.vault.person(SHOP, "c-1")) == 1
    assert it.keep(name, it.name("c-1", "A-9")) == []
    assert it.endings([(name, envelope), (other, others)]) == ["person_erased", "opened"]
    assert rows(it.url, "select count(*) from part_keys") == [(1,)]


def test_a_destroyed_key_opens_nothing(make: Make) -> None:
    it = make()
    names = [it.name("c-1", "A-1"), it.name("c-1", "A-2")]
    envelopes = it.keep(*names)
    assert (it.vault.destroy(names[:1]), it.vault.destroy(names[:1]), it.vault.destroy([])) == (1, 0, 0)
    assert it.endings(list(zip(names, envelopes, strict=True))) == ["key_destroyed", "opened"]


# ── the record ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_processes_write_one_chain(make: Make) -> None:
    it = make()
    it.keep(it.name("c-0", "A-0"))  # the digests' key is there
    writers = [begin(it, "opens", number) for number in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    record = record_of(it)
    assert len(record) == 2 * 20 * 3
    assert list(breaks(record, {})) == []


def test_a_crash_between_leaves_no_gap_and_nothing_was_given(make: Make) -> None:
    it = make()
    assert begin(it, "dies").wait(60) == -signal.SIGKILL
    assert [entry.position for entry in record_of(it)] == [1]
    name = it.name("c-1", "A-0")
    it.endings([(name, it.keep(name)[0])])
    assert [entry.position for entry in record_of(it)] == [1, 2]
    assert list(breaks(record_of(it), {})) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update openings set ending = 'opened'",
        "delete from openings",
        "truncate openings",
        "drop table openings",
        "drop table openings cascade",
        "alter table openings disable trigger all",
        "alter table openings rename to others",
        "alter table openings owner to current_user",
        "alter table openings add column x int",
        "drop trigger openings_stand on openings",
        "create or replace function openings_stand() returns trigger language plpgsql as 'begin return new; end'",
        "drop function openings_stand() cascade",
        "create rule pass as on update to openings do instead nothing",
        "grant all on openings to current_user",
        "alter schema public rename to elsewhere",
        "drop schema public cascade",
        "drop owned by current_user",
        "set role shipping_record",
        "set session_replication_role = replica",
    ],
)
def test_the_service_s_own_role_cannot_change_the_record(make: Make, keyring_cluster: PrivateCluster, statement: str) -> None:
    it = make()
    name = it.name("c-1", "A-1")
    it.endings([(name, it.keep(name)[0])])
    its_keeper = admin_url(keyring_cluster, it)
    before = rows(its_keeper, ENTRIES)
    with psycopg.connect(it.url, autocommit=True) as connection:
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        for attempt in ("update openings set ending = 'opened'", "delete from openings", "truncate openings"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(attempt.encode())
    assert rows(its_keeper, ENTRIES) == before
    guards = "select pg_get_userbyid(relowner), (select count(*) from pg_trigger where tgrelid = pg_class.oid) from pg_class"
    assert rows(its_keeper, f"{guards} where relname = 'openings'") == [("shipping_record", 1)]


def admin_url(cluster: PrivateCluster, custody: Custody) -> str:
    return cluster.admin_url.rpartition("/")[0] + "/" + custody.url.rpartition("/")[2]


def test_who_could_rewrite_the_table_is_found_by_an_anchor(make: Make, keyring_cluster: PrivateCluster) -> None:
    it = make()
    name = it.name("c-1", "A-1")
    (envelope,) = it.keep(name)
    it.endings([(name, envelope)] * 5)
    anchors = {5: record_of(it)[4].hash}
    with psycopg.connect(admin_url(keyring_cluster, it), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")  # the administrator can
        connection.execute("update openings set ending = 'purpose_not_allowed' where position = 3")
        assert [(found.position, found.kind) for found in breaks(record_of(it), anchors)] == [(3, "changed")]
        connection.execute("delete from openings where position > 2")
        assert [(found.position, found.kind) for found in breaks(record_of(it), anchors)] == [(5, "missing")]


# ── what the keyring tells of people ─────────────────────────────────────────────────────────────────────────────────────────


def test_no_digest_tells_who_it_is_without_the_key(make: Make) -> None:
    one, two = make("shipping"), make("notifications")
    people = [f"c-{number}" for number in range(200)]
    names = [one.name(person, f"A-{number}") for number, person in enumerate(people)]
    one.endings(list(zip(names, one.keep(*names), strict=True)))
    text = everything_in(one.url)
    digests = {entry.person for entry in record_of(one)} | {entry.item for entry in record_of(one)}
    assert len(digests) == 400
    words = [word for name in names for word in (name.customer_id, name.order_number)]
    assert not any(f"{word}," in text or f"({word}" in text for word in words)
    guesses = {
        made[:32]
        for word in words
        for told in (word, f"{SHOP}\0{word}", f"{SHOP} {word}", f"{SHOP}\0order\0{word}")
        for algorithm in ("md5", "sha1", "sha256", "sha512", "blake2b")
        for made in (hashlib.new(algorithm, told.encode()).hexdigest(),)
    }
    assert not guesses & digests, "a dictionary of everybody finds nobody"
    assert one.vault.person(SHOP, "c-1") in digests, "with the key it does"
    assert one.vault.person(SHOP, "c-1") != two.vault.person(SHOP, "c-1"), "and two services name nobody alike"


def test_a_retired_master_takes_nothing_in(make: Make) -> None:
    from shared.custody import masters

    it = make()
    it.keep(it.name("c-1", "A-1"))
    with it.database.begin() as connection:
        masters.hold_master(connection, "another", AT)
        masters.retire_masters(connection, "another", AT)
    with pytest.raises(Contended):
        it.keep(it.name("c-1", "A-2"))
    assert rows(it.url, "select count(*) from part_keys") == [(1,)]
