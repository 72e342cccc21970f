"""All SQL about friends: invitations until they have ended, marks of addresses for good. Every function works on the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from services.notifications.friends import FORGET_FRIEND, SEND_INVITATION, Invitation
from shared.contracts.values import OrderKey
from shared.database import type_of_connection
from shared.retention import Due, Ended, Standing

_THIS = "shop = %s and referral = %s"
_PERSON = "shop = %s and customer_id = %s"
_CALLS = "kind = any(%b::text[]) and details ->> 'shop' = %s and details ->> 'customer_id' = %s"
_KINDS = [SEND_INVITATION, FORGET_FRIEND]


@dataclass(frozen=True, slots=True)
class KeptInvitation:
    """What the one mail is made of; `begun_at` is there once it may have been handed over."""

    customer_id: str
    friend: dict[str, Any] = field(repr=False)
    item: dict[str, Any]
    begun_at: datetime | None


def remember(connection: type_of_connection, mark: str, at: datetime) -> bool:
    """Remember an address for good; whether it is a new one. Of two at the same time one waits, and is told that it is not."""
    row = connection.execute(
        "insert into remembered_friends (friend, since) values (%s, %s) on conflict do nothing returning friend", (mark, at)
    ).fetchone()
    return row is not None


def remembered_among(connection: type_of_connection, marks: Sequence[str]) -> set[str]:
    """Those of these addresses that are remembered: nothing more is kept of them."""
    rows = connection.execute("select friend from remembered_friends where friend = any(%b::text[])", (list(marks),))
    return {mark for (mark,) in rows}


def opt_out(connection: type_of_connection, mark: str, at: datetime) -> None:
    """Note for good that the address wants no mail of this kind; also of one that a restored backup does not know. Safe to repeat."""
    connection.execute(
        """
        insert into remembered_friends (friend, since, opted_out_at) values (%s, %s, %s)
        on conflict (friend) do update set opted_out_at = coalesce(remembered_friends.opted_out_at, excluded.opted_out_at)
        """,
        (mark, at, at),
    )


def add(
    connection: type_of_connection, invitation: Invitation, friend: dict[str, Any], item: dict[str, Any], at: datetime
) -> None:
    """Keep an invitation until it has ended. Safe to repeat."""
    connection.execute(
        """
        insert into invitations (shop, referral, customer_id, friend, item, taken_at) values (%s, %s, %s, %s::jsonb, %s::jsonb, %s)
        on conflict do nothing
        """,
        (
            *(invitation.shop, invitation.referral, invitation.customer_id),
            *(orjson.dumps(friend).decode(), orjson.dumps(item).decode(), at),
        ),
    )


def invitation(connection: type_of_connection, shop: str, referral: str) -> KeptInvitation | None:
    """An invitation as it stands; None where it has ended, or its member was erased."""
    row = connection.execute(
        f"select customer_id, friend, item, begun_at from invitations where {_THIS}".encode(), (shop, referral)
    ).fetchone()
    return KeptInvitation(*row) if row else None


def standing_among(connection: type_of_connection, referrals: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these (shop, referral) whose invitation stands."""
    rows = connection.execute(
        """
        select shop, referral from unnest(%b::text[], %b::text[]) as these (shop, referral) join invitations using (shop, referral)
        """,
        ([shop for shop, _ in referrals], [referral for _, referral in referrals]),
    )
    return {(shop, referral) for shop, referral in rows}


def begin(connection: type_of_connection, shop: str, referral: str, at: datetime) -> bool:
    """Note that the mail is handed over now; False where it was begun before, or is gone."""
    done = connection.execute(
        f"update invitations set begun_at = %s where {_THIS} and begun_at is null".encode(), (at, shop, referral)
    )
    return done.rowcount == 1


def take_back(connection: type_of_connection, shop: str, referral: str) -> None:
    """Nothing was handed over after all: it may be tried again."""
    connection.execute(f"update invitations set begun_at = null where {_THIS}".encode(), (shop, referral))


def drop(connection: type_of_connection, shop: str, referral: str) -> None:
    """Forget an invitation. Safe to repeat."""
    connection.execute(f"delete from invitations where {_THIS}".encode(), (shop, referral))


# ── of a member ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def count_of(connection: type_of_connection, shop: str, customer_id: str) -> dict[str, int]:
    """Table → rows that name the member. Marks name nobody."""
    row: Any = connection.execute(
        f"select (select count(*) from invitations where {_PERSON}), (select count(*) from intents where {_CALLS})".encode(),
        (shop, customer_id, _KINDS, shop, customer_id),
    ).fetchone()
    return {"invitations": row[0], "invitation_calls": row[1]}


def sweep_of(connection: type_of_connection, shop: str, customer_id: str) -> None:
    """Drop what the member began and has not ended: nobody is written to any more."""
    connection.execute(f"delete from invitations where {_PERSON}".encode(), (shop, customer_id))
    connection.execute(f"delete from intents where {_CALLS}".encode(), (_KINDS, shop, customer_id))


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


_LIMIT = Due.limit_of("friend")
_DUE = f"taken_at <= %(latest)s and taken_at <= {_LIMIT}"


def waiting(connection: type_of_connection, due: Due, limit: int) -> list[Ended]:
    """Invitations that have not ended and are due, the oldest first, locked; the friend's part stands under its member's key."""
    rows = connection.execute(
        f"""
        select shop, referral, customer_id, taken_at from invitations where {_DUE} order by taken_at limit %(limit)s
        for update skip locked
        """.encode(),
        due.values | {"limit": limit},
    )
    return [Ended(OrderKey(shop, referral), customer, at) for shop, referral, customer, at in rows]


def standing(connection: type_of_connection, due: Due) -> Standing:
    """What of such invitations is left. A legal hold is about an order and keeps none of them."""
    row: Any = connection.execute(
        f"select count(*), 0, min(taken_at - ({_LIMIT} - %(before)s)) from invitations where {_DUE}".encode(), due.values
    ).fetchone()
    return Standing(*row)


def let_go(connection: type_of_connection, invitations: Sequence[OrderKey]) -> None:
    """Drop these invitations with their calls: nobody is written to any more; an answer that still comes settles nothing. Safe to repeat."""
    for shop, referral in invitations:
        connection.execute(
            b"delete from intents where kind = any(%b::text[]) and details ->> 'shop' = %s and details ->> 'referral' = %s",
            (_KINDS, shop, referral),
        )
        drop(connection, shop, referral)
