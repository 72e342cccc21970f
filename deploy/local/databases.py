"""Each service's databases: a role and a database of its own, and their tables brought up to date.

Two clusters stand apart: the data, and the keys that make its sealed parts readable. Which services have one in each
is the policy's to say: orders opens no part and has no keyring.
"""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import yoyo  # type: ignore[import-untyped]
from psycopg import sql

from shared.policy import load
from shared.policy.compile_databases import record_role, services_of

ROOT = Path(__file__).resolve().parents[2]
SERVICES = services_of(load(), "data")
KEYRING_SERVICES = services_of(load(), "keyring")

_MIGRATION_LOCK = 0x62726F776E70  # "brownp": one migration at a time per database


def service_folders(service: str) -> tuple[Path, ...]:
    """Where the tables of a service's database are written down: the plumbing's (0001…) and its own (1001…)."""
    return ROOT / "shared" / "delivery" / "schema", ROOT / "services" / service / "schema"


def keyring_folders() -> tuple[Path, ...]:
    """Where the tables of a keyring database are written down."""
    return (ROOT / "shared" / "keyring_schema",)


def database_url(admin_url: str, database: str, role: str, password: str) -> str:
    """The connection URL of a role and a database on the administrator's server: a secret."""
    server = urlsplit(admin_url)
    host = server.netloc.rpartition("@")[2]
    credentials = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return urlunsplit(("postgresql", f"{credentials}@{host}", f"/{quote(database, safe='')}", server.query, ""))


def ensure(admin_url: str, database: str, password: str) -> str:
    """Make a database and the role of the same name (small letters, digits, underscores) that owns it, and give the role's URL.

    The role can log in and nothing more, and nobody else may connect to its database. Safe to repeat: an existing role gets this
    password. Raises psycopg.Error.
    """
    role = database
    with psycopg.connect(admin_url, autocommit=True) as connection:
        # Only the verifier travels: no statement ever holds the password.
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                sql.SQL("ALTER" if exists else "CREATE"), sql.Identifier(role), sql.Literal(verifier)
            )
        )
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            # An administrator that is not superuser may give a database only to a role it is a member of.
            superuser = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
            if superuser != (True,):
                connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    sql.Identifier(database), sql.Identifier(role)
                )
            )
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    return database_url(admin_url, database, role, password)


def bring_keyring(admin_url: str, database: str, password: str) -> str:
    """Make a keyring's database with its role, bring its tables up to date, and give the role's URL. Safe to repeat; raises psycopg.Error.

    The record of openings belongs to another role, which nobody is and nobody can log in as: the service's own may add and read.
    """
    url = ensure(admin_url, database, password)
    migrate(url, keyring_folders())
    guard_record(admin_url, database)
    return url


def guard_record(admin_url: str, database: str, role: str = "") -> None:
    """Give the record of openings away from the service's role (the database's name, unless told). Safe to repeat. Raises psycopg.Error."""
    service = role or database
    keeper = record_role(service)
    names = {"service": sql.Identifier(service), "keeper": sql.Identifier(keeper)}
    with psycopg.connect(_on(admin_url, database), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [keeper]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {keeper} NOLOGIN").format(**names))
        superuser = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        if superuser != (True,):
            connection.execute(sql.SQL("GRANT {service}, {keeper} TO CURRENT_USER").format(**names))
        with connection.transaction():
            for statement in _GUARD:
                connection.execute(sql.SQL(statement).format(**names))


# Whoever owns a schema may drop what is in it: so the schema is given away too, and the service's role may only make tables of its own there.
_GUARD = (
    "ALTER SCHEMA public OWNER TO {keeper}",
    "GRANT CREATE, USAGE ON SCHEMA public TO {service}",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
    "ALTER TABLE openings OWNER TO {keeper}",
    "ALTER FUNCTION openings_stand() OWNER TO {keeper}",
    "REVOKE ALL ON openings FROM {service}",
    "GRANT INSERT, SELECT ON openings TO {service}",
)


def _on(admin_url: str, database: str) -> str:
    return urlsplit(admin_url)._replace(path=f"/{quote(database, safe='')}").geturl()


def copy(admin_url: str, template: str, database: str) -> None:
    """Make a database as a copy of one that nobody uses now, owned by the role of the template's name. Raises psycopg.Error."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*map(sql.Identifier, (database, template, template)))
        )
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))


def drop(admin_url: str, database: str) -> None:
    """Drop a database, whoever is connected to it. Safe to repeat. Raises psycopg.Error."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def seclude(admin_url: str) -> None:
    """On a cluster of our own: nobody but its administrator connects to the databases it came with. Safe to repeat."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for database in ("postgres", "template1"):
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))


def migrate(database_url: str, folders: Iterable[Path]) -> list[str]:
    """Apply what is missing of the folders' `NNNN_name.sql` files, in the order of their names, and give the names applied.

    Each file is one transaction. Safe to repeat, and from several processes at once: they take turns. A folder that is not there
    is passed over. Raises psycopg.Error, and yoyo's MigrationConflict and BadMigration for two files of the
    same name and for a `-- depends:` on one that is not there.
    """
    sources = [glob.escape(str(folder)) for folder in folders if folder.is_dir()]
    # yoyo keeps the order of the folders; between migrations that name no dependency ours is the order of the names.
    migrations = yoyo.migrations.MigrationList(sorted(yoyo.read_migrations(*sources), key=lambda migration: str(migration.id)))
    with psycopg.connect(database_url, autocommit=True) as connection:
        # yoyo's own lock is a row, which outlives a killed process; this one ends with the connection.
        connection.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        with _backend(database_url, connection) as backend:
            pending = backend.to_apply(migrations)
            names = [str(migration.id) for migration in pending]
            with redirect_stdout(sys.stderr):  # yoyo prints what a SELECT in a migration gives
                backend.apply_migrations(pending)
    return names


@contextmanager
def _backend(database_url: str, connection: psycopg.Connection) -> Iterator[yoyo.backends.DatabaseBackend]:
    parts = urlsplit(database_url)._replace(scheme="postgresql+psycopg")
    credentials, _, hosts = parts.netloc.rpartition("@")
    if "," in hosts:
        # yoyo knows one server only: of several the one where the lock is held.
        host = f"[{connection.info.host}]" if ":" in connection.info.host else connection.info.host
        parts = parts._replace(netloc=f"{credentials}@{host}:{connection.info.port}")
    backend = yoyo.get_backend(urlunsplit(parts))
    try:
        yield backend
    finally:
        backend.connection.close()
