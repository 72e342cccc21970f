"""All SQL of letters to many. Every function works on the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from services.notifications.campaigns import Campaign, Person
from services.notifications.domain import Handed, NotTaken, Withheld
from shared.database import Database, type_of_connection

_COLUMNS = "campaign, kind, told, collected_before, until, begun_at, pass_begun_at, due_at, cursor_shop, cursor_customer"


@dataclass(frozen=True, slots=True)
class Letter:
    """One person's letter of a campaign; `letter` is its random name."""

    campaign: str
    shop: str
    customer_id: str
    letter: UUID


def begin(connection: type_of_connection, campaign: Campaign) -> None:
    """The first one of this name stands; a repeat changes nothing."""
    connection.execute(
        f"""
        insert into campaigns ({_COLUMNS}) values (%s, %s, %s::jsonb, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing
        """.encode(),
        (
            *(campaign.name, campaign.kind, orjson.dumps(campaign.told).decode(), campaign.collected_before),
            *(campaign.until, campaign.begun_at, campaign.pass_begun_at, campaign.due_at, *campaign.cursor),
        ),
    )


def take_due(connection: type_of_connection, at: datetime) -> Campaign | None:
    """One campaign whose next step is due, locked; None where there is none, or another process is at it."""
    row = connection.execute(
        f"""
        select {_COLUMNS} from campaigns where done_at is null and due_at <= %s
        order by due_at limit 1 for update skip locked
        """.encode(),
        (at,),
    ).fetchone()
    if row is None:
        return None
    name, kind, told, collected_before, until, begun_at, pass_begun_at, due_at, *cursor = row
    return Campaign(
        name=name,
        kind=kind,
        told=told,
        collected_before=collected_before,
        until=until,
        begun_at=begun_at,
        pass_begun_at=pass_begun_at,
        due_at=due_at,
        cursor=(cursor[0], cursor[1]),
    )


def save(connection: type_of_connection, campaign: Campaign) -> None:
    """How far it has come."""
    connection.execute(
        """
        update campaigns set cursor_shop = %s, cursor_customer = %s, pass_begun_at = %s, due_at = %s, done_at = %s
        where campaign = %s
        """,
        (*campaign.cursor, campaign.pass_begun_at, campaign.due_at, campaign.done_at, campaign.name),
    )


def persons_after(connection: type_of_connection, campaign: Campaign, limit: int) -> list[Person]:
    """Behind the cursor, by shop and id: persons whose contact is kept, with the newest one's order, who have no letter of it yet."""
    rows = connection.execute(
        """
        select distinct on (shop, customer_id) shop, customer_id, order_number from contacts
        where (shop, customer_id) > (%(shop)s, %(customer)s) and contact is not null
            and not exists (
                select from campaign_letters as letters
                where letters.campaign = %(campaign)s and (letters.shop, letters.customer_id) = (contacts.shop, contacts.customer_id)
            )
            and (%(before)s::text is null or exists (
                select from contacts as older
                where (older.shop, older.customer_id) = (contacts.shop, contacts.customer_id)
                    and older.contact ->> 'policy_version' < %(before)s
            ))
        order by shop, customer_id, "order" ->> 'placed_at' desc, order_number limit %(limit)s
        """,
        {
            "shop": campaign.cursor[0],
            "customer": campaign.cursor[1],
            "campaign": campaign.name,
            "before": campaign.collected_before,
            "limit": limit,
        },
    )
    return [Person(*row) for row in rows]


def add_letter(connection: type_of_connection, letter: Letter, order_number: str, at: datetime) -> bool:
    """Write down that the person is taken up; False where they were before."""
    done = connection.execute(
        """
        insert into campaign_letters (campaign, shop, customer_id, order_number, letter, state, changed_at)
        values (%s, %s, %s, %s, %s, 'sending', %s) on conflict do nothing
        """,
        (letter.campaign, letter.shop, letter.customer_id, order_number, letter.letter, at),
    )
    return done.rowcount == 1


def note(connection: type_of_connection, letter: Letter, outcome: Handed | NotTaken | Withheld, at: datetime) -> None:
    """What became of a letter: the first word stands."""
    state = {Handed: "sent", NotTaken: "refused", Withheld: "withheld"}[type(outcome)]
    connection.execute(
        """
        update campaign_letters set state = %s, reason = %s, changed_at = %s
        where campaign = %s and shop = %s and customer_id = %s and state = 'sending'
        """,
        (state, getattr(outcome, "code", None), at, letter.campaign, letter.shop, letter.customer_id),
    )


class CampaignReads:
    """What is read beside the handlers; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_any_due(self, at: datetime) -> bool:
        """Whether a campaign has a step to make."""
        with self._database.single() as connection:
            row = connection.execute(
                "select exists (select from campaigns where done_at is null and due_at <= %s)", (at,)
            ).fetchone()
        return bool(row and row[0])

    def told(self, campaigns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Campaign → what its letter says."""
        with self._database.single() as connection:
            rows = connection.execute("select campaign, told from campaigns where campaign = any(%s)", (list(campaigns),))
            return dict(rows.fetchall())
