"""The plumbing's tables on a real PostgreSQL, two connections at a time: inbox, outbox, intents, held."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from shared.contracts.errors import Fault
from shared.contracts.values import OrderKey
from shared.delivery import held_messages, tables
from shared.delivery.held_messages import HeldRow
from shared.delivery.work import IntentRow, OutboxRow
from tests.fix_servers import DatabaseUrl
from tests.integration.facts import wait_for

Connection = psycopg.Connection[tuple[object, ...]]
AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SOON = AT + timedelta(seconds=45)
LATER = AT + timedelta(minutes=5)
WRITER, SWEEPER = uuid.uuid4(), uuid.uuid4()  # two processes of one service
KEY = OrderKey("https://shop.example", "A-1")


@pytest.fixture
def two(database_url: DatabaseUrl) -> Iterator[tuple[Connection, Connection]]:
    """Two connections to one fresh database; each statement is a transaction until `transaction()` says otherwise."""
    url = database_url("payments")
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as other:
        yield one, other


def _outbox_row(number: int = 0) -> OutboxRow:
    return OutboxRow(uuid.uuid4(), "payments.events", "payment_captured", f"order {number}", '{"a": "ü"}')


def _intent(key: str = "k", *, details: dict[str, object] | None = None) -> IntentRow:
    return IntentRow(uuid.uuid4(), "capture_payment", KEY, key, details or {"amount_minor": 1}, "00-trace")


def _held(state: str = "later", due_at: datetime | None = SOON) -> HeldRow:
    return HeldRow(
        uuid.uuid4(), state, "payments.events", "shipping", "e-1", "label_created", "order_unknown", (Fault("missing", "/data/x"),),
        '{"a": "ü"}', 10, {"exchange": "shipping.events", "routing_key": "label_created"}, 2, AT, AT, due_at, KEY.shop, KEY.order_number,
    )  # fmt: skip


def _blocked(url_of: Connection, pid: int) -> bool:
    return url_of.execute("select 1 from pg_locks where pid = %s and not granted", (pid,)).fetchone() is not None


# ── inbox ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_claim_is_taken_once(two: tuple[Connection, Connection]) -> None:
    one, other = two
    assert tables.claim(one, [("orders", "1"), ("orders", "2"), ("orders", "1")], AT) == {("orders", "1"), ("orders", "2")}
    assert tables.claim(other, [("orders", "2"), ("shipping", "2"), ("orders", "3")], AT) == {("shipping", "2"), ("orders", "3")}
    assert tables.claim(other, [], AT) == set()


@pytest.mark.parametrize("first_commits", [True, False])
def test_of_two_concurrent_transactions_one_takes_a_claim(two: tuple[Connection, Connection], first_commits: bool) -> None:
    one, other = two
    claims = [("orders", str(number)) for number in range(50)]
    taken: list[set[tuple[str, str]]] = []
    second = threading.Thread(target=lambda: taken.append(tables.claim(other, reversed(claims), AT)))
    with psycopg.connect(one.info.dsn, password=one.info.password, autocommit=True) as watcher:
        with one.transaction(force_rollback=not first_commits):
            mine = tables.claim(one, claims, AT)
            second.start()
            wait_for(lambda: _blocked(watcher, other.info.backend_pid), "the second transaction to wait for the first")
        second.join(timeout=30)
    assert mine == set(claims)
    assert taken == [set() if first_commits else set(claims)]


# ── outbox ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lease(connection: Connection, limit: int = 100, at: datetime = LATER) -> list[OutboxRow]:
    return tables.lease_outbox(connection, at, at + timedelta(seconds=45), limit, SWEEPER)


def _firsts(rows: Sequence[OutboxRow]) -> list[OutboxRow]:
    """As they are leased: each the first of its order."""
    return [row._replace(is_first=True) for row in rows]


def test_outbox_rows_are_leased_when_their_lease_is_over_in_the_order_of_their_writing(
    two: tuple[Connection, Connection],
) -> None:
    one, other = two
    rows = [_outbox_row(number) for number in range(30)]
    assert tables.write_outbox(one, rows, AT, SOON, WRITER) == set()
    assert _lease(other, at=AT) == []
    assert _lease(other, 20) == _firsts(rows[:20])
    assert _lease(one, 20) == _firsts(rows[20:])
    tables.delete_outbox(one, [row.id for row in rows[:29]])
    tables.release_outbox(one, [rows[29].id], AT)
    assert _lease(other) == _firsts(rows[29:])


def test_of_each_order_only_the_first_event_that_stands_is_leased(two: tuple[Connection, Connection]) -> None:
    one, other = two
    rows = [_outbox_row(number) for number in (1, 2, 1, 2, 1)]
    tables.write_outbox(one, rows, AT, SOON, WRITER)
    assert _lease(other) == _firsts(rows[:2])
    tables.delete_outbox(one, [rows[0].id])
    assert _lease(other) == _firsts([rows[2]]), "the first of the other order is leased to somebody, and its second waits"
    tables.release_outbox(one, [rows[1].id], LATER + timedelta(hours=1))  # put off: what comes after it is put off with it
    tables.delete_outbox(one, [rows[2].id])
    assert _lease(other) == _firsts([rows[4]])
    assert _lease(other, at=LATER + timedelta(minutes=30)) == _firsts([rows[4]])
    assert _lease(other, at=LATER + timedelta(hours=2)) == _firsts([rows[1], rows[4]])


def test_events_about_no_order_wait_for_nothing(two: tuple[Connection, Connection]) -> None:
    one, other = two
    rows = [_outbox_row()._replace(subject="") for _ in range(3)]
    assert tables.write_outbox(one, rows[:1], AT, SOON, WRITER) == set()
    assert tables.write_outbox(other, rows[1:2], AT, SOON, SWEEPER) == set()
    tables.release_outbox(one, [rows[0].id], AT)
    assert tables.write_outbox(one, rows[2:], AT, SOON, WRITER) == set()
    assert _lease(other) == _firsts(rows)


def test_an_event_waits_for_an_earlier_one_of_its_order_that_is_not_the_writer_s_own(two: tuple[Connection, Connection]) -> None:
    one, other = two
    first, second, third, fourth = (_outbox_row(1) for _ in range(4))
    stranger = _outbox_row(2)
    assert tables.write_outbox(one, [first, second], AT, SOON, WRITER) == set(), "one writer publishes in its own order"
    assert tables.write_outbox(other, [third, stranger], AT, SOON, SWEEPER) == {third.id}
    assert tables.write_outbox(one, [fourth], AT, SOON, WRITER) == {fourth.id}, "not past the one that waits"
    assert _lease(other, at=AT) == [], "both are due, but the first stands"
    leased: list[OutboxRow] = []
    while len(leased) < 5:
        rows = _lease(other)
        assert rows, leased
        leased += rows
        tables.delete_outbox(other, [row.id for row in rows])
    assert [row.id for row in leased if row.subject == first.subject] == [first.id, second.id, third.id, fourth.id]


def test_an_event_waits_for_an_earlier_one_that_failed_also_its_own_writer_s(two: tuple[Connection, Connection]) -> None:
    one, _ = two
    failed, later, other_order = _outbox_row(1), _outbox_row(1), _outbox_row(2)
    tables.write_outbox(one, [failed], AT, SOON, WRITER)
    tables.release_outbox(one, [failed.id], LATER)
    assert tables.write_outbox(one, [later, other_order], AT, SOON, WRITER) == {later.id}


def test_a_row_may_go_only_when_no_earlier_one_of_its_order_stands_but_those_that_go_before_it(
    two: tuple[Connection, Connection],
) -> None:
    one, other = two
    rows = [_outbox_row(number) for number in (1, 2, 1, 1)]
    tables.write_outbox(one, rows, AT, SOON, WRITER)
    ids = [row.id for row in rows]
    assert tables.first_of_outbox(other, ids) == set(ids)
    assert tables.first_of_outbox(other, ids[1:]) == {ids[1]}, "both of the first order wait, the third not only for the second"
    tables.delete_outbox(one, ids[:1])
    assert tables.first_of_outbox(other, ids[2:3]) == {ids[2]}
    assert tables.first_of_outbox(other, ids[3:]) == set()
    assert tables.first_of_outbox(other, [ids[0], uuid.uuid4()]) == set(), "what stands no more was published by another"
    assert tables.standing_in_outbox(other, ["order 1", "order 2", "order 3"]) == {"order 1", "order 2"}


def test_of_two_sweeps_at_once_one_gets_nothing_and_waits_for_nobody(two: tuple[Connection, Connection]) -> None:
    one, other = two
    rows = [_outbox_row(number) for number in range(10)]
    tables.write_outbox(one, rows, AT, SOON, WRITER)
    other.execute("set lock_timeout = '10s'")
    with one.transaction():
        mine = _lease(one, 4)
        with other.transaction():
            others = _lease(other)  # the first has not committed
    assert (mine, others) == (_firsts(rows[:4]), [])
    assert _lease(other) == _firsts(rows[4:])


def test_sweeps_of_many_processes_lease_nothing_twice(two: tuple[Connection, Connection]) -> None:
    one, other = two
    rows = [_outbox_row(number // 3) for number in range(300)]
    tables.write_outbox(one, rows, AT, SOON, WRITER)
    taken: dict[Connection, list[OutboxRow]] = {one: [], other: []}

    def sweep(connection: Connection) -> None:
        while connection.execute("select count(*) from outbox").fetchone() != (0,):
            with connection.transaction():
                leased = _lease(connection, 7)
            taken[connection] += leased
            tables.delete_outbox(connection, [row.id for row in leased])

    threads = [threading.Thread(target=sweep, args=(connection,)) for connection in two]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    together = [row.id for leased in taken.values() for row in leased]
    assert sorted(together) == sorted(row.id for row in rows)


# ── intents ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_intent_stands_once_for_its_kind_and_key_and_comes_back_whole(two: tuple[Connection, Connection]) -> None:
    one, other = two
    intent = _intent(details={"text": "ü\u2028", "amount_minor": 2**53, "none": None, "list": [1, {"a": False}]})
    again, other_kind = _intent(), replace(_intent(), kind="authorise_payment")
    assert tables.write_intents(one, [intent], AT, SOON) == {intent.id}
    assert tables.write_intents(other, [again, other_kind], AT, SOON) == {other_kind.id}
    leased = {row.id: row for row in tables.lease_intents(other, LATER, LATER + timedelta(seconds=45), 10)}
    assert leased[intent.id] == replace(intent, tries=2, in_doubt=True, leased_until=LATER + timedelta(seconds=45))
    assert set(leased) == {intent.id, other_kind.id}


def test_two_processes_lease_different_intents(two: tuple[Connection, Connection]) -> None:
    one, other = two
    intents = [_intent(f"k{number}") for number in range(10)]
    tables.write_intents(one, intents, AT, SOON)
    other.execute("set lock_timeout = '10s'")
    with one.transaction():
        mine = {row.id for row in tables.lease_intents(one, LATER, LATER + timedelta(seconds=45), 6)}
        others = {row.id for row in tables.lease_intents(other, LATER, LATER + timedelta(seconds=45), 100)}
    assert (len(mine), len(others)) == (6, 4)
    assert mine | others == {intent.id for intent in intents}


def test_a_lease_is_renewed_only_by_who_still_holds_it(two: tuple[Connection, Connection]) -> None:
    one, other = two
    intent = _intent()
    tables.write_intents(one, [intent], AT, SOON)
    assert tables.renew_leases(one, {intent.id: SOON, uuid.uuid4(): SOON}, LATER) == [intent.id]
    assert tables.renew_leases(other, {intent.id: SOON}, LATER + timedelta(seconds=1)) == []
    assert tables.lease_intents(other, SOON + timedelta(seconds=1), LATER, 10) == []
    tables.settle_intents(one, [intent.id])
    assert tables.renew_leases(one, {intent.id: LATER}, LATER) == []


def test_an_intent_put_off_comes_when_due_and_a_parked_one_never(two: tuple[Connection, Connection]) -> None:
    one, other = two
    put_off, parked = _intent("a"), _intent("b")
    tables.write_intents(one, [put_off, parked], AT, SOON)
    tables.put_off_intent(one, put_off.id, SOON, LATER)
    tables.park_intent(one, parked.id, SOON, "unexpected_KeyError")
    assert tables.lease_intents(other, LATER, SOON, 10) == []
    assert [row.id for row in tables.lease_intents(other, LATER + timedelta(seconds=1), SOON, 10)] == [put_off.id]
    assert one.execute("select parked from intents where id = %s", (parked.id,)).fetchone() == ("unexpected_KeyError",)


def test_who_has_lost_its_lease_neither_puts_off_nor_parks(two: tuple[Connection, Connection]) -> None:
    one, other = two
    intent = _intent()
    tables.write_intents(one, [intent], AT, SOON)
    end = LATER + timedelta(seconds=45)
    assert [row.id for row in tables.lease_intents(other, LATER, end, 10)] == [intent.id]
    tables.put_off_intent(one, intent.id, SOON, AT)
    tables.park_intent(one, intent.id, SOON, "too_late")
    assert one.execute("select leased_until, parked from intents").fetchall() == [(end, None)]
    tables.park_intent(other, intent.id, end, "in_time")
    assert one.execute("select leased_until, parked from intents").fetchall() == [(end, "in_time")]


def test_what_a_process_has_in_hand_it_does_not_lease_again(two: tuple[Connection, Connection]) -> None:
    one, other = two
    in_hand, lost = _intent("a"), _intent("b")
    tables.write_intents(one, [in_hand, lost], AT, SOON)
    assert [row.id for row in tables.lease_intents(other, LATER, LATER, 10, [in_hand.id])] == [lost.id]


def test_intents_of_a_party_for_which_there_is_no_room_are_not_leased(two: tuple[Connection, Connection]) -> None:
    one, other = two
    of = {party: _intent(party, details={"provider": party, "amount_minor": 1}) for party in ("silent", "open")}
    without = _intent("without")
    tables.write_intents(one, [*of.values(), without], AT, SOON)
    full = [("capture_payment", {"provider": "silent"}), ("authorise_payment", {})]
    assert {row.id for row in tables.lease_intents(other, LATER, LATER, 10, but=full)} == {of["open"].id, without.id}
    assert tables.lease_intents(other, LATER, LATER, 10, but=[("capture_payment", {})]) == []


def test_of_two_who_settle_an_intent_the_second_finds_it_settled(two: tuple[Connection, Connection]) -> None:
    one, other = two
    intent = _intent()
    tables.write_intents(one, [intent], AT, SOON)
    seen: list[set[uuid.UUID]] = []
    second = threading.Thread(target=lambda: seen.append(tables.lock_intents(other, [intent.id])))
    with psycopg.connect(one.info.dsn, password=one.info.password, autocommit=True) as watcher, one.transaction():
        assert tables.lock_intents(one, [intent.id]) == {intent.id}
        second.start()
        wait_for(lambda: _blocked(watcher, other.info.backend_pid), "the second to wait for the first")
        tables.settle_intents(one, [intent.id])
    second.join(timeout=30)
    assert seen == [set()]


# ── held ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_held_message_comes_back_whole_when_due(two: tuple[Connection, Connection]) -> None:
    one, other = two
    row = _held()
    held_messages.hold(one, row)
    assert held_messages.lease_held(other, AT, LATER, 10) == []
    assert held_messages.lease_held(other, SOON + timedelta(seconds=1), LATER, 10) == [replace(row, due_at=LATER)]
    assert held_messages.lease_held(one, SOON + timedelta(seconds=1), LATER, 10) == []


def test_a_held_message_is_rewritten_under_its_id_and_keeps_what_it_is(two: tuple[Connection, Connection]) -> None:
    one, other = two
    row = _held()
    held_messages.hold(one, row)
    held_messages.hold(one, replace(row, state="parked", reason="gave_up", tries=14, last_at=LATER, due_at=None, faults=()))
    assert held_messages.lease_held(other, LATER, LATER, 10) == []
    kept = one.execute("select state, reason, tries, first_at, last_at, body, faults from held").fetchall()
    assert kept == [("parked", "gave_up", 14, AT, LATER, row.body, [])]
    assert held_messages.lock_held(other, [row.id, uuid.uuid4()]) == {row.id}
    held_messages.release_held(other, [row.id])
    assert held_messages.lock_held(one, [row.id]) == set()


def test_a_state_that_nobody_knows_cannot_be_held(two: tuple[Connection, Connection]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        held_messages.hold(two[0], _held(state="lost"))
