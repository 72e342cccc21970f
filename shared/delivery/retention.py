"""What stands in the plumbing's tables: how much, what of it is cleared, and what kills whoever takes it up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import retention as retained
from shared.database import type_of_connection
from shared.delivery.tables import MOST_TAKES
from shared.policy.waiting import Waits
from shared.retention import is_held


@dataclass(frozen=True, slots=True)
class Standing:
    """How many rows stand where; the inbox by PostgreSQL's own estimate, for it is too long to count."""

    outbox: int
    outbox_oldest_seconds: float
    held_later: int
    held_parked: int
    calls_open: int
    calls_parked: int
    inbox: int


def count_standing(connection: type_of_connection) -> Standing:
    """What stands in the tables now."""
    row = connection.execute(
        """
        select (select count(*) from outbox),
            (select coalesce(extract(epoch from now() - min(created_at)), 0)::float from outbox),
            (select count(*) from held where state = 'later'), (select count(*) from held where state = 'parked'),
            (select count(*) from intents where parked is null), (select count(*) from intents where parked is not null),
            (select greatest(reltuples, 0)::bigint from pg_class where oid = 'inbox'::regclass)
        """
    ).fetchone()
    assert row is not None  # noqa: S101 - a select without a table gives one row
    return Standing(*row)


def clear_inbox(connection: type_of_connection, before: datetime, limit: int) -> int:
    """Forget claims that were taken before then, the oldest first, and give how many; none of a message that is still held.

    Does nothing, and gives 0, while another process is at it.
    """
    mine = connection.execute("select pg_try_advisory_xact_lock(hashtext('brownpaper.janitor'))").fetchone()
    if mine != (True,):
        return 0
    return connection.execute(
        """
        delete from inbox where ctid = any(array(
            select ctid from inbox
            where received_at < %s and not exists (
                select 1 from held where held.event_id = inbox.id and held.source = inbox.source
            )
            order by received_at limit %s
        ))
        """,
        (before, limit),
    ).rowcount


# A carrier's scan names neither person nor order, and no erasure finds it. Looked for in the text: the member stands at two depths.
_WAITED = """
    from held left join unnest(%b::text[], %b::interval[]) as parts (type, longest) using (type)
        cross join lateral (
            select coalesce(parts.longest, case when position('"tracking_number"' in held.body) > 0 then %b::interval end)
        ) as waits (longest)
    where held.state = 'parked' and held.body is not null and held.first_at <= %s - waits.longest
"""


def empty_parked(connection: type_of_connection, at: datetime, waits: Waits) -> int:
    """Take the body, with the sealed part or the carrier's number in it, from parked messages that came longer ago than each may wait.

    Gives how many. The row stands on with its reason, for a person to discard; it cannot be tried again. What a legal hold keeps is passed
    over. Safe to repeat.
    """
    return connection.execute(
        f"""
        update held set body = null where id = any(array(
            select held.id {_WAITED} and not {is_held("held")} order by held.id for update of held skip locked
        ))
        """.encode(),  # noqa: S608 - the text is ours
        _values(waits, at),
    ).rowcount


def count_waited(connection: type_of_connection, at: datetime, waits: Waits) -> retained.Standing:
    """How many such messages still have their body; `oldest_ended_at` is since when the first of them should have none."""
    row: Any = connection.execute(
        f"""
        select count(*) filter (where not kept), count(*) filter (where kept), min(due_at) filter (where not kept)
        from (select {is_held("held")} as kept, held.first_at + waits.longest as due_at {_WAITED}) as waited
        """.encode(),  # noqa: S608 - the text is ours
        _values(waits, at),
    ).fetchone()
    return retained.Standing(*row)


def _values(waits: Waits, at: datetime) -> tuple[Any, ...]:
    return list(waits.by_type), list(waits.by_type.values()), waits.numbers, at


def park_deadly(connection: type_of_connection, at: datetime) -> int:
    """Park messages and calls that were taken up so often without an ending that they must have killed whoever did; gives how many."""
    calls = connection.execute(
        """
        update intents set parked = 'delivery_limit_reached', takes = 0, last_at = %s
        where parked is null and leased_until < %s and takes >= %s
        """,
        (at, at, MOST_TAKES),
    ).rowcount
    return (
        calls
        + connection.execute(
            """
        update held set state = 'parked', reason = 'delivery_limit_reached', faults = '[]', takes = 0, last_at = %s, due_at = null
        where state = 'later' and due_at < %s and takes >= %s
        """,
            (at, at, MOST_TAKES),
        ).rowcount
    )
