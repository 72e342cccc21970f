"""`python -m deploy.local.setup`: prepare given servers for the services, once: broker users, databases, tables, topology.

Reads the administrators' addresses (`BROWNPAPER_AMQP_URI`, `BROWNPAPER_RABBITMQ_API_URL`, `BROWNPAPER_POSTGRES_URL`,
`BROWNPAPER_KEYRING_POSTGRES_URL`) and `<USER>_PASSWORD` for the four services and the storefront. Safe to repeat.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote, urlsplit

from deploy.local import databases, definitions
from deploy.local.processes import StartError
from deploy.local.servers import GIVEN, GIVEN_AMQP, GIVEN_API, GIVEN_DATA, GIVEN_KEYRING, apply_definitions, refuse_plain
from shared.delivery import topology

_NEEDED = (*GIVEN, *(f"{user.upper()}_PASSWORD" for user in definitions.USERS))


def main() -> None:
    """Exits 2 naming what is missing, 1 when a server refuses."""
    missing = [name for name in _NEEDED if not os.environ.get(name)]
    if missing:
        print("settings that are missing: " + ", ".join(missing), file=sys.stderr)  # noqa: T201 - a command
        sys.exit(2)
    try:
        refuse_plain(os.environ)
    except StartError as error:
        sys.exit(str(error))
    passwords = {user: os.environ[f"{user.upper()}_PASSWORD"] for user in definitions.USERS}
    amqp_uri = os.environ[GIVEN_AMQP]
    virtual_host = unquote(urlsplit(amqp_uri.partition(";")[0]).path[1:]) or "/"
    try:
        apply_definitions(os.environ[GIVEN_API], definitions.services(passwords, virtual_host))
    except StartError as error:
        sys.exit(str(error))
    topology.declare(amqp_uri)
    for service in databases.SERVICES:
        url = databases.ensure(os.environ[GIVEN_DATA], service, passwords[service])
        databases.migrate(url, databases.service_folders(service))
    for service in databases.KEYRING_SERVICES:
        databases.bring_keyring(os.environ[GIVEN_KEYRING], f"{service}_keyring", passwords[service])


if __name__ == "__main__":
    main()
