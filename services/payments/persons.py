"""All SQL about persons in payments: what stands of one, its sweep, its copy. Amounts and provider references stay, without a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shared.custody.persons import KeptEnvelope
from shared.database import type_of_connection
from shared.delivery import person_traces


class PaymentsPersons:
    """See `shared.custody.persons.PersonRows`."""

    def persons(self, connection: type_of_connection) -> Iterable[tuple[str, str]]:
        rows = connection.execute("select distinct shop, customer_id from payments where customer_id <> ''")
        return [(shop, customer) for shop, customer in rows]

    def orders_of(self, connection: type_of_connection, shop: str, customer_id: str) -> list[str]:
        rows = connection.execute(
            "select order_number from payments where shop = %s and customer_id = %s and customer_id <> ''", (shop, customer_id)
        )
        return [number for (number,) in rows]

    def counted(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> dict[str, int]:
        row = connection.execute(
            """
            select count(*) from payments
            where shop = %s and (customer_id = %s or (billing is not null and order_number = any(%b::text[])))
            """,
            (shop, customer_id, list(orders)),
        ).fetchone()
        return {"payments": row[0] if row else 0, "held": person_traces.count_messages(connection, shop, customer_id)}

    def sweep(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> None:
        person_traces.drop_messages(connection, shop, customer_id)
        connection.execute(
            "update payments set customer_id = '', billing = null where shop = %s and order_number = any(%b::text[])",
            (shop, list(orders)),
        )

    def envelopes(self, connection: type_of_connection, shop: str, customer_id: str) -> list[KeptEnvelope]:
        rows = connection.execute(
            """
            select order_number, billing from payments
            where shop = %s and customer_id = %s and customer_id <> '' and billing is not null order by order_number
            """,
            (shop, customer_id),
        )
        return [KeptEnvelope(*row) for row in rows]

    def told(self, connection: type_of_connection, shop: str, customer_id: str) -> dict[str, list[dict[str, Any]]]:
        rows = connection.execute(
            """
            select order_number, state, provider, reference, currency, amount_minor, authorisation_reference, capture_reference,
                reason, entrusted_at, settled_at
            from payments where shop = %s and customer_id = %s and customer_id <> '' order by order_number
            """,
            (shop, customer_id),
        )
        names = [column.name for column in rows.description or ()]
        return {"payments": [dict(zip(names, row, strict=True)) for row in rows]}
