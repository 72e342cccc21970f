"""All SQL of notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.notifications import persons
from services.notifications.domain import Correspondence
from services.notifications.gate import Communication
from shared.contracts.person_events import PreferencesNoted
from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection
from shared.delivery.shelf import Row, Shelf, Table
from shared.delivery.work import Delivery, Recorder, Store

# What changes with every fact is kept small; what an order brings once stands in a table that is only ever added to.
CORRESPONDENCES = Table(
    "correspondences",
    key=("shop", "order_number"),
    columns={
        "is_entrusted": "boolean",
        "contact_refused": "boolean",
        "is_cancelled": "boolean",
        "tracking": "jsonb",
        "mails": "jsonb",
        "ended_at": "timestamptz",
        "held": "jsonb",
        "released_at": "timestamptz",
        "is_kept": "boolean",
    },
    changing=("is_entrusted", "contact_refused", "is_cancelled", "tracking", "mails", "ended_at", "held", "released_at"),
)
CONTACTS = Table("contacts", key=("shop", "order_number"), columns={"customer_id": "text", "contact": "jsonb", "order": "jsonb"})


@dataclass(frozen=True, slots=True)
class KeptContact:
    """What a mail needs beside its intent: whose the contact is, the contact in its envelope, what the confirmation tells of the order.

    And what the gate asks: the person's last word of what they want to hear, and whether the order came to its end.
    """

    customer_id: str
    contact: dict[str, Any]
    order: dict[str, Any]
    communication: Communication | None = None
    is_ended: bool = False


class NotificationsStore(Store):
    def __init__(self, connection: type_of_connection, recorder: Recorder) -> None:
        super().__init__(connection, recorder)
        self._correspondences: Shelf[OrderKey, Correspondence] = Shelf(
            connection, CORRESPONDENCES, key_of=lambda item: item.key, to_row=_to_row, from_row=_from_row
        )
        self._contacts: Shelf[OrderKey, Correspondence] = Shelf(
            connection, CONTACTS, key_of=lambda item: item.key, to_row=_contact_row
        )

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        return (self._correspondences, self._contacts)

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        self._correspondences.prefetch(delivery.about for delivery in deliveries if delivery.about)

    def correspondence(self, key: OrderKey) -> Correspondence:
        """The correspondence about this order; a new, silent one where nothing is known of it yet."""
        return self._correspondences.get(key) or Correspondence(key=key)

    def save(self, correspondence: Correspondence) -> None:
        """Saving tells: what the correspondence remembers goes to the outbox and the intents of this transaction."""
        self.recorder.remember(correspondence, correspondence.key)
        self._correspondences.save(correspondence)
        if correspondence.entrusted is not None:
            self._contacts.save(correspondence)

    def replace_contact(self, key: OrderKey, contact: dict[str, Any]) -> bool:
        """Whether the order's contact was there to be replaced; written at once."""
        return persons.replace_contact(self.connection, key, contact)

    def note_preferences(self, event: PreferencesNoted) -> None:
        """Written at once; a repeat changes nothing."""
        persons.note_preferences(self.connection, event)


class NotificationsReads:
    """What is read beside the handlers; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def contacts(self, keys: Sequence[OrderKey]) -> dict[OrderKey, KeptContact]:
        """What is kept of these orders' contacts; where there is nothing, no entry."""
        with self._database.single() as connection:
            rows = persons.contacts(connection, keys)
        return {OrderKey(shop, number): KeptContact(*kept) for shop, number, *kept in rows}


def _to_row(correspondence: Correspondence) -> Row:
    return {
        "shop": correspondence.key.shop,
        "order_number": correspondence.key.order_number,
        "is_entrusted": correspondence.is_entrusted,
        "contact_refused": correspondence.contact_refused,
        "is_cancelled": correspondence.is_cancelled,
        "tracking": correspondence.tracking,
        "mails": correspondence.mails or {},
        "ended_at": correspondence.ended_at,
        "held": correspondence.held,
        "released_at": correspondence.released_at,
        "is_kept": correspondence.is_kept,
    }


def _from_row(row: Row) -> Correspondence:
    return Correspondence(key=OrderKey(row.pop("shop"), row.pop("order_number")), **row)


def _contact_row(correspondence: Correspondence) -> Row:
    entrusted: Any = correspondence.entrusted
    kept = {"customer_id": entrusted.customer_id, "contact": entrusted.contact, "order": entrusted.order}
    return {**correspondence.key._asdict(), **kept}
