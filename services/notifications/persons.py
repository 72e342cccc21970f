"""All SQL about persons in notifications: what stands of one, its sweep, its copy, a corrected contact, what the person chose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from services.notifications import friend_store, inquiry_store
from shared.contracts.person_events import PreferencesNoted
from shared.contracts.values import OrderKey
from shared.custody.persons import KeptEnvelope
from shared.database import type_of_connection
from shared.delivery import person_traces

_THEIRS = "shop = %s and order_number = any(%b::text[])"
_PERSON = "shop = %s and customer_id = %s"


class NotificationsPersons:
    """See `shared.custody.persons.PersonRows`."""

    def persons(self, connection: type_of_connection) -> Iterable[tuple[str, str]]:
        tables = ("contacts", "preference_changes", "campaign_letters", "special_requests", "invitations")
        statement = " union ".join(f"select shop, customer_id from {table}" for table in tables)
        return [(shop, customer) for shop, customer in connection.execute(statement.encode())]

    def orders_of(self, connection: type_of_connection, shop: str, customer_id: str) -> list[str]:
        rows = connection.execute(f"select order_number from contacts where {_PERSON}".encode(), (shop, customer_id))
        return [number for (number,) in rows]

    def counted(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> dict[str, int]:
        theirs = sorted({*orders, *self.orders_of(connection, shop, customer_id)})
        return {
            "contacts": _number(connection, f"select count(*) from contacts where {_THEIRS}", shop, theirs),
            "correspondences": _number(
                connection,
                f"select count(*) from correspondences where {_THEIRS} and tracking is not null",
                shop,
                theirs,
            ),
            "preference_changes": _number(
                connection, f"select count(*) from preference_changes where {_PERSON}", shop, customer_id
            ),
            "campaign_letters": _number(connection, f"select count(*) from campaign_letters where {_PERSON}", shop, customer_id),
            "held": person_traces.count_messages(connection, shop, customer_id),
            "intents": person_traces.count_calls(connection, shop, theirs),
            **friend_store.count_of(connection, shop, customer_id),
            **inquiry_store.count_of(connection, shop, customer_id),
        }

    def sweep(self, connection: type_of_connection, shop: str, customer_id: str, orders: Sequence[str]) -> None:
        theirs = (shop, list(orders))
        person_traces.drop_messages(connection, shop, customer_id)
        person_traces.drop_calls(connection, shop, orders)
        # Nothing more is owed to nobody.
        connection.execute(f"update correspondences set tracking = null, is_cancelled = true where {_THEIRS}".encode(), theirs)
        connection.execute(f"delete from contacts where {_THEIRS}".encode(), theirs)
        for table in ("preference_changes", "campaign_letters"):
            connection.execute(f"delete from {table} where {_PERSON}".encode(), (shop, customer_id))
        friend_store.sweep_of(connection, shop, customer_id)
        inquiry_store.sweep_of(connection, shop, customer_id)
        # A campaign that stands at this person begins its pass anew: everybody before has their letter.
        connection.execute(
            "update campaigns set cursor_shop = '', cursor_customer = '' where cursor_shop = %s and cursor_customer = %s",
            (shop, customer_id),
        )

    def envelopes(self, connection: type_of_connection, shop: str, customer_id: str) -> list[KeptEnvelope]:
        rows = connection.execute(
            f"select order_number, contact from contacts where {_PERSON} and contact is not null order by order_number".encode(),
            (shop, customer_id),
        )
        return [*(KeptEnvelope(*row) for row in rows), *inquiry_store.envelopes_of(connection, shop, customer_id)]

    def told(self, connection: type_of_connection, shop: str, customer_id: str) -> dict[str, list[dict[str, Any]]]:
        mails = connection.execute(
            """
            select order_number, mails, tracking, "order" from contacts join correspondences using (shop, order_number)
            where shop = %s and customer_id = %s order by order_number
            """,
            (shop, customer_id),
        )
        chosen = connection.execute(
            """
            select chosen_at, policy_version, communication, policy_choice from preference_changes
            where shop = %s and customer_id = %s order by chosen_at
            """,
            (shop, customer_id),
        )
        letters = connection.execute(
            f"select campaign, state, reason, changed_at from campaign_letters where {_PERSON} order by changed_at".encode(),
            (shop, customer_id),
        )
        return {
            "correspondences": _dicts(mails),
            "preference_changes": _dicts(chosen),
            "campaign_letters": _dicts(letters),
            "special_requests": inquiry_store.told_of(connection, shop, customer_id),
        }


def contacts(connection: type_of_connection, keys: Sequence[OrderKey]) -> list[tuple[Any, ...]]:
    """(shop, order_number, customer_id, contact, order, communication, is_ended) of these orders, where there is a contact.

    Of two words of one moment the one that wants less counts, as in `shared.custody.permits.communication`.
    """
    rows = connection.execute(
        """
        select shop, order_number, contacts.customer_id, contact, "order", (
            select communication from preference_changes
            where (preference_changes.shop, preference_changes.customer_id) = (contacts.shop, contacts.customer_id)
                and communication is not null
            order by chosen_at desc, array_position(array['none', 'service_only', 'all'], communication) limit 1
        ), ended_at is not null
        from unnest(%b::text[], %b::text[]) as these (shop, order_number)
            join contacts using (shop, order_number) left join correspondences using (shop, order_number)
        where contact is not null
        """,
        [list(column) for column in zip(*keys, strict=True)],
        binary=True,
    )
    return rows.fetchall()


def replace_contact(connection: type_of_connection, key: OrderKey, contact: dict[str, Any]) -> bool:
    """Put another envelope in the place of an order's contact; False where nothing of the order is written down yet."""
    done = connection.execute(
        "update contacts set contact = %s::jsonb where shop = %s and order_number = %s", (orjson.dumps(contact).decode(), *key)
    )
    return done.rowcount == 1


def note_preferences(connection: type_of_connection, event: PreferencesNoted) -> None:
    """Write down what a person chose, once. Only ever added to: of two choices the one chosen later counts."""
    connection.execute(
        """
        insert into preference_changes (shop, customer_id, request, chosen_at, policy_version, communication, policy_choice)
        values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing
        """,
        (
            *(event.shop, event.customer_id, event.request, event.chosen_at),
            *(event.policy_version, event.communication, event.policy_choice),
        ),
    )


def _number(connection: type_of_connection, statement: str, *values: object) -> int:
    row = connection.execute(statement.encode(), values).fetchone()
    return row[0] if row else 0


def _dicts(rows: Any) -> list[dict[str, Any]]:
    names = [column.name for column in rows.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows]
