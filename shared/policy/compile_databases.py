"""What the policy makes of the database servers: databases, the one role that enters each, settings of the log, every table and column.

Names on a server may differ from the policy's (a stack prefixes its databases): callers give them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from shared.policy.document import Policy, Table
from shared.policy.server_rules import Name, guard_clauses
from shared.policy.shape import Made, mark, written_down

Cluster = Literal["data", "keyring"]

ROLE: Final = "can log in"
"""What a service's role is on its server, and all that it is."""
OWNER_RIGHTS: Final = "CONNECT, CREATE, TEMPORARY"
_MIGRATIONS: Final = "migrations"
_MIGRATION_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "_yoyo_log": ("id", "migration_hash", "migration_id", "operation", "username", "hostname", "comment", "created_at_utc"),
    "_yoyo_migration": ("migration_hash", "migration_id", "applied_at_utc"),
    "_yoyo_version": ("version", "installed_at_utc"),
    "yoyo_lock": ("locked", "ctime", "pid"),
}
"""What the migration tool keeps for itself: nothing of a person."""


def services_of(policy: Policy, cluster: Cluster) -> tuple[str, ...]:
    """The services that have a database on this cluster, in the policy's order."""
    return tuple(database.service for database in policy.databases.databases.values() if database.cluster == cluster)


def database_names(policy: Policy, cluster: Cluster) -> tuple[str, ...]:
    """The databases of a cluster by their names in the policy; each one's role is called the same."""
    return tuple(name for name, database in policy.databases.databases.items() if database.cluster == cluster)


def tables_of(policy: Policy, database: str) -> dict[str, Table]:
    """Every table that stands in a database."""
    sets = table_sets(policy)
    return {name: table for its in sets_of(policy, database) for name, table in sets[its].items()}


def table_sets(policy: Policy) -> dict[str, Mapping[str, Table]]:
    """Every set of tables: the migration tool's, and the policy's."""
    migrations = {name: Table(plain=columns) for name, columns in _MIGRATION_TABLES.items()}
    return {_MIGRATIONS: migrations, **policy.databases.tables}


def sets_of(policy: Policy, database: str) -> tuple[str, ...]:
    """The sets of tables that stand in a database: what every one has, and its own."""
    its = policy.databases.databases[database]
    return (_MIGRATIONS, *(("plumbing",) if its.cluster == "data" else ()), its.tables)


def made_of(policy: Policy, database: str) -> Made:
    """What the tables of a database are made of, as it is written down."""
    return {table: rules for its in sets_of(policy, database) for table, rules in written_down().get(its, {}).items()}


def personal_columns(policy: Policy) -> dict[tuple[str, str, str], str]:
    """(database, table, column) → the sealed part whose boxes stand in it."""
    return {
        (database, table, column): part
        for database in policy.databases.databases
        for table, columns in tables_of(policy, database).items()
        for column, part in columns.sealed.items()
    }


def record_role(database: str) -> str:
    """The role that a database's append-only tables belong to: nobody logs in as it."""
    return f"{database}_record"


def cluster_facts(policy: Policy, cluster: Cluster) -> dict[Name, str]:
    """What holds for a whole cluster: roles, databases and who enters them, settings; by the policy's own names."""
    facts: dict[Name, str] = {}
    for name in database_names(policy, cluster):
        facts["role", name] = ROLE
        facts["database", name] = f"owned by {name}"
        facts["door", name, name] = OWNER_RIGHTS
        if any(table.added_only for table in tables_of(policy, name).values()):
            facts["role", record_role(name)] = "nothing"
    facts |= {("setting", name): value for name, value in policy.databases.settings.items()}
    return facts


def database_facts(policy: Policy, database: str) -> dict[Name, str]:
    """What holds inside a database: its tables with their owner, every column with what may be in it, and what a table keeps true itself."""
    made = made_of(policy, database)
    tables = tables_of(policy, database)
    keeps_record = any(table.added_only for table in tables.values())
    facts: dict[Name, str] = {
        ("schema", database, "public", "everybody"): "USAGE",
        ("schema", database, "public"): f"owned by {record_role(database) if keeps_record else 'pg_database_owner'}",
        ("extension", database, "plpgsql"): "installed",
    }
    for table, columns in tables.items():
        rules = made.get(table, {})
        owner = record_role(database) if columns.added_only else database
        facts["table", database, table] = f"table of {owner}"
        if columns.added_only:
            # Whoever owns the schema could drop the table: it is given away with it.
            facts["grant", database, table, database] = "INSERT, SELECT"
            facts["schema", database, "public", database] = "CREATE, USAGE"
        for column in (*columns.pseudonymous, *columns.plain, *columns.sealed):
            what = "a box" if column in columns.sealed else "known"
            facts["column", database, table, column] = f"{what}, {mark(rules.get(f'column {column}'))}"
        for trigger, function in columns.triggers.items():
            facts["trigger", database, table, trigger] = f"calls {function}, {mark(rules.get(f'trigger {trigger}'))}"
            facts["function", database, function] = f"is called, of {owner}, {mark(rules.get(f'function {function}'))}"
        for name in (rule.removeprefix("constraint ") for rule in rules if rule.startswith("constraint ")):
            facts["constraint", database, table, name] = mark(rules[f"constraint {name}"])
    return facts


def database_clauses(policy: Policy, name: Name) -> tuple[int, ...]:
    """The clauses that a database rule serves, whether it should be there or not."""
    kind, subject = name[0], name[1]
    database = policy.databases.databases.get(subject)
    services = (database.service,) if database is not None else ()
    match kind:
        case "role" | "member":
            return guard_clauses(policy, "database-roles")
        case "setting" | "override" | "copies":
            return guard_clauses(policy, "database-settings")
        case "column" | "table" | "constraint" | "trigger":
            part = personal_columns(policy).get((subject, *name[2:4])) if kind == "column" else None  # type: ignore[arg-type]
            return guard_clauses(policy, "database-columns", part=part) if part else guard_clauses(policy, "database-columns")
        case _:
            return guard_clauses(policy, "database-doors", *services)
