"""All SQL that finds a person in the plumbing's own tables: messages that wait or are parked, and calls that are not settled.

A message's body is kept only where it is JSON with every part sealed; its `data` names the person by the shop's own id.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.values import OrderKey
from shared.database import type_of_connection

# `json`, not `jsonb`: only the named members are looked at, whatever else the text may hold.
_OF_PERSON = """
    body is not null and body::json #>> '{data,customer_id}' = %s
    and coalesce(body::json #>> '{data,shop}', body::json ->> 'source') = %s
"""
_OF_ORDERS = "shop = %s and order_number = any(%b::text[])"


def count_messages(connection: type_of_connection, shop: str, customer_id: str) -> int:
    """How many held messages name the person."""
    return _number(connection, f"select count(*) from held where {_OF_PERSON}", customer_id, shop)


def drop_messages(connection: type_of_connection, shop: str, customer_id: str) -> None:
    """Forget the held messages that name the person: nobody is to replay them."""
    connection.execute(f"delete from held where {_OF_PERSON}", (customer_id, shop))


def count_calls(connection: type_of_connection, shop: str, order_numbers: Sequence[str]) -> int:
    """How many calls for these orders are not settled."""
    return _number(connection, f"select count(*) from intents where {_OF_ORDERS}", shop, list(order_numbers))


def drop_calls(connection: type_of_connection, shop: str, order_numbers: Sequence[str]) -> None:
    """Forget the calls for these orders that are not settled; an answer that still comes settles nothing."""
    connection.execute(f"delete from intents where {_OF_ORDERS}", (shop, list(order_numbers)))


def drop_calls_of(connection: type_of_connection, orders: Sequence[OrderKey]) -> None:
    """As `drop_calls`, for orders of any shops: of what was let go nothing is asked any more."""
    columns = [list(column) for column in zip(*orders, strict=True)]
    connection.execute(
        """
        delete from intents using unnest(%b::text[], %b::text[]) as these (shop, order_number)
        where intents.shop = these.shop and intents.order_number = these.order_number
        """,
        columns,
    )


def _number(connection: type_of_connection, statement: str, *values: object) -> int:
    row = connection.execute(statement.encode(), values).fetchone()
    return row[0] if row else 0
