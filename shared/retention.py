"""Retention: what a service keeps of an order goes when its time has come, counted from what happened to the order, as the policy says.

Keys are destroyed first, in their own cluster, then rows. Both are safe to do twice and to break off in between: a row that is still there
is found again. What a legal hold keeps is passed over and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared import metrics
from shared.contracts.values import OrderKey
from shared.custody.envelopes import PartName
from shared.custody.vault import Vault
from shared.database import Database, type_of_connection
from shared.policy.document import Policy
from shared.policy.waiting import waiting_time

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


class RetainedRows(Protocol):
    """A service's own tables, as far as something in them has its time. Every function works on the caller's transaction."""

    def ended(self, connection: type_of_connection, clearing: str, before: datetime, limit: int) -> list[Ended]:
        """Orders that ended before this and are still kept, the oldest first, locked; none that a legal hold keeps."""

    def standing(self, connection: type_of_connection, clearing: str, before: datetime) -> Standing:
        """What of the clearing is left."""

    def let_go(self, connection: type_of_connection, clearing: str, orders: Sequence[OrderKey]) -> None:
        """Drop what the clearing is about, and note that it is gone. Safe to repeat."""


@dataclass(frozen=True, slots=True)
class Clearing:
    """One kind of thing that goes together: the parts, after what time, and the part whose keys go first ("" where there are none)."""

    name: str
    parts: tuple[str, ...]
    after: timedelta
    keys_of: str


def clearings_of(policy: Policy, service: str, parts_of: Mapping[str, Sequence[str]]) -> tuple[Clearing, ...]:
    """A service's clearings, by what goes in each. Raises ValueError where the policy gives parts of one clearing different times."""
    clearings = []
    for name, parts in parts_of.items():
        rules = [
            hold.retention
            for hold in policy.holds.values()
            if hold.service == service and hold.part in parts and hold.retention is not None and hold.retention.days is not None
        ]
        days = {rule.days for rule in rules}
        if len(days) != 1:
            raise ValueError(f"the policy gives the clearing {name} of {service} not one time but {len(days)}")
        clearings.append(Clearing(name, tuple(parts), timedelta(days=float(days.pop() or 0)), _keys_of(policy, parts)))
    return tuple(clearings)


def waiting_clearings_of(policy: Policy, service: str, parts_of: Mapping[str, Sequence[str]]) -> tuple[Clearing, ...]:
    """The clearings of what waits for something that does not come, counted from its own coming. Raises ValueError as above."""
    return tuple(
        Clearing(name, tuple(parts), waiting_time(policy, service, parts), _keys_of(policy, parts))
        for name, parts in parts_of.items()
    )


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
        done, before = 0, at - clearing.after
        while gone := self._let_go_of_some(clearing, before):
            done += gone
        with self._database.begin() as connection:
            left = self._rows.standing(connection, clearing.name, before)
            due_at = left.oldest_ended_at + clearing.after if left.oldest_ended_at else None
            note_clearing(connection, clearing.name, done, left, due_at, at)
        overdue = max(0.0, (at - due_at - patience).total_seconds()) if due_at else 0.0
        metrics.retention_overdue.labels(self._service, clearing.name).set(overdue)
        return done

    def _let_go_of_some(self, clearing: Clearing, before: datetime) -> int:
        with self._database.begin() as connection:
            row = connection.execute("select pg_try_advisory_xact_lock(%s)", (_CLEARING_LOCK,)).fetchone()
            if not (row and row[0]):
                return 0
            ended = self._rows.ended(connection, clearing.name, before, MOST_AT_ONCE)
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
