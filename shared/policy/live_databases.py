"""What running database servers hold, read from their catalogues alone: no row of any table of ours is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from shared.policy import catalogue
from shared.policy.compile_databases import (
    Cluster,
    cluster_facts,
    database_clauses,
    database_facts,
    record_role,
    sets_of,
    table_sets,
    tables_of,
)
from shared.policy.document import Policy
from shared.policy.server_rules import Difference, Name, compare
from shared.policy.shape import mark

Ask = Callable[[str, str], list[tuple[Any, ...]]]
"""(database, statement) → rows, asked as the server's administrator."""
ADMINISTRATION: Final = "postgres"

_BOXES: Final = frozenset({"bytea", "jsonb"})


def cluster_differences(
    policy: Policy, cluster: Cluster, ask: Ask, names: Mapping[str, str], *, exclusive: bool = True
) -> list[Difference]:
    """Everything on a cluster, and inside its databases, that is not as the policy says.

    `names` gives each of the policy's databases its name on the server, where the role is called the same. `exclusive` says that the cluster
    is ours alone, so that any other role or database is a difference; else only what concerns ours is looked at.
    """
    ours = {server: name for name, server in names.items()}
    ours |= {record_role(server): record_role(name) for name, server in names.items()}
    expected = cluster_facts(policy, cluster)
    found = dict(_cluster(ask, ours, set(policy.databases.settings), exclusive=exclusive))
    present = [name for name, server in names.items() if ("database", name) in found]
    for name in present:
        expected |= database_facts(policy, name)
        found |= dict(_inside(policy, name, names[name], ask, ours))
    return list(compare(expected, found, lambda rule: database_clauses(policy, rule)))


def _cluster(ask: Ask, ours: Mapping[str, str], settings: set[str], *, exclusive: bool) -> Iterator[tuple[Name, str]]:
    def rows(statement: str, names: int) -> Iterator[list[str]]:
        """The rows that concern us by one of their first `names` columns, those told by the policy's names."""
        for row in ask(ADMINISTRATION, statement):
            if exclusive or any(name in ours for name in row[:names]) or row[0] == "every database":
                yield [*(ours.get(name, name) for name in row[:names]), *row[names:]]

    for role, attributes in rows(catalogue.ROLES, 1):
        yield ("role", role), attributes or "nothing"
    for granted, member in rows(catalogue.MEMBERS, 2):
        yield ("member", member, granted), f"{member} acts as {granted}"
    for database, owner in rows(catalogue.DATABASES, 1):
        if database != ADMINISTRATION:
            yield ("database", database), f"owned by {ours.get(owner, owner)}"
    for database, grantee, rights in rows(catalogue.DOORS, 2):
        yield ("door", database, grantee), rights
    for database, role, name, value in rows(catalogue.OVERRIDES, 2):
        yield ("override", database, role, name), value if name in settings else "set"
    for kind, name in ask(ADMINISTRATION, catalogue.COPIES):
        yield ("copies", kind, name), "reads every row"
    for name, value in ask(ADMINISTRATION, catalogue.SETTINGS):
        if name in settings:
            yield ("setting", name), value


def _inside(policy: Policy, database: str, server: str, ask: Ask, ours: Mapping[str, str]) -> Iterator[tuple[Name, str]]:
    def its(owner: str) -> str:
        return ours.get(owner, owner)

    boxes = {(table, column) for table, columns in tables_of(policy, database).items() for column in columns.sealed}
    for table, kind in ask(server, catalogue.TABLES):
        what, _, owner = kind.rpartition(" of ")
        yield ("table", database, table), f"{what} of {its(owner)}"
    for table, column, type_, made in ask(server, catalogue.COLUMNS):
        kind = "known" if (table, column) not in boxes else "a box" if type_ in _BOXES else f"a {type_}"
        yield ("column", database, table, column), f"{kind}, {mark(made)}"
    for table, name, made in ask(server, catalogue.CONSTRAINTS):
        yield ("constraint", database, table, name), mark(made)
    for table, trigger, function, is_a_constraint_s, made in ask(server, catalogue.TRIGGERS):
        name, deed = ("of a constraint", "is off") if is_a_constraint_s else (trigger, f"calls {function}, {mark(made)}")
        yield ("trigger", database, table, name), deed
    for table, column, grantee, rights in ask(server, catalogue.GRANTS):
        yield ("grant", database, f"{table}.{column}" if column else table, its(grantee)), rights
    for schema, owner in ask(server, catalogue.OWNERS):
        yield ("schema", database, schema), f"owned by {its(owner)}"
    for schema, grantee, rights in ask(server, catalogue.SCHEMAS):
        yield ("schema", database, schema, its(grantee)), rights
    for function, owner, acts_as_owner, made in ask(server, catalogue.FUNCTIONS):
        yield (
            ("function", database, function),
            f"{'acts as its owner' if acts_as_owner else 'is called'}, of {its(owner)}, {mark(made)}",
        )
    for (extension,) in ask(server, catalogue.EXTENSIONS):
        yield ("extension", database, extension), "installed"
    for kind, name, deed in ask(server, catalogue.LISTENERS):
        yield ("listener", database, kind, name), deed


def made_tables(policy: Policy, ask: Ask) -> dict[str, dict[str, dict[str, str]]]:
    """Set of tables → table → what it is made of, of a server where each database has its name in the policy: what `shape.json` holds.

    A table or function that the policy does not know is left out. Safe to repeat.
    """
    shape: dict[str, dict[str, dict[str, str]]] = {}
    for database in policy.databases.databases:
        found = _made(policy, database, ask)
        for name in sets_of(policy, database):
            tables = sorted(table_sets(policy)[name])
            shape[name] = {table: dict(sorted(found[table].items())) for table in tables if table in found}
    return shape


def _made(policy: Policy, database: str, ask: Ask) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for table, column, _, made in ask(database, catalogue.COLUMNS):
        found.setdefault(table, {})[f"column {column}"] = made
    for table, name, made in ask(database, catalogue.CONSTRAINTS):
        found.setdefault(table, {})[f"constraint {name}"] = made
    for table, trigger, _, is_a_constraint_s, made in ask(database, catalogue.TRIGGERS):
        if not is_a_constraint_s:
            found.setdefault(table, {})[f"trigger {trigger}"] = made
    functions = {function: made for function, _, _, made in ask(database, catalogue.FUNCTIONS)}
    for table, columns in tables_of(policy, database).items():
        for function in set(columns.triggers.values()) & set(functions):
            found.setdefault(table, {})[f"function {function}"] = functions[function]
    return found
