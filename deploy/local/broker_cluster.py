"""Several private RabbitMQ nodes on this machine that make one broker: what `docs/cluster.md` describes, on loopback.

Each node is a `PrivateBroker` of its own, in a folder of its own; name space (epmd), cookie and administrator are theirs together.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local import definitions, unprivileged
from deploy.local.broker import VIRTUAL_HOST, Membership, PrivateBroker
from deploy.local.port_mapper import PortMapper
from deploy.local.processes import free_ports, port_is_free, write_private

# How the nodes are to behave as a cluster: the file that an operator copies, with our names in it.
CONFIGURATION = Path(__file__).resolve().parents[1] / "cluster" / "rabbitmq.conf"
STATE_FILE = "brokers.json"
_NAMES = ("brownpaper1@localhost", "brownpaper2@localhost", "brownpaper3@localhost")


class BrokerCluster:
    """Three RabbitMQ nodes under `folder` that are one broker. Its addresses are all three, semicolons between them.

    `start` after `stop`, `kill` or a crash comes back on the same data. `members` can be killed and started one by one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        virtual_hosts: tuple[str, ...] = (VIRTUAL_HOST,),
        extra_definitions: definitions.Definitions | None = None,
        dies_with_parent: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self._virtual_hosts = virtual_hosts
        self._extra_definitions = extra_definitions
        self._dies_with_parent = dies_with_parent
        self._port_mapper = PortMapper(self.folder, dies_with_parent=dies_with_parent)
        self._state_file = self.folder / STATE_FILE
        self.members: tuple[PrivateBroker, ...] = ()
        if self._state_file.exists():
            self._make_nodes(json.loads(self._state_file.read_text()))

    def admin_uri(self, virtual_host: str | None = None) -> str:
        """The administrator's AMQP URIs of a virtual host (the first if none is named): a secret."""
        return ";".join(node.admin_uri(virtual_host) for node in self.members)

    def start(self) -> None:
        """Start all nodes; returns when the administrator can open a connection to each. Safe to repeat. Raises StartError."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """The first half of `start`: only begin, so that other servers can start meanwhile."""
        is_new = not self.members
        epmd_port = self._choose_port_mapper()
        self._port_mapper.start(epmd_port)
        # At the very first start there must be a first node for the others to join; later they know each other, and wait for the
        # one that went last.
        for node in self.members[:1] if is_new else self.members:
            node.begin()

    def wait(self) -> None:
        """The second half of `start`."""
        self.members[0].wait()
        for node in self.members:
            node.begin()
        for node in self.members:
            node.wait()

    def stop(self) -> None:
        """End nodes and epmd in order. Safe to repeat."""
        for node in self.members:
            node.stop()
        self._port_mapper.stop()

    def kill(self) -> None:
        """End all as a power cut would. Safe to repeat."""
        for node in self.members:
            node.kill()
        self._port_mapper.kill()

    def remove(self) -> None:
        """End it and remove its files. Safe to repeat."""
        self.kill()
        for node in self.members:
            node.remove()
        unprivileged.remove(self.folder)

    def _choose_port_mapper(self) -> int:
        """The port of the epmd that all share; made with names and secrets when the folder is first used, and again where it is taken."""
        state = json.loads(self._state_file.read_text()) if self._state_file.exists() else {}
        if not state or not (self._port_mapper.pid or port_is_free(state["epmd_port"])):
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh = {"cookie": secrets.token_hex(20), "password": secrets.token_urlsafe(24)}
            state = {**fresh, **state, "epmd_port": free_ports(1)[0]}
            write_private(self._state_file, json.dumps(state))
            self._make_nodes(state)
        return int(state["epmd_port"])

    def _make_nodes(self, state: Mapping[str, Any]) -> None:
        configuration = "\n" + CONFIGURATION.read_text()
        for number, name in enumerate(_NAMES, 1):
            configuration = configuration.replace(f"rabbit@broker-{number}", name)
        self.members = tuple(
            PrivateBroker(
                self.folder / name.partition("@")[0],
                virtual_hosts=self._virtual_hosts,
                extra_definitions=self._extra_definitions,
                dies_with_parent=self._dies_with_parent,
                membership=Membership(
                    node=name,
                    cookie=state["cookie"],
                    password=state["password"],
                    epmd_port=int(state["epmd_port"]),
                    # The first has nobody to join, and need not look for the others for long.
                    configuration=configuration + ("cluster_formation.discovery_retry_limit = 1\n" if name == _NAMES[0] else ""),
                    loads_definitions=name == _NAMES[0],
                ),
            )
            for name in _NAMES
        )
