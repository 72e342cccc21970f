"""All SQL about which master keys wrap what. Every function works on the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from shared.custody.master import Wrapped
from shared.database import Contended, type_of_connection

# Table → its key columns and the column with the wrapped key.
_HOLDERS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "service_keys": (("name",), "wrapped"),
    "intake_keys": (("key_id",), "private_sealed"),
    "part_keys": (("person", "item", "part"), "wrapped"),
}


def hold_master(connection: type_of_connection, master_id: str, at: datetime) -> None:
    """Keep a master key from being retired until the transaction ends; noted as in use. Raises Contended where it is retired already."""
    connection.execute("insert into masters (master_id, first_used_at) values (%s, %s) on conflict do nothing", (master_id, at))
    row = connection.execute(
        "select 1 from masters where master_id = %s and retired_at is null for share", (master_id,)
    ).fetchone()
    if row is None:
        raise Contended


def retire_masters(connection: type_of_connection, current_id: str, at: datetime) -> None:
    """From now on nothing is written under any master but this one; waits for those who are writing."""
    connection.execute("update masters set retired_at = %s where master_id <> %s and retired_at is null", (at, current_id))


def other_masters(connection: type_of_connection, current_id: str) -> list[str]:
    """Every master but this one under which something may still stand."""
    rows = connection.execute("select master_id from masters where master_id <> %s order by first_used_at", (current_id,))
    return [master_id for (master_id,) in rows]


def wrapped_under(connection: type_of_connection, master_id: str, limit: int) -> list[tuple[str, tuple[str, ...], Wrapped]]:
    """Some (table, key, wrapped) that stand under this master, locked; what others have locked is passed over."""
    found: list[tuple[str, tuple[str, ...], Wrapped]] = []
    for table, (names, box) in _HOLDERS.items():
        rows = connection.execute(
            f"""
            select {", ".join(names)}, master_id, {box} from {table}
            where master_id = %s limit %s for update skip locked
            """,  # noqa: S608 - names of ours
            (master_id, limit - len(found)),
        )
        found += [(table, row[: len(names)], Wrapped(*row[len(names) :])) for row in rows]
        if len(found) >= limit:
            break
    return found


def count_under(connection: type_of_connection, master_id: str) -> int:
    """How many keys stand under this master."""
    counts = [
        connection.execute(f"select count(*) from {table} where master_id = %s", (master_id,)).fetchone()  # noqa: S608
        for table in _HOLDERS
    ]
    return sum(row[0] for row in counts if row)


def put_wrapped(connection: type_of_connection, table: str, key: tuple[str, ...], wrapped: Wrapped) -> None:
    """Put another wrapping in a key's place."""
    names, box = _HOLDERS[table]
    connection.execute(
        f"update {table} set master_id = %s, {box} = %s where {_same(names)}",  # noqa: S608 - names of ours
        (*wrapped, *key),
    )


def current_since(connection: type_of_connection) -> datetime | None:
    """Since when the newest master is in use."""
    row = connection.execute("select max(first_used_at) from masters where retired_at is null").fetchone()
    return row[0] if row else None


def _same(names: tuple[str, ...]) -> str:
    return " and ".join(f"{name} = %s" for name in names)
