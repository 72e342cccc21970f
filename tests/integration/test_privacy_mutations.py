"""`brownpaper privacy diff` against mutants: one compiled rule dropped or added at a time on live servers, and each must be named.

The servers are of this module alone, with the management API for speed: the count of mutants and the survivors are printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from deploy.local import databases, definitions
from deploy.local.broker import VIRTUAL_HOST, PrivateBroker
from deploy.local.postgres import PrivateCluster
from deploy.local.processes import StartError, free_ports
from shared.cli.live_servers import Catalogues, from_api, from_node
from shared.delivery import topology
from shared.policy import load
from shared.policy.compile_databases import Cluster, database_names
from shared.policy.live_broker import LiveBroker, broker_differences
from shared.policy.live_databases import cluster_differences
from shared.policy.server_rules import Difference
from tests.integration.facts import wait_for
from tests.integration.mutants_of_the_broker import Api, broker_mutants
from tests.integration.mutants_of_the_databases import cluster_mutants, setting_mutants

POLICY = load()
WIRING = topology.wiring()
CLUSTERS: tuple[Cluster, ...] = ("data", "keyring")
AT_START = "shared_preload_libraries"
PASSWORDS = {user: f"the password of {user}" for user in definitions.USERS}
DOCUMENT = definitions.services(PASSWORDS, VIRTUAL_HOST)


@dataclass
class Managed:
    """A broker with its management API, and the two clusters with all databases."""

    broker: PrivateBroker
    clusters: dict[Cluster, PrivateCluster]

    def declare(self) -> None:
        topology.declare(self.broker.admin_uri())

    def tells_all(self) -> bool:
        try:
            self.live()
        except StartError:
            return False
        return True

    def live(self) -> LiveBroker:
        return from_api(self.broker.api_url(), VIRTUAL_HOST, set())

    def broker_differences(self, live: LiveBroker | None = None) -> list[Difference]:
        return broker_differences(POLICY, WIRING, live or self.live(), markers=[topology.marker()])


@pytest.fixture(scope="module")
def managed(servers_folder: Path) -> Iterator[Managed]:
    broker = PrivateBroker(
        servers_folder / "managed-broker", extra_definitions=DOCUMENT, dies_with_parent=True, management_port=free_ports(1)[0]
    )
    clusters: dict[Cluster, PrivateCluster] = {}
    for name in CLUSTERS:
        clusters[name] = PrivateCluster(servers_folder / f"managed-{name}", dies_with_parent=True)
        # Here the policy's settings come from the server's own configuration, so that they can be changed while it runs.
        own = {key: value for key, value in clusters[name]._settings.items() if key not in POLICY.databases.settings}
        clusters[name]._settings = own
    it = Managed(broker, clusters)
    try:
        broker.begin()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_fill, clusters, clusters.values()))
        broker.wait()
        it.declare()
        wait_for(it.tells_all, "the broker to tell its plugins")
        yield it
    finally:
        broker.remove()
        for cluster in clusters.values():
            cluster.remove()


def _fill(name: Cluster, cluster: PrivateCluster) -> None:
    cluster.start()
    databases.seclude(cluster.admin_url)
    with psycopg.connect(cluster.admin_url, autocommit=True) as connection:
        for setting, value in POLICY.databases.settings.items():
            # A list that is set to nothing is written as a list of one nameless library: such a server would not start again.
            if value:
                connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(setting), sql.Literal(value)))
        connection.execute("select pg_reload_conf()")
    for database in database_names(POLICY, name):
        service = POLICY.databases.databases[database].service
        if name == "keyring":
            databases.bring_keyring(cluster.admin_url, database, "a password")
        else:
            databases.migrate(databases.ensure(cluster.admin_url, database, "a password"), databases.service_folders(service))


@pytest.fixture(scope="module")
def looks(managed: Managed) -> Iterator[dict[Cluster, Callable[[], list[Difference]]]]:
    """How each cluster is held against the policy, over connections that stay open."""
    catalogues = {name: Catalogues(cluster.admin_url) for name, cluster in managed.clusters.items()}

    def look_at(name: Cluster) -> Callable[[], list[Difference]]:
        names = {it: it for it in database_names(POLICY, name)}
        return lambda: cluster_differences(POLICY, name, catalogues[name].ask, names)

    looks = {name: look_at(name) for name in catalogues}
    for look in looks.values():
        wait_for(lambda look=look: look() == [], "the servers to be as the policy says")  # type: ignore[misc]
    yield looks
    for it in catalogues.values():
        it.__exit__(None, None, None)


def verdict(name: str, wanted: frozenset[Any], found: list[Difference]) -> list[str]:
    """What is wrong with how a mutant was told: not named, more named than it broke, or without a clause."""
    named = {difference.rule for difference in found}
    wrong = [f"{name}: {' '.join(rule)} is not named" for rule in wanted - named]
    wrong += [f"{name}: {' '.join(rule)} is named besides" for rule in named - wanted]
    return wrong + [f"{name}: {' '.join(it.rule)} without a clause" for it in found if not it.clauses]


def test_the_untouched_servers_agree(managed: Managed, looks: dict[Cluster, Callable[[], list[Difference]]]) -> None:
    assert managed.broker_differences() == []
    assert [look() for look in looks.values()] == [[], []]


def test_a_node_s_own_programs_tell_the_same_as_its_api(managed: Managed) -> None:
    told = from_node(managed.broker, VIRTUAL_HOST)
    assert managed.broker_differences(told) == []
    assert "rabbitmq_management" in told.plugins & managed.live().plugins


def test_every_broker_mutant_is_named(managed: Managed, capsys: pytest.CaptureFixture[str]) -> None:
    mutants = broker_mutants(POLICY, WIRING, Api(managed.broker.api_url(), VIRTUAL_HOST), managed.declare, DOCUMENT)
    wrong: list[str] = []
    for mutant in mutants:
        mutant.do()
        try:
            wrong += verdict(mutant.name, mutant.breaks, managed.broker_differences())
        finally:
            mutant.undo()
    with capsys.disabled():
        print(f"\n{len(mutants)} broker mutants, survivors: {wrong or 'none'}")
    assert wrong == []
    assert managed.broker_differences() == []


def test_every_database_mutant_is_named(
    managed: Managed, looks: dict[Cluster, Callable[[], list[Difference]]], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong: list[str] = []
    count = 0
    for name, cluster in managed.clusters.items():
        with Catalogues(cluster.admin_url) as hands:
            look_where = look_into_one(name, hands)
            for mutant in cluster_mutants(POLICY, name, columns_of=frozenset({"shipping", "shipping_keyring"})):
                count += 1
                said(hands, mutant.database, mutant.do)
                try:
                    wrong += verdict(mutant.do, mutant.breaks, look_where(mutant.database))
                finally:
                    said(hands, mutant.database, mutant.undo)
    with capsys.disabled():
        print(f"\n{count} database mutants, survivors: {wrong or 'none'}")
    assert wrong == []
    assert [look() for look in looks.values()] == [[], []]


def look_into_one(name: Cluster, hands: Catalogues) -> Callable[[str], list[Difference]]:
    """Hold a cluster against the policy, where of the databases that nobody touched is told what they told before."""
    names = {it: it for it in database_names(POLICY, name)}
    told: dict[tuple[str, str], list[tuple[Any, ...]]] = {}

    def look(touched: str) -> list[Difference]:
        def ask(database: str, statement: str) -> list[tuple[Any, ...]]:
            if database in {touched, "postgres"}:
                return hands.ask(database, statement)
            if (database, statement) not in told:
                told[database, statement] = hands.ask(database, statement)
            return told[database, statement]

        return cluster_differences(POLICY, name, ask, names)

    assert look("postgres") == []
    return look


def test_every_setting_mutant_is_named(managed: Managed, looks: dict[Cluster, Callable[[], list[Difference]]]) -> None:
    for name, cluster in managed.clusters.items():
        with Catalogues(cluster.admin_url) as hands:
            for setting, loud, rule in setting_mutants(POLICY):
                if setting == AT_START:
                    continue  # in a test of its own
                for value, wanted in ((loud, [rule]), (POLICY.databases.settings[setting], [])):
                    to = f"set {setting} = '{value}'" if value else f"reset {setting}"
                    said(hands, "postgres", f"alter system {to}")
                    said(hands, "postgres", "select pg_reload_conf()")
                    _wait_named(looks[name], wanted)


def test_a_setting_that_waits_for_the_next_start_is_named(managed: Managed) -> None:
    names = {it: it for it in database_names(POLICY, "keyring")}
    cluster = managed.clusters["keyring"]
    with Catalogues(cluster.admin_url) as hands:
        said(hands, "postgres", f"alter system set {AT_START} = 'auto_explain'")
        said(hands, "postgres", "select pg_reload_conf()")
        _wait_named(lambda: cluster_differences(POLICY, "keyring", hands.ask, names), [("setting", AT_START)])
        said(hands, "postgres", f"alter system reset {AT_START}")
    cluster.stop()
    cluster.start()
    with Catalogues(cluster.admin_url) as hands:
        assert cluster_differences(POLICY, "keyring", hands.ask, names) == []


def test_on_a_shared_server_only_what_concerns_ours_is_looked_at(managed: Managed) -> None:
    names = {it: it for it in database_names(POLICY, "data")}
    with Catalogues(managed.clusters["data"].admin_url) as hands:
        said(hands, "postgres", "create role stranger superuser")
        said(hands, "postgres", "create database strange")
        try:
            assert cluster_differences(POLICY, "data", hands.ask, names, exclusive=False) == []
            said(hands, "postgres", "grant connect on database shipping to stranger")
            [door] = cluster_differences(POLICY, "data", hands.ask, names, exclusive=False)
            assert door.rule == ("door", "shipping", "stranger")
        finally:
            said(hands, "postgres", "revoke all on database shipping from stranger")
            said(hands, "postgres", "drop database strange")
            said(hands, "postgres", "drop role stranger")


def _wait_named(look: Callable[[], list[Difference]], wanted: list[Any]) -> None:
    """The server takes a setting up in its own time."""
    wait_for(lambda: [it.rule for it in look()] == wanted, f"{wanted} to be named")


def said(hands: Catalogues, database: str, statement: str) -> None:
    """Say a statement, and keep it."""
    hands.connection(database).execute(statement.encode())
