"""The store of persons' requests on a real database: given back as saved, swept without a way back, pieces that end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.orders.request_store import RequestReads, RequestStore
from services.orders.requests import Kind, Request, RequestKey, State
from shared.contracts.events import Reason
from shared.contracts.person_events import PreferencesNoted
from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery.work import Recorder
from tests.builders import an_order
from tests.fix_servers import DatabaseUrl
from tests.integration.facts import everything_in, rows

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HERE, ELSEWHERE = "https://one.example", "https://two.example"


@pytest.fixture
def url(database_url: DatabaseUrl) -> str:
    return database_url("orders")


@pytest.fixture
def database(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")  # as the services do: see shared.database
    it = Database(url, name="test")
    yield it
    it.close()


@contextmanager
def working(database: Database) -> Iterator[RequestStore]:
    """One batch: what its handlers saved is written at its end."""
    with database.begin() as connection:
        store = RequestStore(connection, Recorder("orders", AT))
        yield store
        for shelf in store.shelves():
            shelf.flush()


def a_request(kind: Kind = Kind.PREFERENCES, name: str = "r-1", *, shop: str = HERE, customer: str = "c-1") -> Request:
    return Request(
        key=RequestKey(shop, kind, name),
        event_id=f"e-{name}",
        person=f"digest of {shop} {customer}",
        customer_id=customer,
        holders={"orders": [], "notifications": ["preferences"]},
        asked={"communication": "none"},
        received_at=AT,
        told_at=AT,
        state=State.UNDER_WAY,
    )


def fill(database: Database, shop: str, customer: str) -> None:
    """Everything of a person that orders may have."""
    with working(database) as store:
        store.save(an_order(OrderKey(shop, f"N-{customer}"), customer_id=customer))
        store.save_request(a_request(shop=shop, customer=customer, name=f"r-{customer}"))
        event = PreferencesNoted(
            shop=shop,
            customer_id=customer,
            kind="preferences",
            request="r",
            chosen_at=AT,
            policy_version="v",
            communication="all",
        )
        store.note_preferences(event)
        store.note_preferences(event)
        store.keep_piece(shop, f"r-{customer}", "orders", "box", AT + timedelta(days=7))


def test_a_request_is_given_back_as_it_was_saved(database: Database) -> None:
    request = replace(
        a_request(Kind.ERASURE),
        receipts={"erased": {"orders": {"service": "orders", "receipt": "{}", "key_id": "k", "signature": "s"}}},
        orders=("N-1", "N-2"),
        reasons=(Reason(code="order_under_way", path="/data/customer_id"),),
        certificate={"signed": {"receipt": "ü"}},
    )
    with working(database) as store:
        store.save_request(request)
    for change in ({"state": State.CLOSED, "closed_at": AT, "customer_id": None}, {"orders": ()}):
        request = replace(request, **change)
        with working(database) as store:
            assert store.request(request.key) is not None
            store.save_request(request)
        with working(database) as store:
            assert store.request(request.key) == request


def test_a_sweep_leaves_nothing_of_the_person_and_everything_of_all_others(database: Database, url: str) -> None:
    for shop, customer in ((HERE, "c-1"), (HERE, "c-2"), (ELSEWHERE, "c-1")):
        fill(database, shop, customer)
    others = sorted(line for line in everything_in(url).splitlines() if "c-2" in line or ELSEWHERE in line)
    with working(database) as store:
        assert store.counted(HERE, "c-1") == {"orders": 1, "preference_changes": 1, "requests": 1, "held": 0}
        store.sweep(HERE, "c-1", a_request().person)
        assert set(store.counted(HERE, "c-1").values()) == {0}
    left = everything_in(url).splitlines()
    assert [line for line in left if HERE in line and ",c-1," in line] == []
    assert sorted(line for line in left if "c-2" in line or ELSEWHERE in line) == others
    assert rows(url, "select customer_id from orders where order_number = 'N-c-1' and shop = %s", HERE) == [("",)]
    assert rows(url, "select state from requests where request = 'r-c-1' and shop = %s", HERE) == [("refused",)], (
        "nobody waits for it"
    )


def test_a_sweep_takes_the_pieces_of_the_person_s_copies_and_of_no_other_request_of_the_same_id(
    database: Database, url: str
) -> None:
    leaving, staying = a_request(Kind.COPY, "r-1"), a_request(Kind.COPY, "r-2", customer="c-2")
    with working(database) as store:
        for request in (leaving, staying, a_request(Kind.ERASURE, "r-2")):
            store.save_request(request)
        for request in (leaving, staying):
            store.keep_piece(HERE, request.key.request, "orders", "box", AT + timedelta(days=7))
    with working(database) as store:
        store.sweep(HERE, "c-1", leaving.person)
    assert rows(url, "select request from export_pieces") == [("r-2",)]


@pytest.mark.parametrize("when", ["before the sweep", "behind the sweep"])
def test_what_the_same_batch_saves_of_the_person_does_not_bring_the_id_back(when: str, database: Database, url: str) -> None:
    key = a_request().key
    with working(database) as store:
        store.save_request(a_request())

    def note(store: RequestStore) -> None:
        request = store.request(key)
        assert request is not None
        store.save_request(replace(request, told_at=AT + timedelta(hours=1)))

    with working(database) as store:
        store.request(key)  # in hand already, as for any batch
        if when == "before the sweep":
            note(store)
        store.sweep(HERE, "c-1", a_request().person)
        if when == "behind the sweep":
            note(store)
    assert rows(url, "select customer_id, asked from requests") == [(None, {})]


def test_open_orders_are_the_person_s_and_those_of_this_very_batch_are_among_them(database: Database) -> None:
    with working(database) as store:
        store.save(an_order(OrderKey(HERE, "N-1"), customer_id="c-1"))
        store.save(an_order(OrderKey(ELSEWHERE, "N-2"), customer_id="c-1"))
        assert [order.key.order_number for order in store.open_orders(HERE, "c-1")] == ["N-1"]
    with working(database) as store:
        store.save(an_order(OrderKey(HERE, "N-3"), customer_id="c-1"))
        assert [order.key.order_number for order in store.open_orders(HERE, "c-1")] == ["N-1", "N-3"]
        assert store.open_orders(HERE, "") == []


def test_who_was_erased_stays_so(database: Database) -> None:
    with working(database) as store:
        assert (store.person_state("p"), store.is_anybody_gone()) == ("active", False)
        store.set_person("p", "deactivated", AT)
        assert (store.person_state("p"), store.is_anybody_gone()) == ("deactivated", False)
        for state in ("leaving", "erased", "leaving", "deactivated"):
            store.set_person("p", state, AT)
        assert (store.person_state("p"), store.is_anybody_gone()) == ("erased", True)


def test_a_copy_can_be_fetched_when_it_is_whole_and_until_its_time_is_over(database: Database, url: str) -> None:
    reads, until = RequestReads(database), AT + timedelta(days=7)
    copy = a_request(Kind.COPY)
    with working(database) as store:
        store.save_request(copy)
        for service in ("orders", "shipping"):
            store.keep_piece(HERE, "r-1", service, f"box of {service}", AT + timedelta(days=1))
        store.keep_piece(HERE, "r-1", "orders", "another", AT)
    assert reads.export("r-1", AT) == [], "it is not whole"
    with working(database) as store:
        store.save_request(replace(copy, state=State.CLOSED))
        store.lengthen_pieces(HERE, "r-1", until)
    assert [(piece["service"], piece["box"]) for piece in reads.export("r-1", until - timedelta(seconds=1))] == [
        ("orders", "box of orders"),
        ("shipping", "box of shipping"),
    ]
    assert reads.export("r-1", until) == []
    assert (reads.has_old_pieces(AT), reads.has_old_pieces(until)) == (False, True)
    with working(database) as store:
        store.drop_old_pieces(until)
    assert rows(url, "select 1 from export_pieces") == []
