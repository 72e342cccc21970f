"""All SQL about persons in shipping: what stands of one, its sweep, its copy, a corrected recipient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from shared.contracts.values import OrderKey
from shared.custody.persons import KeptEnvelope
from shared.database import type_of_connection
from shared.delivery import person_traces

_THEIRS = "shop = %s and order_number = any(%b::text[])"
# Of a shipment that has ended the numbers go by which the carrier knows the person's address.
_COUNTED = {
    "recipients": f"select count(*) from recipients where {_THEIRS}",
    "shipment_lines": f"select count(*) from shipment_lines where {_THEIRS}",
    "labels": f"select count(*) from labels where {_THEIRS}",
    "shipments": f"select count(*) from shipments where {_THEIRS} and coalesce(tracking_number, tracking_url, label_id) is not null",
}
_SWEPT = (
    f"update shipments set tracking_number = null, tracking_url = null, label_id = null where {_THEIRS}",
    f"delete from labels where {_THEIRS}",
    f"delete from shipment_lines where {_THEIRS}",
    f"delete from recipients where {_THEIRS}",
)


class ShippingPersons:
    """See `shared.custody.persons.PersonRows`."""

    def persons(self, connection: type_of_connection) -> Iterable[tuple[str, str]]:
        return [(shop, customer) for shop, customer in connection.execute("select distinct shop, customer_id from recipients")]

    def orders_of(self, connection: type_of_connection, shop: str, customer_id: str) -> list[str]:
        rows = connection.execute("select order_number from recipients where shop = %s and customer_id = %s", (shop, customer_id))
        return [number for (number,) in rows]

    def counted(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> dict[str, int]:
        theirs = sorted({*orders, *self.orders_of(connection, shop, customer_id)})
        found = {name: _number(connection, statement, shop, theirs) for name, statement in _COUNTED.items()}
        found["held"] = person_traces.count_messages(connection, shop, customer_id)
        found["intents"] = person_traces.count_calls(connection, shop, theirs)
        return found

    def sweep(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> None:
        person_traces.drop_messages(connection, shop, customer_id)
        person_traces.drop_calls(connection, shop, orders)
        # A scan that waits for its label would wait for ever.
        connection.execute(
            f"""
            delete from held where body is not null and body::json ->> 'tracking_number' in (
                select tracking_number from labels where {_THEIRS}
            )
            """,
            (shop, list(orders)),
        )
        for statement in _SWEPT:
            connection.execute(statement.encode(), (shop, list(orders)))

    def envelopes(self, connection: type_of_connection, shop: str, customer_id: str) -> list[KeptEnvelope]:
        rows = connection.execute(
            """
            select order_number, recipient from recipients
            where shop = %s and customer_id = %s and recipient is not null order by order_number
            """,
            (shop, customer_id),
        )
        return [KeptEnvelope(*row) for row in rows]

    def told(self, connection: type_of_connection, shop: str, customer_id: str) -> dict[str, list[dict[str, Any]]]:
        rows = connection.execute(
            """
            select order_number, state, placed_at, shipping_service, package, carrier, tracking_number, tracking_url, facts, lines
            from recipients join shipments using (shop, order_number) left join shipment_lines using (shop, order_number)
            where shop = %s and customer_id = %s order by order_number
            """,
            (shop, customer_id),
        )
        names = [column.name for column in rows.description or ()]
        return {"shipments": [dict(zip(names, row, strict=True)) for row in rows]}


def replace_recipient(connection: type_of_connection, key: OrderKey, recipient: dict[str, Any]) -> bool:
    """Put another envelope in the place of an order's recipient; False where nothing of the order is written down yet."""
    done = connection.execute(
        "update recipients set recipient = %s::jsonb where shop = %s and order_number = %s",
        (orjson.dumps(recipient).decode(), *key),
    )
    return done.rowcount == 1


def _number(connection: type_of_connection, statement: str, shop: str, orders: Sequence[str]) -> int:
    row = connection.execute(statement.encode(), (shop, list(orders))).fetchone()
    return row[0] if row else 0
