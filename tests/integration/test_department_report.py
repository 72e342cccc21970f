"""The statistics on a real database: what orders keep to be counted, a month let out once, and what is gone after that."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.orders.handlers import place_order
from services.orders.reporting import release_month
from services.orders.request_store import RequestStore
from services.orders.sales import Month, rounded, rounded_money, sales_of
from services.orders.sales_store import SalesStore
from services.orders.store import OrdersStore
from shared.cli.order_sets import marketplace, uk_gift_shop
from shared.cli.order_sets.buyers import Buyers
from shared.cli.order_sets.wording import Making
from shared.contracts.storefront import OrderPlaced
from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery.work import Recorder
from shared.http_door import StatusError
from tests.builders import an_order, order_placed
from tests.fix_servers import DatabaseUrl
from tests.integration.facts import everything_in, rows

SHOP, ELSEWHERE = "https://shop.example", "https://other.example"
OCTOBER = Month.read("2026-10")
PLACED = datetime(2026, 10, 12, 9, 0, tzinfo=UTC)
AFTER = datetime(2026, 11, 6, tzinfo=UTC)
SETS = Path(__file__).resolve().parents[3] / "shared" / "data" / "orders"


@dataclass(frozen=True)
class Rules:
    report_least_persons: int = 5
    catalogue_departments: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Line:
    department: str
    quantity: int
    unit_price: str


@pytest.fixture
def url(database_url: DatabaseUrl) -> str:
    return database_url("orders")


@pytest.fixture
def database(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")  # as the services do: see shared.database
    it = Database(url, name="test")
    yield it
    it.close()


@pytest.fixture
def sales(database: Database) -> SalesStore:
    return SalesStore(database)


def keep(database: Database, orders: Iterable[tuple[str, str, str, datetime, dict[str, Any]]]) -> None:
    """(shop, order number, customer, placed at, sales) → orders that were accepted."""
    with database.begin() as connection:
        store = OrdersStore(connection, Recorder("orders", AFTER))
        for shop, number, customer, placed_at, sold in orders:
            store.save(an_order(OrderKey(shop, number), customer_id=customer, placed_at=placed_at, sales=sold))
        for shelf in store.shelves():
            shelf.flush()


def a_month(database: Database, customers: Mapping[str, Iterable[str]], shop: str = SHOP, at: datetime = PLACED) -> None:
    """Department → customers, an order of two pieces at 25.00 USD for each."""
    keep(
        database,
        [
            (shop, f"{department}-{who}-{at.month}", who, at, sales_of("USD", [Line(department, 2, "25.00")]))
            for department, whose in customers.items()
            for who in whose
        ],
    )


def many(first: int, number: int) -> list[str]:
    return [f"c-{who}" for who in range(first, first + number)]


def shown(document: Mapping[str, Any]) -> dict[str, int]:
    return {row["department"]: row["units"] for row in document["departments"]}


class Listening:
    """A connection that remembers which statements went over it."""

    def __init__(self, connection: Any) -> None:
        self._connection, self.said = connection, list[str]()

    def execute(self, statement: Any, *values: Any, **options: Any) -> Any:
        self.said.append(statement.decode() if isinstance(statement, bytes) else str(statement))
        return self._connection.execute(statement, *values, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_an_accepted_order_keeps_what_it_sold_by_the_statement_that_writes_its_row(database: Database, url: str) -> None:
    event = order_placed()
    with database.begin() as connection:
        listening: Any = Listening(connection)
        store = RequestStore(listening, Recorder("orders", AFTER))
        place_order(event, store, AFTER)
        for shelf in store.shelves():
            shelf.flush()
    data: Any = event.data
    assert rows(url, "select sales from orders") == [(sales_of(data.currency, data.lines),)]
    written = [" ".join(it.split()[:3]) for it in listening.said if not it.lstrip().startswith("select")]
    assert written == ["insert into orders", "insert into answers"], "no statement is made for the sake of counting"


def test_a_month_is_let_out_once_and_shown_again_as_it_was(database: Database, sales: SalesStore, url: str) -> None:
    a_month(database, {"Elvish": many(0, 10), "Rings": many(5, 10)})
    first = release_month(sales, Rules(), OCTOBER, None, AFTER)
    assert shown(first.document) == {"Elvish": 20, "Rings": 20}
    assert rows(url, "select count(*) from orders where sales is not null") == [(0,)], "what is counted is forgotten"
    a_month(database, {"Elvish": many(100, 1)})  # one that was long on its way
    again = release_month(sales, Rules(report_least_persons=3), OCTOBER, None, AFTER + timedelta(days=9))
    assert again == first, "no revision"
    assert rows(url, "select count(*) from orders where sales is not null") == [(0,)], "it is never counted, so it is not kept"
    for statement in (
        "delete from department_releases",
        "update department_releases set cut = 'x'",
        "truncate department_releases",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(url, statement)


def test_another_cut_of_the_same_month_is_refused(database: Database, sales: SalesStore) -> None:
    a_month(database, {"Elvish": many(0, 10)})
    a_month(database, {"Elvish": many(0, 10)}, shop=ELSEWHERE)
    one = release_month(sales, Rules(), OCTOBER, SHOP, AFTER)
    assert shown(one.document) == {"Elvish": 20}
    for cut in (None, ELSEWHERE):
        with pytest.raises(StatusError) as refused:
            release_month(sales, Rules(), OCTOBER, cut, AFTER)
        assert (refused.value.status, refused.value.code) == (409, "month_released_before")
    assert release_month(sales, Rules(), OCTOBER, SHOP, AFTER) == one


def test_the_same_customer_number_at_two_shops_is_two_persons(database: Database, sales: SalesStore) -> None:
    a_month(database, {"Elvish": many(0, 3)})
    a_month(database, {"Elvish": many(0, 2)}, shop=ELSEWHERE)
    assert shown(release_month(sales, Rules(), OCTOBER, None, AFTER).document) == {"Elvish": 10}


def test_an_open_month_is_refused_and_stays_uncounted(database: Database, sales: SalesStore, url: str) -> None:
    a_month(database, {"Elvish": many(0, 10)})
    for at in (PLACED, OCTOBER.ends, OCTOBER.ends + timedelta(days=2, hours=23)):
        with pytest.raises(StatusError) as refused:
            release_month(sales, Rules(), OCTOBER, None, at)
        assert (refused.value.status, refused.value.code) == (409, "month_open")
    assert rows(url, "select count(*) from department_releases") == [(0,)]
    assert rows(url, "select count(*) from orders where sales is not null") == [(10,)]


def test_of_another_month_nothing_is_counted_or_forgotten(database: Database, sales: SalesStore, url: str) -> None:
    for at in (OCTOBER.begins - timedelta(microseconds=1), OCTOBER.begins, OCTOBER.ends):
        a_month(database, {f"D{at.month}": many(0, 6)}, at=at)
    assert shown(release_month(sales, Rules(), OCTOBER, None, AFTER).document) == {"D10": 10}
    left = rows(url, "select distinct sales->'departments' from orders where sales is not null")
    assert {name for (it,) in left for name in it} == {"D9", "D11"}


def test_what_was_cancelled_is_not_counted(database: Database, sales: SalesStore, url: str) -> None:
    a_month(database, {"Elvish": many(0, 10), "Rings": many(0, 10)})
    rows(url, "update orders set state = 'cancelled' where starts_with(order_number, 'Rings')")
    assert shown(release_month(sales, Rules(), OCTOBER, None, AFTER).document) == {"Elvish": 20}


def test_an_order_that_is_nobody_s_is_nobody_s_purchase(database: Database, sales: SalesStore, url: str) -> None:
    a_month(database, {"Elvish": many(0, 10)})
    rows(url, "update orders set customer_id = '' where customer_id in ('c-1', 'c-2')")
    assert shown(release_month(sales, Rules(), OCTOBER, None, AFTER).document) == {"Elvish": 15}  # 16, to the nearest five


def test_who_is_erased_before_is_not_counted_and_after_it_the_sums_stand(database: Database, sales: SalesStore, url: str) -> None:
    a_month(database, {"Elvish": many(0, 10), "Rings": many(20, 10)})
    november = Month.read("2026-11")
    a_month(database, {"Elvish": many(0, 10)}, at=PLACED + timedelta(days=31))

    def erase(who: str) -> None:
        with database.begin() as connection:
            RequestStore(connection, Recorder("orders", AFTER)).sweep(SHOP, who, "digest")

    for who in many(0, 5):
        erase(who)
    assert rows(url, "select count(*) from orders where customer_id = '' and sales is not null") == [(0,)]
    first = release_month(sales, Rules(), OCTOBER, None, AFTER)
    assert shown(first.document) == {"Elvish": 10, "Rings": 20}
    erase("c-9")
    assert release_month(sales, Rules(), OCTOBER, None, AFTER) == first, "no person is in it"
    assert release_month(sales, Rules(), november, None, AFTER + timedelta(days=31)).document["departments"] == [], (
        "four are left"
    )


def test_no_order_and_no_person_is_in_what_is_kept_of_a_month(database: Database, sales: SalesStore, url: str) -> None:
    a_month(database, {"Elvish": many(1000, 10), "Rings": ["c-lonely"]})
    release_month(sales, Rules(), OCTOBER, None, AFTER)
    kept = str(rows(url, "select to_jsonb(department_releases) from department_releases"))
    assert "Elvish" not in kept or "Rings" not in kept, "ten and one: one of them is in `other`"
    assert not [word for word in ("c-1000", "c-lonely", "Rings-", "Elvish-", SHOP) if word in kept]
    assert "c-lonely" in everything_in(url), "the order itself stands"


def test_two_at_once_let_one_table_out(database: Database, sales: SalesStore, url: str) -> None:
    a_month(database, {"Elvish": many(0, 30)})
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda cut=cut: found.append(tried(cut)))  # type: ignore[misc]
        for cut in (None, SHOP, None, SHOP)
    ]

    def tried(cut: str | None) -> str:
        try:
            return release_month(SalesStore(Database(url, name="test")), Rules(), OCTOBER, cut, AFTER).cut
        except StatusError as error:
            return error.code

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [(cut,)] = rows(url, "select cut from department_releases")
    assert sorted(found) == sorted([cut, cut, "month_released_before", "month_released_before"])


def test_a_locked_order_is_passed_over_and_forgotten_the_next_time(database: Database, sales: SalesStore, url: str) -> None:
    a_month(database, {"Elvish": many(0, 10)})
    with psycopg.connect(url) as another:
        another.execute("select 1 from orders where customer_id = 'c-3' for update")
        release_month(sales, Rules(), OCTOBER, None, AFTER)
        assert rows(url, "select customer_id from orders where sales is not null") == [("c-3",)]
    release_month(sales, Rules(), OCTOBER, None, AFTER)
    assert rows(url, "select customer_id from orders where sales is not null") == []


# ── real orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def gift_shop(making: Making) -> Iterator[dict[str, Any]]:
    """December 2010 of the UK gift shop; it knows no departments, so an article's family stands for one."""
    for data in uk_gift_shop.orders(SETS / "uci-online-retail" / uk_gift_shop.FILE_NAME, making):
        yield {**data, "lines": [{**line, "department": f"family {line['sku'][:2]}"} for line in data["lines"]]}


def market(making: Making) -> Iterator[dict[str, Any]]:
    """The marketplace's orders, with the categories of its catalogue."""
    for number, data in enumerate(marketplace.orders(SETS / "olist", making)):
        if number == 3000:
            return
        yield data


@pytest.mark.parametrize("a_set", [gift_shop, market])
def test_real_orders_are_counted_as_they_are(a_set: Any, database: Database, sales: SalesStore) -> None:
    if not SETS.exists():
        pytest.skip("the order sets do not lie beside the clone")
    making = Making(Buyers(1), "r7k2", lambda: PLACED)
    kept = []
    persons: dict[str, set[str]] = defaultdict(set)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for data in a_set(making):
        if not data["lines"]:
            continue
        lines = [Line(it["department"], it["quantity"], it["unit_price"]) for it in data["lines"]]
        kept.append((SHOP, data["order_number"], data["customer_id"], PLACED, sales_of(data["currency"], lines)))
        for line in lines:
            persons[line.department].add(data["customer_id"])
            sums[line.department][0] += line.quantity
            sums[line.department][1] += line.quantity * round(float(line.unit_price) * 100)
    keep(database, kept)
    document = release_month(sales, Rules(), OCTOBER, None, AFTER).document
    currency = {"gift_shop": "GBP", "market": "BRL"}[a_set.__name__]
    names = [row["department"] for row in document["departments"]]
    assert len(names) > 10
    assert all(len(persons[name]) >= 5 for name in names if name != "other")
    for row in document["departments"]:
        if row["department"] != "other":
            units, minor = sums[row["department"]]
            cell = row["by_currency"][currency]
            assert (row["units"], cell["units"], cell["revenue"]) == (
                rounded(units),
                rounded(units),
                rounded_money(minor, currency),
            )
    lost = [name for name in persons if name not in names]
    assert len(frozenset().union(*(persons[name] for name in lost))) >= 5 or not lost
    assert document["total"]["units"] == rounded(sum(units for units, _ in sums.values()))


def test_a_line_of_the_contract_is_what_is_counted() -> None:
    """The door reads `department`, `quantity` and `unit_price`; the sums are in the currency's minor unit."""
    assert {"department", "quantity", "unit_price"} <= set(OrderPlaced.model_fields["lines"].annotation.__args__[0].model_fields)  # type: ignore[union-attr]
    assert sales_of("JPY", [Line(" Wax ", 3, "250"), Line("Wax", 1, "10")]) == {
        "currency": "JPY",
        "departments": {"Wax": [4, 760]},
    }
