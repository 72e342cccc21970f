"""The private servers: they come up, come back, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kombu
import psutil
import psycopg
import pytest
import yoyo

from deploy.local import databases, unprivileged
from deploy.local.broker import PrivateBroker
from deploy.local.postgres import PrivateCluster
from deploy.local.processes import Program, free_ports, identity_of, port_is_free, wait_until
from tests.integration.facts import PATIENCE_SECONDS, wait_for

ROOT = Path(__file__).resolve().parents[2]
DEEP = Path(*["a folder with a very long name indeed"] * 4)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[PrivateCluster]:
    server = PrivateCluster(tmp_path / DEEP / "data", dies_with_parent=True)
    yield server
    server.remove()


def _remember(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (7)")


def _remembered(url: str) -> list[tuple[int]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT number FROM kept").fetchall()


def test_a_cluster_in_a_deep_folder_keeps_its_data_and_port_over_a_kill(cluster: PrivateCluster) -> None:
    cluster.start()
    port = cluster.port
    _remember(cluster.admin_url)
    cluster.kill()
    assert cluster.pid is None
    cluster.start()
    assert _remembered(cluster.admin_url) == [(7,)]
    assert cluster.port == port


def test_another_object_of_the_same_folder_stands_for_the_same_cluster(cluster: PrivateCluster) -> None:
    cluster.start()
    again = PrivateCluster(cluster.folder)
    assert again.pid == cluster.pid
    again.start()
    assert again.admin_url == cluster.admin_url
    again.stop()
    assert cluster.pid is None


def test_a_stopped_cluster_leaves_no_process_and_no_port(cluster: PrivateCluster) -> None:
    cluster.start()
    pid = cluster.pid
    assert pid is not None
    cluster.stop()
    assert identity_of(pid) is None
    assert port_is_free(cluster.port)
    cluster.remove()
    assert not cluster.folder.exists()


@as_root
def test_where_user_namespaces_are_off_a_cluster_runs_as_a_system_user(
    cluster: PrivateCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(unprivileged.FORBID_USER_NAMESPACES, "1")
    cluster.start()
    _remember(cluster.admin_url)
    assert cluster.pid is not None
    assert Path(f"/proc/{cluster.pid}").stat().st_uid != 0
    with psycopg.connect(cluster.admin_url) as connection:
        data = Path(str(connection.execute("SHOW data_directory").fetchone()[0]))  # type: ignore[index]
    cluster.stop()
    cluster.start()
    assert _remembered(cluster.admin_url) == [(7,)]
    cluster.remove()
    assert not data.exists()


def test_its_log_never_holds_a_value(cluster: PrivateCluster) -> None:
    cluster.start()
    with psycopg.connect(cluster.admin_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE persons (name text PRIMARY KEY)")
        connection.execute("INSERT INTO persons VALUES (%s)", ["Quentin Quarterman"])
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO persons VALUES (%s)", ["Quentin Quarterman"])
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("SELECT nothing FROM persons WHERE name = 'Quentin Quarterman'")
    log = (cluster.folder / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "Quentin" not in log


def test_a_role_enters_its_own_database_and_no_other(data_cluster: PrivateCluster) -> None:
    admin_url = data_cluster.admin_url
    own = databases.ensure(admin_url, "one_role", "first password/@%")
    databases.ensure(admin_url, "other_role", "second")
    own = databases.ensure(admin_url, "one_role", "third password/@%")
    try:
        with psycopg.connect(own) as connection:
            assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        for forbidden in ("other_role", "postgres", "template1"):
            url = databases.database_url(admin_url, forbidden, "one_role", "third password/@%")
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                psycopg.connect(url)
    finally:
        databases.drop(admin_url, "one_role")
        databases.drop(admin_url, "other_role")


def test_migrations_of_two_folders_run_once_in_the_order_of_their_names(data_cluster: PrivateCluster, tmp_path: Path) -> None:
    early, late = tmp_path / "early [1]", tmp_path / "late"
    early.mkdir()
    late.mkdir()
    (early / "0001_first.sql").write_text("CREATE TABLE things (name text CHECK (name LIKE 'a%'));")
    (late / "1001_second.sql").write_text("ALTER TABLE things ADD COLUMN number int;")
    url = databases.ensure(data_cluster.admin_url, "migrated", "password")
    try:
        assert databases.migrate(url, [late, early, tmp_path / "missing"]) == ["0001_first", "1001_second"]
        assert databases.migrate(url, [late, early]) == []
        (late / "1002_third.sql").write_text("-- depends: 0999_missing\nSELECT 1;")
        with pytest.raises(yoyo.exceptions.BadMigration):
            databases.migrate(url, [late, early])
    finally:
        databases.drop(data_cluster.admin_url, "migrated")


def test_a_broker_in_a_deep_folder_keeps_messages_and_port_over_a_kill(tmp_path: Path) -> None:
    server = PrivateBroker(tmp_path / DEEP / "broker", dies_with_parent=True)
    try:
        server.start()
        port, uri = server.port, server.admin_uri()
        with kombu.Connection(uri, transport_options={"confirm_publish": True}) as connection:
            queue = kombu.Queue("kept", durable=True, queue_arguments={"x-queue-type": "quorum"})
            connection.Producer().publish("still here", routing_key="kept", declare=[queue], retry=False)
        # RabbitMQ 3.10 writes the names of new quorum queues with a delay of about half a second; a queue whose name was not yet
        # written has no leader after a power cut. The topology is declared long before anything is published.
        names = next(server.folder.glob("mnesia/*/quorum/*/names.dets"))
        assert wait_until(lambda: b"brownpaper_kept" in names.read_bytes(), PATIENCE_SECONDS)
        node, port_mapper = server.pid, int((server.folder / "epmd.pid").read_text())
        server.kill()
        server.start()
        assert (server.port, server.admin_uri()) == (port, uri)
        with kombu.Connection(uri) as connection:
            kept = wait_for(lambda: connection.default_channel.basic_get("kept", no_ack=True), "the message")
            assert kept.body == "still here"
        server.stop()
        assert node is not None
        assert [identity_of(pid) for pid in (node, port_mapper)] == [None, None]
        assert port_is_free(port)
    finally:
        server.remove()
    assert not server.folder.exists()


def test_a_vhost_of_each_tests_own_holds_the_topology(vhost_uri: str) -> None:
    from shared.delivery import topology

    with kombu.Connection(vhost_uri) as connection:
        connection.default_channel.exchange_declare(topology.marker(), "fanout", passive=True)


def test_a_program_whose_first_thread_is_over_still_runs_and_kill_waits_for_its_port(tmp_path: Path) -> None:
    """So a server of many threads looks for a moment after SIGKILL, and its successor found the port taken."""
    (port,) = free_ports(1)
    code = (
        "import ctypes, socket, sys, threading\nserver = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "threading.Thread(target=server.accept).start()\nctypes.CDLL(None).pthread_exit(None)\n"
    )
    program = Program(tmp_path, "headless")
    try:
        pid = program.start([sys.executable, "-c", code, str(port)], dict(os.environ), dies_with_parent=signal.SIGKILL)
        assert wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, PATIENCE_SECONDS), program.log_tail()
        assert not port_is_free(port)
        assert program.pid == pid
        program.kill()
        assert program.pid is None
        assert port_is_free(port)
    finally:
        program.kill()


def test_what_a_killed_run_started_ends_with_it(tmp_path: Path) -> None:
    """A cluster that was started to die with its parent does so even if the parent is killed and cleans nothing up."""
    code = (
        "import sys, signal, os\nfrom pathlib import Path\nfrom deploy.local.postgres import PrivateCluster\n"
        "PrivateCluster(Path(sys.argv[1]), dies_with_parent=True).start()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = tmp_path / "data"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    left = PrivateCluster(folder)
    assert left.port
    try:
        assert wait_until(lambda: left.pid is None, PATIENCE_SECONDS)
    finally:
        left.remove()


def test_a_number_given_to_another_process_is_not_taken_for_ours(tmp_path: Path) -> None:
    program = Program(tmp_path, "sleeper")
    program.start(["sleep", "60"], {"PATH": os.defpath})
    assert program.pid is not None
    (tmp_path / "sleeper.pid").write_text(f"{os.getpid()}\n")
    assert program.pid is None
    assert program._child is not None
    program._child.kill()
    program._child.wait()
