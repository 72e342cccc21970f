"""Every service's store gives back exactly what was saved: every field, many keys at once, on insert and on update."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.notifications.domain import Correspondence
from services.notifications.domain import Entrusted as EntrustedContact
from services.notifications.store import NotificationsStore
from services.orders.domain import Order
from services.orders.domain import State as OrderState
from services.orders.intake import Answered
from services.orders.store import OrdersStore
from services.payments.domain import Payment
from services.payments.domain import State as PaymentState
from services.payments.store import PaymentsStore
from services.shipping.domain import Entrusted as EntrustedRecipient
from services.shipping.domain import Package, Shipment
from services.shipping.domain import State as ShipmentState
from services.shipping.store import ShippingStore
from shared.contracts.events import Reason
from shared.contracts.values import Money, OrderKey
from shared.database import Database
from shared.delivery.work import Delivery, Recorder
from tests.integration.conftest import DatabaseOf

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

# PostgreSQL keeps neither U+0000 nor lone surrogates; the grammars let neither in.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
maybe = partial(st.none().__or__)
times = st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year >= 1900)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
json_values = st.recursive(scalars, lambda more: st.lists(more, max_size=3) | st.dictionaries(texts, more, max_size=3))
json_objects = st.dictionaries(texts, json_values, max_size=4)
shops = st.sampled_from(["https://one.example", "https://two.example/ü?a=b c"])
numbers = st.text(string.ascii_letters + string.digits + "._~-", min_size=1, max_size=64)
keys = st.builds(OrderKey, shops, numbers)
reasons = st.lists(st.builds(Reason, code=texts, path=texts), max_size=3).map(tuple)
facts = st.dictionaries(texts, times, max_size=5)

orders = st.builds(
    Order,
    key=keys,
    event_id=texts,
    customer_id=texts,
    policy_version=texts,
    data_digest=texts,
    placed_at=times,
    state=st.sampled_from(OrderState),
    reasons=reasons,
    facts=facts,
)
payments = st.builds(
    Payment,
    key=keys,
    state=st.sampled_from(PaymentState),
    customer_id=texts,
    provider=texts,
    reference=texts,
    money=st.builds(Money, st.integers(0, 10**15), st.sampled_from(["USD", "JPY", "KWD"])),
    billing=maybe(json_objects),
    is_labelled=st.booleans(),
    authorisation_reference=maybe(texts),
    capture_reference=maybe(texts),
    reason=maybe(texts),
    entrusted_at=maybe(times),
    settled_at=maybe(times),
)
sizes = st.integers(1, 10_000)
shipments = st.builds(
    Shipment,
    key=keys,
    state=st.sampled_from(ShipmentState),
    placed_at=maybe(times),
    shipping_service=texts,
    entrusted=maybe(st.builds(EntrustedRecipient, texts, st.lists(json_objects, max_size=3).map(tuple), json_objects)),
    package=maybe(st.builds(Package, sizes, sizes, sizes, sizes)),
    label_id=maybe(texts),
    carrier=maybe(texts),
    tracking_number=maybe(texts),
    tracking_url=maybe(texts),
    reason=maybe(texts),
    facts=facts,
)
correspondences = st.builds(
    Correspondence,
    key=keys,
    is_entrusted=st.booleans(),
    entrusted=maybe(st.builds(EntrustedContact, texts, json_objects, json_objects)),
    contact_refused=st.booleans(),
    is_cancelled=st.booleans(),
    tracking=maybe(json_objects),
    mails=st.dictionaries(texts, texts, max_size=3),
)

Load = Callable[[Any, OrderKey], Any]
CASES: dict[str, tuple[type[Any], st.SearchStrategy[Any], Load, tuple[str, ...]]] = {
    "orders": (OrdersStore, orders, OrdersStore.order, ("orders",)),
    "payments": (PaymentsStore, payments, PaymentsStore.payment, ("payments",)),
    "shipping": (ShippingStore, shipments, ShippingStore.shipment, ("shipments", "recipients", "shipment_lines")),
    "notifications": (NotificationsStore, correspondences, NotificationsStore.correspondence, ("correspondences", "contacts")),
}
# What an order brings once stands beside: where it is kept, and how it reads there.
KEPT: dict[str, tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    "shipping": (
        "select shop, order_number, customer_id, recipient, lines from recipients full join shipment_lines using (shop, order_number)",
        lambda entrusted: (entrusted.customer_id, entrusted.recipient, list(entrusted.lines)),
    ),
    "notifications": (
        'select shop, order_number, customer_id, contact, "order" from contacts',
        lambda entrusted: (entrusted.customer_id, entrusted.contact, entrusted.order),
    ),
}


def _as_read(item: Any) -> Any:
    """The object as the store gives it: what stands beside is not read with it."""
    return replace(item, entrusted=None) if hasattr(item, "entrusted") else item


def _kept(database: Database, service: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    statement, _ = KEPT[service]
    with database.single() as connection:
        return {row[:2]: row[2:] for row in connection.execute(statement.encode())}


def _through(database: Database, store_class: type[Any], load: Load, items: Sequence[Any]) -> list[Any]:
    """Save these in one transaction, and give what another one reads."""
    about = [Delivery("", None, lambda _ending: None, about=item.key) for item in items]
    with database.begin() as connection:
        store = store_class(connection, Recorder("test", AT))
        store.prefetch(about)
        for item in items:
            load(store, item.key)
            store.save(item)
        for shelf in store.shelves():
            shelf.flush()
    with database.begin() as connection:
        store = store_class(connection, Recorder("test", AT))
        store.prefetch(about)
        return [load(store, item.key) for item in items]


@pytest.mark.parametrize("service", CASES)
def test_every_field_comes_back_on_insert_and_on_update(service: str, database_of: DatabaseOf) -> None:
    store_class, aggregates, load, tables = CASES[service]
    database = database_of(service)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(st.tuples(aggregates, aggregates), max_size=4, unique_by=lambda pair: pair[0].key))
    def round_trip(pairs: list[tuple[Any, Any]]) -> None:
        with database.begin() as connection:
            for table in tables:
                connection.execute(f"delete from {table}".encode())
        first = [before for before, _ in pairs]
        assert _through(database, store_class, load, first) == [_as_read(before) for before in first]
        if service != "orders":  # what an order is made with never changes
            then = [replace(_as_read(after), key=before.key) for before, after in pairs]
            assert _through(database, store_class, load, then) == then
        if service in KEPT:
            entrusted = {before.key: before.entrusted for before in first if before.entrusted is not None}
            assert _kept(database, service) == {key: KEPT[service][1](brought) for key, brought in entrusted.items()}

    round_trip()


def test_an_order_changes_in_state_reasons_and_facts_only(database_of: DatabaseOf) -> None:
    key = OrderKey("https://shop.example", "A-1")
    told: dict[str, Any] = {"event_id": "e", "customer_id": "m", "policy_version": "p", "data_digest": "d", "placed_at": AT}
    first = Order(key=key, **told, facts={"accepted": AT})
    after = Order(key=key, **told, state=OrderState.HELD, reasons=(Reason(code="x", path="/y"),), facts={"order_held": AT})
    database = database_of("orders")
    assert _through(database, OrdersStore, OrdersStore.order, [first]) == [first]
    assert _through(database, OrdersStore, OrdersStore.order, [after]) == [after]


def test_a_thousand_keys_at_once_come_back_each_under_its_own(database_of: DatabaseOf) -> None:
    shipments = [
        Shipment(
            key=OrderKey("https://shop.example", f"A-{number}"),
            state=ShipmentState.TO_PICK,
            placed_at=AT,
            entrusted=EntrustedRecipient(
                f"m-{number}", ({"line": 1, "title": f'Ring {number} ‘ü’ \\ " \u2028'},), {"box": f"box {number}"}
            ),
            tracking_number=f"1Z{number}",
            package=Package(number + 1, 2, 3, 4),
            facts={"entrusted": AT},
        )
        for number in range(1000)
    ]
    database = database_of("shipping")
    read = [replace(shipment, entrusted=None) for shipment in shipments]
    assert _through(database, ShippingStore, ShippingStore.shipment, shipments) == read
    kept = _kept(database, "shipping")
    assert [kept[shipment.key] for shipment in shipments] == [KEPT["shipping"][1](shipment.entrusted) for shipment in shipments]
    with database.begin() as connection:
        store = ShippingStore(connection, Recorder("shipping", AT))
        store._shipments.prefetch(shipment.key for shipment in shipments)
        connection.execute("delete from shipments")  # all were read at once: none is asked for again
        assert [store.shipment(shipment.key) for shipment in reversed(shipments)] == read[::-1]


def test_an_answer_stands_once_and_is_said_again(database_of: DatabaseOf) -> None:
    answered = Answered(
        source="https://shop.example", event_id="e-1", kind="order_accepted", order_number=None, reasons=(Reason(code="c"),)
    )
    database = database_of("orders")
    for times_said in (1, 2):
        with database.begin() as connection:
            recorder = Recorder("orders", AT)
            store = OrdersStore(connection, recorder)
            known = store.answered("https://shop.example", "e-1")
            assert (known is None) is (times_said == 1)
            (known or answered).answer()
            store.save_answer(known or answered)
            for shelf in store.shelves():
                shelf.flush()
            assert [row.type for row in recorder.outbox] == ["order_accepted"]
    with database.single() as connection:
        assert connection.execute("select kind, order_number, reasons from answers").fetchall() == [
            ("order_accepted", None, [{"code": "c", "path": ""}])
        ]
