"""All SQL about incidents as cases; and how many persons had an order alive in a window of time, counted and never read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from services.orders.incidents import Incident, People, State, Window
from shared.database import Database, type_of_connection

_COLUMNS = "number, service, kind, place, noticed_at, state, report"


@dataclass(frozen=True, slots=True)
class IncidentWord:
    """What was done about an incident, why (a code), and who of the staff says so."""

    incident: int
    deed: str
    said_by: str
    reason: str
    at: datetime


def note(
    connection: type_of_connection, service: str, kind: str, place: str, at: datetime, report: Any | None
) -> tuple[int, bool]:
    """(its number, whether it is newly open): an incident is one for each place, and one that was closed and comes again is open again."""
    known = connection.execute(
        "select number, state from incidents where service = %s and kind = %s and place = %s for update", (service, kind, place)
    ).fetchone()
    if known is None:
        row = connection.execute(
            "insert into incidents (service, kind, place, noticed_at, report) values (%s, %s, %s, %s, %s) returning number",
            (service, kind, place, at, _json(report)),
        ).fetchone()
        return int(row[0]) if row else 0, True
    is_anew = known[1] == State.CLOSED
    connection.execute(
        """
        update incidents set times = times + 1, state = case when %s then 'open' else state end,
            noticed_at = case when %s then %s else noticed_at end
        where number = %s
        """,
        (is_anew, is_anew, at, known[0]),
    )
    if report is not None:
        attach(connection, int(known[0]), report)
    return int(known[0]), is_anew


def attach(connection: type_of_connection, number: int, report: Any) -> bool:
    """Give an incident that is not closed its report; whether there is one. Where another one was reported, this one is not yet."""
    done = connection.execute(
        """
        update incidents set report = %s,
            state = case when state = 'reported' and report is distinct from %s then 'investigated' else state end
        where number = %s and state <> 'closed'
        """,
        (_json(report), _json(report), number),
    )
    return done.rowcount == 1


def find(connection: type_of_connection, number: int) -> Incident | None:
    """The incident of this number, locked."""
    row = connection.execute(f"select {_COLUMNS} from incidents where number = %s for update".encode(), (number,)).fetchone()
    return _incident(row) if row else None


def save(connection: type_of_connection, incident: Incident, word: IncidentWord) -> None:
    """Write its state, and the word that brought it there."""
    connection.execute("update incidents set state = %s where number = %s", (incident.state, incident.number))
    add_word(connection, word)


def add_word(connection: type_of_connection, word: IncidentWord) -> None:
    """Write a word about an incident down, for good."""
    connection.execute(
        "insert into incident_words (incident, deed, said_by, reason, at) values (%s, %s, %s, %s, %s)",
        (word.incident, word.deed, word.said_by, word.reason, word.at),
    )


class IncidentReads:
    """What the doors read of incidents, and of orders as far as they are counted; nothing here writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def incidents(self, *, also_closed: bool, limit: int) -> list[Incident]:
        """The first noticed first."""
        with self._database.begin() as connection:
            rows = connection.execute(
                f"select {_COLUMNS} from incidents where %s or state <> 'closed' order by noticed_at, number limit %s".encode(),
                (also_closed, limit),
            )
            return [_incident(row) for row in rows]

    def incident(self, number: int) -> tuple[Incident, list[IncidentWord]] | None:
        """An incident with every word about it, in order."""
        with self._database.begin() as connection:
            row = connection.execute(f"select {_COLUMNS} from incidents where number = %s".encode(), (number,)).fetchone()
            if row is None:
                return None
            words = connection.execute(
                "select incident, deed, said_by, reason, at from incident_words where incident = %s order by position", (number,)
            )
            return _incident(row), [IncidentWord(*word) for word in words]

    def people(self, windows: Sequence[Window], since: datetime, until: datetime) -> tuple[dict[str, People], People]:
        """(by part, all together): the persons of whose orders something stood by the policy at any time from `since` until `until`."""
        told = [{**asdict(window), "facts": list(window.facts)} for window in windows]
        with self._database.begin() as connection:
            connection.execute("set local statement_timeout = '10min'")
            rows = connection.execute(
                """
                select part, count(distinct (shop, customer_id)) filter (where customer_id <> ''),
                       count(distinct (shop, order_number)) filter (where customer_id = '')
                from orders cross join jsonb_to_recordset(%s) as stays (part text, facts jsonb, days integer)
                where placed_at <= %s and (days is null or coalesce(
                    (select max(fact.value::timestamptz) from jsonb_each_text(orders.facts) as fact where stays.facts ? fact.key)
                        + make_interval(days => days), 'infinity') >= %s)
                group by grouping sets ((part), ())
                """,
                (Jsonb(told), until, since),
            ).fetchall()
        by_part = {part: People(persons, erased) for part, persons, erased in rows if part is not None}
        together = next((People(persons, erased) for part, persons, erased in rows if part is None), People(0, 0))
        nobody = People(0, 0)
        return {window.part: by_part.get(window.part, nobody) for window in windows}, together


def _incident(row: Sequence[Any]) -> Incident:
    number, service, kind, place, noticed_at, state, report = row
    return Incident(number, service, kind, place, noticed_at, State(state), report)


def _json(value: Any | None) -> Jsonb | None:
    return None if value is None else Jsonb(value)
