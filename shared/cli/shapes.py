"""`brownpaper privacy shape`: what the schema files make of the databases, written down for `brownpaper privacy diff`."""

from __future__ import annotations

import json
import secrets
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from deploy.local import databases
from deploy.local.postgres import PrivateCluster
from deploy.local.processes import StartError
from shared.cli.live_servers import Catalogues
from shared.cli.terminal import NotDone, ending_clearly, say
from shared.policy import Policy, load
from shared.policy.live_databases import made_tables
from shared.policy.shape import SHAPE_FILE


def shape(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where the file says something else.")] = False,
) -> None:
    """Bring all databases up on a server of its own, and write down how their tables are made. After every new schema file; safe to repeat.

    What is written down is what a live server is held against: columns, constraints, triggers, functions.
    """
    with ending_clearly():
        try:
            text = made_fresh(load())
        except StartError as error:
            raise NotDone(str(error)) from None
        if SHAPE_FILE.is_file() and SHAPE_FILE.read_text("utf-8") == text:
            say(f"{SHAPE_FILE} is as the schema files make it.")
        elif check:
            raise NotDone(f"{SHAPE_FILE} is not what the schema files make of the databases; run `brownpaper privacy shape`.")
        else:
            SHAPE_FILE.write_text(text, "utf-8")
            say(f"{SHAPE_FILE} is written.")


def made_fresh(policy: Policy) -> str:
    """The shape of all databases on a fresh server, as the file's text. Leaves nothing. Raises StartError."""
    with tempfile.TemporaryDirectory(prefix="brownpaper-shape-") as folder:
        cluster = PrivateCluster(Path(folder) / "postgres", dies_with_parent=True)
        try:
            cluster.start()
            for name, its in policy.databases.databases.items():
                bring(cluster.admin_url, name, its.service, is_keyring=its.cluster == "keyring")
            with Catalogues(cluster.admin_url) as catalogues:
                return as_text(made_tables(policy, catalogues.ask))
        finally:
            cluster.remove()


def bring(admin_url: str, database: str, service: str, *, is_keyring: bool) -> None:
    """Make one database with all its tables. Safe to repeat; raises psycopg.Error."""
    password = secrets.token_urlsafe()
    if is_keyring:
        databases.bring_keyring(admin_url, database, password)
    else:
        databases.migrate(databases.ensure(admin_url, database, password), databases.service_folders(service))


def as_text(made: dict[str, dict[str, dict[str, str]]]) -> str:
    """The file's text, a line for each rule."""
    return json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
