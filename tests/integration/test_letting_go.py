"""What has its time goes: keys first, then rows; twice or half done is the same; what a legal hold keeps stays."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from tests.fix_servers import DatabaseUrl
from tests.integration.custody_bench import AT, SHOP, Custody, a_master_file
from tests.integration.facts import rows

# isort: split
from services.notifications.persons import NotificationsPersons
from services.notifications.retention import CLEARINGS as NOTIFICATIONS_CLEARINGS
from services.notifications.retention import NotificationsRetention
from services.notifications.store import NotificationsStore
from services.payments.persons import PaymentsPersons
from services.payments.retention import CLEARINGS as PAYMENTS_CLEARINGS
from services.payments.retention import PaymentsRetention
from services.shipping.domain import BoughtLabel
from services.shipping.handlers import note_label
from services.shipping.persons import ShippingPersons
from services.shipping.retention import CLEARINGS as SHIPPING_CLEARINGS
from services.shipping.retention import ShippingRetention
from services.shipping.store import ShippingStore
from shared.contracts.values import OrderKey
from shared.custody import journal
from shared.custody.envelopes import Envelope, PartName
from shared.custody.journal import ErasureJournal, HeldRows
from shared.database import Database
from shared.delivery import held_messages, tables
from shared.delivery.held_messages import HeldRow
from shared.delivery.work import IntentRow, Recorder
from shared.policy import Policy, load
from shared.policy.waiting import waiting_messages
from shared.retention import RetainedRows, Retention, clearings_of, note_hold

PATIENCE = timedelta(minutes=20)
Fill = Callable[[Any, PartName, dict[str, Any], datetime | None], None]


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def fill_shipping(connection: Any, name: PartName, envelope: dict[str, Any], ended_at: datetime | None) -> None:
    facts = {"entrusted": AT} | ({"delivered": ended_at} if ended_at else {})
    number = name.order_number
    connection.execute(
        """
        insert into shipments (shop, order_number, pick_list, parcel, state, shipping_service, tracking_number, tracking_url, label_id, facts)
        values (%s, %s, %s, %s, 'delivered', 'ground', '1Z', 'https://carrier.example/1Z', 'se-1', %s::jsonb)
        """,
        (*name.order, f"PL-{number}", f"PC-{number}", _json(facts)),
    )
    recipient = (*name.order, name.customer_id, _json(envelope))
    connection.execute("insert into recipients values (%s, %s, %s, %s::jsonb)", recipient)
    connection.execute("insert into shipment_lines values (%s, %s, '[{\"line\": 1}]')", name.order)
    connection.execute(
        "insert into labels (parcel, shop, order_number, tracking_number, paper) values (%s, %s, %s, '1Z', %s::jsonb)",
        (f"PC-{number}", *name.order, _json(envelope)),
    )


def fill_notifications(connection: Any, name: PartName, envelope: dict[str, Any], ended_at: datetime | None) -> None:
    connection.execute(
        """
        insert into correspondences (shop, order_number, is_entrusted, contact_refused, is_cancelled, mails, tracking, ended_at)
        values (%s, %s, true, false, false, '{"shipment": "sent"}', '{"tracking_number": "1Z"}', %s)
        """,
        (*name.order, ended_at),
    )
    contact = (*name.order, name.customer_id, _json(envelope))
    connection.execute('insert into contacts values (%s, %s, %s, %s::jsonb, \'{"total": "1.00"}\')', contact)


def fill_payments(connection: Any, name: PartName, envelope: dict[str, Any], ended_at: datetime | None) -> None:
    state = "captured" if ended_at else "authorising"
    connection.execute(
        """
        insert into payments (shop, order_number, state, customer_id, provider, reference, currency, amount_minor, billing, is_labelled,
            entrusted_at, settled_at)
        values (%s, %s, %s, %s, '2checkout', 'R', 'USD', 100, %s::jsonb, true, %s, %s)
        """,
        (*name.order, state, name.customer_id, None if ended_at else _json(envelope), ended_at or AT, ended_at),
    )


@dataclass
class Holder:
    """A service's tables and its keyring, and its retention."""

    custody: Custody
    url: str
    data: Database
    rows: RetainedRows
    fill: Fill
    days: int
    clearings: Any

    def retention(self) -> Retention:
        clearings = clearings_of(load(), self.custody.service, self.clearings)
        return Retention(self.custody.service, self.data, self.custody.vault, self.rows, clearings)

    def add(self, customer: str, number: str, ended_at: datetime | None) -> tuple[PartName, Envelope]:
        name = self.custody.name(customer, number)
        (envelope,) = self.custody.keep(name)
        with psycopg.connect(self.url) as connection:
            self.fill(connection, name, envelope.as_json(), ended_at)
        return name, envelope

    def hold(self, number: str, at: datetime, *, is_held: bool = True) -> None:
        with self.data.begin() as connection:
            note_hold(connection, OrderKey(SHOP, number), "A-10", at, is_held=is_held)

    def standing(self, number: str) -> set[str]:
        """The tables that still hold something of a person's for this order."""
        tables = {
            "shipping": ("recipients", "shipment_lines", "labels"),
            "notifications": ("contacts",),
            "payments": ("payments",),
        }[self.custody.service]
        condition = "order_number = %s" + (" and billing is not null" if "payments" in tables else "")
        return {table for table in tables if rows(self.url, f"select 1 from {table} where {condition}", number)}

    def clearing(self, name: str) -> tuple[Any, ...]:
        (row,) = rows(self.url, "select done, due, held, oldest_due_at from retention_clearings where clearing = %s", name)
        return row


@pytest.fixture(params=["shipping", "notifications", "payments"])
def holder(
    request: pytest.FixtureRequest, database_url: DatabaseUrl, keyring_database_url: DatabaseUrl, tmp_path: Path
) -> Iterator[Holder]:
    service = request.param
    own: dict[str, tuple[RetainedRows, Fill, int, Any]] = {
        "shipping": (ShippingRetention(), fill_shipping, 60, SHIPPING_CLEARINGS),
        "notifications": (NotificationsRetention(), fill_notifications, 60, NOTIFICATIONS_CLEARINGS),
        "payments": (PaymentsRetention(), fill_payments, 0, PAYMENTS_CLEARINGS),
    }
    custody = Custody(keyring_database_url(service), a_master_file(tmp_path), service)
    url = database_url(service)
    it = Holder(custody, url, Database(url, name="test"), *own[service])
    yield it
    it.data.close()
    custody.close()


def first_clearing(holder: Holder) -> str:
    return next(iter(holder.clearings))


def test_every_time_of_the_policy_is_somebody_s_to_keep() -> None:
    swept = (
        {("shipping", part) for parts in SHIPPING_CLEARINGS.values() for part in parts}
        | {("notifications", part) for parts in NOTIFICATIONS_CLEARINGS.values() for part in parts}
        | {("payments", part) for parts in PAYMENTS_CLEARINGS.values() for part in parts}
        | {("notifications", "references")}  # the numbers of a special request stand in its row, and go with it
    )
    # Orders passes on and keeps nothing; who is erased is swept, and what a friend brings goes with the end of the mail.
    others = {"customer_erased", "friend_invited"}
    for name, rule in load().holds.items():
        if rule.service == "orders" or set(rule.retention.after) & others or rule.retention.days is None:  # type: ignore[union-attr]
            continue
        assert (rule.service, rule.part) in swept, name


def test_whatever_shows_a_person_has_an_end_also_where_nothing_is_ever_done_with_it() -> None:
    policy = load()
    for name, rule in policy.holds.items():
        if policy.parts[rule.part].sealed and rule.form == "as_it_is":
            assert rule.retention is not None
            assert rule.retention.waits is not None, name
            for event in policy.parts[rule.part].events:
                assert event in waiting_messages(policy, rule.service), name


def test_parts_of_one_clearing_with_two_times_are_refused() -> None:
    with pytest.raises(ValueError, match="not one time but 2"):
        clearings_of(load(), "payments", {"all": ("billing", "purchase")})


def test_what_ended_long_enough_ago_goes_and_what_did_not_stays(holder: Holder) -> None:
    end = timedelta(days=holder.days)
    due, late = holder.add("c-1", "A-1", AT - end), holder.add("c-1", "A-2", AT - end - timedelta(days=30))
    young, open_ = holder.add("c-1", "A-3", AT - end + timedelta(seconds=1)), holder.add("c-2", "A-4", None)
    assert holder.retention().run(AT, patience=PATIENCE) == 2
    assert holder.custody.endings([due, late, young, open_]) == ["key_destroyed", "key_destroyed", "opened", "opened"]
    assert [holder.standing(number) for number in ("A-1", "A-2")] == [set(), set()]
    assert holder.standing("A-4") != set()
    assert holder.clearing(first_clearing(holder)) == (2, 0, 0, None)
    assert holder.retention().run(AT, patience=PATIENCE) == 0, "twice is as once"
    assert holder.clearing(first_clearing(holder)) == (2, 0, 0, None)


NUMBERS = {
    "shipping": "select 1 from shipments where coalesce(tracking_number, tracking_url, label_id) is not null",
    "notifications": "select 1 from correspondences where tracking is not null",
}


@pytest.mark.parametrize("holder", NUMBERS, indirect=True)
def test_the_carrier_s_numbers_go_with_the_part_so_that_a_later_erasure_leaves_none(holder: Holder) -> None:
    name, _ = holder.add("c-1", "A-1", AT - timedelta(days=holder.days))
    with holder.data.begin() as connection:
        intents = [IntentRow(uuid.uuid4(), "send_mail", name.order, "parked", {"tracking": {"tracking_number": "1Z"}})]
        tables.write_intents(connection, intents, AT, AT)
        tables.park_intent(connection, intents[0].id, AT, "smtp_refused")
    assert holder.retention().run(AT, patience=PATIENCE) == 1
    # Nobody knows here any more whose these rows are: an erasure would find none of them.
    assert rows(holder.url, NUMBERS[holder.custody.service]) == []
    assert rows(holder.url, "select 1 from intents") == []


@pytest.mark.parametrize("holder", ["shipping"], indirect=True)
def test_a_scan_that_waits_goes_with_the_labels_and_another_parcel_s_stays(holder: Holder) -> None:
    holder.add("c-1", "A-1", AT - timedelta(days=holder.days))
    with holder.data.begin() as connection:
        for event_id, due_at, number in (("1", None, "1Z"), ("2", AT, "1Z"), ("3", None, "1Z2")):
            row = a_held_scan(event_id, due_at, _json({"tracking_number": number, "status_code": "IT"}))
            held_messages.hold(connection, row)
    assert holder.retention().run(AT, patience=PATIENCE) == 1
    assert rows(holder.url, "select event_id from held") == [("3",)]


def a_held_scan(event_id: str, due_at: datetime | None, body: str) -> HeldRow:
    state, queue = "later" if due_at else "parked", "carrier.webhook"
    return HeldRow(
        uuid.uuid4(), state, queue, "carrier", event_id, "scanned", "tracking_number_unknown", (), body, 2, {}, 1, AT, AT, due_at
    )


@pytest.mark.parametrize("holder", NUMBERS, indirect=True)
def test_a_number_that_comes_late_is_not_written_to_what_was_let_go(holder: Holder) -> None:
    name, _ = holder.add("c-1", "A-1", AT - timedelta(days=holder.days))
    assert holder.retention().run(AT, patience=PATIENCE) == 1
    with holder.data.begin() as connection:
        store: ShippingStore | NotificationsStore
        if holder.custody.service == "shipping":
            shipping = ShippingStore(connection, Recorder("shipping", AT))
            shipment = shipping.shipment(name.order)
            shipment.facts = {}  # it was never told
            shipping.save(shipment)
            note_label(name.order, BoughtLabel("se-2", "ups", "1Z2", None, {}), shipping, AT)
            store = shipping
        else:
            notifications = NotificationsStore(connection, Recorder("notifications", AT))
            correspondence = notifications.correspondence(name.order)
            correspondence.mails = {}  # the dispatch was never told
            correspondence.owe_shipment(carrier="ups", tracking_number="1Z2", tracking_url=None)
            notifications.save(correspondence)
            store = notifications
        for shelf in store.shelves():
            shelf.flush()
    assert store.recorder.intents == []
    assert rows(holder.url, NUMBERS[holder.custody.service]) == []
    assert holder.standing("A-1") == set()


@pytest.mark.parametrize("holder", NUMBERS, indirect=True)
def test_the_database_itself_refuses_a_number_of_what_was_let_go(holder: Holder) -> None:
    holder.add("c-1", "A-1", AT - timedelta(days=holder.days))
    table = {"shipping": "shipments", "notifications": "correspondences"}[holder.custody.service]
    with psycopg.connect(holder.url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"update {table} set is_kept = false")


def at_sixty_days(days: int) -> Policy:
    """A version that promised this for what the one in force keeps for 60 days."""
    holds = {
        name: hold.model_copy(update={"retention": hold.retention.model_copy(update={"days": days})})
        if hold.retention is not None and hold.retention.days == 60
        else hold
        for name, hold in load().holds.items()
    }
    return load().model_copy(update={"holds": holds})


@pytest.mark.parametrize("holder", ["shipping", "notifications"], indirect=True)
def test_what_came_under_a_version_that_promised_less_goes_after_that_and_a_longer_promise_counts_for_nothing(
    holder: Holder,
) -> None:
    versions = {"2012-01-01": at_sixty_days(30), "2012-06-01": at_sixty_days(90), load().version: load()}
    clearings = clearings_of(load(), holder.custody.service, holder.clearings, versions)

    def run() -> int:
        return Retention(holder.custody.service, holder.data, holder.custody.vault, holder.rows, clearings).run(
            AT, patience=PATIENCE
        )

    day, tables = timedelta(days=1), {"shipping": "recipients", "notifications": "contacts"}
    table, column = tables[holder.custody.service], {"shipping": "recipient"}.get(holder.custody.service, "contact")
    collected = {"S-1": ("2012-01-01", 30), "S-2": ("2012-01-01", 29), "L-1": ("2012-06-01", 60), "L-2": ("2012-06-01", 59)}
    collected |= {"N-1": (load().version, 60), "N-2": (load().version, 59)}
    for number, (version, days) in collected.items():
        holder.add("c-1", number, AT - days * day)
        rows(
            holder.url,
            f"update {table} set {column} = jsonb_set({column}, '{{policy_version}}', to_jsonb(%s::text)) where order_number = %s",
            version,
            number,
        )
    with psycopg.connect(holder.url) as connection:
        locked = {"shipping": "shipments", "notifications": "correspondences"}[holder.custody.service]
        connection.execute(f"select 1 from {locked} where order_number = 'S-1' for update")
        assert run() == 2
        assert holder.clearing(first_clearing(holder)) == (2, 1, 0, AT), "due since its own promise's end"
    assert run() == 1
    assert [number for number in collected if holder.standing(number)] == ["S-2", "L-2", "N-2"]


@pytest.mark.parametrize("holder", ["payments"], indirect=True)
def test_books_are_kept_ten_years_and_no_longer(holder: Holder) -> None:
    ten_years = timedelta(days=3650)
    old, young = holder.add("c-1", "B-1", AT - ten_years), holder.add("c-1", "B-2", AT - ten_years + timedelta(days=1))
    held = holder.add("c-1", "B-3", AT - ten_years)
    holder.hold("B-3", AT)
    assert holder.retention().run(AT, patience=PATIENCE) == 3, "two keys and one row"
    assert {number for (number,) in rows(holder.url, "select order_number from payments")} == {"B-2", "B-3"}
    assert holder.clearing("books") == (1, 0, 1, None)
    assert holder.custody.endings([old, young, held]) == ["key_destroyed", "key_destroyed", "opened"]


class _Power(Exception):
    """Goes out."""


@pytest.mark.parametrize("point", ["before the keys", "between keys and rows", "before the commit"])
def test_a_run_that_died_midway_is_finished_by_the_next(holder: Holder, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    wishes = [holder.add(f"c-{number}", f"A-{number}", AT - timedelta(days=holder.days)) for number in range(3)]

    def out(*_: object, **__: object) -> None:
        raise _Power

    dying = holder.retention()
    if point == "before the keys":
        monkeypatch.setattr(holder.custody.vault, "destroy", out)
    elif point == "between keys and rows":
        monkeypatch.setattr(holder.rows, "let_go", out)
    else:
        let_go = holder.rows.let_go

        def let_go_and_die(*told: Any) -> None:
            let_go(*told)
            raise _Power

        monkeypatch.setattr(holder.rows, "let_go", let_go_and_die)
    with pytest.raises(_Power):
        dying.run(AT, patience=PATIENCE)
    monkeypatch.undo()
    keys_gone = holder.custody.endings(wishes) == ["key_destroyed"] * 3
    assert keys_gone == (point != "before the keys"), "keys first"
    assert holder.retention().run(AT, patience=PATIENCE) == 3
    assert holder.custody.endings(wishes) == ["key_destroyed"] * 3
    assert all(holder.standing(f"A-{number}") == set() for number in range(3))


def test_a_legal_hold_keeps_and_is_counted_until_it_is_lifted(holder: Holder) -> None:
    ended = AT - timedelta(days=holder.days)
    kept, gone = holder.add("c-1", "A-1", ended), holder.add("c-2", "A-2", ended)
    holder.hold("A-1", AT)
    holder.hold("A-1", AT - timedelta(hours=1), is_held=False)  # an earlier word that comes late
    assert holder.retention().run(AT, patience=PATIENCE) == 1
    assert holder.custody.endings([kept, gone]) == ["opened", "key_destroyed"]
    assert holder.clearing(first_clearing(holder)) == (1, 0, 1, None)
    holder.hold("A-1", AT + timedelta(hours=1), is_held=False)
    assert holder.retention().run(AT + timedelta(hours=1), patience=PATIENCE) == 1
    assert holder.custody.endings([kept]) == ["key_destroyed"]
    assert holder.clearing(first_clearing(holder)) == (2, 0, 0, None)


def test_what_cannot_be_done_is_overdue_and_the_gauge_says_since_when(holder: Holder) -> None:
    from shared import metrics

    ended = AT - timedelta(days=holder.days)
    holder.add("c-1", "A-1", ended)
    clearing = first_clearing(holder)
    with psycopg.connect(holder.url) as connection:
        # Somebody else holds the row: it is passed over, and counted.
        table = {"shipping": "shipments", "notifications": "correspondences", "payments": "payments"}[holder.custody.service]
        connection.execute(f"select 1 from {table} for update")
        assert holder.retention().run(AT + timedelta(hours=2), patience=PATIENCE) == 0
    assert holder.clearing(clearing) == (0, 1, 0, AT)
    gauge = metrics.retention_overdue.labels(holder.custody.service, clearing)
    assert gauge._value.get() == (timedelta(hours=2) - PATIENCE).total_seconds()
    assert holder.retention().run(AT + timedelta(hours=2), patience=PATIENCE) == 1
    assert gauge._value.get() == 0


def test_many_go_in_small_transactions_and_two_processes_take_turns(holder: Holder) -> None:
    ended = AT - timedelta(days=holder.days)
    names = [holder.custody.name("c-1", f"M-{number}") for number in range(450)]
    envelopes = holder.custody.keep(*names)
    with psycopg.connect(holder.url) as connection:
        for name, envelope in zip(names, envelopes, strict=True):
            holder.fill(connection, name, envelope.as_json(), ended)
    with holder.data.begin() as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (0x7377656570,))
        with psycopg.connect(holder.url):
            other = Retention(
                holder.custody.service,
                Database(holder.url, name="other"),
                holder.custody.vault,
                holder.rows,
                clearings_of(load(), holder.custody.service, holder.clearings),
            )
            assert other.run(AT, patience=PATIENCE) == 0, "another one is at it"
    assert holder.retention().run(AT, patience=PATIENCE) == 450
    assert rows(holder.custody.url, "select count(*) from part_keys") == [(0,)]


# ── the erasure journal at the start ─────────────────────────────────────────────────────────────────────────────────────────


PERSONS: dict[str, HeldRows] = {
    "shipping": ShippingPersons(),
    "notifications": NotificationsPersons(),
    "payments": PaymentsPersons(),
}


def test_a_restored_service_erases_again_before_it_is_ready(holder: Holder, tmp_path: Path) -> None:
    gone, stays = holder.add("c-gone", "A-1", None), holder.add("c-stays", "A-2", None)
    file = ErasureJournal(tmp_path / "erasures")
    file.append(holder.custody.vault.person(SHOP, "c-gone"), AT)

    def apply() -> int:
        return journal.apply(
            file, holder.custody.database, holder.data, PERSONS[holder.custody.service], holder.custody.vault.person
        )

    assert apply() == 1
    assert holder.custody.endings([gone, stays]) == ["person_erased", "opened"]
    assert holder.standing("A-1") == set()
    assert holder.standing("A-2") != set()
    assert holder.custody.keep(holder.custody.name("c-gone", "A-9")) == [], "nobody comes back by a redelivery"
    assert apply() == 0
    # Only the tables come back, from a backup that is older than the erasure: the keyring has seen it, they have not.
    with psycopg.connect(holder.url) as connection:
        connection.execute("update erasures_applied set applied = 0")
    holder.add("c-other", "A-3", None)
    with psycopg.connect(holder.url) as connection:
        holder.fill(connection, holder.custody.name("c-gone", "A-7"), gone[1].as_json(), None)
    assert apply() == 1
    assert holder.standing("A-7") == set()
    assert holder.standing("A-3") != set()
