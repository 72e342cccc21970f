"""Private servers of which there are several: three brokers that are one, and a primary with its standby."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import kombu
import kombu.exceptions
import psycopg
import pytest

from deploy.local import databases, servers
from deploy.local.broker import PrivateBroker
from deploy.local.broker_cluster import BrokerCluster
from deploy.local.postgres import PrivateCluster
from deploy.local.postgres_pair import PostgresPair
from deploy.local.processes import identity_of
from shared.database import Database, DatabaseUnavailable
from shared.delivery import topology
from tests.integration.facts import rows, wait_for
from tests.integration.quorum import every_node_is_in_step, leaders, members
from tests.integration.wire import Wire


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[BrokerCluster]:
    it = BrokerCluster(tmp_path / "broker", dies_with_parent=True)
    yield it
    it.remove()


@pytest.mark.slow
def test_every_queue_has_a_member_on_every_node_and_outlives_a_power_cut_of_all(cluster: BrokerCluster) -> None:
    cluster.start()
    topology.declare(cluster.admin_uri())
    every_node_is_in_step(cluster)
    places = {(it.queue, it.node) for it in members(cluster)}
    assert places == {(queue.name, node.node) for queue in topology.QUEUES for node in cluster.members}
    uri = cluster.admin_uri()
    Wire(uri).publish("storefront.events", "order_placed", b"still here")
    before = [node.pid for node in cluster.members]
    cluster.kill()
    assert [identity_of(pid) for pid in before if pid] == [None, None, None]
    again = BrokerCluster(cluster.folder, dies_with_parent=True)
    again.start()
    assert again.admin_uri() == uri
    every_node_is_in_step(again)
    for node in again.members:  # one broker: what came in at one is seen at each
        wait_for(lambda it=node: Wire(it.admin_uri()).waiting("orders.intake") == 1, "the message at each node")
    first, second, third = again.members
    first.kill()
    second.kill()
    wait_for(lambda: not _takes_connections(third), "a node alone to stop taking anything")
    first.start()
    wait_for(lambda: _takes_connections(third), "two of three to go on")
    wait_for(lambda: len(leaders(again)) == len(topology.QUEUES), "them to lead all queues")  # until then they refuse messages
    Wire(third.admin_uri()).publish("storefront.events", "order_placed", b"after all that")
    wait_for(lambda: Wire(uri).waiting("orders.intake") == 2, "both messages")
    again.stop()
    assert [node.pid for node in cluster.members] == [None, None, None]


def test_the_standby_has_every_commit_and_the_pair_goes_there_and_back(pair: PostgresPair) -> None:
    url = databases.ensure(pair.admin_url, database := "kept", "password")
    rows(url, "create table kept (number int)")
    for number in range(2):
        rows(url, "insert into kept values (%s)", number)
        assert rows(url, "select number from kept order by 1") == [(it,) for it in range(number + 1)]
        lost, successor = pair.primary, pair.standby
        assert _port(url) == lost.port
        lost.kill()
        with pytest.raises(psycopg.OperationalError):
            _port(url)  # the standby takes no writes, so nobody gets a connection
        pair.promote()
        assert _port(url) == successor.port
        _comes_back_by_itself_and_can_commit_nothing(lost, database)
        pair.rejoin()
        assert (pair.primary, pair.standby) == (successor, lost)
        wait_for(pair.is_in_step, "the standby to be in step")


def test_a_commit_waits_for_the_standby(pair: PostgresPair) -> None:
    url = databases.ensure(pair.admin_url, "waited", "password")
    rows(url, "create table kept (number int)")
    pair.standby.stop()
    connection = psycopg.connect(url, autocommit=True)
    connection.pgconn.send_query(b"insert into kept values (1)")
    wait_for(lambda: _waits_for_the_standby(pair.primary), "the commit to wait")
    connection.pgconn.consume_input()
    assert connection.pgconn.is_busy()
    pair.standby.start()
    result = connection.pgconn.get_result()
    assert result is not None
    assert result.command_status == b"INSERT 0 1"
    connection.close()


def test_a_stack_of_several_servers_is_found_again_by_its_folder(pair: PostgresPair) -> None:
    found = servers.private(pair.folder.parent)
    assert [type(it) for it in found.values()] == [BrokerCluster, PostgresPair, PostgresPair]
    running = [(name, pid) for name, pid, _ in servers.processes(found) if pid]
    assert running == [("data-1", pair.members[0].pid), ("data-2", pair.members[1].pid)]
    found["data"].stop()
    assert [it.pid for it in pair.members] == [None, None]


def test_migrations_go_to_the_one_of_several_servers_that_takes_writes(pair: PostgresPair) -> None:
    url = databases.ensure(pair.admin_url, "orders", "password")
    applied = databases.migrate(url, databases.service_folders("orders"))
    assert applied
    standby = databases.database_url(pair.standby.admin_url, "orders", "orders", "password")
    wait_for(lambda: rows(standby, "select to_regclass('outbox') is not null") == [(True,)], "the tables on the standby")
    assert databases.migrate(url, databases.service_folders("orders")) == []


def test_a_service_finds_the_primary_among_several_and_gives_a_silent_one_up(
    pair: PostgresPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")
    plain = databases.ensure(pair.admin_url, "orders", "password").partition("?")[0]
    hosts = f"127.0.0.1:{pair.standby.port},127.0.0.1:{pair.primary.port}"
    database = Database(re.sub("@[^/]+/", f"@{hosts}/", plain), name="test")
    with database.begin() as connection:
        assert connection.info.port == pair.primary.port
        with socket.socket(fileno=os.dup(connection.fileno())) as its:
            idle, interval, count = (
                its.getsockopt(socket.IPPROTO_TCP, it) for it in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
    assert idle + interval * count <= 30
    pair.primary.kill()
    with pytest.raises(DatabaseUnavailable), database.begin() as connection:
        connection.execute("select 1")
    pair.promote()
    with database.begin() as connection:
        assert connection.info.port == pair.primary.port
    database.close()


def _takes_connections(node: PrivateBroker) -> bool:
    try:
        kombu.Connection(node.admin_uri(), connect_timeout=2).ensure_connection(max_retries=0).release()
    except (OSError, kombu.exceptions.OperationalError):
        return False
    return True


def _comes_back_by_itself_and_can_commit_nothing(lost: PrivateCluster, database: str) -> None:
    """A lost primary that somebody simply starts still believes to be one; but it has no standby to commit with."""
    lost.start()
    connection = psycopg.connect(lost.admin_url.removesuffix("/postgres") + f"/{database}", autocommit=True)
    connection.pgconn.send_query(b"insert into kept values (99)")
    wait_for(lambda: _waits_for_the_standby(lost), "its commit to wait")
    lost.kill()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")


def _port(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.info.port


def _waits_for_the_standby(server: PrivateCluster) -> bool:
    return rows(server.admin_url, "select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == [(1,)]
