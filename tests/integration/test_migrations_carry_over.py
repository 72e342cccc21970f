"""What an older release wrote down stands in its new place after a migration, and nothing of it is lost.

One thing is given up on purpose: parts and label papers that were sealed to an intake key are not put into envelopes, for the
migration has no key. A part stays where it stands, and whoever wants to open it is told that it is no envelope; a label's paper is
dropped, and what the carrier knows of it stays.
"""

from __future__ import annotations

import json
import secrets
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.local import databases
from deploy.local.postgres import PrivateCluster
from services.notifications.domain import OWED, SENDING, Correspondence
from services.notifications.store import KeptContact, NotificationsReads, NotificationsStore
from services.payments.domain import Payment
from services.payments.domain import State as PaymentState
from services.payments.store import PaymentsReads, PaymentsStore
from services.shipping.commands import NoteTracking
from services.shipping.domain import State as ShipmentState
from services.shipping.store import ShippingReads, ShippingStore
from shared.contracts.values import Money, OrderKey
from shared.custody.envelopes import Envelope, EnvelopeBroken
from shared.database import Database
from shared.delivery import held_messages, tables
from shared.delivery.work import Delivery, Recorder
from tests.integration.facts import rows

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SHOP = "https://shop.example"
FIRST = ("0001_delivery.sql", "1001_")  # what the first release came with


@dataclass
class Release:
    """A service's database as the first release left it; `now` brings it up to this one."""

    service: str
    url: str
    folders: tuple[Path, ...]

    def write(self, table: str, **values: object) -> None:
        """A row as the first release wrote it: what is no plain value went in as JSON."""
        names = ", ".join(f'"{name}"' for name in values)
        plain = [json.dumps(value) if isinstance(value, dict | list | tuple) else value for value in values.values()]
        rows(self.url, f"insert into {table} ({names}) values ({', '.join(['%s'] * len(values))})", *plain)

    def intend(self, kind: str, number: str, details: dict[str, Any], **more: object) -> None:
        told = {"kind": kind, "shop": SHOP, "order_number": number, "key": f"{kind} {number} {details.get('kind', '')}"}
        moments = {"leased_until": AT, "created_at": AT}
        self.write("intents", id=uuid.uuid4(), details=details, tries=1, **{**told, **moments, **more})

    def details(self) -> dict[str, Any]:
        return dict(rows(self.url, "select key, details from intents"))

    def now(self) -> None:
        databases.migrate(self.url, databases.service_folders(self.service))


@pytest.fixture
def first_release(data_cluster: PrivateCluster, tmp_path: Path) -> Iterator[Callable[[str], Release]]:
    made: list[str] = []

    def release(service: str) -> Release:
        name = f"old_{service}_{secrets.token_hex(4)}"
        made.append(name)
        folders = []
        for place, folder in enumerate(databases.service_folders(service)):
            folders.append(tmp_path / service / str(place))
            folders[-1].mkdir(parents=True)
            for file in folder.glob("*.sql"):
                if file.name.startswith(FIRST):
                    shutil.copy(file, folders[-1])
        it = Release(service, databases.ensure(data_cluster.admin_url, name, "password"), tuple(folders))
        assert len(databases.migrate(it.url, it.folders)) == 2
        return it

    yield release
    for name in made:
        databases.drop(data_cluster.admin_url, name)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Database]]:
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")
    made: list[Database] = []

    def database(url: str) -> Database:
        made.append(Database(url, name="test"))
        return made[-1]

    yield database
    for it in made:
        it.close()


def key(number: str) -> OrderKey:
    return OrderKey(SHOP, number)


def box(service: str, number: str) -> dict[str, str]:
    return {"sealed_for": service, "key_id": f"{service}-2026-47", "box": f"box of {number}"}


# ── shipping ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

SHIPMENTS = {
    # number: (state, is entrusted, tracking number, facts)
    "A-1": ("waiting", False, None, ["paid"]),
    "A-2": ("refused", False, None, ["entrusted", "paid"]),
    "A-3": ("to_pick", True, None, ["entrusted", "paid", "pick_list_issued"]),
    "A-4": ("labelling", True, None, ["entrusted", "paid", "pick_list_issued", "picked", "packed"]),
    "A-5": ("labelled", True, "1Z5", ["entrusted", "paid", "pick_list_issued", "picked", "packed", "labelled"]),
    "A-6": ("delivered", True, "1Z5", ["entrusted", "paid", "picked", "packed", "labelled", "captured", "delivered"]),
}


def lines(number: str) -> list[dict[str, Any]]:
    return [{"line": 1, "sku": "RNG", "title": f"Ring ‘ü’ {number}", "department": "Rings", "quantity": 2}]


def write_shipments(old: Release) -> None:
    for place, (number, (state, is_entrusted, tracking, facts)) in enumerate(SHIPMENTS.items()):
        old.write(
            "shipments", shop=SHOP, order_number=number, pick_list=f"PL-{number}", parcel=f"PC-{number}-1", state=state,
            customer_id=f"m-{number}" if is_entrusted else "", placed_at=AT if is_entrusted else None,
            shipping_service="ground" if is_entrusted else "", lines=lines(number) if is_entrusted else [],
            recipient=box("shipping", number) if is_entrusted else None,
            package={"weight_grams": 1, "length_mm": 2, "width_mm": 3, "height_mm": 4} if "packed" in facts else None,
            label_id=tracking and f"se-{number}", carrier=tracking and "ups", tracking_number=tracking, tracking_url=None,
            reason="recipient_invalid" if state == "refused" else None,
            # The parcel that was labelled later is the one that stands first.
            facts={fact: (AT + timedelta(days=-place, hours=hour)).isoformat() for hour, fact in enumerate(facts)},
        )  # fmt: skip
        if tracking:
            old.write("labels", parcel=f"PC-{number}-1", key_id="shipping-2026-47", box=bytes(range(256)) + number.encode())
    size = {"shipping_service": "ground", "weight_grams": 1, "length_mm": 2, "width_mm": 3, "height_mm": 4}
    old.intend("buy_label", "A-4", {**size, "recipient": box("shipping", "A-4")})
    old.intend("buy_label", "A-3", {**size, "recipient": box("shipping", "A-3")}, parked="unexpected_KeyError")


def test_shipments_keep_their_recipients_lines_labels_and_calls(
    first_release: Callable[[str], Release], opened: Callable[[str], Database]
) -> None:
    old = first_release("shipping")
    write_shipments(old)
    before = rows(
        old.url, "select order_number, state, pick_list, parcel, package, tracking_number, facts from shipments order by 1"
    )
    old.now()
    assert before == rows(
        old.url, "select order_number, state, pick_list, parcel, package, tracking_number, facts from shipments order by 1"
    )
    entrusted = [number for number, (_, is_entrusted, *_more) in SHIPMENTS.items() if is_entrusted]
    database = opened(old.url)
    reads = ShippingReads(database)
    assert reads.recipients([key(number) for number in SHIPMENTS]) == {
        key(it): (f"m-{it}", box("shipping", it)) for it in entrusted
    }
    assert rows(old.url, "select order_number, customer_id from recipients order by 1") == [(it, f"m-{it}") for it in entrusted]
    assert rows(old.url, "select order_number, lines from shipment_lines order by 1") == [(it, lines(it)) for it in entrusted]
    assert [(item.order_number, list(item.lines)) for item in reads.work("to_pick", 10)] == [("A-3", lines("A-3"))]
    found = reads.pick_list("PL-A-5")
    assert found is not None
    assert found[0].lines == tuple(lines("A-5"))
    for number in ("A-5", "A-6"):
        assert reads.label(f"PC-{number}-1") == (key(number), f"m-{number}", None), (
            "its paper was sealed to a key that goes: it is dropped"
        )
    for number in entrusted:
        with pytest.raises(EnvelopeBroken):  # no part of an older release passes for an envelope
            Envelope.of_json(box("shipping", number))
    with pytest.raises(EnvelopeBroken):
        Envelope.of_json(reads.label("PC-A-5-1")[2])
    size = {"shipping_service": "ground", "weight_grams": 1, "length_mm": 2, "width_mm": 3, "height_mm": 4}
    assert old.details() == {"buy_label A-4 ": size, "buy_label A-3 ": size}
    assert rows(old.url, "select order_number, parked from intents order by 1") == [("A-3", "unexpected_KeyError"), ("A-4", None)]
    with database.begin() as connection:
        store = ShippingStore(connection, Recorder("shipping", AT))
        store.prefetch([Delivery("", NoteTracking("1Z5", "DE"), lambda _ending: None)])
        assert store.key_of_tracking("1Z5") == key("A-5"), "a number that two parcels had belongs to the one labelled last"
        assert {number: store.shipment(key(number)).state for number in SHIPMENTS} == {
            number: ShipmentState(state) for number, (state, *_more) in SHIPMENTS.items()
        }


# ── notifications ────────────────────────────────────────────────────────────────────────────────────────────────────────────

ORDER = {"placed_at": "2026-11-22T10:00:00Z", "currency": "EUR", "total": "79.44", "lines": [{"line": 1, "title": "Ring"}]}
TRACKING = {"carrier": "ups", "tracking_number": "1Z", "tracking_url": None}


def test_correspondences_keep_their_contacts_and_what_the_confirmation_tells(
    first_release: Callable[[str], Release], opened: Callable[[str], Database]
) -> None:
    old = first_release("notifications")
    silent = {"contact_refused": False, "is_cancelled": False, "tracking": None}
    unknown = {"customer_id": "", "order": None, "contact": None}
    known = {
        number: {"customer_id": f"m-{number}", "order": ORDER, "contact": box("notifications", number)}
        for number in ("B-1", "B-2")
    }
    told: dict[str, dict[str, Any]] = {
        "B-1": {**known["B-1"], **silent, "mails": {"order_confirmation": "sending"}},
        "B-2": {**known["B-2"], **silent, "mails": {"order_confirmation": "sent", "shipment": "sending"}, "tracking": TRACKING},
        "B-3": {**unknown, **silent, "mails": {"order_confirmation": "owed"}},
        "B-4": {**unknown, **silent, "mails": {}, "contact_refused": True},
    }
    for number, values in told.items():
        old.write("correspondences", shop=SHOP, order_number=number, **values)
    contact = {number: {"contact": box("notifications", number)} for number in known}
    old.intend("send_mail", "B-1", {"kind": "order_confirmation", "order": ORDER, **contact["B-1"]})
    old.intend("send_mail", "B-2", {"kind": "shipment", "tracking": TRACKING, **contact["B-2"]})
    old.now()
    database = opened(old.url)
    assert NotificationsReads(database).contacts([key(number) for number in told]) == {
        key(number): KeptContact(f"m-{number}", box("notifications", number), ORDER) for number in known
    }
    assert rows(old.url, "select order_number, customer_id from contacts order by 1") == [("B-1", "m-B-1"), ("B-2", "m-B-2")]
    assert old.details() == {
        "send_mail B-1 order_confirmation": {"kind": "order_confirmation"},
        "send_mail B-2 shipment": {"kind": "shipment", "tracking": TRACKING},
    }
    with database.begin() as connection:
        store = NotificationsStore(connection, Recorder("notifications", AT))
        assert [store.correspondence(key(number)) for number in told] == [
            Correspondence(key=key("B-1"), is_entrusted=True, mails={"order_confirmation": SENDING}),
            Correspondence(
                key=key("B-2"), is_entrusted=True, mails={"order_confirmation": "sent", "shipment": SENDING}, tracking=TRACKING
            ),
            Correspondence(key=key("B-3"), mails={"order_confirmation": OWED}),
            Correspondence(key=key("B-4"), contact_refused=True, mails={}),
        ]
        late = store.correspondence(key("B-3"))
        late.entrust(customer_id="m-3", order=ORDER, contact=box("notifications", "B-3"))
        assert [intent.details for intent in late.intents] == [{"kind": "order_confirmation"}], "what was owed is sent after all"


# ── payments ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_payments_keep_the_billing_part_that_a_call_under_way_needs(
    first_release: Callable[[str], Release], opened: Callable[[str], Database]
) -> None:
    old = first_release("payments")
    common = {"shop": SHOP, "customer_id": "m", "currency": "EUR", "amount_minor": 7944, "is_labelled": False, "entrusted_at": AT}
    old.write(
        "payments", order_number="C-1", state="authorising", provider="2checkout", reference="tok_1",
        billing=box("payments", "C-1"), **common,
    )  # fmt: skip
    old.write("payments", order_number="C-2", state="authorising", provider="paypal", reference="PP-2", billing=None, **common)
    old.write(
        "payments", order_number="C-3", state="capturing", provider="paypal", reference="PP-3", billing=None,
        authorisation_reference="AUTH", settled_at=AT, **common,
    )  # fmt: skip
    amount = {"currency": "EUR", "amount_minor": 7944}
    asked = {
        "C-1": {"provider": "2checkout", **amount, "reference": "tok_1"},
        "C-2": {"provider": "paypal", **amount, "reference": "PP-2"},
    }
    old.intend("authorise_payment", "C-1", {**asked["C-1"], "billing": box("payments", "C-1")})
    old.intend("authorise_payment", "C-2", {**asked["C-2"], "billing": None})
    capture = {"provider": "paypal", **amount, "authorisation_reference": "AUTH"}
    old.intend("capture_payment", "C-3", capture)
    told = """
        select order_number, state, customer_id, provider, reference, currency, amount_minor, billing, is_labelled, authorisation_reference,
            capture_reference, reason, entrusted_at, settled_at
        from payments order by order_number
    """
    before = rows(old.url, told)
    old.now()
    assert rows(old.url, told) == before
    assert old.details() == {
        "authorise_payment C-1 ": asked["C-1"],
        "authorise_payment C-2 ": asked["C-2"],
        "capture_payment C-3 ": capture,
    }
    database = opened(old.url)
    assert PaymentsReads(database).billings([key(number) for number in ("C-1", "C-2", "C-3")]) == {
        key("C-1"): ("m", box("payments", "C-1"))
    }
    with database.begin() as connection:
        assert PaymentsStore(connection, Recorder("payments", AT)).payment(key("C-1")) == Payment(
            key=key("C-1"), state=PaymentState.AUTHORISING, customer_id="m", provider="2checkout", reference="tok_1",
            money=Money(7944, "EUR"), billing=box("payments", "C-1"), entrusted_at=AT,
        )  # fmt: skip


# ── the plumbing, in every service ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("service", databases.SERVICES)
def test_events_that_wait_are_published_in_their_order_and_the_inbox_stands(
    service: str, first_release: Callable[[str], Release]
) -> None:
    old = first_release(service)
    ids = [uuid.uuid4() for _ in range(4)]
    subjects = [f"{SHOP} D-1", f"{SHOP} D-2", f"{SHOP} D-1", ""]
    for identity, subject in zip(ids, subjects, strict=True):
        said = {"exchange": f"{service}.events", "type": "part_refused", "subject": subject, "body": "{}"}
        old.write("outbox", id=identity, tries=0, leased_until=AT, created_at=AT, **said)
    old.write("inbox", source="orders", id="1", received_at=AT)
    old.write(
        "held", id=ids[0], state="parked", queue="q", reason="r", length=2, tries=1, first_at=AT, last_at=AT, body="{}", faults=[]
    )
    old.now()
    later = AT + timedelta(minutes=1)
    with psycopg.connect(old.url, autocommit=True) as connection:
        first = tables.lease_outbox(connection, later, later + timedelta(minutes=1), 10, uuid.uuid4())
        assert [row.id for row in first] == [ids[0], ids[1], ids[3]], "an order's second event waits for its first"
        tables.delete_outbox(connection, [row.id for row in first])
        then = tables.lease_outbox(connection, later, later + timedelta(minutes=1), 10, uuid.uuid4())
        assert [(row.id, row.subject, row.body) for row in then] == [(ids[2], f"{SHOP} D-1", "{}")]
        assert tables.claim(connection, [("orders", "1")], AT) == set()
        assert held_messages.lock_held(connection, [ids[0]]) == {ids[0]}
