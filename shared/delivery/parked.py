"""What waits for a person in one service's database: find it, show it, have it tried again, or take it out for good.

Two tables hold it: messages in `held`, calls to outside parties in `intents`. Every function works on the caller's transaction, and what it
changes it locks in the order of the ids, as the services do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from shared.database import type_of_connection

MESSAGE, CALL = "message", "call"
KINDS = (MESSAGE, CALL)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the parked things are meant; what is None does not matter. Times are those of the last try."""

    ids: tuple[UUID, ...] | None = None
    kind: str | None = None
    type: str | None = None
    reason: str | None = None
    order_number: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_everything(self) -> bool:
        return not any(astuple(self))


@dataclass(frozen=True, slots=True)
class ParkedThing:
    """One parked message or call. `type` is the event's, or the call's kind. A message without a body cannot be tried again."""

    id: UUID
    kind: str
    queue: str | None
    source: str | None
    event_id: str | None
    type: str | None
    shop: str | None
    order_number: str | None
    reason: str
    tries: int
    replays: int
    first_at: datetime
    last_at: datetime
    length: int | None
    is_replayable: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """How many parked things are of one sort."""

    kind: str
    type: str | None
    reason: str
    is_replayable: bool
    number: int


@dataclass(frozen=True, slots=True)
class Kept:
    """All else that is kept of one parked thing. Of a call's `details` only the names: the parts in them are sealed."""

    faults: list[dict[str, str]]
    headers: dict[str, Any]
    body: str | None
    details: list[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why something is taken out for good: a code, a ticket that says more, and the staff id of who says so. Nothing of a person."""

    reason: str
    ticket: str | None
    by: str


@dataclass(frozen=True, slots=True)
class Discard:
    """The record of one thing that was taken out for good."""

    id: UUID
    service: str
    kind: str
    queue: str | None
    source: str | None
    event_id: str | None
    type: str | None
    shop: str | None
    order_number: str | None
    parked_for: str
    tries: int
    replays: int
    first_at: datetime
    last_at: datetime
    reason: str
    ticket: str | None
    discarded_by: str
    discarded_at: datetime


_PARKED = """
    (
        select id, 'message' as kind, queue, source, event_id, type, shop, order_number, reason, tries, replays, first_at, last_at, length,
            body is not null as is_replayable
        from held where state = 'parked'
        union all
        select id, 'call', null, null, null, kind, shop, order_number, parked, tries, replays, created_at, last_at, null, true
        from intents where parked is not null
    ) parked
    where (%(ids)s::uuid[] is null or id = any(%(ids)s::uuid[]))
        and (%(kind)s::text is null or kind = %(kind)s)
        and (%(type)s::text is null or type = %(type)s)
        and (%(reason)s::text is null or reason = %(reason)s)
        and (%(order_number)s::text is null or order_number = %(order_number)s)
        and (%(since)s::timestamptz is null or last_at >= %(since)s)
        and (%(until)s::timestamptz is null or last_at < %(until)s)
"""


def find(
    connection: type_of_connection, wanted: Wanted, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[ParkedThing]:
    """So many of the parked things that are meant, the one that has waited longest first; `after` this (last_at, id)."""
    last_at, identity = after or (None, None)
    with connection.cursor(row_factory=class_row(ParkedThing)) as cursor:
        return cursor.execute(
            f"""
            select * from {_PARKED} and (%(last_at)s::timestamptz is null or (last_at, id) > (%(last_at)s, %(id)s::uuid))
            order by last_at, id limit %(limit)s
            """,  # noqa: S608 - the text is ours
            {**_values(wanted), "last_at": last_at, "id": identity, "limit": limit},
        ).fetchall()


def count(connection: type_of_connection, wanted: Wanted) -> list[Tally]:
    """How many are meant, by what they are and why they are parked."""
    with connection.cursor(row_factory=class_row(Tally)) as cursor:
        return cursor.execute(
            f"""
            select kind, type, reason, is_replayable, count(*) as number from {_PARKED}
            group by kind, type, reason, is_replayable order by kind desc, type, reason
            """,  # noqa: S608 - the text is ours
            _values(wanted),
        ).fetchall()


def _values(wanted: Wanted) -> dict[str, object]:
    return {**asdict(wanted), "ids": None if wanted.ids is None else list(wanted.ids)}


def kept(connection: type_of_connection, thing: ParkedThing) -> Kept | None:
    """All that is kept of it, its body among it; None where it is no longer there."""
    if thing.kind == MESSAGE:
        row = connection.execute("select faults, headers, body, '[]'::jsonb from held where id = %s", (thing.id,)).fetchone()
    else:
        row = connection.execute(
            """
            select '[]'::jsonb, '{}'::jsonb, null::text, coalesce(jsonb_agg(name order by name) filter (where name is not null), '[]')
            from intents left join jsonb_object_keys(details) as name on true where id = %s group by id
            """,
            (thing.id,),
        ).fetchone()
    return Kept(*row) if row else None


def replay(connection: type_of_connection, ids: Sequence[UUID]) -> set[UUID]:
    """Have these tried again at once, by the service that runs on this database; gives those that will be.

    What is not parked any more, or has no body, is left as it is. A message keeps its claim, so it is done once however often this is
    repeated; a call counts as in doubt, so it is looked up before it is asked for again.
    """
    messages = connection.execute(
        """
        with due as (
            select id from held where id = any(%b::uuid[]) and state = 'parked' and body is not null order by id for update
        )
        update held set state = 'later', due_at = now(), tries = 0, takes = 0, replays = replays + 1
        from due where held.id = due.id returning held.id
        """,
        (list(ids),),
    ).fetchall()
    calls = connection.execute(
        """
        with due as (select id from intents where id = any(%b::uuid[]) and parked is not null order by id for update)
        update intents set parked = null, leased_until = now(), tries = 0, replays = replays + 1
        from due where intents.id = due.id returning intents.id
        """,
        (list(ids),),
    ).fetchall()
    return {identity for (identity,) in (*messages, *calls)}


def discard(connection: type_of_connection, service: str, ids: Sequence[UUID], verdict: Verdict) -> set[UUID]:
    """Take these out for good and write down what they were and why; gives those that were parked still.

    A message's claim stays in the inbox: should the message come again, it is a repeat.
    """
    said = (verdict.reason, verdict.ticket, verdict.by)
    messages = connection.execute(
        """
        with doomed as (select id from held where id = any(%b::uuid[]) and state = 'parked' order by id for update),
            gone as (delete from held using doomed where held.id = doomed.id returning held.*)
        insert into discards (id, service, kind, queue, source, event_id, type, shop, order_number, parked_for, tries, replays,
            first_at, last_at, reason, ticket, discarded_by)
        select id, %s, 'message', queue, source, event_id, type, shop, order_number, reason, tries, replays, first_at, last_at, %s, %s, %s
        from gone returning id
        """,
        (list(ids), service, *said),
    ).fetchall()
    calls = connection.execute(
        """
        with doomed as (select id from intents where id = any(%b::uuid[]) and parked is not null order by id for update),
            gone as (delete from intents using doomed where intents.id = doomed.id returning intents.*)
        insert into discards (id, service, kind, type, shop, order_number, parked_for, tries, replays,
            first_at, last_at, reason, ticket, discarded_by)
        select id, %s, 'call', kind, shop, order_number, parked, tries, replays, created_at, last_at, %s, %s, %s
        from gone returning id
        """,
        (list(ids), service, *said),
    ).fetchall()
    return {identity for (identity,) in (*messages, *calls)}


def discards(connection: type_of_connection, since: datetime | None, until: datetime | None, limit: int | None) -> list[Discard]:
    """What was taken out for good in this time, the oldest first."""
    with connection.cursor(row_factory=class_row(Discard)) as cursor:
        return cursor.execute(
            """
            select * from discards
            where (%(since)s::timestamptz is null or discarded_at >= %(since)s)
                and (%(until)s::timestamptz is null or discarded_at < %(until)s)
            order by discarded_at, id limit %(limit)s::bigint
            """,
            {"since": since, "until": until, "limit": limit},
        ).fetchall()
