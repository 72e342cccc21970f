"""The two kinds of servers, found or brought: given addresses, a Docker engine, programs on the machine, packages of them."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

import amqp.exceptions
import kombu.exceptions

from deploy.local import broker, broker_cluster, databases, definitions, packages, postgres, postgres_pair
from deploy.local.broker import PrivateBroker
from deploy.local.broker_cluster import BrokerCluster
from deploy.local.certificates import Authority, Certificate
from deploy.local.containers import ComposeServers, engine_answers
from deploy.local.postgres import PrivateCluster
from deploy.local.postgres_pair import PostgresPair
from deploy.local.processes import StartError
from shared.broker_address import BrokerUntrusted, connection_to, open_patiently
from shared.lines import is_protected

GIVEN_AMQP = "BROWNPAPER_AMQP_URI"
GIVEN_API = "BROWNPAPER_RABBITMQ_API_URL"
GIVEN_DATA = "BROWNPAPER_POSTGRES_URL"
GIVEN_KEYRING = "BROWNPAPER_KEYRING_POSTGRES_URL"
GIVEN = (GIVEN_AMQP, GIVEN_API, GIVEN_DATA, GIVEN_KEYRING)

CERTIFICATES = "certificates"  # the folder of an encrypted stack's authority
_API_TIMEOUT_SECONDS = 30
_WAYS_OUT = f"""\
RabbitMQ and PostgreSQL are needed, and there is no way to bring them here. One of these three helps:
  1. give addresses of servers that run: {GIVEN_AMQP}=amqp://user:password@host:5672/vhost and
     {GIVEN_DATA}=postgresql://user:password@host:5432/postgres;
  2. start a Docker engine with the compose plugin;
  3. install the programs: `sudo apt-get install rabbitmq-server postgresql` (they are then run privately; the system's own
     servers are not touched)."""


PrivateServer = PrivateBroker | BrokerCluster | PrivateCluster | PostgresPair


class NoServersError(StartError):
    """There is no way to a broker or a database server; the message names the three ways out."""


@dataclass
class Servers:
    """A broker and two database servers that answer, and how to end what of them is ours."""

    admin_uri: str
    """The administrator's AMQP URI, in the virtual host that is used."""
    data_admin_url: str
    keyring_admin_url: str
    own_users: bool
    """Whether every service has a broker user of its own; else all share the one that was given."""
    origins: dict[str, str] = field(default_factory=dict)
    """What each server is, in words: for people."""
    enders: list[Callable[[], None]] = field(default_factory=list)
    removers: list[Callable[[], None]] = field(default_factory=list)
    private: dict[str, PrivateServer] = field(default_factory=dict)
    """What of broker, data and keyring was started here, by name."""

    def broker_uri(self, user: str, passwords: Mapping[str, str]) -> str:
        """A service's or the storefront's AMQP URI."""
        if not self.own_users:
            return self.admin_uri
        return ";".join(_as_user(uri, user, passwords[user]) for uri in self.admin_uri.split(";"))

    def stop(self) -> None:
        """End the servers that are ours. Safe to repeat."""
        for end in self.enders:
            end()

    def remove(self) -> None:
        """End the servers that are ours and remove their data. Safe to repeat."""
        for remove in self.removers:
            remove()


def bring(
    folder: Path,
    passwords: Mapping[str, str],
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    dies_with_parent: bool = False,
    is_running: bool = False,
    clustered: bool = False,
    encrypted: bool = False,
) -> Servers:
    """Find or start what is missing and give it, answering. `passwords` holds one for each of `definitions.USERS`.

    `is_running` says that services of this very folder are at work already. `clustered` wants private servers, several of each: three
    brokers that are one, and pairs of database servers. `encrypted` wants private servers that speak TLS only.
    Safe to repeat: what runs already in this folder is taken as it is.
    Raises NoServersError where no way leads there, and StartError where a server does not come up.
    """
    given_broker, given_data = environ.get(GIVEN_AMQP), environ.get(GIVEN_DATA)
    ours = [*([] if given_broker else ["broker"]), *([] if given_data else ["data"])]
    if not (given_data or environ.get(GIVEN_KEYRING)):
        ours.append("keyring")
    refuse_plain(environ)
    if encrypted:
        _encrypt(folder, clustered=clustered)
    servers = Servers("", "", "", own_users=True)
    if given_broker:
        _use_given_broker(servers, given_broker, environ.get(GIVEN_API), passwords, say, is_ours=is_running)
    if given_data:
        servers.data_admin_url, servers.origins["databases"] = given_data, "given"
        say("Databases: the server that was given.")
    keyring = environ.get(GIVEN_KEYRING) or given_data
    if keyring:
        servers.keyring_admin_url, servers.origins["keyring"] = keyring, "given"
    if ours:
        if clustered or encrypted or _has_private(folder) or not engine_answers():
            _bring_programs(ours, environ, say)
            say(f"Servers ({', '.join(ours)}): private ones under {folder}.")
            servers.private = private(folder, passwords, dies_with_parent=dies_with_parent, clustered=clustered)
            _start_private(servers, ours)
        else:
            _start_containers(servers, folder, ours, passwords, say)
    return servers


def refuse_plain(environ: Mapping[str, str]) -> None:
    """Raises StartError naming each given address whose line would leave this machine in the clear, or to whoever answers."""
    plain = [name for name in GIVEN if environ.get(name) and not is_protected(environ[name])]
    if plain:
        raise StartError(
            f"These lines leave this machine without being encrypted and checked: {', '.join(plain)}. Wanted: amqps://, https://,"
            ' postgresql:// with sslmode=verify-full; docs/operations.md, "Lines that are encrypted".'
        )


def queues_are_in_use(uri: str, *, or_hold_messages: bool = False) -> bool:
    """Whether somebody consumes our services' queues on this broker, or has left messages in them.

    Raises StartError where it does not answer.
    """
    queues = ["orders.intake", *(f"{service}.events" for service in ("orders", "payments", "shipping", "notifications"))]
    try:
        with connection_to(uri, connect_timeout=5) as connection:
            open_patiently(connection, max_retries=2)
            for queue in queues:
                try:
                    found = connection.channel().queue_declare(queue, passive=True)
                except amqp.exceptions.NotFound:
                    continue
                if found.consumer_count or (or_hold_messages and found.message_count):
                    return True
    except BrokerUntrusted as error:
        raise StartError(f"{GIVEN_AMQP}: {error}.") from None
    except (OSError, kombu.exceptions.OperationalError, amqp.exceptions.AMQPError):
        raise StartError("The broker that was given does not answer, or refuses its credentials.") from None
    return False


def remove_queues(uri: str) -> None:
    """Remove our queues and what is in them from a broker that was given; its exchanges and users stay. Safe to repeat."""
    from shared.delivery import topology  # noqa: PLC0415 - `down` must work without the services' plumbing

    if queues_are_in_use(uri):
        return
    with connection_to(uri, connect_timeout=5) as connection:
        for queue in topology.QUEUES:
            connection.default_channel.queue_delete(queue.name)


def private(
    folder: Path, passwords: Mapping[str, str] | None = None, *, dies_with_parent: bool = False, clustered: bool = False
) -> dict[str, PrivateServer]:
    """The private servers of a folder, running or not, by name. A folder that began as `clustered` or encrypted, or not, keeps to it.

    `passwords` are the broker's users', and are needed to start it.
    """
    extra = definitions.services(passwords, broker.VIRTUAL_HOST) if passwords else None
    if (folder / "broker").exists() or (folder / "data").exists():
        clustered = (folder / "broker" / broker_cluster.STATE_FILE).exists() or (
            folder / "data" / postgres_pair.PRIMARY_FILE
        ).exists()
    if clustered:
        return {
            "broker": BrokerCluster(folder / "broker", extra_definitions=extra, dies_with_parent=dies_with_parent),
            "data": PostgresPair(folder / "data", dies_with_parent=dies_with_parent),
            "keyring": PostgresPair(folder / "keyring", dies_with_parent=dies_with_parent),
        }
    certificates = certificates_of(folder)
    return {
        "broker": PrivateBroker(
            folder / "broker", extra_definitions=extra, dies_with_parent=dies_with_parent, certificate=certificates("broker")
        ),
        "data": PrivateCluster(folder / "data", dies_with_parent=dies_with_parent, certificate=certificates("data")),
        "keyring": PrivateCluster(folder / "keyring", dies_with_parent=dies_with_parent, certificate=certificates("keyring")),
    }


def certificates_of(folder: Path) -> Callable[[str], Certificate | None]:
    """Gives the certificate of a server of this folder, of half a life at least; None where the folder's lines are plain."""
    if not (folder / CERTIFICATES).exists():
        return lambda _: None
    return Authority(folder / CERTIFICATES).issue


def processes(private_servers: Mapping[str, PrivateServer]) -> Iterator[tuple[str, int | None, str]]:
    """(name, process id or None, address) of each of them; the members of several are numbered."""
    for name, server in private_servers.items():
        members = server.members if isinstance(server, BrokerCluster | PostgresPair) else (server,)
        for number, member in enumerate(members, 1):
            address = f"127.0.0.1:{member.port}" if member.port else ""
            yield (name if len(members) == 1 else f"{name}-{number}"), member.pid, address


def apply_definitions(api_url: str, document: definitions.Definitions) -> None:
    """Import definitions over the management HTTP API (`http://user:password@host:15672`). Safe to repeat; raises StartError."""
    ask_api(api_url, "definitions", document)


def ask_api(api_url: str, what: str, content: object = None, *, method: str | None = None) -> Any:
    """What the management HTTP API (`https://user:password@host:15671[?cacertfile=FILE]`) answers; with `content` it is told instead.

    Raises StartError.
    """
    parts = urlsplit(api_url)
    authorities = parse_qs(parts.query).get("cacertfile", [None])[0]
    request = urllib.request.Request(  # noqa: S310 - the address is the operator's own
        urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/api/{what}", query="")),
        data=None if content is None else json.dumps(content).encode(),
        method=method,
        headers={
            "Content-Type": "application/json",
            "Authorization": "Basic "
            + b64encode(f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()).decode(),
        },
    )
    try:
        context = ssl.create_default_context(cafile=authorities)
        with urllib.request.urlopen(request, timeout=_API_TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310 - as above
            body = answer.read()
    except urllib.error.HTTPError as error:
        error.close()
        raise StartError(f"the broker's management API refused {what.partition('/')[0]} with status {error.code}") from None
    except OSError:
        raise StartError("the broker's management API does not answer, or its certificate is not trusted") from None
    return json.loads(body) if body else None


def _use_given_broker(
    servers: Servers, uri: str, api_url: str | None, passwords: Mapping[str, str], say: Callable[[str], None], *, is_ours: bool
) -> None:
    servers.admin_uri, servers.origins["broker"] = uri, "given"
    if not is_ours and queues_are_in_use(uri):
        raise StartError(
            "The broker that was given has a stack at work in this virtual host, and two in one would hear each other's events: "
            "end that one, or give this one a virtual host of its own (amqp://…/another)."
        )
    if api_url:
        virtual_host = unquote(urlsplit(uri.partition(";")[0]).path[1:]) or "/"
        apply_definitions(api_url, definitions.services(passwords, virtual_host))
        say("Broker: the one that was given; each service has a user of its own there.")
    else:
        servers.own_users = False
        say(f"Broker: the one that was given. All services share its credentials; with {GIVEN_API} each gets a user of its own.")


def _encrypt(folder: Path, *, clustered: bool) -> None:
    """Make the folder's authority, from which on its private servers speak TLS only. Safe to repeat. Raises StartError."""
    if clustered:
        raise StartError(
            "Several servers of each are brought here without TLS only; docs/cluster.md says how it is done between machines."
        )
    if _has_private(folder) and not (folder / CERTIFICATES).exists():
        raise StartError(f"The servers under {folder} began with plain lines and keep to them: TLS wants a new folder.")
    Authority(folder / CERTIFICATES)


def _has_private(folder: Path) -> bool:
    # A folder keeps to the kind of server that holds its data.
    return any((folder / name).is_dir() for name in ("broker", "data", "keyring"))


def _start_containers(
    servers: Servers, folder: Path, ours: list[str], passwords: Mapping[str, str], say: Callable[[str], None]
) -> None:
    say(f"Servers ({', '.join(ours)}): containers of the Docker engine.")
    compose = ComposeServers(folder)
    compose.start(ours)
    servers.enders.append(compose.stop)
    servers.removers.append(lambda: compose.stop(remove=True))
    if "broker" in ours:
        servers.admin_uri, servers.origins["broker"] = compose.admin_uri(), "container"
        apply_definitions(compose.api_url(), definitions.services(passwords, broker.VIRTUAL_HOST))
    for name, attribute in (("data", "data_admin_url"), ("keyring", "keyring_admin_url")):
        if name in ours:
            setattr(servers, attribute, compose.database_url(name))
            databases.seclude(compose.database_url(name))
            servers.origins[name] = "container"


def _bring_programs(ours: list[str], environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    missing = [
        *(["rabbitmq-server"] if "broker" in ours and broker.find_programs() is None else []),
        *(["postgresql"] if {"data", "keyring"} & set(ours) and postgres.find_programs() is None else []),
    ]
    if missing:
        if not packages.may_install(environ):
            raise NoServersError(_WAYS_OUT)
        try:
            packages.install(missing, say)
        except StartError as error:
            raise NoServersError(f"{error}\n\n{_WAYS_OUT}") from None


def _start_private(servers: Servers, ours: list[str]) -> None:
    servers.private = {name: server for name, server in servers.private.items() if name in ours}
    # The broker takes longest: it begins first, and is waited for last.
    for server in servers.private.values():
        servers.enders.append(server.stop)
        servers.removers.append(server.remove)
        if isinstance(server, PrivateBroker | BrokerCluster):
            server.begin()
    for name, server in servers.private.items():
        if isinstance(server, PrivateBroker | BrokerCluster):
            continue
        server.start()
        databases.seclude(server.admin_url)
        if name == "data":
            servers.data_admin_url = server.admin_url
        else:
            servers.keyring_admin_url = server.admin_url
    for server in servers.private.values():
        if isinstance(server, PrivateBroker | BrokerCluster):
            server.wait()
            servers.admin_uri = server.admin_uri()
    servers.origins |= {name: f"private, {address}" for name, _, address in processes(servers.private)}


def _as_user(uri: str, user: str, password: str) -> str:
    parts = urlsplit(uri)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{address}"))
