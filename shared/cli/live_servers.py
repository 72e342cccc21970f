"""The running stack's broker and database servers, as the privacy commands look at them: rules and catalogues, never a message or a row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import psycopg

from deploy.local import definitions, servers
from deploy.local.broker import PrivateBroker
from deploy.local.broker_cluster import BrokerCluster
from deploy.local.containers import ComposeServers
from deploy.local.processes import StartError
from shared.cli.terminal import NotDone
from shared.policy import Policy
from shared.policy.compile_databases import Cluster, database_names
from shared.policy.live_broker import LiveBroker


class Catalogues:
    """The administrator's connections to the databases of one server, opened when asked for. Close it by leaving its `with`."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._open: dict[str, psycopg.Connection[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for connection in self._open.values():
            connection.close()

    def ask(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement in a database. Raises psycopg.Error."""
        return list(self.connection(database).execute(statement.encode()).fetchall())

    def connection(self, database: str) -> psycopg.Connection[Any]:
        """The connection to a database, each statement a transaction of its own. Raises psycopg.Error."""
        if database not in self._open:
            url = urlsplit(self._admin_url)._replace(path=f"/{quote(database, safe='')}").geturl()
            self._open[database] = psycopg.connect(url, autocommit=True)
        return self._open[database]


def database_names_of(policy: Policy, cluster: Cluster, settings: Mapping[str, str]) -> dict[str, str]:
    """The policy's databases → their names on the running stack's server, read off the services' own addresses."""
    names = {}
    for name in database_names(policy, cluster):
        service = policy.databases.databases[name].service.upper()
        url = settings[f"{service}_DATABASE_URL" if cluster == "data" else f"{service}_KEYRING_DATABASE_URL"]
        names[name] = unquote(urlsplit(url).path[1:])
    return names


def live_broker(settings: Mapping[str, str], folder: Path) -> LiveBroker:
    """The broker of the stack whose folder this is. Raises NotDone where there is no way to look at it."""
    admin = urlsplit(settings["ADMIN_AMQP_URI"].partition(";")[0])  # a cluster has one for each node
    host = unquote(admin.path[1:]) or "/"
    try:
        if api_url := settings.get(servers.GIVEN_API):
            return from_api(api_url, host, {unquote(admin.username or "")})
        if (folder / "broker").is_dir():
            broker = servers.private(folder)["broker"]
            node = broker.members[0] if isinstance(broker, BrokerCluster) else broker
            if isinstance(node, PrivateBroker):
                return from_node(node, host)
        if (folder / "compose.env").exists():
            return from_api(ComposeServers(folder).api_url(), host, set())
    except StartError as error:
        raise NotDone(str(error)) from None
    raise NotDone(
        f"The broker was given without {servers.GIVEN_API}: there all services share one user, and no rule can be compared."
    )


def from_node(node: PrivateBroker, virtual_host: str) -> LiveBroker:
    """A private node, asked by its own programs. Raises StartError."""
    questions = (
        ("export_definitions", "-", "--format"),
        ("list_vhosts", "name", "tracing", "--formatter"),
        ("status", "--formatter"),
    )
    with ThreadPoolExecutor(len(questions)) as pool:  # each starts a program, which takes its second
        export, hosts, status = pool.map(lambda words: json.loads(node.control(*words, "json")), questions)
    traced = {row["name"] for row in hosts if row["tracing"]}
    return LiveBroker(
        export, virtual_host, frozenset(status["active_plugins"]), virtual_host in traced, frozenset({definitions.ADMIN})
    )


def from_api(api_url: str, virtual_host: str, administrators: set[str]) -> LiveBroker:
    """Any broker with the management HTTP API. Raises StartError."""
    export = servers.ask_api(api_url, "definitions")
    host = servers.ask_api(api_url, f"vhosts/{quote(virtual_host, safe='')}")
    nodes = servers.ask_api(api_url, "nodes")
    if not all(node.get("enabled_plugins") for node in nodes):
        # A node that has just come up does not tell for some seconds; an empty list must not pass for a clean one.
        raise StartError("a node of the broker does not tell its plugins yet: ask again in some seconds")
    plugins = {plugin for node in nodes for plugin in node["enabled_plugins"]}
    operators = {definitions.ADMIN, unquote(urlsplit(api_url).username or ""), *administrators}
    return LiveBroker(export, virtual_host, frozenset(plugins), bool(host.get("tracing")), frozenset(operators))
