"""Retention: what a service keeps of an order goes when its time has come, counted from what happened to the order, as the policy says.

Keys are destroyed first, in their own cluster, then rows. Both are safe to do twice and to break off in between: a row that is still there
is found again. What a legal hold keeps is passed over and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from shared import metrics
from shared.contracts.values import OrderKey
from shared.custody.envelopes import PartName
from shared.custody.vault import Vault
from shared.database import Database, type_of_connection
from shared.policy.document import Policy

MOST_AT_ONCE = 200
_CLEARING_LOCK = 0x7377656570  # "sweep": one process of a service lets go of something at a time


@dataclass(frozen=True, slots=True)
class Ended:
    """An order whose time has come. `customer_id` is None where no envelope of it is kept."""

    key: OrderKey
    customer_id: str | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What a clearing has left to do: how many are due and not held, how many a legal hold keeps, since when the oldest is due."""

    due: int
    held: int
    oldest_ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Due:
    """What ended before this is due; what was collected under one of the versions in `sooner`, before that version's moment, which is later.

    For a statement of ours: `values` are its named values, `limit_of` the moment that counts for a row.
    """

    before: datetime
    sooner: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Any]:
        """`latest` is for the index: nothing that ended after it is due."""
        sooner = orjson.dumps(self.sooner).decode()
        return {"before": self.before, "sooner": sooner, "latest": max([self.before, *self.sooner.values()])}

    @staticmethod
    def limit_of(envelope: str) -> str:
        """The moment before which a row must have ended whose envelope stands in this column; `before` where there is no envelope."""
        return f"coalesce((%(sooner)s::jsonb ->> ({envelope} ->> 'policy_version'))::timestamptz, %(before)s)"


class RetainedRows(Protocol):
    """A service's own tables, as far as something in them has its time. Every function works on the caller's transaction."""

    def ended(self, connection: type_of_connection, clearing: str, due: Due, limit: int) -> list[Ended]:
        """Orders that are due and still kept, the oldest first, locked; none that a legal hold keeps."""

    def standing(self, connection: type_of_connection, clearing: str, due: Due) -> Standing:
        """What of the clearing is left. A row that is due sooner counts as having ended so much earlier."""

    def let_go(self, connection: type_of_connection, clearing: str, orders: Sequence[OrderKey]) -> None:
        """Drop what the clearing is about, and note that it is gone. Safe to repeat."""


@dataclass(frozen=True, slots=True)
class Clearing:
    """One kind of thing that goes together: the parts, after what time, and the part whose keys go first ("" where there are none).

    `sooner`: what was collected under a version that promised less time goes after that time (decision 0066).
    """

    name: str
    parts: tuple[str, ...]
    after: timedelta
    keys_of: str
    sooner: Mapping[str, timedelta] = field(default_factory=dict)

    def due(self, at: datetime) -> Due:
        """What is due then."""
        return Due(at - self.after, {version: at - after for version, after in self.sooner.items()})


DaysOf = Callable[[Policy, str, Sequence[str]], set[int]]


def ended_days(policy: Policy, service: str, parts: Sequence[str]) -> set[int]:
    """For how many days after their end the policy lets a service keep these parts: one number, unless its rules differ."""
    rules = [hold.retention for hold in policy.holds.values() if hold.service == service and hold.part in parts]
    return {rule.days for rule in rules if rule is not None and rule.days is not None}


def clearings_of(
    policy: Policy,
    service: str,
    parts_of: Mapping[str, Sequence[str]],
    versions: Mapping[str, Policy] | None = None,
    *,
    days_of: DaysOf = ended_days,
) -> tuple[Clearing, ...]:
    """A service's clearings, by what goes in each; `versions` are those under which something may have been collected.

    With `waiting_days` those of what waits for something that does not come, counted from its own coming. Raises ValueError where the policy
    in force gives parts of one clearing different times.
    """
    clearings = []
    for name, parts in parts_of.items():
        days = days_of(policy, service, parts)
        if len(days) != 1:
            raise ValueError(f"the policy gives the clearing {name} of {service} not one time but {len(days)}")
        clearings.append(_clearing(name, parts, days.pop(), policy, _promised(versions, service, parts, days_of)))
    return tuple(clearings)


def _clearing(name: str, parts: Sequence[str], days: int, policy: Policy, promised: Mapping[str, int]) -> Clearing:
    sooner = {version: timedelta(days=its) for version, its in promised.items() if its < days}
    return Clearing(name, tuple(parts), timedelta(days=days), _keys_of(policy, parts), sooner)


def _promised(
    versions: Mapping[str, Policy] | None,
    service: str,
    parts: Sequence[str],
    days_of: DaysOf,
) -> dict[str, int]:
    """Version → the least that it promised of these parts; a version that promised nothing is not there."""
    found = {version: days_of(policy, service, parts) for version, policy in (versions or {}).items()}
    return {version: min(days) for version, days in found.items() if days}


def _keys_of(policy: Policy, parts: Sequence[str]) -> str:
    return next((part for part in parts if policy.parts[part].sealed), "")


class Retention:
    """A service's clearings at work. Safe to use from several processes: they take turns."""

    def __init__(self, service: str, database: Database, vault: Vault, rows: RetainedRows, clearings: Sequence[Clearing]) -> None:
        self._service, self._database, self._vault, self._rows, self._clearings = service, database, vault, rows, clearings

    def run(self, at: datetime, *, patience: timedelta) -> int:
        """Let go of everything whose time has come; how many orders' things went. Raises TryLater where a database does not answer.

        Something counts as overdue when it is still there `patience` after its time.
        """
        return sum(self._run(clearing, at, patience) for clearing in self._clearings)

    def _run(self, clearing: Clearing, at: datetime, patience: timedelta) -> int:
        done, due = 0, clearing.due(at)
        while gone := self._let_go_of_some(clearing, due):
            done += gone
        with self._database.begin() as connection:
            left = self._rows.standing(connection, clearing.name, due)
            due_at = left.oldest_ended_at + clearing.after if left.oldest_ended_at else None
            note_clearing(connection, clearing.name, done, left, due_at, at)
        overdue = max(0.0, (at - due_at - patience).total_seconds()) if due_at else 0.0
        metrics.retention_overdue.labels(self._service, clearing.name).set(overdue)
        return done

    def _let_go_of_some(self, clearing: Clearing, due: Due) -> int:
        with self._database.begin() as connection:
            row = connection.execute("select pg_try_advisory_xact_lock(%s)", (_CLEARING_LOCK,)).fetchone()
            if not (row and row[0]):
                return 0
            ended = self._rows.ended(connection, clearing.name, due, MOST_AT_ONCE)
            if not ended:
                return 0
            if clearing.keys_of:
                self._vault.destroy(
                    [
                        PartName(it.key.shop, it.customer_id, it.key.order_number, clearing.keys_of)
                        for it in ended
                        if it.customer_id is not None
                    ]
                )
            self._rows.let_go(connection, clearing.name, [it.key for it in ended])
        return len(ended)


# ── SQL that all services share ──────────────────────────────────────────────────────────────────────────────────────────────


def note_clearing(
    connection: type_of_connection, clearing: str, done: int, left: Standing, due_at: datetime | None, at: datetime
) -> None:
    """Note how a clearing ended."""
    connection.execute(
        """
        insert into retention_clearings (clearing, done, due, held, oldest_due_at, looked_at) values (%s, %s, %s, %s, %s, %s)
        on conflict (clearing) do update set done = retention_clearings.done + excluded.done, due = excluded.due, held = excluded.held,
            oldest_due_at = excluded.oldest_due_at, looked_at = excluded.looked_at
        """,
        (clearing, done, left.due, left.held, due_at, at),
    )


def take_turns(connection: type_of_connection) -> None:
    """Wait for whoever else erases or notes a hold here; until the end of the transaction nobody else does."""
    connection.execute("select pg_advisory_xact_lock(hashtext('brownpaper.legal_holds'))")


def held_among(connection: type_of_connection, shop: str, orders: Sequence[str]) -> dict[str, str]:
    """Those of a shop's orders that must stay, each with the clause that keeps it."""
    rows = connection.execute(
        "select order_number, clause from legal_holds where shop = %s and order_number = any(%b::text[]) and is_held",
        (shop, list(orders)),
    )
    return dict(rows.fetchall())


def note_hold(connection: type_of_connection, key: OrderKey, clause: str, at: datetime, *, is_held: bool) -> None:
    """Note the last word about an order's legal hold; an earlier one that comes late changes nothing."""
    take_turns(connection)
    connection.execute(
        """
        insert into legal_holds (shop, order_number, is_held, clause, changed_at) values (%s, %s, %s, %s, %s)
        on conflict (shop, order_number) do update
            set is_held = excluded.is_held, clause = excluded.clause, changed_at = excluded.changed_at
            where legal_holds.changed_at < excluded.changed_at
        """,
        (*key, is_held, clause, at),
    )


def is_held(table: str) -> str:
    """The condition that a row of this table is of an order that must stay, for a statement of ours."""
    return (
        f"exists (select from legal_holds where legal_holds.shop = {table}.shop"
        f" and legal_holds.order_number = {table}.order_number and legal_holds.is_held)"
    )
