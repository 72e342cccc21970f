"""The three holders through their doors, the test playing orders: who was erased does not come back, and nobody else is touched."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest

from shared.contracts.person_events import SignedReceipt
from shared.custody.receipts import read_receipt
from tests.component.events import Canary, order_placed
from tests.integration.facts import everything_in, rows, wait_for
from tests.integration.scene import SHOP, Scene, Service, new_number, seal
from tests.integration.wire import Ear, Event, event

ELSEWHERE = "https://elsewhere.example"
PARTS = {"shipping": "recipient", "notifications": "contact", "payments": "billing"}


class Holder:
    """One service that holds a part, and what orders tells it."""

    def __init__(self, scene: Scene, everybody: Ear, name: str) -> None:
        self.scene, self.everybody, self.name, self.part = scene, everybody, name, PARTS[name]
        self.service: Service = scene.service(name)
        self.service.start()
        self.key: dict[str, str] = self._heard("intake_key_published")["data"]
        self.public_key: str = self._heard("receipt_key_published")["data"]["public_key"]

    def _heard(self, kind: str) -> Event:
        return self.everybody.hear(kind, where=lambda it: it["source"] == self.name)

    def entrusted(self, customer_id: str, canary: Canary, shop: str = SHOP, *, with_part: bool = True) -> Event:
        number = new_number("R")
        data = order_placed(number)["data"]
        known = ("placed_at", "currency", "discount", "shipping_price", "tax", "total", "shipping_service")
        said = {name: data[name] for name in known} | {"shop": shop, "order_number": number, "customer_id": customer_id}
        said |= {"policy_version": "2013-08-19", "lines": data["lines"], "payment": {**data["payment"], "provider": "2checkout"}}
        if not with_part:
            said["payment"]["provider"] = "paypal"
        else:
            said[self.part] = seal(getattr(canary, self.part), self.key, bound_to=number)
        return event("orders", f"{self.part}_entrusted", said)

    def publish(self, told: Event) -> None:
        self.scene.wire.publish(
            "orders.parts" if "_entrusted" in told["type"] or "_corrected" in told["type"] else "orders.events",
            told["type"],
            told,
        )

    def holds(self, told: Event) -> bool:
        return told["data"]["order_number"] in self.texts()

    def order(self, kind: str, customer_id: str, shop: str = SHOP, **more: Any) -> tuple[str, dict[str, Any]]:
        """Have something done for a person, and give the request's name and the receipt."""
        request = f"r-{uuid.uuid4().hex[:8]}"
        data = {"shop": shop, "customer_id": customer_id, "kind": "erasure", "request": request, **more}
        self.publish(event("orders", kind, data))
        told = self.everybody.hear(
            "request_receipted", where=lambda it: it["data"]["request"] == request and it["source"] == self.name
        )["data"]
        return request, read_receipt(SignedReceipt(**told["signed"]), self.public_key)

    def texts(self) -> str:
        return everything_in(self.service.database_url)

    def keys(self) -> int:
        return int(rows(self.service.environment["KEYRING_DATABASE_URL"], "select count(*) from part_keys")[0][0])


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def holders(scene: Scene, everybody: Ear) -> dict[str, Holder]:
    scene.configuration.set("SMTP_URL", "smtp://127.0.0.1:9")  # nobody answers there: mails stay queued
    return {name: Holder(scene, everybody, name) for name in PARTS}


@pytest.fixture(params=PARTS)
def holder(request: pytest.FixtureRequest, holders: dict[str, Holder]) -> Holder:
    return holders[request.param]


def naming(text: str, *words: str) -> list[str]:
    return sorted(line for line in text.splitlines() if any(word in line for word in words))


def test_a_person_is_erased_and_neither_another_nor_the_same_id_elsewhere_is_touched(holder: Holder) -> None:
    customer, other = f"m-{uuid.uuid4().hex[:10]}", f"m-{uuid.uuid4().hex[:10]}"
    canary = Canary()
    theirs = holder.entrusted(customer, canary)
    others = holder.entrusted(other, Canary())
    elsewhere = holder.entrusted(customer, Canary(), ELSEWHERE)
    for told in (theirs, others, elsewhere):
        holder.publish(told)
    wait_for(lambda: all(holder.holds(told) for told in (theirs, others, elsewhere)), "three orders to be held")
    if holder.name == "payments":  # its provider does not answer: the part stands as long as it is asked
        wait_for(lambda: len(holder.service.rows("select 1 from payments where billing is not null")) == 3, "three billing parts")
    numbers = (others["data"]["order_number"], elsewhere["data"]["order_number"])
    # What a call that is tried again writes down of its tries is not the person's.
    tables = [line for line in naming(holder.texts(), *numbers) if not line.startswith(("intents", "held"))]
    before = holder.keys()
    _, receipt = holder.order("person_deactivated", customer)
    assert receipt["deed"] == "deactivated"
    _, receipt = holder.order("erasure_ordered", customer)
    assert (receipt["deed"], receipt["keys_destroyed"], receipt["keys_left"]) == ("erased", 1, 0)
    assert any(receipt["rows_before"].values())
    assert not any(receipt["rows_after"].values())
    assert customer not in json.dumps(receipt)
    assert holder.keys() == before - 1
    left = naming(holder.texts(), customer)
    assert left
    assert all(ELSEWHERE in line for line in left), "only the other shop's is left"
    assert [line for line in naming(holder.texts(), *numbers) if not line.startswith(("intents", "held"))] == tables


def test_who_was_erased_comes_back_by_no_message(holder: Holder) -> None:
    customer = f"m-{uuid.uuid4().hex[:10]}"
    canary = Canary()
    first = holder.entrusted(customer, canary)
    holder.publish(first)
    wait_for(lambda: holder.holds(first), "the order to be held")
    # One waits in `held`, as if it had been parked; it is somebody's to replay.
    parked = holder.entrusted(customer, canary)
    _park(holder, parked)
    holder.order("erasure_ordered", customer)
    assert naming(holder.texts(), customer, parked["data"]["order_number"]) == [], "the parked one is gone"
    # The same message again, the same order told anew, another order, and without the part; then the parked one by a person's hand.
    again = {**first, "id": str(uuid.uuid4())}
    newer = holder.entrusted(customer, canary)
    for told in (first, again, newer, holder.entrusted(customer, canary, with_part=holder.name != "payments")):
        holder.publish(told)
    _park(holder, parked, state="later")
    last = holder.entrusted(f"m-{uuid.uuid4().hex[:10]}", Canary())
    holder.publish(last)
    wait_for(lambda: holder.holds(last), "everything before it to be handled")
    wait_for(lambda: holder.service.rows("select 1 from held where type = %s", first["type"]) == [], "the replay to be handled")
    assert naming(holder.texts(), customer) == []
    assert canary.in_text(holder.texts()) == []
    # An erasure that is told again finds nothing and says so.
    _, receipt = holder.order("erasure_ordered", customer)
    assert (receipt["keys_destroyed"], any(receipt["rows_before"].values())) == (0, False)


def _park(holder: Holder, told: Event, state: str = "parked") -> None:
    holder.service.rows(
        """
        insert into held (id, state, queue, source, event_id, type, reason, body, length, tries, first_at, last_at, due_at)
        values (gen_random_uuid(), %s, %s, 'orders', %s, %s, 'by_a_test', %s, 0, 1, now(), now(), now())
        """,
        *(state, f"{holder.name}.events", told["id"], told["type"], json.dumps(told)),
    )


def test_a_queued_mail_is_not_sent_after_the_erasure(holders: dict[str, Holder], scene: Scene) -> None:
    holder = holders["notifications"]
    customer = f"m-{uuid.uuid4().hex[:10]}"
    told = holder.entrusted(customer, Canary())
    number = told["data"]["order_number"]
    holder.publish(told)
    paid = {"shop": SHOP, "order_number": number, "currency": "USD", "amount": "187.65"}
    scene.wire.say("payments", "payment_authorised", paid)
    queued = "select 1 from intents where kind = 'send_mail' and order_number = %s and tries > 1"
    wait_for(lambda: holder.service.rows(queued, number), "a mail that waits for its server")
    _, receipt = holder.order("erasure_ordered", customer)
    assert receipt["rows_before"]["intents"] == 1
    assert holder.service.rows("select 1 from intents where order_number = %s", number) == []
    # What would still cause a mail causes none.
    parcel = {"shop": SHOP, "order_number": number, "parcel": "PC-AAAAAAAAAAAA-1"}
    scene.wire.say("shipping", "shipment_delivered", parcel)
    after = holder.entrusted(f"m-{uuid.uuid4().hex[:10]}", Canary())
    holder.publish(after)
    wait_for(lambda: holder.holds(after), "everything before it to be handled")
    assert holder.service.rows("select 1 from intents where order_number = %s", number) == []


def test_somebody_at_rest_is_opened_for_an_open_order_and_nothing_else(holders: dict[str, Holder], scene: Scene) -> None:
    holder = holders["notifications"]
    customer = f"m-{uuid.uuid4().hex[:10]}"
    told = holder.entrusted(customer, Canary())
    holder.publish(told)
    wait_for(lambda: holder.holds(told), "the order to be held")
    holder.order("person_deactivated", customer)
    paid = {"shop": SHOP, "order_number": told["data"]["order_number"], "currency": "USD", "amount": "187.65"}
    scene.wire.say("payments", "payment_authorised", paid)
    keyring = holder.service.environment["KEYRING_DATABASE_URL"]
    opened = "select 1 from openings where purpose = 'order_news' and ending = 'opened' and at > (select max(since) from persons)"
    wait_for(lambda: rows(keyring, opened), "its order's mail to be written")
    assert [row[0] for row in rows(keyring, "select state from persons where since = (select max(since) from persons)")] == [
        "deactivated"
    ]


@pytest.mark.parametrize("name", ["shipping", "notifications"])
def test_a_correction_in_the_same_breath_as_its_order_waits_for_it(name: str, holders: dict[str, Holder]) -> None:
    holder = holders[name]
    customer, canary = f"m-{uuid.uuid4().hex[:10]}", Canary()
    told = holder.entrusted(customer, Canary())
    number = told["data"]["order_number"]
    data = {
        "shop": SHOP,
        "customer_id": customer,
        "kind": "correction",
        "request": f"r-{number}",
        "bound_to": customer,
        "orders": [{"order_number": number, "policy_version": "2013-08-19"}],
        holder.part: seal(getattr(canary, holder.part), holder.key, bound_to=customer),
    }
    holder.publish(event("orders", f"{holder.part}_corrected", data))
    holder.publish(told)
    heard = holder.everybody.hear("request_receipted", where=lambda it: it["data"]["request"] == f"r-{number}")["data"]
    receipt = read_receipt(SignedReceipt(**heard["signed"]), holder.public_key)
    assert receipt["orders"] == [{"order_number": number, "ending": "replaced"}]
    holder.everybody.hear("part_corrected", number)


def test_a_receipt_s_key_stays_the_same_after_a_start(holders: dict[str, Holder], everybody: Ear) -> None:
    holder = holders["shipping"]
    holder.service.stop()
    holder.service.start()
    told = everybody.hear("receipt_key_published", times=2, where=lambda it: it["source"] == "shipping")["data"]
    assert told["public_key"] == holder.public_key
    assert len(base64.b64decode(told["public_key"])) == 32


@pytest.mark.parametrize("step", ["call_begun", "call_answered", "outcome_submitted", "outcome_committed"])
def test_a_holder_that_dies_in_the_middle_of_an_erasure_ends_it_after_its_start(
    step: str, holders: dict[str, Holder], everybody: Ear
) -> None:
    holder = holders["shipping"]
    customer = f"m-{uuid.uuid4().hex[:10]}"
    told = holder.entrusted(customer, Canary())
    holder.publish(told)
    wait_for(lambda: holder.holds(told), "the order to be held")
    holder.service.stop()
    holder.service.environment["DIE_AT"] = step
    holder.service.start()
    request = f"r-{uuid.uuid4().hex[:8]}"
    data = {"shop": SHOP, "customer_id": customer, "kind": "erasure", "request": request}
    holder.publish(event("orders", "erasure_ordered", data))
    wait_for(lambda: holder.service.program.pid is None, "the service to die there")
    del holder.service.environment["DIE_AT"]
    holder.service.start()
    heard = everybody.hear("request_receipted", where=lambda it: it["data"]["request"] == request and it["source"] == "shipping")[
        "data"
    ]
    receipt = read_receipt(SignedReceipt(**heard["signed"]), holder.public_key)
    assert (receipt["keys_left"], any(receipt["rows_after"].values())) == (0, False)
    assert naming(holder.texts(), customer) == []
