"""All SQL of the keyring's custody tables: part keys, persons, and the record of openings. Every function works on the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

import orjson

from shared.custody.master import Wrapped
from shared.custody.masters import hold_master
from shared.custody.permits import ERASED, Choice
from shared.database import Contended, type_of_connection

_OPENINGS_LOCK = 0x6F70656E  # "open": one writer at a time at the end of the record
# "erase": who writes something of persons holds it together, who erases one holds it alone. Else what is being written when a person is erased
# is seen by nobody and stands afterwards.
_ERASING_LOCK = 0x6572617365


class KeyName(NamedTuple):
    """Where a part's key stands: digests of the person and of the order, and the part's name."""

    person: str
    item: str
    part: str


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A part's key as it stands; `person_state` is active, deactivated or erased. `wrapped` is None where there is no key."""

    policy_version: str
    wrapped: Wrapped | None
    person_state: str


def service_key(connection: type_of_connection, name: str) -> Wrapped | None:
    """A key of this service, wrapped."""
    row = connection.execute("select master_id, wrapped from service_keys where name = %s", (name,)).fetchone()
    return Wrapped(row[0], row[1]) if row else None


def add_service_key(connection: type_of_connection, name: str, wrapped: Wrapped, at: datetime) -> None:
    """The first one stands. Raises Contended where its master is retired."""
    hold_master(connection, wrapped.master_id, at)
    connection.execute(
        "insert into service_keys (name, master_id, wrapped) values (%s, %s, %s) on conflict do nothing", (name, *wrapped)
    )


def add_keys(
    connection: type_of_connection, keys: Sequence[tuple[KeyName, str, Wrapped]], at: datetime
) -> dict[KeyName, WrappedKey]:
    """Write (name, policy_version, wrapped) where there is no key yet and the person is not erased; give all that stand then.

    Raises Contended where the master that they are wrapped under is retired: then nothing may be written under it.
    """
    rows = [
        {**name._asdict(), "v": version, "m": wrapped.master_id, "w": "\\x" + wrapped.box.hex()}
        for name, version, wrapped in keys
    ]
    _keep_erasures_out(connection)
    connection.execute(
        """
        with standing as (select master_id from masters where master_id = any(%s) and retired_at is null for share)
        insert into part_keys (person, item, part, policy_version, master_id, wrapped, created_at)
        select person, item, part, v, m, w, %s
        from json_to_recordset(%s::json) as rows (person text, item text, part text, v text, m text, w bytea)
            join standing on standing.master_id = rows.m
        where not exists (select from persons where persons.person = rows.person and state = 'erased')
        on conflict do nothing
        """,
        (list({row["m"] for row in rows}), at, orjson.dumps(rows).decode()),
    )
    found = find_keys(connection, [name for name, *_ in keys])
    if any(it.wrapped is None and it.person_state != "erased" for it in found.values()):
        raise Contended
    return found


def find_keys(connection: type_of_connection, names: Sequence[KeyName]) -> dict[KeyName, WrappedKey]:
    """What stands of these, with the person's state; also of those that have no key, so that it can be told why."""
    columns = [list(column) for column in zip(*names, strict=True)]
    rows = connection.execute(
        """
        select wanted.person, wanted.item, wanted.part, policy_version, master_id, wrapped, coalesce(state, 'active')
        from unnest(%b::text[], %b::text[], %b::text[]) as wanted (person, item, part)
        left join part_keys using (person, item, part)
        left join persons on persons.person = wanted.person
        """,
        columns,
        binary=True,
    )
    return {
        KeyName(person, item, part): WrappedKey(version or "", Wrapped(master_id, wrapped) if master_id else None, state)
        for person, item, part, version, master_id, wrapped, state in rows.fetchall()
    }


# ── the record of openings ───────────────────────────────────────────────────────────────────────────────────────────────────


class Entry(NamedTuple):
    """One opening or refusal as it stands in the record. No member names a person: `person` and `item` are digests."""

    position: int
    at: datetime
    actor: str
    purpose: str
    part: str
    form: str
    person: str
    item: str
    policy_version: str
    ending: str
    salt: str
    hash: str


COLUMNS = Entry._fields


class Head(NamedTuple):
    """How far the record goes by its own mark, and the seal on that."""

    position: int
    hash: str
    seal: str


class RecordEnd(NamedTuple):
    """The head, the hash of the entry that stands at its place, and the last entry that stands: (0, "") before the first."""

    head: Head | None
    hash_at_head: str | None
    position: int
    hash: str


def lock_record(connection: type_of_connection) -> None:
    """Until the end of the transaction nobody else writes at the end of the record."""
    connection.execute("select pg_advisory_xact_lock(%s)", (_OPENINGS_LOCK,))


def record_end(connection: type_of_connection) -> RecordEnd:
    """How the record ends, of one moment."""
    row = connection.execute(
        """
        select head.position, head.hash, head.seal, (select hash from openings where openings.position = head.position),
            coalesce(last.position, 0), coalesce(last.hash, '')
        from (select) as one left join record_marks as head on head.name = 'head'
            left join (select position, hash from openings order by position desc limit 1) as last on true
        """
    ).fetchone()
    assert row is not None  # noqa: S101 - there is always one
    return RecordEnd(Head(*row[:3]) if row[0] is not None else None, *row[3:])


def set_head(connection: type_of_connection, head: Head) -> None:
    """Say how far the record goes, in the transaction that makes it go so far."""
    connection.execute(
        """
        insert into record_marks (name, position, hash, seal) values ('head', %s, %s, %s)
        on conflict (name) do update set position = excluded.position, hash = excluded.hash, seal = excluded.seal
        """,
        head,
    )


def add_entries(connection: type_of_connection, entries: Sequence[Entry]) -> None:
    """Write entries that have their places, under `lock_record`."""
    rows = [entry._asdict() for entry in entries]
    columns = ", ".join(COLUMNS)
    types = ", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in COLUMNS)
    connection.execute(
        f"insert into openings ({columns}) select {columns} from json_to_recordset(%s::json) as rows ({types})",  # noqa: S608 - names of ours
        (orjson.dumps(rows).decode(),),
    )


_TYPES = {"position": "bigint", "at": "timestamptz"}


def entries(connection: type_of_connection, after: int, limit: int) -> list[Entry]:
    """The record from behind this position on, in order."""
    columns = ", ".join(COLUMNS)
    rows = connection.execute(
        f"select {columns} from openings where position > %s order by position limit %s",  # noqa: S608 - names of ours
        (after, limit),
    )
    return [Entry(*row) for row in rows]


def hash_at(connection: type_of_connection, position: int) -> str | None:
    """The hash of the entry at a position; None where there is none."""
    row = connection.execute("select hash from openings where position = %s", (position,)).fetchone()
    return row[0] if row else None


def mark(connection: type_of_connection, name: str) -> tuple[int, str]:
    """How far the record was looked through: (position, hash) of the last entry; (0, "") before the first."""
    row = connection.execute("select position, hash from record_marks where name = %s", (name,)).fetchone()
    return (row[0], row[1]) if row else (0, "")


def set_mark(connection: type_of_connection, name: str, position: int, hash_: str) -> None:
    """Note how far the record was looked through."""
    connection.execute(
        """
        insert into record_marks (name, position, hash) values (%s, %s, %s)
        on conflict (name) do update set position = excluded.position, hash = excluded.hash
        """,
        (name, position, hash_),
    )


def entries_of(connection: type_of_connection, person: str) -> list[Entry]:
    """Everything that was done with one person's parts, in order: for the copy that a person may ask for."""
    columns = ", ".join(COLUMNS)
    rows = connection.execute(
        f"select {columns} from openings where person = %s order by position",  # noqa: S608 - names of ours
        (person,),
    )
    return [Entry(*row) for row in rows]


# ── persons ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def set_person(connection: type_of_connection, person: str, state: str, at: datetime) -> bool:
    """Note that a person is deactivated or erased; whether it was news. Who is erased stays so.

    An erasure waits for all that is being written, and until the end of the transaction nothing more is.
    """
    if state == ERASED:
        connection.execute("select pg_advisory_xact_lock(%s)", (_ERASING_LOCK,))
    row = connection.execute(
        """
        insert into persons (person, state, since) values (%s, %s, %s)
        on conflict (person) do update set state = excluded.state, since = excluded.since
            where persons.state <> 'erased' and persons.state <> excluded.state
        returning state
        """,
        (person, state, at),
    ).fetchone()
    return row is not None


def add_choice(connection: type_of_connection, person: str, request: str, choice: Choice) -> None:
    """Write down what a person chose, once for each request; nothing of somebody who is erased."""
    _keep_erasures_out(connection)
    connection.execute(
        """
        insert into choices (person, request, chosen_at, policy_version, communication, policy_choice)
        select %(person)s, %(request)s, %(chosen_at)s, %(policy_version)s, %(communication)s, %(policy_choice)s
        where not exists (select from persons where person = %(person)s and state = 'erased') on conflict do nothing
        """,
        {"person": person, "request": request, **asdict(choice)},
    )


def choices_of(connection: type_of_connection, persons: Sequence[str]) -> dict[str, list[Choice]]:
    """Person → everything that they chose, in no order; nobody who chose nothing."""
    rows = connection.execute(
        "select person, chosen_at, policy_version, communication, policy_choice from choices where person = any(%b::text[])",
        (list(persons),),
    )
    found: dict[str, list[Choice]] = {}
    for person, *chosen in rows:
        found.setdefault(person, []).append(Choice(*chosen))
    return found


def forget_choices(connection: type_of_connection, person: str) -> None:
    """Of somebody who is erased nothing chosen is kept either (addendum A-07). Safe to repeat."""
    connection.execute("delete from choices where person = %s", (person,))


def destroy_keys(connection: type_of_connection, person: str, items: Sequence[str] | None = None) -> int:
    """Destroy a person's keys, of all orders or of these; how many there were. Safe to repeat."""
    if items is None:
        return connection.execute("delete from part_keys where person = %s", (person,)).rowcount
    return connection.execute("delete from part_keys where person = %s and item = any(%s)", (person, list(items))).rowcount


def destroy_part_keys(connection: type_of_connection, names: Sequence[KeyName]) -> int:
    """Destroy these keys and no other; how many there were. Safe to repeat."""
    columns = [list(column) for column in zip(*names, strict=True)]
    return connection.execute(
        """
        delete from part_keys using unnest(%b::text[], %b::text[], %b::text[]) as gone (person, item, part)
        where part_keys.person = gone.person and part_keys.item = gone.item and part_keys.part = gone.part
        """,
        columns,
    ).rowcount


def count_keys(connection: type_of_connection, person: str) -> int:
    """How many keys of a person stand."""
    row = connection.execute("select count(*) from part_keys where person = %s", (person,)).fetchone()
    return row[0] if row else 0


def erased_among(connection: type_of_connection, persons: Sequence[str]) -> set[str]:
    """Those of these persons who are erased."""
    rows = connection.execute("select person from persons where person = any(%b::text[]) and state = 'erased'", (list(persons),))
    return {person for (person,) in rows}


def standing_among(connection: type_of_connection, persons: Sequence[str]) -> list[str]:
    """Those of these persons who are not erased, or of whom a key or a choice still stands, in no order."""
    rows = connection.execute(
        """
        select person from unnest(%b::text[]) as these (person) left join persons using (person)
        where state is distinct from 'erased' or exists (select from part_keys where part_keys.person = these.person)
            or exists (select from choices where choices.person = these.person)
        """,
        (list(persons),),
    )
    return [person for (person,) in rows]


def last_intake_key_expires(connection: type_of_connection) -> datetime | None:
    """When the last of the intake keys that stand expires; it is destroyed later than that (`Horizon.last_key_gone_at`)."""
    row = connection.execute("select max(expires_at) from intake_keys").fetchone()
    return row[0] if row else None


def _keep_erasures_out(connection: type_of_connection) -> None:
    # A statement of its own: what comes behind it sees every erasure that was waited for.
    connection.execute("select pg_advisory_xact_lock_shared(%s)", (_ERASING_LOCK,))
