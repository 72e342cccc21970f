"""The watch over open orders against a real database: it judges as the domain does, sees no order that ended, and walks through none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.local import databases
from deploy.local.postgres import PrivateCluster
from services.orders.deadlines import STAGES, Deadlines
from services.orders.domain import BEGUN_BY, FACTS, FINAL, Order, State
from services.orders.open_orders import COUNT, OLDEST, OpenOrders
from services.orders.store import OrdersStore
from shared.contracts.events import Reason
from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery.work import Recorder
from tests.fix_servers import DatabaseUrl
from tests.integration.facts import wait_for

SHOP = "https://shop.example"
AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LONG_AFTER = AT + timedelta(days=1000)
FINISHED = 20_000
OPEN = 200


@pytest.fixture(autouse=True)
def _psycopg_waits_by_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PSYCOPG_WAIT_FUNC", "wait_selector")  # as the services do: see shared.database


@pytest.fixture
def url(database_url: DatabaseUrl) -> str:
    return database_url("orders")


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def open_orders(url: str) -> Iterator[OpenOrders]:
    it = OpenOrders(Database(url, name="test"), Deadlines())
    yield it
    it.close()


def an_order(number: str, state: State, facts: dict[str, datetime], *reasons: str) -> Order:
    told: dict[str, Any] = {"event_id": "e", "customer_id": "m", "policy_version": "p", "data_digest": "d", "placed_at": AT}
    codes = tuple(Reason(code=code) for code in reasons)
    return Order(key=OrderKey(SHOP, number), **told, state=state, facts=facts, reasons=codes)


def save(connection: psycopg.Connection[tuple[Any, ...]], *orders: Order) -> None:
    with connection.transaction():
        store = OrdersStore(connection, Recorder("orders", AT))
        for order in orders:
            store.order(order.key)
            store.save(order)
        for shelf in store.shelves():
            shelf.flush()


def in_every_state(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    save(connection, *(an_order(f"A-{state}", state, {BEGUN_BY[state]: AT}) for state in State))


# ── what is open ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_knows_the_same_ends_as_the_domain(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    in_every_state(connection)
    rows = connection.execute("select state from orders where is_open").fetchall()
    assert {state for (state,) in rows} == set(State) - FINAL


def test_orders_of_an_earlier_release_are_open_or_not_by_their_state(data_cluster: PrivateCluster, tmp_path: Path) -> None:
    plumbing, own = databases.service_folders("orders")
    (tmp_path / "1001_orders.sql").write_text((own / "1001_orders.sql").read_text())
    url = databases.ensure(data_cluster.admin_url, "earlier_orders", "password")
    try:
        assert databases.migrate(url, (plumbing, tmp_path))[-1] == "1001_orders"
        with psycopg.connect(url, autocommit=True) as connection:
            for state in State:  # as that release wrote them
                connection.execute(
                    """
                    insert into orders
                        (shop, order_number, event_id, customer_id, policy_version, data_digest, placed_at, state, reasons, facts)
                    values (%s, %s, 'e', 'm', 'p', 'd', %s, %s, '[]', '{}')
                    """,
                    (SHOP, f"E-{state}", AT, state),
                )
            assert "1002_open_orders" in databases.migrate(url, (plumbing, own))
            rows = connection.execute("select state from orders where is_open").fetchall()
        assert {state for (state,) in rows} == set(State) - FINAL
    finally:
        databases.drop(data_cluster.admin_url, "earlier_orders")


def test_an_order_that_moves_touches_no_index_before_its_end(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """The nine updates of an order's course are heap-only; a new index on what they change would double their cost."""
    save(connection, an_order("A-1", State.ACCEPTED, {"accepted": AT}))
    told = "select n_tup_upd, n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'orders'"
    course = [state for state in State if state not in FINAL]
    with connection.transaction():
        for state in course:
            connection.execute("update orders set state = %s, facts = facts || %s", (state, f'{{"{BEGUN_BY[state]}": "x"}}'))
        assert connection.execute(told).fetchone() == (len(course), len(course))
        connection.execute("update orders set state = 'completed'")
        assert connection.execute(told).fetchone() == (len(course) + 1, len(course))


# ── what is stuck ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_unfinished_order_is_listed_in_the_end_and_no_other_ever(
    connection: psycopg.Connection[tuple[Any, ...]], open_orders: OpenOrders
) -> None:
    in_every_state(connection)
    assert open_orders.stuck(AT, 100) == []
    assert open_orders.count_stuck(AT) == {}
    stuck = open_orders.stuck(LONG_AFTER, 100)
    assert {it.state for it in stuck} == set(STAGES)
    assert open_orders.count_stuck(LONG_AFTER) == dict.fromkeys(STAGES, 1)
    assert [it.key.order_number for it in open_orders.stuck(LONG_AFTER, 100, State.HELD)] == ["A-held"]
    for state in STAGES:
        facts = {BEGUN_BY[state]: AT, "accepted": AT, "order_completed": AT, "payment_captured": AT, "shipment_delivered": AT}
        save(connection, an_order(f"A-{state}", State.COMPLETED, facts))
    assert open_orders.stuck(LONG_AFTER, 100) == []
    assert open_orders.count_stuck(LONG_AFTER) == {}


def test_those_longest_in_their_state_come_first_and_the_rest_are_left_out(
    connection: psycopg.Connection[tuple[Any, ...]], open_orders: OpenOrders
) -> None:
    for minutes in (3, 1, 4, 2):
        facts = {"accepted": AT - timedelta(days=9), "label_created": AT + timedelta(minutes=minutes)}
        save(connection, an_order(f"A-{minutes}", State.LABELLED, facts, "contact_invalid"))
    save(connection, an_order("A-0", State.ACCEPTED, {"accepted": AT + timedelta(minutes=5)}))
    stuck = open_orders.stuck(LONG_AFTER, 3)
    assert [it.key.order_number for it in stuck] == ["A-1", "A-2", "A-3"]
    assert {(it.state, it.reasons, it.waits_for.event) for it in stuck} == {
        (State.LABELLED, ("contact_invalid",), "payment_captured")
    }
    assert open_orders.count_stuck(LONG_AFTER) == {State.LABELLED: 4, State.ACCEPTED: 1}


def test_an_order_that_moves_is_stuck_no_more(connection: psycopg.Connection[tuple[Any, ...]], open_orders: OpenOrders) -> None:
    waiting = AT + STAGES[State.ACCEPTED].lasts + timedelta(seconds=1)
    save(connection, an_order("A-1", State.ACCEPTED, {"accepted": AT}))
    assert [it.state for it in open_orders.stuck(waiting, 10)] == [State.ACCEPTED]
    save(connection, an_order("A-1", State.AUTHORISED, {"accepted": AT, "payment_authorised": waiting}))
    assert open_orders.stuck(waiting, 10) == []


times = st.integers(-14 * 24 * 60, 60).map(lambda minutes: AT + timedelta(minutes=minutes, microseconds=minutes % 3))
histories = st.dictionaries(st.sampled_from(sorted(FACTS)), times)


def test_the_database_and_the_domain_find_the_same_orders_stuck(
    connection: psycopg.Connection[tuple[Any, ...]], open_orders: OpenOrders
) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(st.tuples(st.sampled_from(State), histories, times), max_size=8))
    def agree(drawn: list[tuple[State, dict[str, datetime], datetime]]) -> None:
        connection.execute("truncate orders")
        orders = [
            an_order(f"A-{place}", state, {**facts, BEGUN_BY[state]: since}) for place, (state, facts, since) in enumerate(drawn)
        ]
        save(connection, *orders)
        judged = [Deadlines().judge(it.key, it.state, it.facts or {}, (), AT) for it in orders]
        expected = sorted((it for it in judged if it), key=lambda it: (it.since, it.key))
        assert open_orders.stuck(AT, 100) == expected
        counts = open_orders.count_stuck(AT)
        assert counts == {state: n for state in State if (n := sum(it.state is state for it in expected))}

    agree()


# ── what it costs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def clone(connection: psycopg.Connection[tuple[Any, ...]], count: int) -> None:
    """`count` more rows like the one order there is."""
    connection.execute(
        """
        insert into orders (shop, order_number, event_id, customer_id, policy_version, data_digest, placed_at, state, reasons, facts)
        select shop, 'F-' || number, event_id, customer_id, policy_version, data_digest, placed_at, state, reasons, facts
        from orders cross join generate_series(1, %s) as numbers (number)
        """,
        (count,),
    )


def scans(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """(node, index) of every part of a plan that reads a table."""
    own = [(plan["Node Type"], plan.get("Index Name", ""))] if "Relation Name" in plan else []
    return own + [scan for part in plan.get("Plans", []) for scan in scans(part)]


def explained(open_orders: OpenOrders, statement: str, parameters: tuple[object, ...]) -> dict[str, Any]:
    with open_orders._reading() as reading:
        row = reading.execute(f"explain (analyze, buffers, format json) {statement}", parameters).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def blocks(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("statistics", ["fresh", "none", "from before they ended"])
def test_finding_the_stuck_reads_no_order_that_ended(
    statistics: str, connection: psycopg.Connection[tuple[Any, ...]], open_orders: OpenOrders
) -> None:
    save(connection, an_order("F-0", State.PICKING, dict.fromkeys(FACTS, AT)))
    clone(connection, FINISHED)
    if statistics == "from before they ended":
        connection.execute("analyze orders")
    connection.execute("update orders set state = 'completed'")
    save(connection, *(an_order(f"A-{place}", State.PICKING, {"pick_list_issued": AT}) for place in range(OPEN)))
    if statistics == "fresh":
        connection.execute("analyze orders")
    assert open_orders.count_stuck(LONG_AFTER) == {State.PICKING: OPEN}
    assert len(open_orders.stuck(LONG_AFTER, 50)) == 50
    cutoffs = open_orders._cutoffs(LONG_AFTER)
    for statement, parameters in ((COUNT, (cutoffs,)), (OLDEST, (cutoffs, 50))):
        explain = partial(explained, open_orders, statement, parameters)
        assert scans(explain()) == [("Index Scan", "orders_open")]
        # One look for each open order and the pages of the index: what has ended is not looked at, though no vacuum has been.
        wait_for(lambda: blocks(explain()) < OPEN + FINISHED / 50, "the orders that ended to be passed over")  # noqa: B023
