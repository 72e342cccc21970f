"""All SQL about persons in orders: who stands there, and the sweep of somebody who is erased. Orders stand on, as nobody's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from shared.custody.journal import ErasureJournal, apply
from shared.database import Database, type_of_connection
from shared.delivery import person_traces

_TABLES = ("orders", "preference_changes", "requests")
_OPEN = "state not in ('closed', 'refused')"
_CLEARED = """
    update orders set customer_id = '', sales = null where shop = %s and customer_id = %s
"""
_FORGOTTEN = f"""
    update requests set customer_id = null, asked = '{{}}', closed_at = coalesce(closed_at, now()),
        state = case when {_OPEN} then 'refused' else state end,
        reasons = case when {_OPEN} then '[{{"code": "customer_erased", "path": "/data/customer_id"}}]' else reasons end
    where person = %s and customer_id is not null and kind <> 'erasure'
"""
_NOTED = """
    insert into persons (person, state, since)
    select person, 'erased', min(since) from unnest(%s::text[], %s::timestamptz[]) as gone (person, since) group by person
    on conflict (person) do update set state = excluded.state, since = excluded.since where persons.state <> 'erased'
"""
_PIECES = """
    delete from export_pieces using requests
    where export_pieces.shop = requests.shop and export_pieces.request = requests.request
        and requests.kind = 'copy' and requests.person = %s
"""


class OrdersPersons:
    """See `shared.custody.journal.HeldRows`; `digest` is how orders remembers who is gone."""

    def __init__(self, digest: Callable[[str, str], str]) -> None:
        self._digest = digest

    def persons(self, connection: type_of_connection) -> Iterable[tuple[str, str]]:
        statement = " union ".join(f"select shop, customer_id from {table} where customer_id <> ''" for table in _TABLES)
        return [(shop, customer) for shop, customer in connection.execute(statement.encode())]

    def orders_of(self, connection: type_of_connection, shop: str, customer_id: str) -> list[str]:
        rows = connection.execute("select order_number from orders where shop = %s and customer_id = %s", (shop, customer_id))
        return [number for (number,) in rows]

    def sweep(self, connection: type_of_connection, shop: str, customer_id: str, _orders: Sequence[str]) -> None:
        sweep(connection, shop, customer_id, self._digest(shop, customer_id))


def sweep(connection: type_of_connection, shop: str, customer_id: str, person: str) -> None:
    """Clear and delete what names the person. Safe to repeat."""
    connection.execute(_CLEARED.encode(), (shop, customer_id))
    connection.execute("delete from preference_changes where shop = %s and customer_id = %s", (shop, customer_id))
    connection.execute(_PIECES.encode(), (person,))
    connection.execute(_FORGOTTEN.encode(), (person,))
    person_traces.drop_messages(connection, shop, customer_id)


def replay(journal: ErasureJournal, database: Database, digest: Callable[[str, str], str]) -> None:
    """Before orders is ready: whoever was erased is gone, also where these tables come from a backup that is older. Safe to repeat.

    Raises JournalBroken, TryLater.
    """
    erased = journal.read()
    if not erased:
        return
    apply(journal, None, database, OrdersPersons(digest), digest)
    with database.begin() as connection:
        connection.execute(_NOTED, ([it.person for it in erased], [it.at for it in erased]))
