"""The end of the record on a real keyring: whoever cuts it off, or makes its head up, is found, and the next opening hides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.local.postgres import PrivateCluster
from tests.fix_servers import DatabaseUrl
from tests.integration.custody_bench import AT, Custody, a_master_file, begin
from tests.integration.facts import rows

# isort: split
from shared.cli.keyrings import seal_of, verified
from shared.custody.watch import RecordWatch

SOON = timedelta(seconds=30)
LENGTH = 10


@dataclass
class Scene:
    """A record of ten openings, and the administrator, who can do everything but open a master key."""

    custody: Custody
    admin_url: str

    def open(self, times: int = 1) -> None:
        name = self.custody.name("c-1", "A-1")
        (envelope,) = self.custody.keep(name)
        for _ in range(times):
            self.custody.endings([(name, envelope)])

    def does(self, *statements: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute("set session_replication_role = replica")
            for statement in statements:
                connection.execute(statement.encode())

    def cuts(self, count: int) -> None:
        self.does(f"delete from openings where position > {LENGTH - count}")

    def found(self) -> list[tuple[int, str]]:
        """What `brownpaper privacy audit verify` says, without an anchor."""
        with psycopg.connect(self.custody.url, autocommit=True) as connection:
            seal = seal_of(connection, "shipping", self.custody.master)
            return [(it.position, it.kind) for it in verified(connection, {}, seal)[1]]

    def restarted(self) -> Scene:
        """The same with a new process of the service."""
        return Scene(Custody(self.custody.url, self.custody.file), self.admin_url)

    def watch(self) -> RecordWatch:
        return RecordWatch(self.custody.database, self.custody.vault.record_seal)


@pytest.fixture
def scene(keyring_database_url: DatabaseUrl, keyring_cluster: PrivateCluster, tmp_path: Path) -> Iterator[Scene]:
    custody = Custody(keyring_database_url("shipping"), a_master_file(tmp_path))
    it = Scene(custody, keyring_cluster.admin_url.rpartition("/")[0] + "/" + custody.url.rpartition("/")[2])
    assert it.found() == [], "nobody was ever opened"
    it.open(LENGTH)
    assert it.found() == []
    yield it
    custody.close()


def places(look: Any) -> list[str]:
    return [it.place for it in look.noticed] if look is not None else []


@pytest.mark.parametrize("count", [1, 4, LENGTH])
def test_an_end_that_was_cut_off_is_found_and_stays_found(scene: Scene, count: int) -> None:
    scene.cuts(count)
    assert scene.found() == [(LENGTH, "missing")]
    later = scene.restarted()
    later.open()
    assert rows(scene.custody.url, "select max(position) from openings") == [(LENGTH + 1,)], "the gap is not closed over"
    assert (LENGTH - count + 1, "missing") in later.found()
    later.custody.close()


@pytest.mark.parametrize(
    "made_up",
    [
        "set (position, hash) = (7, (select hash from openings where position = 7))",
        "set (position, hash, seal) = (7, (select hash from openings where position = 7), '')",
        "set (position, hash, seal) = (0, '', '')",
        "set seal = 'x'",
    ],
)
def test_a_head_that_was_made_up_is_found_and_told_before_it_is_sealed_anew(scene: Scene, made_up: str) -> None:
    scene.cuts(3)
    scene.does(f"update record_marks {made_up} where name = 'head'")
    assert scene.found() == [(7, "unsealed")]
    later = scene.restarted()
    later.open()
    assert later.found() == [(8, "unsealed")], "an opening does not make it agree"
    watch = later.watch()
    look = watch.look(AT)
    assert look is not None
    assert places(look) == ["unsealed 8"]
    assert later.found() == [(8, "unsealed")], "it was not told yet"
    watch.note_told(look, AT)
    assert later.found() == []
    assert places(watch.look(AT + SOON)) == []
    later.custody.close()


def test_a_head_that_is_gone_is_found(scene: Scene) -> None:
    scene.cuts(2)
    scene.does("delete from record_marks where name = 'head'")
    assert scene.found() == [(8, "unsealed")]
    scene.open()
    assert (9, "missing") in scene.found(), "this process knows what it wrote"


def test_without_the_service_s_key_nothing_agrees(scene: Scene) -> None:
    scene.does("delete from service_keys where name = 'record'")
    assert scene.found() == [(LENGTH, "unsealed")]
    later = scene.restarted()
    later.open()
    assert later.found() == [(LENGTH + 1, "unsealed")], "a new key seals no old head"
    later.custody.close()


def test_an_older_head_that_was_put_back_is_noticed_by_whoever_still_runs(scene: Scene) -> None:
    ((position, hash_, seal),) = rows(scene.custody.url, "select position, hash, seal from record_marks where name = 'head'")
    watch = scene.watch()
    scene.open(3)
    seen = watch.look(AT)
    assert seen is not None
    watch.note_told(seen, AT)
    scene.does(
        f"delete from openings where position > {LENGTH}",
        f"update record_marks set (position, hash, seal) = ({position}, '{hash_}', '{seal}') where name = 'head'",
    )
    assert scene.found() == [], "to a stranger it looks whole"
    look = watch.look(AT + SOON)
    assert look is not None
    assert places(look) == [f"rewritten {LENGTH + 3}"]
    watch.note_told(look, AT + SOON)
    assert places(watch.look(AT + 2 * SOON)) == [], "once"
    scene.open()
    assert (LENGTH + 1, "missing") in scene.found()


def test_two_processes_carry_one_head_and_a_crash_leaves_it_right(scene: Scene) -> None:
    writers = [begin(scene.custody, "opens", number) for number in range(2)]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert begin(scene.custody, "dies").wait(120) < 0
    assert scene.found() == []
    scene.open()
    assert scene.found() == []


def test_what_an_older_release_wrote_is_sealed_when_it_was_told(scene: Scene) -> None:
    scene.does("update record_marks set (position, hash, seal) = (10, (select hash from openings where position = 10), '')")
    later = scene.restarted()
    watch = later.watch()
    look = watch.look(AT)
    assert look is not None
    assert places(look) == [f"unsealed {LENGTH}"]
    watch.note_told(look, AT)
    later.open()
    assert later.found() == []
    assert places(watch.look(AT + SOON)) == []
    later.custody.close()
