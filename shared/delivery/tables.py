"""All SQL of the plumbing's own tables but `held`: inbox, outbox, intents. Every function works on the caller's transaction.

What a batch's statements give is `Awaited`: so the batch sends many before it waits for the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from uuid import UUID

import orjson

from shared.contracts.values import OrderKey
from shared.database import Awaited, type_of_connection
from shared.delivery.work import IntentRow, OutboxRow

MOST_TAKES = 20
"""How often a held message or a call is taken up without an ending before it is parked: it may kill whoever takes it up."""

_OUTBOX_SWEEP = 0x6F757462  # "outb": one sweep of an outbox at a time


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


# ── inbox ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def claim(connection: type_of_connection, claims: Iterable[tuple[str, str]], at: datetime) -> Set[tuple[str, str]]:
    """Take up these (speaker, id) and give those that nobody had taken up before."""
    rows = [{"source": source, "id": identity} for source, identity in sorted(set(claims))]
    if not rows:
        return frozenset()
    taken = connection.execute(
        """
        insert into inbox (source, id, received_at)
        select source, id, %s from json_to_recordset(%s::json) as claims (source text, id text)
        on conflict do nothing
        returning source, id
        """,
        (at, _json(rows)),
    )
    return Awaited(taken.fetchall)


# ── outbox ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_outbox(
    connection: type_of_connection, rows: Sequence[OutboxRow], at: datetime, leased_until: datetime, writer: UUID
) -> Set[UUID]:
    """Write events and give the ids of those that must wait: an earlier event of the same order stands with another, or failed.

    Those are due at once and nobody's, for the sweep, which takes an order's events in their order.
    """
    written = connection.execute(
        """
        insert into outbox (id, exchange, type, subject, body, writer, leased_until, created_at)
        select id, exchange, type, subject, body,
            case when not must_wait then %(writer)s::uuid end,
            case when must_wait then %(at)s::timestamptz else %(leased_until)s::timestamptz end,
            %(at)s
        from (
            select rows.*, subject <> '' and exists (
                select from outbox as earlier where earlier.subject = rows.subject and earlier.writer is distinct from %(writer)s::uuid
            ) as must_wait
            from unnest(%(ids)b::uuid[], %(exchanges)b::text[], %(types)b::text[], %(subjects)b::text[], %(bodies)b::text[])
                as rows (id, exchange, type, subject, body)
        ) as rows
        returning id, writer is null
        """,
        {
            "writer": writer,
            "at": at,
            "leased_until": leased_until,
            # Arrays, not one JSON text as elsewhere: a body is a long text, which would be quoted here and unquoted there.
            "ids": [row.id for row in rows],
            "exchanges": [row.exchange for row in rows],
            "types": [row.type for row in rows],
            "subjects": [row.subject for row in rows],
            "bodies": [row.body for row in rows],
        },
    )
    return Awaited(lambda: (identity for identity, must_wait in written.fetchall() if must_wait))


def delete_outbox(connection: type_of_connection, ids: Sequence[UUID]) -> None:
    """Forget what the broker has confirmed."""
    connection.execute("delete from outbox where id = any(%b::uuid[])", (list(ids),))


def lease_outbox(
    connection: type_of_connection, at: datetime, leased_until: datetime, limit: int, writer: UUID
) -> list[OutboxRow]:
    """Lease rows whose publisher did not finish: of each order the first only, for the next waits until that one is taken.

    Safe beside other processes: only one sweeps at a time, another gets nothing.
    """
    if connection.execute("select pg_try_advisory_xact_lock(%s)", (_OUTBOX_SWEEP,)).fetchone() != (True,):
        return []
    rows = connection.execute(
        """
        update outbox set leased_until = %s, writer = %s, tries = tries + 1
        where id in (
            select id from outbox as due
            where leased_until <= %s and (subject = '' or not exists (
                select from outbox as earlier where earlier.subject = due.subject and earlier.position < due.position
            ))
            order by position limit %s for update
        )
        returning id, exchange, type, subject, body, position
        """,
        (leased_until, writer, at, limit),
    ).fetchall()
    in_order = sorted(rows, key=lambda row: row[5])
    return [
        OutboxRow(identity, exchange, kind, subject, body, is_first=True)
        for identity, exchange, kind, subject, body, _ in in_order
    ]


def release_outbox(connection: type_of_connection, ids: Sequence[UUID], due_at: datetime) -> None:
    """Let these rows be tried again from `due_at` on, by whoever sweeps."""
    connection.execute("update outbox set leased_until = %s, writer = null where id = any(%b::uuid[])", (due_at, list(ids)))


def first_of_outbox(connection: type_of_connection, ids: Sequence[UUID]) -> Set[UUID]:
    """Which of these rows stand, with no earlier row of their order standing but those among these."""
    rows = connection.execute(
        """
        select id from outbox as mine where id = any(%(ids)b::uuid[]) and not exists (
            select from outbox as earlier
            where earlier.subject = mine.subject and earlier.position < mine.position and earlier.id <> all(%(ids)b::uuid[])
        )
        """,
        {"ids": list(ids)},
    )
    return frozenset(identity for (identity,) in rows.fetchall())


def standing_in_outbox(connection: type_of_connection, subjects: Sequence[str]) -> Set[str]:
    """Of which of these orders an event stands."""
    rows = connection.execute("select distinct subject from outbox where subject = any(%b::text[])", (list(subjects),))
    return frozenset(subject for (subject,) in rows.fetchall())


# ── intents ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_intents(connection: type_of_connection, rows: Sequence[IntentRow], at: datetime, leased_until: datetime) -> Set[UUID]:
    """Write intents and give the ids of those that are new, for the writer itself to perform; (kind, key) stands only once."""
    written = connection.execute(
        """
        insert into intents (id, kind, shop, order_number, key, details, traceparent, tries, leased_until, created_at)
        select id, kind, shop, order_number, key, details, traceparent, 1, %s, %s
        from json_to_recordset(%s::json)
            as rows (id uuid, kind text, shop text, order_number text, key text, details jsonb, traceparent text)
        on conflict (kind, key) do nothing
        returning id
        """,
        (
            leased_until,
            at,
            _json(
                [
                    {
                        "id": r.id,
                        "kind": r.kind,
                        "shop": r.about.shop,
                        "order_number": r.about.order_number,
                        "key": r.key,
                        "details": r.details,
                        "traceparent": r.traceparent,
                    }
                    for r in rows
                ]
            ),
        ),
    )
    return Awaited(lambda: (identity for (identity,) in written.fetchall()))


def lock_intents(connection: type_of_connection, ids: Sequence[UUID]) -> Set[UUID]:
    """Lock these intents and give those that still stand; what is not given back was settled before."""
    rows = connection.execute("select id from intents where id = any(%b::uuid[]) order by id for update", (list(ids),))
    return Awaited(lambda: (identity for (identity,) in rows.fetchall()))


def settle_intents(connection: type_of_connection, ids: Sequence[UUID]) -> None:
    """Forget these intents: their outcome is written down."""
    connection.execute("delete from intents where id = any(%b::uuid[])", (list(ids),))


def lease_intents(
    connection: type_of_connection,
    at: datetime,
    leased_until: datetime,
    limit: int,
    in_hand: Iterable[UUID] = (),
    but: Iterable[tuple[str, Mapping[str, str]]] = (),
) -> list[IntentRow]:
    """Lease intents that are due: put off ones, and those whose performer died (in doubt).

    But those that this process has `in_hand`, those of a kind and with the details in `but`, and those that were taken up too often
    without an outcome.
    """
    rows = connection.execute(
        """
        update intents set leased_until = %s, tries = tries + 1, takes = takes + 1
        where id in (
            select id from intents where parked is null and leased_until < %s and takes < %s and id <> all(%b::uuid[])
            and not exists (
                select from json_to_recordset(%s::json) as but (kind text, details jsonb)
                where but.kind = intents.kind and intents.details @> but.details
            )
            order by leased_until limit %s for update skip locked
        )
        returning id, kind, shop, order_number, key, details, traceparent, tries
        """,
        (leased_until, at, MOST_TAKES, list(in_hand), _json([{"kind": kind, "details": held} for kind, held in but]), limit),
    )
    return [
        IntentRow(
            identity, kind, OrderKey(shop, number), key, details, traceparent, tries, in_doubt=True, leased_until=leased_until
        )
        for identity, kind, shop, number, key, details, traceparent, tries in rows
    ]


def renew_leases(connection: type_of_connection, old: Mapping[UUID, datetime], new: datetime) -> list[UUID]:
    """Those intents that this process still held under their `old` leases: it holds them now until `new`."""
    rows = connection.execute(
        """
        update intents set leased_until = %s from unnest(%b::uuid[], %b::timestamptz[]) as held (held_id, lease)
        where id = held_id and leased_until = lease returning id
        """,
        (new, list(old), list(old.values())),
    )
    return [identity for (identity,) in rows]


def put_off_intent(connection: type_of_connection, identity: UUID, lease: datetime | None, due_at: datetime) -> None:
    """Have it tried again later, unless another process has taken it over since this `lease`."""
    connection.execute(
        """
        update intents set leased_until = %s, takes = 0, last_at = now() where id = %s and leased_until = coalesce(%s, leased_until)
        """,
        (due_at, identity, lease),
    )


def park_intent(connection: type_of_connection, identity: UUID, lease: datetime | None, code: str) -> None:
    """Leave it to a person, unless another process has taken it over since this `lease`."""
    connection.execute(
        "update intents set parked = %s, last_at = now() where id = %s and leased_until = coalesce(%s, leased_until)",
        (code, identity, lease),
    )
