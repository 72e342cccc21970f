"""Rows of finished orders, many times over: cloned by SQL from real ones, in every table of a database that keeps such rows.

Nothing here names a table or a column. A table keeps rows of finished orders when it has at least one for each of them after everything has
settled: plumbing that empties itself, keys and migrations have fewer. A column tells orders apart when it has at least as many different
values as there are orders: in a clone it gets a new value (a text that is a UUID, a UUID or a key of bytes a random one, other text a
suffix; a whole number that is a key by itself goes on behind the highest). All else is copied as it is, sizes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

_UUID_LIKE = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_TEXT, _UUID, _BYTES = "text", "uuid", "bytea"

Connection = psycopg.Connection[tuple[Any, ...]]


class CannotClone(Exception):
    """A table's clones would not be different from each other; the message names the table and the index."""


@dataclass(frozen=True, slots=True)
class Cloned:
    """One table: its rows before and after."""

    table: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    is_indexed: bool


def clone(admin_url: str, finished: int, wanted: int) -> list[Cloned]:
    """Bring a database with the rows of `finished` orders to those of `wanted`, a multiple of it; vacuumed, analysed, on disk.

    Indexes are dropped before and built anew after, for speed; they end as they were. Raises CannotClone.
    """
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute("set maintenance_work_mem = '256MB'")
        done = []
        foreign_keys = _take_down_foreign_keys(connection)
        for table, before in tables_of_orders(connection, finished).items():
            columns = _columns(connection, table)
            changed = _changed(connection, table, columns, finished)
            _check_unique(connection, table, columns, changed)
            after = _multiply(connection, table, columns, changed, copies=wanted // finished - 1)
            done.append(Cloned(table, before, before + after))
            connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(table)))
        for statement in foreign_keys:
            connection.execute(statement.encode())
    return done


def tables_of_orders(connection: Connection, finished: int) -> dict[str, int]:
    """The tables that keep rows of finished orders, and how many."""
    names = connection.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition "
        "order by relname"
    ).fetchall()
    counts = {
        str(name): _one(connection, sql.SQL("select count(*) from {}").format(sql.Identifier(str(name)))) for (name,) in names
    }
    return {name: count for name, count in counts.items() if count >= finished}


def bytes_of(admin_url: str, finished: int) -> int:
    """What the tables of finished orders take on disk, with their indexes."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        return sum(
            _one(connection, sql.SQL("select pg_total_relation_size({}::regclass)").format(sql.Literal(f'"{table}"')))
            for table in tables_of_orders(connection, finished)
        )


def _columns(connection: Connection, table: str) -> list[_Column]:
    """What a clone must give: not what the database makes by itself."""
    rows = connection.execute(
        """
        select attname, typname, exists (select from pg_index where indrelid = attrelid and attnum = any (indkey))
        from pg_attribute
        join pg_type on pg_type.oid = atttypid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where attrelid = %s::regclass and attnum > 0 and not attisdropped and attidentity = '' and attgenerated = ''
            and coalesce(pg_get_expr(adbin, adrelid), '') not like 'nextval(%%'
        order by attnum
        """,
        (f'"{table}"',),
    )
    return [_Column(str(name), "text" if kind == "varchar" else str(kind), bool(indexed)) for name, kind, indexed in rows]


def _changed(connection: Connection, table: str, columns: list[_Column], finished: int) -> dict[str, sql.Composable]:
    """By column, the expression of a clone's value, of those columns that tell orders apart."""
    changed: dict[str, sql.Composable] = {}
    for name in _numbered(connection, table):
        highest = _one(connection, sql.SQL("select max({}) from {}").format(sql.Identifier(name), sql.Identifier(table)))
        changed[name] = sql.SQL("{} + copy::bigint * {}").format(sql.Identifier(name), sql.Literal(highest))
    for column in columns:
        name = sql.Identifier(column.name)
        if column.type not in (_TEXT, _UUID, _BYTES) or (column.type == _BYTES and not column.is_indexed):
            continue
        if _one(connection, sql.SQL("select count(distinct {}) from {}").format(name, sql.Identifier(table))) < finished:
            continue
        if column.type == _TEXT and not _one(
            connection,
            sql.SQL("select bool_and({} ~ {})::int from {}").format(name, sql.Literal(_UUID_LIKE), sql.Identifier(table)),
        ):
            changed[column.name] = sql.SQL("{} || '~' || copy").format(name)
            continue
        plain = sql.SQL("encode({}, 'hex')").format(name) if column.type == _BYTES else sql.SQL("{}::text").format(name)
        digest = sql.SQL("md5({} || '~' || copy)").format(plain)
        templates = {_TEXT: "({}::uuid)::text", _UUID: "{}::uuid", _BYTES: "decode({}, 'hex')"}
        changed[column.name] = sql.SQL(templates[column.type]).format(digest)
    return changed


def _numbered(connection: Connection, table: str) -> list[str]:
    """The columns of whole numbers that are a key by themselves, and that a row must bring."""
    rows = connection.execute(
        """
        select attname from pg_attribute
        join pg_index on indrelid = attrelid and indisunique and indnkeyatts = 1 and indkey[0] = attnum
        where attrelid = %s::regclass and atttypid in ('int4'::regtype, 'int8'::regtype) and attidentity = '' and not atthasdef
        """,
        (f'"{table}"',),
    )
    return [str(name) for (name,) in rows]


def _check_unique(connection: Connection, table: str, columns: list[_Column], changed: dict[str, sql.Composable]) -> None:
    given = {column.name for column in columns}
    rows = connection.execute(
        """
        select indexrelid::regclass::text, array_agg(attname::text) from pg_index
        join pg_attribute on attrelid = indrelid and attnum = any (indkey)
        where indrelid = %s::regclass and indisunique group by indexrelid
        """,
        (f'"{table}"',),
    )
    for index, names in rows:
        if not any(name in changed or name not in given for name in names):
            raise CannotClone(f"{table}: no column of {index} tells its orders apart")


def _multiply(connection: Connection, table: str, columns: list[_Column], changed: dict[str, sql.Composable], copies: int) -> int:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    values = sql.SQL(", ").join(changed.get(column.name, sql.Identifier(column.name)) for column in columns)
    insert = sql.SQL("insert into {table} ({names}) select {values} from generate_series(1, {copies}) as copy, {table}")
    with connection.transaction():
        again = _take_down_indexes(connection, table)
        count = connection.execute(
            insert.format(table=sql.Identifier(table), names=names, values=values, copies=sql.Literal(copies))
        ).rowcount
        for statement in again:
            connection.execute(statement.encode())
    return count


def _take_down_foreign_keys(connection: Connection) -> list[str]:
    """Drop them, and give the statements that bring them back when all tables have their clones."""
    return _take_down(
        connection,
        connection.execute(
            """
            select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
            where contype = 'f' and connamespace = 'public'::regnamespace and conparentid = 0
            """
        ).fetchall(),
    )


def _take_down_indexes(connection: Connection, table: str) -> list[str]:
    """Drop keys and indexes, and give the statements that bring them back."""
    again = _take_down(
        connection,
        connection.execute(
            """
            select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
            where contype in ('p', 'u', 'x') and conrelid = %s::regclass
            """,
            (f'"{table}"',),
        ).fetchall(),
    )
    indexes = connection.execute(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index where indrelid = %s::regclass",
        (f'"{table}"',),
    ).fetchall()
    for name, definition in indexes:
        connection.execute(f"drop index {name}".encode())
        again.append(str(definition))
    return again


def _take_down(connection: Connection, constraints: list[tuple[Any, ...]]) -> list[str]:
    for table, name, _ in constraints:
        connection.execute(f'alter table {table} drop constraint "{name}"'.encode())
    return [f'alter table {table} add constraint "{name}" {definition}' for table, name, definition in constraints]


def _one(connection: Connection, statement: sql.Composed) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
