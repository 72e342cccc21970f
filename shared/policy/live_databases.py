"""What running database servers hold, read from their catalogues alone: no row of any table of ours is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from shared.policy import catalogue
from shared.policy.compile_databases import Cluster, cluster_facts, database_clauses, database_facts, record_role
from shared.policy.document import Policy
from shared.policy.server_rules import Difference, Name, compare

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
    boxes = {name[2:] for name, value in database_facts(policy, database).items() if value == "a box"}
    for table, kind in ask(server, catalogue.TABLES):
        what, _, owner = kind.rpartition(" of ")
        yield ("table", database, table), f"{what} of {ours.get(owner, owner)}"
    for table, column, type_ in ask(server, catalogue.COLUMNS):
        kind = "known" if (table, column) not in boxes else "a box" if type_ in _BOXES else f"a {type_}"
        yield ("column", database, table, column), kind
    for table, column, grantee, rights in ask(server, catalogue.GRANTS):
        yield ("grant", database, f"{table}.{column}" if column else table, ours.get(grantee, grantee)), rights
    for schema, grantee, rights in ask(server, catalogue.SCHEMAS):
        yield ("schema", database, schema, ours.get(grantee, grantee)), rights
    for function, acts_as_owner in ask(server, catalogue.FUNCTIONS):
        yield ("function", database, function), "acts as its owner" if acts_as_owner else "is called"
    for (extension,) in ask(server, catalogue.EXTENSIONS):
        yield ("extension", database, extension), "installed"
    for kind, name, deed in ask(server, catalogue.LISTENERS):
        yield ("listener", database, kind, name), deed
