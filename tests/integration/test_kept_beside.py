"""What an order brings once stands in tables beside: kept once, read for the calls that need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.notifications.domain import Correspondence
from services.notifications.domain import Entrusted as EntrustedContact
from services.notifications.store import KeptContact, NotificationsReads, NotificationsStore
from services.payments.domain import Payment
from services.payments.store import PaymentsReads, PaymentsStore
from services.shipping.commands import NoteTracking
from services.shipping.domain import Entrusted as EntrustedRecipient
from services.shipping.domain import Shipment
from services.shipping.store import ShippingReads, ShippingStore
from shared.contracts.values import OrderKey
from shared.database import Contended, Database
from shared.delivery.work import Delivery, Recorder
from tests.integration.conftest import DatabaseOf

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
STORES: dict[str, type[Any]] = {"shipping": ShippingStore, "notifications": NotificationsStore, "payments": PaymentsStore}


def _save(database: Database, service: str, *saves: Callable[[Any], None]) -> None:
    """These saves, each in a transaction of its own, on this service's store."""
    store_class = STORES[service]
    for save in saves:
        with database.begin() as connection:
            store = store_class(connection, Recorder(service, AT))
            save(store)
            for shelf in store.shelves():
                shelf.flush()


def a_shipment(number: int, **changes: Any) -> Shipment:
    return Shipment(key=OrderKey("https://shop.example", f"A-{number}"), **changes)


def test_the_paper_of_a_label_is_kept_beside_and_found_by_its_parcel(database_of: DatabaseOf) -> None:
    database, shipment = (
        database_of("shipping"),
        a_shipment(1, tracking_number="1Z1", entrusted=EntrustedRecipient("m-1", (), {"box": "r"})),
    )
    _save(database, "shipping", lambda store: store.keep_label(shipment, {"box": "p"}), lambda store: store.save(shipment))
    assert ShippingReads(database).label(shipment.parcel) == (shipment.key, "m-1", {"box": "p"})
    assert ShippingReads(database).label("PC-AAAAAAAAAAAA-1") is None
    with pytest.raises(Contended):  # nobody keeps it twice: `note_label` says whether it is news
        _save(database, "shipping", lambda store: store.keep_label(shipment, {"box": "another"}))
    assert ShippingReads(database).label(shipment.parcel) == (shipment.key, "m-1", {"box": "p"})


def test_a_tracking_number_that_was_used_before_belongs_to_the_newest_parcel(database_of: DatabaseOf) -> None:
    database = database_of("shipping")
    old, new, other = (a_shipment(number, tracking_number=tracking) for number, tracking in ((2, "1Z"), (1, "1Z"), (3, "2Z")))
    _save(
        database,
        "shipping",
        *(lambda store, it=it: (store.save(it), store.keep_label(it, {"box": "x"})) for it in (old, new, other)),
    )
    with database.begin() as connection:
        store = ShippingStore(connection, Recorder("shipping", AT))
        store.prefetch([Delivery("", NoteTracking(number, "IT"), lambda _ending: None) for number in ("1Z", "2Z", "3Z")])
        assert [store.key_of_tracking(number) for number in ("1Z", "2Z", "3Z")] == [new.key, other.key, None]


def test_an_order_cannot_bring_its_recipient_twice(database_of: DatabaseOf) -> None:
    """Two processes that take on the same order: the slower one is done again, and finds it taken on."""
    database = database_of("shipping")
    entrusted = EntrustedRecipient("m-1", (), {"box": "first"})
    _save(database, "shipping", lambda store: store.save(a_shipment(1, entrusted=entrusted)))
    with pytest.raises(Contended):
        _save(database, "shipping", lambda store: store.save(a_shipment(1, entrusted=replace(entrusted, recipient={}))))
    with database.single() as connection:
        assert connection.execute("select recipient from recipients").fetchall() == [({"box": "first"},)]


def test_one_who_saves_again_what_a_neighbour_took_on_keeps_it_once(database_of: DatabaseOf) -> None:
    """Two handlers of one batch: the second gets the first one's object, with what is still to be kept."""
    database, key = database_of("notifications"), OrderKey("https://shop.example", "A-1")

    def both(store: NotificationsStore) -> None:
        first = store.correspondence(key)
        first.entrust(customer_id="m-1", order={"total": "1.00"}, contact={"box": "c"})
        store.save(first)
        second = store.correspondence(key)
        second.owe_confirmation()
        store.save(second)

    _save(database, "notifications", both)
    assert NotificationsReads(database).contacts([key]) == {key: KeptContact("m-1", {"box": "c"}, {"total": "1.00"})}


def test_what_a_call_needs_is_read_for_many_orders_at_once_and_for_no_other(database_of: DatabaseOf) -> None:
    known = [OrderKey(shop, f"A-{number}") for number in range(30) for shop in ("https://one.example", "https://two.example")]
    asked = [*known[::-2], OrderKey("https://one.example", "B-1"), OrderKey("A-1", "https://one.example")]
    found = set(asked) & set(known)

    shipping, notifications, payments = database_of("shipping"), database_of("notifications"), database_of("payments")
    recipients = [Shipment(key=key, entrusted=EntrustedRecipient("m", (), {"box": f"r {key}"})) for key in known]
    contacts = [
        Correspondence(key=key, entrusted=EntrustedContact("m", {"total": f"{key}"}, {"box": f"c {key}"})) for key in known
    ]
    billings = [Payment(key=key, customer_id="m", billing={"box": f"b {key}"}) for key in known]
    _save(shipping, "shipping", lambda store: [store.save(it) for it in recipients])
    _save(notifications, "notifications", lambda store: [store.save(it) for it in contacts])
    _save(payments, "payments", lambda store: [store.save(it) for it in billings])

    assert ShippingReads(shipping).recipients(asked) == {key: ("m", {"box": f"r {key}"}) for key in found}
    assert NotificationsReads(notifications).contacts(asked) == {
        key: KeptContact("m", {"box": f"c {key}"}, {"total": f"{key}"}) for key in found
    }
    assert PaymentsReads(payments).billings(asked) == {key: ("m", {"box": f"b {key}"}) for key in found}
    assert PaymentsReads(payments).billings([]) == {}


def test_a_billing_part_that_is_dropped_is_read_no_more(database_of: DatabaseOf) -> None:
    database, key = database_of("payments"), OrderKey("https://shop.example", "A-1")
    _save(database, "payments", lambda store: store.save(Payment(key=key, billing={"box": "b"})))
    _save(database, "payments", lambda store: store.save(replace(store.payment(key), billing=None)))
    assert PaymentsReads(database).billings([key]) == {}
