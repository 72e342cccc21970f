"""What a transaction tells: events as CloudEvents on the right exchange, intents about their order; what failed takes back its own."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from shared.contracts.aggregate import Aggregate, Intent
from shared.contracts.events import Answer, IntakeKeyPublished
from shared.delivery.work import Recorder, Store, Work
from tests.builders import AT, KEY, LATER, part_refused, payment_authorised, recipient_entrusted

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_an_event_becomes_a_cloud_event_of_its_speaker() -> None:
    recorder = Recorder("payments", AT)
    recorder.mark(TRACE)
    recorder.tell(payment_authorised())
    [row] = recorder.outbox
    envelope = json.loads(row.body)
    data = envelope.pop("data")
    assert envelope == {
        "specversion": "1.0",
        "id": str(row.id),
        "source": "payments",
        "type": "payment_authorised",
        "time": "2026-03-06T09:00:00Z",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
    }
    assert data == {"shop": KEY.shop, "order_number": "SH-1", "currency": "EUR", "amount": "103.99"}
    assert (row.exchange, row.type, row.subject) == ("payments.events", "payment_authorised", f"{KEY.shop} SH-1")


def test_without_a_trace_there_is_no_traceparent() -> None:
    recorder = Recorder("payments", AT)
    recorder.tell(payment_authorised())
    assert "traceparent" not in json.loads(recorder.outbox[0].body)


@pytest.mark.parametrize("speaker", ["payments", "shipping", "notifications"])
def test_what_several_say_each_says_on_its_own_exchange(speaker: str) -> None:
    recorder = Recorder(speaker, AT)
    recorder.tell(part_refused("billing"))
    recorder.tell(IntakeKeyPublished(service=speaker, key_id="k", public_key="p", expires_at=LATER))
    assert [row.exchange for row in recorder.outbox] == [f"{speaker}.events"] * 2
    assert [row.subject for row in recorder.outbox] == [f"{KEY.shop} SH-1", ""]


def test_an_answer_goes_out_under_the_contract_s_own_name() -> None:
    recorder = Recorder("orders", AT)
    recorder.tell(Answer(answer="order_accepted", data={"caused_by": {"source": None, "id": None}}))
    [row] = recorder.outbox
    assert (row.exchange, row.type, row.subject) == ("storefront.answers", "order_accepted", "")
    assert json.loads(row.body)["data"] == {"caused_by": {"source": None, "id": None}}


def test_every_event_has_an_id_of_its_own() -> None:
    recorder = Recorder("payments", AT)
    for _ in range(3):
        recorder.tell(payment_authorised())
    assert len({row.id for row in recorder.outbox}) == 3
    assert all(isinstance(row.id, UUID) for row in recorder.outbox)


def test_an_aggregate_s_memory_is_taken_over_and_forgotten() -> None:
    recorder, item = Recorder("orders", AT, TRACE), Aggregate()
    item.say(recipient_entrusted())
    item.intend(Intent("call", "key-1", {"amount_minor": 1}))
    for _ in range(2):
        recorder.remember(item, KEY)
    assert [row.type for row in recorder.outbox] == ["recipient_entrusted"]
    [intent] = recorder.intents
    assert (intent.kind, intent.key, intent.about, intent.details) == ("call", "key-1", KEY, {"amount_minor": 1})
    assert (intent.traceparent, intent.tries, intent.in_doubt) == (TRACE, 1, False)
    assert (item.events, item.intents) == ([], [])


def test_a_rollback_takes_back_what_came_after_the_mark_and_no_more() -> None:
    recorder = Recorder("orders", AT)
    for number in range(3):
        recorder.mark(None)
        item = Aggregate()
        item.say(part_refused(f"part-{number}"))
        item.intend(Intent("call", f"key-{number}", {}))
        recorder.remember(item, KEY)
        if number == 1:
            recorder.rollback()
    assert [json.loads(row.body)["data"]["part"] for row in recorder.outbox] == ["part-0", "part-2"]
    assert [intent.key for intent in recorder.intents] == ["key-0", "key-2"]


def test_a_mark_sets_the_trace_of_what_follows() -> None:
    recorder = Recorder("orders", AT)
    recorder.mark(TRACE)
    recorder.tell(payment_authorised())
    recorder.mark(None)
    recorder.tell(payment_authorised())
    assert [json.loads(row.body).get("traceparent") for row in recorder.outbox] == [TRACE, None]


def test_a_domain_object_never_shares_its_memory() -> None:
    one, two = Aggregate(), Aggregate()
    before = one.events
    one.say(payment_authorised())
    assert two.events == []
    assert before == [], "a list is replaced, never changed in place: copies of the object keep theirs"


def test_work_tells_through_the_store_s_recorder() -> None:
    recorder = Recorder("payments", AT)
    store = Store(None, recorder)  # type: ignore[arg-type]
    Work(store, AT).tell(payment_authorised())
    assert [row.type for row in recorder.outbox] == ["payment_authorised"]
