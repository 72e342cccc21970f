"""One broken rule at a time, on live database servers: the statement that breaks it and the one that mends it."""

from __future__ import annotations

from collections.abc import Iterator

from shared.policy.compile_databases import Cluster, cluster_facts, database_facts, database_names, made_of
from shared.policy.document import Policy
from shared.policy.server_rules import Name
from tests.integration.mutants_of_the_tables import SqlMutant, elsewhere, made_mutants, naming, one, own_tables

ATTRIBUTES = ("superuser", "createdb", "createrole", "replication", "bypassrls")
SERVER = "postgres"


def cluster_mutants(policy: Policy, cluster: Cluster, *, columns_of: frozenset[str]) -> Iterator[SqlMutant]:
    """Every rule of a cluster dropped or widened, and rules added that should not be. Columns one by one in `columns_of` alone."""
    names = database_names(policy, cluster)
    for rule in cluster_facts(policy, cluster):
        match rule:
            case ("role", role):
                yield from _role(role, may_log_in=not role.endswith("_record"))
            case ("database", database):
                yield from _database(database, names)
            case ("door", database, role):
                yield one(
                    SERVER,
                    f"revoke temporary on database {database} from {role}",
                    f"grant all on database {database} to {role}",
                    rule,
                )
    for database in names:
        yield from _inside(policy, database, names, single_columns=database in columns_of)
    yield from _added(names[0])


def setting_mutants(policy: Policy) -> Iterator[tuple[str, str, Name]]:
    """(setting, another value, rule)."""
    loud = {
        "log_statement": "all",
        "log_min_error_statement": "error",
        "log_min_duration_statement": "0",
        "log_parameter_max_length": "-1",
        "log_parameter_max_length_on_error": "-1",
        "log_error_verbosity": "verbose",
        "log_min_messages": "info",
        "log_min_duration_sample": "0",
        "log_transaction_sample_rate": "1",
        "debug_print_parse": "on",
        "debug_print_rewritten": "on",
        "debug_print_plan": "on",
        "shared_preload_libraries": "auto_explain",
        "session_preload_libraries": "auto_explain",
        "local_preload_libraries": "auto_explain",
        "session_replication_role": "replica",
    }
    for name in policy.databases.settings:
        yield name, loud[name], ("setting", name)


def _role(role: str, *, may_log_in: bool) -> Iterator[SqlMutant]:
    rule = ("role", role)
    for attribute in ATTRIBUTES:
        yield one(SERVER, f"alter role {role} {attribute}", f"alter role {role} no{attribute}", rule)
    login = ("login", "nologin")[:: -1 if may_log_in else 1]
    yield one(SERVER, f"alter role {role} {login[0]}", f"alter role {role} {login[1]}", rule)
    yield one(
        SERVER, f"grant pg_read_all_data to {role}", f"revoke pg_read_all_data from {role}", ("member", role, "pg_read_all_data")
    )
    override = ("override", "every database", role, "log_statement")
    yield one(SERVER, f"alter role {role} set log_statement = 'all'", f"alter role {role} reset log_statement", override)


def _database(database: str, names: tuple[str, ...]) -> Iterator[SqlMutant]:
    rule = ("database", database)
    yield one(
        SERVER,
        f"grant connect on database {database} to public",
        f"revoke all on database {database} from public",
        ("door", database, "everybody"),
    )
    for other in set(names) - {database}:
        yield one(
            SERVER,
            f"grant connect on database {database} to {other}",
            f"revoke all on database {database} from {other}",
            ("door", database, other),
        )
        yield one(SERVER, f"grant {database} to {other}", f"revoke {database} from {other}", ("member", other, database))
    other = next(iter(set(names) - {database}))
    # The right to enter goes with the ownership.
    doors = (("door", database, database), ("door", database, other))
    yield one(
        SERVER, f"alter database {database} owner to {other}", f"alter database {database} owner to {database}", rule, *doors
    )
    override = ("override", database, "every role", "log_min_duration_statement")
    yield one(
        SERVER,
        f"alter database {database} set log_min_duration_statement = 0",
        f"alter database {database} reset log_min_duration_statement",
        override,
    )


def _inside(policy: Policy, database: str, names: tuple[str, ...], *, single_columns: bool) -> Iterator[SqlMutant]:
    facts = database_facts(policy, database)
    other = next(iter(set(names) - {database}))
    yield from made_mutants(
        policy, database, frozenset(made_of(policy, database)) if single_columns else own_tables(policy, database)
    )
    for rule, value in facts.items():
        match rule:
            case ("table", _, table):
                yield one(
                    database,
                    f"alter table {table} owner to {other}",
                    f"alter {value.replace(' of ', f' {table} owner to ')}",
                    rule,
                )
                yield one(
                    database,
                    f"alter table {table} add column e_mail text",
                    f"alter table {table} drop column e_mail",
                    ("column", database, table, "e_mail"),
                )
                for grantee, named in ((other, other), ("public", "everybody")):
                    yield SqlMutant(
                        database,
                        f"grant select on {table} to {grantee}",
                        f"revoke all on {table} from {grantee}",
                        frozenset({("grant", database, table, named)}),
                    )
            case ("column", _, table, column) if single_columns or value.startswith("a box"):
                quoted = f'"{column}"'
                named = naming(policy, database, table, column)
                yield one(
                    database,
                    f"alter table {table} rename column {quoted} to renamed",
                    f"alter table {table} rename column renamed to {quoted}",
                    rule,
                    ("column", database, table, "renamed"),
                    *named,
                )
                if value.startswith("a box"):
                    # What may hold clear text is no box.
                    yield one(
                        database,
                        f"alter table {table} rename column {quoted} to kept; alter table {table} add column {quoted} text",
                        f"alter table {table} drop column {quoted}; alter table {table} rename column kept to {quoted}",
                        rule,
                        ("column", database, table, "kept"),
                        *named,
                    )
                yield one(
                    database,
                    f"grant select ({quoted}) on {table} to {other}",
                    f"revoke all ({quoted}) on {table} from {other}",
                    ("grant", database, f"{table}.{column}", other),
                )
            case ("grant", _, table, grantee):
                yield one(database, f"grant update on {table} to {grantee}", f"revoke update on {table} from {grantee}", rule)
            case ("schema", _, _, grantee) if grantee == database:
                yield one(
                    database,
                    f"revoke create on schema public from {grantee}",
                    f"grant create on schema public to {grantee}",
                    rule,
                )
            case ("schema", _, _, _):
                yield one(database, "grant create on schema public to public", "revoke create on schema public from public", rule)


def _added(database: str) -> Iterator[SqlMutant]:
    """What should not be there at all."""
    yield one(SERVER, "create role somebody", "drop role somebody", ("role", "somebody"))
    yield SqlMutant(
        SERVER,
        "create database something",
        "drop database something",
        frozenset({("database", "something"), ("door", "something", "everybody")}),
    )
    yield one(
        SERVER,
        "grant connect on database postgres to public",
        "revoke all on database postgres from public",
        ("door", "postgres", "everybody"),
    )
    yield one(
        SERVER,
        "select pg_create_physical_replication_slot('copying')",
        "select pg_drop_replication_slot('copying')",
        ("copies", "replication slot", "copying"),
    )
    yield one(
        SERVER,
        "alter role all set log_statement = 'all'",
        "alter role all reset log_statement",
        ("override", "every database", "every role", "log_statement"),
    )
    table, columns = ("table", database, "people"), [("column", database, "people", name) for name in ("name", "e_mail")]
    yield SqlMutant(database, "create table people (name text, e_mail text)", "drop table people", frozenset({table, *columns}))
    yield SqlMutant(
        database,
        "create view people as select 1 as name, 2 as e_mail",
        "drop view people",
        frozenset({table, *columns}),
    )
    yield one(
        database,
        "create function peek() returns int language sql security definer as 'select 1'",
        "drop function peek()",
        ("function", database, "peek"),
    )
    yield one(
        database,
        "create publication everything for all tables",
        "drop publication everything",
        ("listener", database, "publication", "everything"),
    )
    yield one(
        database,
        f"alter default privileges for role {database} grant select on tables to public",
        f"alter default privileges for role {database} revoke select on tables from public",
        ("listener", database, "default grant", "r"),
    )
    yield one(
        database,
        "create function tell() returns trigger language plpgsql as 'begin return new; end'; "
        "create trigger telling after insert on yoyo_lock for each row execute function tell()",
        "drop trigger telling on yoyo_lock; drop function tell()",
        ("trigger", database, "yoyo_lock", "telling"),
        ("function", database, "tell"),
    )
    yield from elsewhere(database)
