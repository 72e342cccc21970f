"""All SQL about what orders keeps for the others' sake: anchors of their records, incidents, legal holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.events import IncidentNoticed, RecordAnchored
from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection


@dataclass(frozen=True, slots=True)
class HoldWord:
    """One word about an order: `deed` is placed, lifted, or released (given to an authority), `clause` what lets it, `said_by` who said it.

    Of a release `part` is what was given, and `dossier` the authority's own number of what it asked.
    """

    key: OrderKey
    deed: str
    clause: str
    said_by: str
    at: datetime
    part: str | None = None
    dossier: str | None = None


def take_turns(connection: type_of_connection) -> None:
    """Wait for whoever else decides on holds; until the end of the transaction nobody else does."""
    connection.execute("select pg_advisory_xact_lock(hashtext('brownpaper.legal_holds'))")


def keep_anchor(connection: type_of_connection, event: RecordAnchored, at: datetime) -> None:
    """The first word about a position stands."""
    connection.execute(
        "insert into record_anchors (service, position, hash, at) values (%s, %s, %s, %s) on conflict do nothing",
        (event.service, event.position, event.hash, at),
    )


def open_incident(connection: type_of_connection, event: IncidentNoticed) -> None:
    """Once for each place."""
    connection.execute(
        "insert into incidents (service, kind, place, noticed_at) values (%s, %s, %s, %s) on conflict do nothing",
        (event.service, event.kind, event.place, event.noticed_at),
    )


def is_known(connection: type_of_connection, key: OrderKey) -> bool:
    """Whether there is such an order."""
    return connection.execute("select 1 from orders where shop = %s and order_number = %s", key).fetchone() is not None


def add_word(connection: type_of_connection, word: HoldWord) -> None:
    """Write a word about a legal hold down, for good."""
    connection.execute(
        "insert into hold_record (shop, order_number, deed, clause, said_by, at, part, dossier) values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (*word.key, word.deed, word.clause, word.said_by, word.at, word.part, word.dossier),
    )


def last_deed(connection: type_of_connection, key: OrderKey) -> str | None:
    """The last word about an order's hold; None where there was none."""
    row = connection.execute(
        """
        select deed from hold_record where shop = %s and order_number = %s and deed in ('placed', 'lifted')
        order by position desc limit 1
        """,
        key,
    ).fetchone()
    return row[0] if row else None


def erased_by(connection: type_of_connection, key: OrderKey) -> list[str] | None:
    """The services that have erased what they had of the order's person, while its erasure is under way; None where it is over."""
    row = connection.execute("select customer_id from orders where shop = %s and order_number = %s", key).fetchone()
    if row is None or row[0] == "":
        return None
    rows = connection.execute(
        """
        select jsonb_object_keys(receipts -> 'erased') from requests
        where shop = %s and customer_id = %s and kind = 'erasure' and state not in ('closed', 'refused')
        """,
        (key.shop, row[0]),
    )
    return sorted({service for (service,) in rows})


class HoldRecord:
    """What the doors read of the words about legal holds; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def words(self, limit: int) -> list[HoldWord]:
        """The last words, the newest first."""
        with self._database.begin() as connection:
            rows = connection.execute(
                "select shop, order_number, deed, clause, said_by, at, part, dossier from hold_record order by position desc limit %s",
                (limit,),
            )
            return [HoldWord(OrderKey(*row[:2]), *row[2:]) for row in rows]
