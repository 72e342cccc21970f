"""RabbitMQ definitions: virtual hosts, users and what each may do, as the JSON that a broker imports.

Who may do what is not decided here but compiled from the policy (`shared.policy.compile_broker`); exchanges, queues and bindings
are declared over AMQP by `topology.declare`, so that every kind of broker gets them in the same way.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from shared.policy import load
from shared.policy.compile_broker import compile_broker

Definitions = dict[str, Any]

ADMIN = "brownpaper-admin"
USERS = tuple(load().broker.users)
_EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


def password_hash(password: str, salt: bytes | None = None) -> str:
    """RabbitMQ's salted SHA-256 of a password: base64 of the four salt bytes and the digest of salt and password."""
    salt = secrets.token_bytes(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def administration(admin_password: str, virtual_hosts: Iterable[str]) -> Definitions:
    """Virtual hosts and their one administrator."""
    hosts = list(virtual_hosts)
    return {
        "vhosts": [{"name": host} for host in hosts],
        "users": [_user(ADMIN, admin_password, "administrator")],
        "permissions": [{"user": ADMIN, "vhost": host, **_EVERYTHING} for host in hosts],
        "topic_permissions": [],
    }


def services(passwords: Mapping[str, str], virtual_host: str) -> Definitions:
    """The users of `USERS` with what the policy lets each do in one virtual host. `passwords` holds one for each of them.

    Raises `WiringRefused` where topology and policy disagree.
    """
    # Imported here: the private broker of a test needs no topology.
    from shared.delivery import topology  # noqa: PLC0415

    rules = compile_broker(load(), topology.wiring())
    permissions = [{"user": user, "vhost": virtual_host, **asdict(may)} for user, may in rules.permissions.items()]
    topic_permissions = [
        {"user": user, "vhost": virtual_host, "exchange": exchange, "write": write, "read": read}
        for (user, exchange), (write, read) in rules.topics.items()
    ]
    return {
        "users": [_user(user, passwords[user]) for user in USERS],
        "permissions": permissions,
        "topic_permissions": topic_permissions,
    }


def merged(*parts: Definitions) -> Definitions:
    """One document of several: lists are joined."""
    whole: Definitions = {}
    for part in parts:
        for key, rows in part.items():
            whole[key] = [*whole.get(key, []), *rows]
    return whole


def _user(name: str, password: str, tags: str = "") -> dict[str, str]:
    return {
        "name": name,
        "password_hash": password_hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }
