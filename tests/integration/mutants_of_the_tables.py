"""One broken rule at a time, of what a table keeps true by itself; and tables, functions and views where nobody looks first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.policy.compile_databases import made_of
from shared.policy.document import Policy
from shared.policy.server_rules import Name


@dataclass(frozen=True)
class SqlMutant:
    """`database` is where it is said; `breaks` are exactly the rules that must be named while it is there."""

    database: str
    do: str
    undo: str
    breaks: frozenset[Name]


def one(database: str, do: str, undo: str, *rules: Name) -> SqlMutant:
    return SqlMutant(database, do, undo, frozenset(rules))


def naming(policy: Policy, database: str, table: str, column: str) -> Iterator[Name]:
    """What else is written with the name of a column: constraints, its own and those that point to it, and what is worked out of it."""
    for its, rules in made_of(policy, database).items():
        for rule, text in rules.items():
            kind, _, name = rule.partition(" ")
            where = text.partition(f"REFERENCES {table}(")[2] if its != table else text
            if kind in {"constraint", "column"} and name != column and re.search(rf"\b{column}\b", where):
                yield kind, database, its, name


def own_tables(policy: Policy, database: str) -> frozenset[str]:
    """The tables that stand in this database alone; what stands in several is broken in one of them."""
    its = policy.databases.databases[database].tables
    return frozenset(() if its == "keyring" else policy.databases.tables[its])


def made_mutants(policy: Policy, database: str, tables: frozenset[str]) -> Iterator[SqlMutant]:
    """What these tables keep true by themselves, undone rule by rule."""
    made = made_of(policy, database)
    pointed_to = {name for rules in made.values() for text in rules.values() for name in re.findall(r"REFERENCES (\w+)", text)}
    for table in sorted(tables):
        rules = made[table]
        for rule, text in rules.items():
            kind, _, name = rule.partition(" ")
            match kind:
                case "constraint" if table not in pointed_to or not text.startswith("PRIMARY"):
                    yield _constraint(database, table, name, text)
                case "trigger":
                    column = next(it for it in rules if it.startswith("column ")).removeprefix("column ")
                    yield from _trigger(database, table, name, text, column)
                case "function":
                    yield from _function(database, name, text)
                case "column" if "generated always as (" in text:
                    worked_out = f"{text.partition(' generated')[0]} generated always as (null) stored"
                    yield one(
                        database,
                        f"alter table {table} rename column {name} to kept; alter table {table} add column {name} {worked_out}",
                        f"alter table {table} drop column {name}; alter table {table} rename column kept to {name}",
                        ("column", database, table, name),
                        ("column", database, table, "kept"),
                    )
        column = next((rule.removeprefix("column ") for rule, text in rules.items() if text in {"text", "text not null"}), None)
        if column is not None:
            yield one(
                database,
                f"alter table {table} alter column \"{column}\" set default 'somebody'",
                f'alter table {table} alter column "{column}" drop default',
                ("column", database, table, column),
            )


def _constraint(database: str, table: str, name: str, text: str) -> SqlMutant:
    rule = ("constraint", database, table, name)
    if text.startswith("CREATE"):
        return one(database, f"drop index {name}", text, rule)
    return one(database, f"alter table {table} drop constraint {name}", f"alter table {table} add constraint {name} {text}", rule)


def _trigger(database: str, table: str, trigger: str, text: str, column: str) -> Iterator[SqlMutant]:
    rule = ("trigger", database, table, trigger)
    again = text.replace("CREATE TRIGGER", "create or replace trigger", 1)
    yield one(
        database,
        f"alter trigger {trigger} on {table} rename to renamed",
        f"alter trigger renamed on {table} rename to {trigger}",
        rule,
        ("trigger", database, table, "renamed"),
    )
    for how in ("disable trigger", "enable replica trigger", "enable always trigger"):
        yield one(database, f"alter table {table} {how} {trigger}", f"alter table {table} enable trigger {trigger}", rule)
    for narrowed in (
        again.replace("DELETE OR UPDATE OR TRUNCATE", "DELETE OR TRUNCATE"),
        again.replace("OR UPDATE OR", f"OR UPDATE OF {column} OR"),
        again.replace("EXECUTE", "WHEN (false) EXECUTE"),
        again.replace("FOR EACH STATEMENT", "FOR EACH ROW").replace(" OR TRUNCATE", ""),
    ):
        yield one(database, narrowed, again, rule)


def _function(database: str, function: str, text: str) -> Iterator[SqlMutant]:
    rule = ("function", database, function)
    yield one(database, f"alter function {function}() security definer", f"alter function {function}() security invoker", rule)
    body = "language plpgsql as 'begin return null; end'"
    yield one(database, f"create or replace function {function}() returns trigger {body}", text, rule)
    yield one(
        database,
        f"alter function {function}() set session_replication_role = 'replica'",
        f"alter function {function}() reset all",
        rule,
    )


def elsewhere(database: str) -> Iterator[SqlMutant]:
    """What should not be there, in other places than are looked at first."""
    schema, hidden = ("schema", database, "elsewhere"), "elsewhere.yoyo_lock"
    for what in ("table elsewhere.yoyo_lock (locked text)", "view elsewhere.yoyo_lock as select 'somebody' as locked"):
        yield SqlMutant(
            database,
            f"create schema elsewhere; create {what}",
            "drop schema elsewhere cascade",
            frozenset({schema, ("table", database, hidden), ("column", database, hidden, "locked")}),
        )
    for place in ("elsewhere", "pg_catalog"):
        yield SqlMutant(
            database,
            f"create schema if not exists elsewhere; create function {place}.peek() returns int language sql as 'select 1'",
            f"drop function {place}.peek(); drop schema elsewhere",
            frozenset({schema, ("function", database, f"{place}.peek")}),
        )
    yield one(
        database,
        "create function peek(what text) returns text language sql as 'select what'",
        "drop function peek(text)",
        ("function", database, "peek(what text)"),
    )
    yield one(
        database,
        "alter table yoyo_lock add constraint more check (pid > 0)",
        "alter table yoyo_lock drop constraint more",
        ("constraint", database, "yoyo_lock", "more"),
    )
    yield one(
        database,
        "create policy some_rows on yoyo_lock using (false)",
        "drop policy some_rows on yoyo_lock",
        ("listener", database, "row policy", "yoyo_lock.some_rows"),
    )
    yield one(
        database,
        "create rule nothing_said as on delete to yoyo_lock do instead nothing",
        "drop rule nothing_said on yoyo_lock",
        ("listener", database, "rule", "public.nothing_said"),
    )
    if database == "orders":
        yield one(
            database,
            "alter table staff_cases disable trigger all",
            "alter table staff_cases enable trigger all",
            ("trigger", database, "staff_cases", "of a constraint"),
        )
