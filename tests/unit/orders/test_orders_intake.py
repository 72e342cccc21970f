"""How a storefront's event is answered: accepted, refused, kept for later; a repeat gets the first answer again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.orders import handlers
from services.orders.intake import NotTaken
from services.orders.parts import entrust_parts, seal_clear_parts, sealed_body
from shared.contracts.errors import Fault, TryLater
from shared.contracts.events import BillingEntrusted, ContactEntrusted, RecipientEntrusted
from shared.contracts.storefront import PART_SERVICES, SealedPart
from shared.delivery.work import Work
from tests.builders import AT, KEY, a_box, order_placed
from tests.fakes import FakeOrders
from tests.unit.contracts.storefront_samples import order, other, paypal_order, read, sealed_order
from tests.unit.delivery.doors import DOORS

CAUSED_BY = {"source": KEY.shop, "id": "e-1"}
REFUSAL = NotTaken("event_refused", (Fault("missing", "/data/lines"),), KEY.shop, "e-1", "order_placed", "SH-1")


def answers(store: FakeOrders) -> list[tuple[str, dict[str, Any]]]:
    rows = [(row.type, json.loads(row.body)["data"]) for row in store.outbox if row.exchange == "storefront.answers"]
    return [(kind, data) for kind, data in rows if "caused_by" in data]


def test_an_order_is_accepted_answered_and_its_parts_passed_on() -> None:
    store = FakeOrders()
    handlers.place_order(order_placed(), store, AT)
    assert answers(store) == [("order_accepted", {"caused_by": CAUSED_BY, "order_number": "SH-1"})]
    assert [(row.exchange, row.type) for row in store.outbox if row.exchange == "orders.parts"] == [
        ("orders.parts", "billing_entrusted"),
        ("orders.parts", "recipient_entrusted"),
        ("orders.parts", "contact_entrusted"),
    ]
    assert store.the_order().customer_id == "c-30518"


def test_a_repeated_event_gets_its_answer_again_and_passes_nothing_on() -> None:
    store = FakeOrders()
    first = handlers.place_order(order_placed(), store, AT)
    told = len(store.outbox)
    again = handlers.place_order(order_placed(), store, AT)
    assert (again.kind, again.event_id) == (first.kind, first.event_id)
    assert [row.type for row in store.outbox[told:]] == ["order_accepted"]
    assert answers(store)[0] == answers(store)[1]


def test_another_order_under_a_taken_number_is_refused_and_leaves_the_first_alone() -> None:
    store = FakeOrders()
    handlers.place_order(order_placed(), store, AT)
    before = store.the_order()
    answered = handlers.place_order(order_placed(event_id="e-2", shipping_service="air"), store, AT)
    assert answered.kind == "event_refused"
    assert answers(store)[-1][1]["reasons"] == [{"code": "order_number_taken", "path": "/data/order_number"}]
    assert store.the_order() == before
    assert store.kinds_said["recipient_entrusted"] == 1


def test_an_order_under_a_taken_number_is_kept_for_a_person_once_however_often_it_comes() -> None:
    store: Any = FakeOrders()
    door, another = DOORS["orders"](), order_placed(event_id="e-2", shipping_service="air")
    endings = [door.place_order(event, Work(store, AT)) for event in (order_placed(), another, another)]
    assert [ending.kind for ending in endings] == ["done", "refused", "repeated"]
    assert [ending.result.kind for ending in endings] == ["order_accepted", "event_refused", "event_refused"]
    assert [kind for kind, _ in answers(store)] == ["order_accepted", "event_refused", "event_refused"]


def test_an_order_under_a_taken_number_that_is_replayed_is_kept_on_without_a_second_answer() -> None:
    store: Any = FakeOrders()
    door, another = DOORS["orders"](), order_placed(event_id="e-2", shipping_service="air")
    for event in (order_placed(), another):
        door.place_order(event, Work(store, AT))
    ending = door.place_order_again(another, Work(store, AT))
    assert (ending.kind, ending.code) == ("refused", "order_number_taken")
    assert len(answers(store)) == 2


def test_an_order_that_was_not_answered_before_it_is_replayed_is_taken() -> None:
    store: Any = FakeOrders()
    assert DOORS["orders"]().place_order_again(order_placed(), Work(store, AT)).kind == "done"
    assert [kind for kind, _ in answers(store)] == ["order_accepted"]


def test_the_same_number_of_another_shop_is_another_order() -> None:
    one, two = order_placed(), order_placed()
    object.__setattr__(two, "source", "https://other.example")
    store = FakeOrders()
    handlers.place_order(one, store, AT)
    handlers.place_order(two, store, AT)
    assert store.kinds_said["recipient_entrusted"] == 2
    assert [kind for kind, _ in answers(store)] == ["order_accepted", "order_accepted"]


def test_an_event_not_done_yet_is_kept_and_its_repeat_answered_again() -> None:
    store = FakeOrders()
    event = read(other("return_requested"))
    assert [handlers.defer(event, store).kind for _ in range(2)] == ["event_deferred", "event_deferred"]
    assert [kind for kind, _ in answers(store)] == ["event_deferred", "event_deferred"]


def test_a_refused_event_is_answered_with_every_fault_each_time() -> None:
    store = FakeOrders()
    for _ in range(2):
        answered = handlers.refuse(REFUSAL, store)
        assert answered is not None
    assert (
        answers(store)
        == [
            (
                "event_refused",
                {"caused_by": CAUSED_BY, "order_number": "SH-1", "reasons": [{"code": "missing", "path": "/data/lines"}]},
            )
        ]
        * 2
    )


def test_a_refusal_that_cannot_be_addressed_is_answered_with_null_and_not_remembered() -> None:
    store = FakeOrders()
    nameless = NotTaken("event_refused", (Fault("missing", "/id"),), KEY.shop, None, None, None)
    assert handlers.refuse(nameless, store) is None
    [(_, data)] = answers(store)
    assert data == {"caused_by": {"source": KEY.shop, "id": None}, "reasons": [{"code": "missing", "path": "/id"}]}
    assert store.answered(KEY.shop, "e-1") is None


def test_a_sound_event_after_its_refused_self_gets_the_first_answer_again() -> None:
    store = FakeOrders()
    handlers.refuse(REFUSAL, store)
    assert handlers.place_order(order_placed(), store, AT).kind == "event_refused"
    assert store.order(KEY) is None


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_part_goes_to_its_one_service_with_nothing_of_the_others() -> None:
    billing, recipient, contact = entrust_parts(order_placed())
    assert isinstance(billing, BillingEntrusted)
    assert isinstance(recipient, RecipientEntrusted)
    assert isinstance(contact, ContactEntrusted)
    assert [box.sealed_for for box in (billing.billing, recipient.recipient, contact.contact) if box] == [
        PART_SERVICES["billing"],
        PART_SERVICES["recipient"],
        PART_SERVICES["contact"],
    ]
    assert "unit_price" not in recipient.model_dump_json()
    assert "total" not in recipient.model_dump_json()
    assert "sku" not in contact.model_dump_json()
    assert not {"lines", "recipient", "contact"} & billing.model_dump().keys()
    assert not {"payment", "reference"} & (contact.model_dump().keys() | recipient.model_dump().keys())


def test_a_payment_through_paypal_needs_no_billing_part() -> None:
    event = seal_clear_parts(read(paypal_order()), lambda service, _plain: SealedPart(**a_box(service).model_dump()))
    billing = entrust_parts(event)[0]
    assert isinstance(billing, BillingEntrusted)
    assert billing.billing is None
    assert (billing.payment.provider, billing.payment.reference) == ("paypal", "5O19")


def test_clear_parts_are_sealed_to_their_services_and_bound_to_the_order() -> None:
    sealed: dict[str, dict[str, Any]] = {}

    def seal(service: str, plaintext: bytes) -> SealedPart:
        sealed[service] = json.loads(plaintext)
        return SealedPart(**a_box(service).model_dump())

    event = seal_clear_parts(read(order()), seal)
    assert set(sealed) == {"shipping", "notifications", "payments"}
    assert {part["for"] for part in sealed.values()} == {event.order_number}
    assert all(isinstance(part, SealedPart) for part in event.parts.values())


def test_parts_that_came_sealed_are_passed_on_as_they_came() -> None:
    def seal(_service: str, _plaintext: bytes) -> SealedPart:
        raise AssertionError("there is nothing to seal")

    event = read(sealed_order())
    assert seal_clear_parts(event, seal).parts == event.parts


def test_without_a_key_to_seal_to_the_event_waits() -> None:
    def seal(_service: str, _plaintext: bytes) -> SealedPart:
        raise TryLater("intake_key_missing")

    with pytest.raises(TryLater, match=r"^intake_key_missing$"):
        seal_clear_parts(read(order()), seal)


def test_what_is_kept_of_an_event_holds_no_clear_part_and_no_member_of_unknown_meaning() -> None:
    raw = {**order(), "comment": "canary-comment"}
    event = seal_clear_parts(read(raw), lambda service, _plain: SealedPart(**a_box(service).model_dump()))
    kept = sealed_body(json.dumps(raw).encode(), event.parts)
    for canary in ("canary-comment", "Nov", "Lange Gasse", "zoe@", "555 0199", "All the best"):
        assert canary.encode() not in kept
    assert read(kept, over_amqp="order_placed").data_digest == event.data_digest, "it reads as the same order again"
    assert json.loads(kept)["data"]["recipient"] == event.parts["recipient"].as_dict()  # type: ignore[union-attr]
