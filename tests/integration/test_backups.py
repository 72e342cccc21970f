"""Backups: whole or not there, each cluster's for its own time, and what was changed is not brought back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local import backups, databases
from deploy.local.backups import BackupError, Cluster, Target
from deploy.local.postgres import PrivateCluster
from tests.integration.facts import rows

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
KEEP: dict[Cluster, timedelta] = {"data": timedelta(days=30), "keyring": timedelta(days=7)}


@pytest.fixture
def targets(data_cluster: PrivateCluster, keyring_cluster: PrivateCluster) -> list[Target]:
    found = []
    for cluster, server in (("data", data_cluster), ("keyring", keyring_cluster)):
        name = f"backup_{cluster}"
        found.append(Target("shipping", cluster, server.admin_url, name, "a password"))  # type: ignore[arg-type]
        databases.drop(server.admin_url, name)
    databases.migrate(
        databases.ensure(data_cluster.admin_url, "backup_data", "a password"), databases.service_folders("shipping")
    )
    databases.bring_keyring(keyring_cluster.admin_url, "backup_keyring", "a password")
    return found


def own(target: Target) -> str:
    return databases.database_url(target.admin_url, target.name, target.name, target.password)


def test_each_cluster_s_are_kept_for_their_own_time(targets: list[Target], tmp_path: Path) -> None:
    for days in (0, 6, 8, 31):
        backups.back_up(targets, tmp_path, AT + timedelta(days=days), keep=KEEP)
    assert [(AT + timedelta(days=31) - backups.made_at(it)).days for it in backups.standing(tmp_path, "data")] == [25, 23, 0]
    assert [(AT + timedelta(days=31) - backups.made_at(it)).days for it in backups.standing(tmp_path, "keyring")] == [0]
    assert not list(tmp_path.rglob("*.partial"))
    assert all(it.stat().st_mode & 0o077 == 0 for it in tmp_path.rglob("*Z"))


def test_the_record_comes_back_and_is_guarded_again(targets: list[Target], tmp_path: Path) -> None:
    keyring = targets[1]
    entry = "insert into openings values (1, now(), 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')"
    rows(own(keyring), entry)
    made = backups.back_up(targets, tmp_path, AT, keep=KEEP)
    rows(own(keyring), entry.replace("(1,", "(2,"))
    for _ in range(2):
        for target in targets:
            backups.bring_back(target, made[target.cluster])
    assert rows(own(keyring), "select position from openings") == [(1,)]
    guards = "select pg_get_userbyid(relowner), relacl::text from pg_class where relname = 'openings'"
    assert rows(own(keyring), guards) == [
        ("backup_keyring_record", "{backup_keyring_record=arwdDxt/backup_keyring_record,backup_keyring=ar/backup_keyring_record}")
    ]


@pytest.mark.parametrize("cluster", ["data", "keyring"])
def test_what_is_not_as_it_was_written_is_not_brought_back(targets: list[Target], tmp_path: Path, cluster: Cluster) -> None:
    with pytest.raises(BackupError, match="no backup"):
        backups.choose(tmp_path, cluster)
    made = backups.back_up(targets, tmp_path, AT, keep=KEEP)
    assert backups.choose(tmp_path, cluster) == made[cluster] == backups.choose(tmp_path, cluster, made[cluster].name)
    with pytest.raises(BackupError, match="no such backup"):
        backups.choose(tmp_path, cluster, "20200101T000000Z")
    file = made[cluster] / "shipping.dump"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BackupError, match="not as it was written"):
        backups.choose(tmp_path, cluster)


def test_a_server_that_refuses_leaves_no_half_backup(targets: list[Target], tmp_path: Path) -> None:
    gone = Target("orders", "data", targets[0].admin_url, "nobody_s")
    with pytest.raises(BackupError, match="pg_dump"):
        backups.back_up([*targets, gone], tmp_path, AT, keep=KEEP)
    assert backups.standing(tmp_path, "data") == []
