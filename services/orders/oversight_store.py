"""All SQL about what orders keeps for the others' sake: anchors of their records, incidents, legal holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.events import IncidentNoticed, RecordAnchored
from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection


@dataclass(frozen=True, slots=True)
class HoldWord:
    """One word about an order's legal hold: `deed` is placed or lifted, `clause` what lets it, `said_by` who of the staff said it."""

    key: OrderKey
    deed: str
    clause: str
    said_by: str
    at: datetime


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
        "insert into hold_record (shop, order_number, deed, clause, said_by, at) values (%s, %s, %s, %s, %s, %s)",
        (*word.key, word.deed, word.clause, word.said_by, word.at),
    )


def last_deed(connection: type_of_connection, key: OrderKey) -> str | None:
    """The last word about an order; None where there was none."""
    row = connection.execute(
        "select deed from hold_record where shop = %s and order_number = %s order by position desc limit 1", key
    ).fetchone()
    return row[0] if row else None


class HoldRecord:
    """What the doors read of the words about legal holds; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def words(self, limit: int) -> list[HoldWord]:
        """The last words, the newest first."""
        with self._database.begin() as connection:
            rows = connection.execute(
                "select shop, order_number, deed, clause, said_by, at from hold_record order by position desc limit %s", (limit,)
            )
            return [HoldWord(OrderKey(*row[:2]), *row[2:]) for row in rows]
