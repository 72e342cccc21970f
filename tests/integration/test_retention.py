"""The inbox is cleared in small pieces, by the index, and never of what is still held; what kills its process is parked."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from shared import retention as retained
from shared.contracts.values import OrderKey
from shared.delivery import held_messages, retention, tables
from shared.delivery.held_messages import HeldRow
from shared.delivery.parked import Wanted, find
from shared.delivery.retention import Standing
from shared.delivery.work import IntentRow, OutboxRow
from shared.policy import load
from shared.policy.waiting import Waits, waits_of
from shared.retention import note_hold
from tests.fix_servers import DatabaseUrl

Connection = psycopg.Connection[tuple[object, ...]]
AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
MANY = 100_000


@pytest.fixture
def two(database_url: DatabaseUrl) -> Iterator[tuple[Connection, Connection]]:
    """Two connections to one fresh database; each statement is a transaction until `transaction()` says otherwise."""
    url = database_url("payments")
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as other:
        yield one, other


def held(event_id: str, *, source: str = "orders", due_at: datetime | None = None) -> HeldRow:
    return HeldRow(
        uuid.uuid4(),
        "later" if due_at else "parked",
        "payments.events",
        source,
        event_id,
        "x",
        "y",
        (),
        "{}",
        2,
        {},
        1,
        AT,
        AT,
        due_at,
    )


def inbox(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("select source, id from inbox order by id, source").fetchall()


def test_the_oldest_claims_go_first_so_many_at_a_time_and_never_one_of_what_is_held(two: tuple[Connection, Connection]) -> None:
    one, _ = two
    for number in range(10):
        tables.claim(one, [("orders", str(number))], AT + timedelta(days=number))
    held_messages.hold(one, held("1"))
    held_messages.hold(one, held("2", source="shipping"))  # another speaker's message of the same id protects nothing
    held_messages.hold(one, held("3", due_at=AT))
    before = AT + timedelta(days=8)
    assert retention.clear_inbox(one, before, 3) == 3
    assert inbox(one) == [("orders", number) for number in "1356789"]
    assert retention.clear_inbox(one, before, 3) == 3
    assert retention.clear_inbox(one, before, 3) == 0
    assert inbox(one) == [("orders", number) for number in "1389"]


def test_only_one_process_clears_at_a_time_and_the_other_does_not_wait(two: tuple[Connection, Connection]) -> None:
    one, other = two
    tables.claim(one, [("orders", str(number)) for number in range(4)], AT)
    later = AT + timedelta(days=1)
    with one.transaction():
        assert retention.clear_inbox(one, later, 2) == 2
        assert retention.clear_inbox(other, later, 2) == 0
    assert retention.clear_inbox(other, later, 2) == 2


def test_a_piece_of_a_long_inbox_is_found_by_the_index(two: tuple[Connection, Connection]) -> None:
    one, other = two
    one.execute(
        """
        insert into inbox select 'orders', gen_random_uuid()::text, timestamptz '2026-10-01' + number * interval '10 seconds'
        from generate_series(1, %s) as number
        """,
        (MANY,),
    )
    one.execute("vacuum analyze inbox")

    def scans() -> tuple[object, ...] | None:
        one.execute("select pg_stat_force_next_flush()")
        return other.execute(
            """
            select seq_scan, (select idx_scan from pg_stat_user_indexes where indexrelname = 'inbox_received_at')
            from pg_stat_user_tables where relname = 'inbox'
            """
        ).fetchone()

    before = scans()
    assert retention.clear_inbox(one, datetime(2026, 10, 9, tzinfo=UTC), 500) == 500
    assert retention.clear_inbox(one, datetime(2026, 10, 1, tzinfo=UTC), 500) == 0
    after = scans()
    assert before is not None
    assert after is not None
    assert after[0] == before[0], "the whole table was read"
    assert after[1] >= before[1] + 2  # type: ignore[operator]


def test_what_was_taken_up_too_often_without_an_ending_is_parked_and_an_ending_counts_anew(
    two: tuple[Connection, Connection],
) -> None:
    one, other = two
    deadly = held("1", due_at=AT)
    held_messages.hold(one, deadly)
    for _ in range(tables.MOST_TAKES):
        assert retention.park_deadly(other, AT + timedelta(days=1)) == 0
        assert [row.id for row in held_messages.lease_held(one, AT + timedelta(seconds=1), AT, 10)] == [deadly.id]
    assert held_messages.lease_held(one, AT + timedelta(seconds=1), AT, 10) == []
    assert retention.park_deadly(other, AT) == 0  # its lease is not over
    assert retention.park_deadly(other, AT + timedelta(seconds=1)) == 1
    kept = one.execute("select state, reason, due_at, takes from held").fetchall()
    assert kept == [("parked", "delivery_limit_reached", None, 0)]
    ended = held("2", due_at=AT)
    held_messages.hold(one, ended)
    held_messages.lease_held(one, AT + timedelta(seconds=1), AT, 10)
    held_messages.hold(one, ended)
    assert one.execute("select takes from held where id = %s", (ended.id,)).fetchone() == (0,)


def test_a_call_that_kills_whoever_makes_it_is_parked_and_an_outcome_counts_anew(two: tuple[Connection, Connection]) -> None:
    one, other = two
    key = OrderKey("https://shop.example", "A-1")
    deadly, slow = (IntentRow(uuid.uuid4(), "capture_payment", key, name, {}) for name in ("deadly", "slow"))
    later = AT + timedelta(seconds=1)
    tables.write_intents(one, [deadly], AT, AT)
    for _ in range(tables.MOST_TAKES):
        assert retention.park_deadly(other, AT + timedelta(days=1)) == 0
        assert [intent.id for intent in tables.lease_intents(one, later, AT, 10)] == [deadly.id]
    assert tables.lease_intents(one, later, AT, 10) == []
    assert retention.park_deadly(other, AT) == 0  # its lease is not over
    assert retention.park_deadly(other, later) == 1
    assert one.execute("select parked, takes from intents").fetchall() == [("delivery_limit_reached", 0)]
    tables.write_intents(one, [slow], AT, AT)
    for _ in range(3 * tables.MOST_TAKES):  # it is tried on the ladder for as long as it takes
        [leased] = tables.lease_intents(one, later, AT, 10)
        tables.put_off_intent(one, leased.id, leased.leased_until, AT)
    assert one.execute("select parked, takes from intents where id = %s", (slow.id,)).fetchone() == (None, 0)


WAITS = Waits({"contact_entrusted": timedelta(days=60), "friend_entrusted": timedelta(days=30)}, timedelta(days=60))


def parked(connection: Connection, event_id: str, kind: str, came_at: datetime, order_number: str | None = None) -> HeldRow:
    row = dataclasses.replace(held(event_id), type=kind, first_at=came_at, shop="s", order_number=order_number)
    held_messages.hold(connection, row)
    return row


def test_a_parked_message_loses_its_sealed_part_in_its_time_and_stays_to_be_discarded(two: tuple[Connection, Connection]) -> None:
    one, other = two
    day, second = timedelta(days=1), timedelta(seconds=1)
    parked(one, "old", "contact_entrusted", AT - 60 * day)
    parked(one, "young", "contact_entrusted", AT - 60 * day + second)
    parked(one, "friend", "friend_entrusted", AT - 30 * day)
    parked(one, "fact", "payment_captured", AT - 900 * day)
    parked(one, "kept", "contact_entrusted", AT - 90 * day, "A-1")
    note_hold(one, OrderKey("s", "A-1"), "A-10", AT, is_held=True)
    waits = dataclasses.replace(held("later", due_at=AT), type="contact_entrusted", first_at=AT - 61 * day)
    held_messages.hold(one, waits)
    with one.transaction():
        one.execute("select from held where event_id = 'old' for update")
        assert retention.empty_parked(other, AT, WAITS) == 1, "what somebody has in hand is passed over"
        assert retention.count_waited(other, AT, WAITS) == retained.Standing(1, 1, AT), "and is overdue from its time on"
    assert retention.empty_parked(one, AT, WAITS) == 1
    assert retention.empty_parked(one, AT, WAITS) == 0
    assert retention.count_waited(one, AT, WAITS) == retained.Standing(0, 1, None)
    left = one.execute("select event_id, body is null from held order by event_id").fetchall()
    assert left == [("fact", False), ("friend", True), ("kept", False), ("later", False), ("old", True), ("young", False)]
    shown = {thing.event_id: thing.is_replayable for thing in find(one, Wanted(), 10)}
    assert (shown["old"], shown["young"]) == (False, True)


@pytest.mark.parametrize("body", ['{"tracking_number":"1Z","status_code":"IT"}', '{"data":{"tracking_number":"1Z"}}'])
def test_a_parked_message_with_a_carrier_s_number_and_no_part_loses_its_body_too(
    two: tuple[Connection, Connection], body: str
) -> None:
    one, _ = two
    day, second = timedelta(days=1), timedelta(seconds=1)
    for event_id, came_at, said in (
        ("old", AT - 60 * day, body),
        ("young", AT - 60 * day + second, body),
        ("other", AT - 900 * day, '{"data":{"parcel":"1Z"}}'),
    ):
        row = dataclasses.replace(held(event_id), type="scanned", first_at=came_at, body=said)
        held_messages.hold(one, row)
    assert retention.count_waited(one, AT, WAITS) == retained.Standing(1, 0, AT)
    assert retention.empty_parked(one, AT, WAITS) == 1
    left = one.execute("select event_id, body is null from held order by event_id").fetchall()
    assert left == [("old", True), ("other", False), ("young", False)]


def test_in_every_service_that_may_hear_of_a_carrier_s_number_it_waits_as_long_as_the_order_s_parts() -> None:
    found = {service: waits_of(load(), service).numbers for service in ("orders", "shipping", "notifications")}
    assert set(found.values()) == {timedelta(days=60)}


def test_what_stands_is_counted(two: tuple[Connection, Connection]) -> None:
    one, _ = two
    assert retention.count_standing(one) == Standing(0, 0, 0, 0, 0, 0, 0)
    key = OrderKey("https://shop.example", "A-1")
    now = datetime.now(UTC)
    tables.write_outbox(one, [OutboxRow(uuid.uuid4(), "e", "t", "s", "{}")], now - timedelta(hours=2), now, uuid.uuid4())
    tables.write_outbox(one, [OutboxRow(uuid.uuid4(), "e", "t", "s", "{}")], now, now, uuid.uuid4())
    for row in (held("1"), held("2"), held("3", due_at=AT)):
        held_messages.hold(one, row)
    intents = [IntentRow(uuid.uuid4(), "capture_payment", key, str(number), {}) for number in range(5)]
    tables.write_intents(one, intents, AT, AT)
    for intent in intents[:2]:
        tables.park_intent(one, intent.id, AT, "x")
    tables.claim(one, [("orders", str(number)) for number in range(7)], AT)
    one.execute("analyze inbox")
    standing = retention.count_standing(one)
    assert 7200 <= standing.outbox_oldest_seconds < 7800
    assert (standing.outbox, standing.held_later, standing.held_parked) == (2, 1, 2)
    assert (standing.calls_open, standing.calls_parked, standing.inbox) == (3, 2, 7)
