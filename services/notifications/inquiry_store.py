"""All SQL about special requests and complaints. Every function works on the caller's transaction; what is written is written at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from services.notifications.inquiries import SEND_PERSONAL_MAIL, Complaint, SpecialRequest
from shared.contracts.errors import Parked
from shared.contracts.values import OrderKey
from shared.custody.persons import KeptEnvelope
from shared.database import type_of_connection
from shared.retention import Due, Ended, Standing

_PERSON = "shop = %s and customer_id = %s"
_REQUEST = "shop, request_id, customer_id, request, received_at, reply, state, ended_at"
_CASE = "case_id, opened_at, due_at, owner, acknowledged_at, closed_at"
_CALLS = f"kind = '{SEND_PERSONAL_MAIL}' and details ->> 'shop' = %s and details ->> 'customer_id' = %s"
_THESE = "unnest(%b::text[], %b::text[]) as these (shop, request_id)"
_GONE = "gone.shop = these.shop and gone.request_id = these.request_id"
_CALL_GONE = (
    f"gone.kind = '{SEND_PERSONAL_MAIL}'"
    " and gone.details ->> 'shop' = these.shop and gone.details ->> 'request_id' = these.request_id"
)
_LIMIT = Due.limit_of("request")
# Whether it was answered → since when its time counts, and what is due.
_DUE = {
    True: ("ended_at", f"ended_at is not null and ended_at <= %(latest)s and ended_at <= {_LIMIT}"),
    False: ("received_at", f"ended_at is null and received_at <= %(latest)s and received_at <= {_LIMIT}"),
}


def add(connection: type_of_connection, it: SpecialRequest) -> None:
    """Keep a request as it came. A repeat changes nothing; raises Parked where another person has used its id."""
    connection.execute(
        """
        insert into special_requests (shop, request_id, customer_id, request, state, received_at)
        values (%s, %s, %s, %s::jsonb, %s, %s) on conflict do nothing
        """,
        (it.shop, it.request_id, it.customer_id, orjson.dumps(it.request).decode(), it.state, it.received_at),
    )
    row = connection.execute(
        "select customer_id from special_requests where shop = %s and request_id = %s", (it.shop, it.request_id)
    ).fetchone()
    if row != (it.customer_id,):
        raise Parked("request_id_taken")


def request(connection: type_of_connection, shop: str, request_id: str, *, locked: bool = False) -> SpecialRequest | None:
    """A request with its case, if it is a complaint; `locked` until the transaction ends."""
    row = connection.execute(
        f"select {_REQUEST} from special_requests where shop = %s and request_id = %s {'for update' if locked else ''}".encode(),
        (shop, request_id),
    ).fetchone()
    if row is None:
        return None
    case = connection.execute(
        f"select {_CASE} from complaints where shop = %s and request_id = %s".encode(), (shop, request_id)
    ).fetchone()
    found = SpecialRequest(**dict(zip(_REQUEST.split(", "), row, strict=True)))
    found.complaint = Complaint(**dict(zip(_CASE.split(", "), case, strict=True))) if case else None
    return found


def named(connection: type_of_connection, request_id: str, shop: str | None) -> list[SpecialRequest]:
    """The requests of this id, of this shop or of every shop that has one."""
    shops = connection.execute("select shop from special_requests where request_id = %s order by shop", (request_id,)).fetchall()
    found = [request(connection, its, request_id) for (its,) in shops if shop in (None, its)]
    return [it for it in found if it is not None]


def save(connection: type_of_connection, it: SpecialRequest) -> None:
    """Write what changes of a request, and its case."""
    connection.execute(
        "update special_requests set reply = %s::jsonb, state = %s, ended_at = %s where shop = %s and request_id = %s",
        (orjson.dumps(it.reply).decode() if it.reply else None, it.state, it.ended_at, it.shop, it.request_id),
    )
    case = it.complaint
    if case is not None:
        connection.execute(
            f"""
            insert into complaints (shop, request_id, {_CASE}) values (%s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (case_id) do update set acknowledged_at = excluded.acknowledged_at, closed_at = excluded.closed_at
            """.encode(),
            (
                *(it.shop, it.request_id, case.case_id, case.opened_at, case.due_at),
                *(case.owner, case.acknowledged_at, case.closed_at),
            ),
        )


def listed(connection: type_of_connection, *, also_ended: bool, limit: int) -> list[dict[str, Any]]:
    """The queue, the oldest first; nobody is named."""
    return _dicts(
        connection.execute(
            f"""
            select shop as source, request_id, state, received_at, ended_at, case_id is not null as is_complaint, due_at
            from special_requests left join complaints using (shop, request_id)
            where {"true" if also_ended else "ended_at is null"} order by received_at limit %s
            """.encode(),
            (limit,),
        )
    )


def complaints(connection: type_of_connection, at: datetime, *, also_closed: bool, limit: int) -> list[dict[str, Any]]:
    """Cases, those that are due first come first; `is_overdue` as of this time."""
    return _dicts(
        connection.execute(
            f"""
            select case_id, shop as source, request_id, owner, opened_at, due_at, acknowledged_at, closed_at,
                closed_at is null and due_at <= %s as is_overdue
            from complaints where {"true" if also_closed else "closed_at is null"} order by due_at limit %s
            """.encode(),
            (at, limit),
        )
    )


def close_complaint(connection: type_of_connection, case_id: str, at: datetime) -> bool:
    """Close a case that was answered otherwise than by its request's mail; False where there is none. Safe to repeat."""
    done = connection.execute("update complaints set closed_at = coalesce(closed_at, %s) where case_id = %s", (at, case_id))
    return done.rowcount == 1


def count_complaints(connection: type_of_connection, at: datetime) -> dict[str, int]:
    """How many cases are open, and how many of these are overdue."""
    row: Any = connection.execute(
        "select count(*), count(*) filter (where due_at <= %s) from complaints where closed_at is null", (at,)
    ).fetchone()
    return {"open": row[0], "overdue": row[1]}


# ── of a person ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def count_of(connection: type_of_connection, shop: str, customer_id: str) -> dict[str, int]:
    """Table → rows that name the person."""
    row: Any = connection.execute(
        f"select (select count(*) from special_requests where {_PERSON}), (select count(*) from intents where {_CALLS})".encode(),
        (shop, customer_id) * 2,
    ).fetchone()
    return {"special_requests": row[0], "request_calls": row[1]}


def sweep_of(connection: type_of_connection, shop: str, customer_id: str) -> None:
    """Drop the person's requests; their cases stand on, as nobody's."""
    connection.execute(
        b"""
        update complaints set request_id = null, closed_at = coalesce(closed_at, now()) from special_requests as gone
        where gone.shop = complaints.shop and gone.request_id = complaints.request_id and gone.shop = %s and gone.customer_id = %s
        """,
        (shop, customer_id),
    )
    connection.execute(f"delete from special_requests where {_PERSON}".encode(), (shop, customer_id))
    connection.execute(f"delete from intents where {_CALLS}".encode(), (shop, customer_id))


def envelopes_of(connection: type_of_connection, shop: str, customer_id: str) -> list[KeptEnvelope]:
    """What the person asked, and what was answered."""
    rows = connection.execute(
        f"select request_id, request, reply from special_requests where {_PERSON} order by request_id".encode(),
        (shop, customer_id),
    )
    return [
        KeptEnvelope(request_id, envelope, "request")
        for request_id, *envelopes in rows
        for envelope in envelopes
        if envelope is not None
    ]


def told_of(connection: type_of_connection, shop: str, customer_id: str) -> list[dict[str, Any]]:
    """Rows about the person, for the copy; no envelopes."""
    return _dicts(
        connection.execute(
            f"""
            select request_id, state, received_at, ended_at, case_id, due_at, acknowledged_at, closed_at
            from special_requests left join complaints using (shop, request_id) where {_PERSON} order by received_at
            """.encode(),
            (shop, customer_id),
        )
    )


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def ended(connection: type_of_connection, due: Due, limit: int, *, is_answered: bool = True) -> list[Ended]:
    """Requests that ended and are due, or that have not ended and have waited too long, the oldest first, locked.

    A legal hold is about an order and keeps none of them.
    """
    since, condition = _DUE[is_answered]
    rows = connection.execute(
        f"""
        select shop, request_id, customer_id, {since} from special_requests
        where {condition} order by {since} limit %(limit)s for update skip locked
        """.encode(),
        due.values | {"limit": limit},
    )
    return [Ended(OrderKey(shop, request_id), customer, at) for shop, request_id, customer, at in rows]


def standing(connection: type_of_connection, due: Due, *, is_answered: bool = True) -> Standing:
    """What of such requests is left."""
    since, condition = _DUE[is_answered]
    row: Any = connection.execute(
        f"select count(*), 0, min({since} - ({_LIMIT} - %(before)s)) from special_requests where {condition}".encode(), due.values
    ).fetchone()
    return Standing(*row)


def let_go(connection: type_of_connection, requests: Sequence[OrderKey]) -> None:
    """Drop these requests with their calls; their cases stand on without them. Safe to repeat."""
    if requests:
        columns = [list(column) for column in zip(*requests, strict=True)]
        for statement in (
            f"delete from intents as gone using {_THESE} where {_CALL_GONE}",
            f"update complaints as gone set request_id = null from {_THESE} where {_GONE}",
            f"delete from special_requests as gone using {_THESE} where {_GONE}",
        ):
            connection.execute(statement.encode(), columns)


def _dicts(rows: Any) -> list[dict[str, Any]]:
    names = [column.name for column in rows.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows]
