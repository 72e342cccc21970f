"""A private RabbitMQ node: own name, cookie, ports, data and port mapper; the system's broker is never touched.

It stands alone, or is one of several (`Membership`): `deploy.local.broker_cluster` makes those.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import amqp

from deploy.local import definitions, unprivileged
from deploy.local.certificates import Certificate
from deploy.local.port_mapper import PortMapper
from deploy.local.processes import Program, StartError, free_ports, port_is_free, write_private
from shared.broker_address import connection_to

VIRTUAL_HOST = "brownpaper"
_NODE = "brownpaper@localhost"  # alone in its name space, because its port mapper (epmd) is its own too
_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_COMMAND_SECONDS = 180.0

# Two schedulers, none of them waiting busily; the distribution's port on loopback only.
_ERLANG_ARGUMENTS = (
    "+S 2:2 +SDcpu 1:1 +SDio 4 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
)

_PLAIN = "listeners.tcp.local = 127.0.0.1:{port}\n"
_ENCRYPTED = """\
listeners.tcp = none
listeners.ssl.local = 127.0.0.1:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/certificate.pem
ssl_options.keyfile = {folder}/key.pem
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
"""
_CONFIGURATION = """\
loopback_users = none
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 64MB
raft.wal_max_size_bytes = 67108864
consumer_timeout = 86400000
log.file.level = warning
log.console = false
"""


@dataclass(frozen=True, slots=True)
class Membership:
    """What makes a node one of several: its own name, and what all of them share."""

    node: str
    cookie: str
    """Who knows it may join, and command the nodes: a secret."""
    password: str
    """The administrator's, the same on every node: a secret."""
    epmd_port: int
    """Of the port mapper that runs already; the node starts none of its own."""
    configuration: str
    """Further lines of `rabbitmq.conf`: who the others are."""
    loads_definitions: bool
    """Users and rights are the whole cluster's: one node brings them."""


def find_programs() -> Path | None:
    """The folder of RabbitMQ's own programs; None if there are none.

    Not Debian's wrapper on the PATH, which changes to the user `rabbitmq` or refuses.
    """
    if shutil.which("erl") is None:
        return None
    candidates = [
        Path("/usr/lib/rabbitmq/bin"),
        *sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"), reverse=True),
    ]
    on_path = shutil.which("rabbitmq-server")
    if on_path is not None and not Path("/usr/lib/rabbitmq").is_dir():
        candidates.append(Path(on_path).resolve().parent)
    return next((folder for folder in candidates if (folder / "rabbitmq-server").exists()), None)


def _programs() -> Path:
    programs = find_programs()
    if programs is None:
        raise StartError("the RabbitMQ programs are not on this machine")
    return programs


class PrivateBroker:
    """One RabbitMQ node under `folder`, started as a child, with its epmd.

    Ports and the administrator's password are chosen once per folder; `start` after `stop`, `kill` or a crash comes back on the
    same data, and on the same port unless somebody else took it meanwhile. Users and permissions beyond the administrator's come
    from `extra_definitions` and are imported at every start. With a `management_port` its HTTP API listens there, on loopback.
    With a `certificate` it speaks TLS and nothing else; `start` while it runs has it show one that was renewed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        virtual_hosts: tuple[str, ...] = (VIRTUAL_HOST,),
        extra_definitions: definitions.Definitions | None = None,
        dies_with_parent: bool = False,
        membership: Membership | None = None,
        management_port: int | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.node = membership.node if membership else _NODE
        self._membership = membership
        self._management_port = management_port
        self._certificate = certificate
        self._virtual_hosts = virtual_hosts
        self._extra_definitions = extra_definitions or {}
        self._dies_with_parent = dies_with_parent
        self._node = Program(self.folder, "rabbitmq", log=self.folder / "rabbitmq.log")
        self._port_mapper = PortMapper(self.folder, dies_with_parent=dies_with_parent)
        self._state_file = self.folder / "broker.json"
        self.port = self._distribution_port = self._epmd_port = 0
        self._password = ""
        if self._state_file.exists():
            state = json.loads(self._state_file.read_text())
            self.port, self._distribution_port, self._epmd_port = state["ports"]
            self._password = state["password"]
        if membership:
            self._epmd_port, self._password = membership.epmd_port, membership.password

    @property
    def pid(self) -> int | None:
        return self._node.pid

    def admin_uri(self, virtual_host: str | None = None) -> str:
        """The administrator's AMQP URI of a virtual host (the first if none is named), with the password in it: a secret."""
        return self.uri(definitions.ADMIN, self._password, virtual_host)

    def api_url(self) -> str:
        """The administrator's address of the HTTP API, where there is one: a secret."""
        return f"http://{definitions.ADMIN}:{quote(self._password, safe='')}@127.0.0.1:{self._management_port}"

    def uri(self, user: str, password: str, virtual_host: str | None = None) -> str:
        """A user's AMQP URI: a secret."""
        host = self._virtual_hosts[0] if virtual_host is None else virtual_host
        scheme, query = ("amqps", f"?cacertfile={quote(str(self._certificate.authority))}") if self._certificate else ("amqp", "")
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{self.port}/{quote(host, safe='')}{query}"

    def start(self) -> None:
        """Start it; returns when the administrator can open a connection. Safe to repeat.

        Raises StartError with the end of the log when it does not come up.
        """
        self.begin()
        self.wait()

    def begin(self) -> None:
        """The first half of `start`: only begin, so that other servers can start meanwhile."""
        programs = _programs()
        place = unprivileged.place_for(self.folder, "rabbitmq")
        if self._node.pid is not None:
            self._renew(place)
            return
        if self._membership is None:
            self._port_mapper.stop()  # one that outlived its node still holds the old node's name
        self._choose_ports()
        self._write_configuration(place)
        if self._membership is None:
            self._port_mapper.start(self._epmd_port)
        self._node.start(
            [*place.prefix, str(programs / "rabbitmq-server")],
            self._environment(place),
            cwd=place.folder,
            dies_with_parent=signal.SIGTERM if self._dies_with_parent else None,
            user=place.user,
            group=place.group,
        )

    def wait(self) -> None:
        """The second half of `start`."""
        try:
            self._node.wait_ready(self._answers, _START_SECONDS)
        except StartError as error:
            place = unprivileged.place_for(self.folder, "rabbitmq")
            raise StartError(f"{error}\n{self._server_log_tail(place)}") from None

    def stop(self) -> None:
        """End node and epmd in order. Safe to repeat."""
        self._node.stop(signal.SIGTERM, _STOP_SECONDS)
        self._port_mapper.stop()

    def kill(self) -> None:
        """End both as a power cut would. Safe to repeat."""
        self._node.kill()
        self._port_mapper.kill()

    def remove(self) -> None:
        """End it and remove its files. Safe to repeat."""
        self.kill()
        unprivileged.remove(self.folder)

    def import_definitions(self, document: definitions.Definitions) -> None:
        """Add virtual hosts, users or permissions to the running node (a second or two). Raises StartError if it refuses them."""
        place = unprivileged.place_for(self.folder, "rabbitmq")
        file = place.folder / "more-definitions.json"
        write_private(file, json.dumps(document))
        place.give(file)
        try:
            self.control("import_definitions", str(file))
        finally:
            file.unlink(missing_ok=True)

    def control(self, *words: str) -> str:
        """Have `rabbitmqctl` do this to the running node (a second or two), and give what it says. Raises StartError if it refuses."""
        done = self.command("rabbitmqctl", "--quiet", *words)
        if done.returncode != 0:
            raise StartError(f"the broker refused {words[0]}:\n{done.stderr.strip()[-1000:]}")
        return done.stdout

    def command(self, tool: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of RabbitMQ's own tools (`rabbitmqctl`, `rabbitmq-queues`) against this node; each is an Erlang of its own and
        takes seconds. Raises StartError where there are no tools, and subprocess.TimeoutExpired."""
        place = unprivileged.place_for(self.folder, "rabbitmq")
        words = (str(_programs() / tool), "--node", self.node, *words)
        return place.run(words, self._environment(place), timeout_seconds=_COMMAND_SECONDS)

    def add_virtual_hosts(self, names: tuple[str, ...]) -> None:
        """Add virtual hosts that the administrator may use. Raises StartError if the broker refuses them."""
        document = definitions.administration(self._password, names)
        self.import_definitions({"vhosts": document["vhosts"], "permissions": document["permissions"]})

    def _choose_ports(self) -> None:
        epmd_port = self._membership.epmd_port if self._membership else None
        own = (self.port, self._distribution_port, *(() if epmd_port else (self._epmd_port,)))
        if all(own) and all(port_is_free(port) for port in own):
            return
        self.port, self._distribution_port, free_epmd_port = free_ports(3)
        self._epmd_port = epmd_port or free_epmd_port
        self._password = self._password or secrets.token_urlsafe(24)
        ports = (self.port, self._distribution_port, self._epmd_port)
        write_private(self._state_file, json.dumps({"ports": ports, "password": self._password}))

    def _write_configuration(self, place: unprivileged.Place) -> None:
        document = definitions.merged(definitions.administration(self._password, self._virtual_hosts), self._extra_definitions)
        definitions_file = place.folder / "definitions.json"
        configuration = (_ENCRYPTED if self._certificate else _PLAIN).format(port=self.port, folder=place.folder) + _CONFIGURATION
        if self._membership is None or self._membership.loads_definitions:
            configuration += f"load_definitions = {definitions_file}\n"
        if self._membership:
            configuration += self._membership.configuration
        port = self._management_port
        management = f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {port}\n" if port else ""
        configuration += management
        texts = {
            definitions_file: json.dumps(document),
            place.folder / "rabbitmq.conf": configuration,
            place.folder / "advanced.config": "[].\n",
            place.folder / "enabled_plugins": "[rabbitmq_management].\n" if management else "[].\n",
        }
        texts |= {place.folder / it.name: it.read_text() for it in (self._certificate.files if self._certificate else ())}
        for path, text in texts.items():
            write_private(path, text)
            place.give(path)
        for name in ("mnesia", "log", "home", "schema"):
            (place.folder / name).mkdir(exist_ok=True)
            place.give(place.folder / name)
        cookie = place.folder / "home" / ".erlang.cookie"
        if self._membership and not cookie.exists():
            write_private(cookie, self._membership.cookie)  # one that stands alone makes its own
            place.give(cookie)

    def _renew(self, place: unprivileged.Place) -> None:
        """Have the running node show the certificate that stands in its folder now, to whoever connects from now on."""
        if self._certificate:
            for file in self._certificate.files:
                write_private(place.folder / file.name, file.read_text())
                place.give(place.folder / file.name)
            self.control("eval", "ssl:clear_pem_cache().")

    def _environment(self, place: unprivileged.Place) -> dict[str, str]:
        folder = place.folder
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder / "home"),  # the node's cookie
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_CONF_ENV_FILE": str(folder / "no-environment-file"),  # else the system broker's would be read
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "no-further-files"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_ARGUMENTS,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The start script replaces itself by the node: the process id we know is the node's own.
            "detached": "1",
        }

    def _answers(self) -> bool:
        try:
            with connection_to(self.admin_uri(), connect_timeout=2, transport_options={"read_timeout": 5}) as connection:
                connection.connect()
        except (OSError, amqp.AMQPError):
            return False
        return True

    def _server_log_tail(self, place: unprivileged.Place) -> str:
        logs = sorted((place.folder / "log").glob("*.log"))
        return "\n".join("\n".join(log.read_text(errors="replace").splitlines()[-15:]) for log in logs)
