"""All SQL about what orders sold: a month counted by person, the ledger of what was let out, and sales that are forgotten once counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.types.json import Jsonb

from services.orders.sales import EVERY_SHOP, Bought, Month, Release
from shared.database import Database, type_of_connection

_AT_ONCE = 1000


class Ledger:
    """The ledger of releases, in a transaction of its own that no other process has at the same time."""

    def __init__(self, connection: type_of_connection) -> None:
        self._connection = connection

    def release_of(self, month: Month) -> Release | None:
        """What was let out of the month."""
        row = self._connection.execute(
            "select month, cut, least_persons, document, released_at from department_releases where month = %s", (month.name,)
        ).fetchone()
        return Release(*row) if row else None

    def count(self, month: Month, cut: str) -> list[Bought]:
        """The month's orders that stand, summed by person; who the persons are stays in the database."""
        rows = self._connection.execute(
            """
            select dense_rank() over (order by shop, customer_id), department.key, sales->>'currency', count(*),
                   sum((department.value->>0)::bigint)::bigint, sum((department.value->>1)::bigint)::bigint
            from orders cross join lateral jsonb_each(sales->'departments') as department
            where placed_at >= %(begins)s and placed_at < %(ends)s and sales is not null and state <> 'cancelled' and customer_id <> ''
                and (%(cut)s = %(every_shop)s or shop = %(cut)s)
            group by shop, customer_id, department.key, sales->>'currency'
            """,
            {"begins": month.begins, "ends": month.ends, "cut": cut, "every_shop": EVERY_SHOP},
        )
        return [Bought(*row) for row in rows]

    def write(self, release: Release) -> None:
        """For good."""
        self._connection.execute(
            "insert into department_releases (month, cut, least_persons, document, released_at) values (%s, %s, %s, %s, %s)",
            (release.month, release.cut, release.least_persons, Jsonb(release.document), release.released_at),
        )


class SalesStore:
    """What the report needs of the database. It walks through a month's orders, so it keeps out of the handlers' transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """A transaction on the ledger, waited for."""
        with self._database.begin() as connection:
            connection.execute("set local statement_timeout = '10min'")
            connection.execute("lock table department_releases in share row exclusive mode")
            yield Ledger(connection)

    def forget_counted(self) -> int:
        """Forget what the orders of released months sold; how many orders. Safe to repeat; what is locked waits for the next time."""
        with self._database.begin() as connection:
            connection.execute("set local statement_timeout = '10min'")
            keys = connection.execute(
                """
                select shop, order_number from orders
                where sales is not null and to_char(placed_at at time zone 'UTC', 'YYYY-MM') in (select month from department_releases)
                order by shop, order_number
                """
            ).fetchall()
        return sum(self._forget(keys[start : start + _AT_ONCE]) for start in range(0, len(keys), _AT_ONCE))

    def _forget(self, keys: list[tuple[str, str]]) -> int:
        with self._database.begin() as connection:
            return connection.execute(
                """
                update orders set sales = null from (
                    select shop, order_number from unnest(%s::text[], %s::text[]) as wanted (shop, order_number)
                    join orders using (shop, order_number) order by shop, order_number for update of orders skip locked
                ) as free where orders.shop = free.shop and orders.order_number = free.order_number
                """,
                ([shop for shop, _ in keys], [number for _, number in keys]),
            ).rowcount
