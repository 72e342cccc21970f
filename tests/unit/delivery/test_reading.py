"""Reading a colleague's event: what is malformed is parked with codes and places, never with what stood there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.contracts.errors import Fault, Parked
from shared.contracts.events import EVENTS, Event, RecipientEntrusted
from shared.contracts.values import OrderKey
from shared.delivery.horizon import Horizon
from shared.delivery.reading import faults_of, read_event
from shared.delivery.work import RawMessage, Recorder
from tests.builders import AT, KEY, recipient_entrusted

CANARY = "canary-3c9a"
HORIZON = Horizon(timedelta(days=30))
HEARD: dict[str, tuple[type[Event], str]] = {name: (event, f"on_{name}") for name, event in EVENTS.items()}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def on_the_wire() -> dict[str, Any]:
    recorder = Recorder("orders", AT, TRACE)
    recorder.tell(recipient_entrusted())
    envelope: dict[str, Any] = json.loads(recorder.outbox[0].body)
    return envelope


def raw(envelope: object, exchange: str = "orders.parts") -> RawMessage:
    body = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    return RawMessage("shipping.events", body, exchange)


def parked(envelope: object, exchange: str = "orders.parts") -> Parked:
    """The error, after a look that it shows nothing of what was sent, nor does any error that it hangs on."""
    with pytest.raises(Parked) as caught:
        read_event(raw(envelope, exchange), HEARD)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert CANARY not in f"{error!s} {error!r} {error.faults!r}"
    return error


def test_what_was_told_is_read_again() -> None:
    envelope = on_the_wire()
    reading = read_event(raw(envelope), HEARD)
    assert reading.message == recipient_entrusted()
    assert (reading.method, reading.about) == ("on_recipient_entrusted", KEY)
    assert reading.claim == ("orders", envelope["id"])
    assert (reading.source, reading.id, reading.type) == ("orders", envelope["id"], "recipient_entrusted")
    assert reading.traceparent == TRACE
    assert reading.sealed


def test_members_of_a_later_release_are_ignored() -> None:
    envelope = on_the_wire()
    envelope["data"]["later"] = envelope["later"] = 1
    assert read_event(raw(envelope), HEARD).message == recipient_entrusted()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        CANARY.encode(),
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"3",
        b"{}",
        b"[" * 2000 + b"]" * 2000,
        b'{"source": "\\ud800"}',
    ],
    ids=["empty", "text", "no UTF-8", "null", "list", "string", "number", "object", "deep", "lone surrogate"],
)
def test_what_is_no_event_is_malformed(body: bytes) -> None:
    error = parked(body)
    assert (error.code, error.faults) == ("malformed_event", ())


@pytest.mark.parametrize("member", ["source", "id", "type", "data"])
def test_an_envelope_without_a_member_is_malformed(member: str) -> None:
    envelope = on_the_wire()
    del envelope[member]
    assert parked(envelope).code == "malformed_event"


def test_an_event_nobody_here_hears_is_parked_as_such() -> None:
    assert parked({**on_the_wire(), "type": CANARY}).code == "event_unheard"


@pytest.mark.parametrize("speaker", ["payments", "shipping", "storefront", CANARY, ""])
def test_a_speaker_on_another_s_exchange_is_not_believed(speaker: str) -> None:
    assert parked({**on_the_wire(), "source": speaker}).code == "speaker_unexpected"


def test_what_a_service_tells_of_itself_nobody_else_tells() -> None:
    """Else one holder could announce a key as another's, and sign that one's receipts."""
    told = {"service": "payments", "key_id": "k", "public_key": "p"}
    envelope = {**on_the_wire(), "source": "shipping", "type": "receipt_key_published", "data": told}
    assert parked(envelope, "shipping.events").code == "speaker_unexpected"
    heard = read_event(raw({**envelope, "source": "payments"}, "payments.events"), HEARD).message
    assert (heard.service, heard.key_id) == ("payments", "k")


@pytest.mark.parametrize("exchange", ["payments.events", "orders.events2", "storefront.events", CANARY])
def test_an_event_on_an_exchange_that_is_not_its_speaker_s_is_not_believed(exchange: str) -> None:
    assert parked(on_the_wire(), exchange).code == "speaker_unexpected"


def test_every_fault_of_the_data_is_named_by_place_and_none_by_value() -> None:
    envelope = on_the_wire()
    data = envelope["data"]
    del data["customer_id"]
    data["shop"], data["placed_at"], data["lines"][0]["quantity"] = [CANARY], CANARY, CANARY
    data["recipient"]["box"] = {CANARY: CANARY}
    error = parked(envelope)
    assert error.code == "malformed_event"
    assert {(fault.code, fault.path) for fault in error.faults} == {
        ("missing", "/data/customer_id"),
        ("string_type", "/data/shop"),
        ("datetime_from_date_parsing", "/data/placed_at"),
        ("int_parsing", "/data/lines/0/quantity"),
        ("string_type", "/data/recipient/box"),
    }


@pytest.mark.parametrize(
    "word", [None, 5, True, [CANARY], {CANARY: 1}, f"{CANARY}\0"], ids=["null", "number", "true", "list", "object", "NUL"]
)
@pytest.mark.parametrize("member", ["source", "id", "type"])
def test_what_cannot_be_a_key_of_ours_is_malformed(member: str, word: object) -> None:
    """Else one message could end the whole process: PostgreSQL's text holds no U+0000, and a list is no key."""
    assert parked({**on_the_wire(), member: word}).code == "malformed_event"


@pytest.mark.parametrize("member", ["shop", "order_number"])
def test_an_order_s_key_that_no_row_can_hold_is_malformed(member: str) -> None:
    envelope = on_the_wire()
    envelope["data"][member] = f"{CANARY}\0"
    assert parked(envelope).code == "malformed_event"


@pytest.mark.parametrize("data", [None, [], CANARY, 3])
def test_data_that_is_no_object_is_malformed(data: object) -> None:
    assert parked({**on_the_wire(), "data": data}).code == "malformed_event"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.just(CANARY) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([CANARY, "shop", "lines", "box"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(member=st.sampled_from(sorted(RecipientEntrusted.model_fields)), value=JSON)
def test_nothing_in_a_member_of_the_data_escapes(member: str, value: object) -> None:
    envelope = on_the_wire()
    envelope["data"][member] = value
    try:
        reading = read_event(raw(envelope), HEARD)
    except Parked:
        assert parked(envelope).code == "malformed_event"
    else:
        assert isinstance(reading.message, RecipientEntrusted)
        assert isinstance(reading.about, OrderKey)


@pytest.mark.parametrize(
    ("age", "code"), [(timedelta(0), None), (timedelta(days=31), "too_old"), (-timedelta(days=2), "time_ahead")]
)
def test_what_is_not_of_this_time_is_read_and_not_taken_up(age: timedelta, code: str | None) -> None:
    envelope = {**on_the_wire(), "time": (datetime.now(UTC) - age).isoformat()}
    reading = read_event(raw(envelope), HEARD, HORIZON)
    if code is None:
        assert reading.message == recipient_entrusted()
    else:
        assert (reading.message.code, reading.message.faults) == (code, (Fault(code, "/time"),))
    # All else stands, so that it can be kept and replayed; and a replay has no horizon.
    assert (reading.claim, reading.about, reading.sealed) == (("orders", envelope["id"]), KEY, True)
    assert read_event(raw(envelope), HEARD).message == recipient_entrusted()


@pytest.mark.parametrize("time", [None, 5, "", CANARY, "2026-11-22T10:00:00", "2026-13-22T10:00:00Z", ["2026-11-22T10:00:00Z"]])
def test_a_time_that_is_none_is_malformed(time: object) -> None:
    with pytest.raises(Parked) as caught:
        read_event(raw({**on_the_wire(), "time": time}), HEARD, HORIZON)
    assert (caught.value.code, caught.value.faults) == ("malformed_event", (Fault("time_malformed", "/time"),))
    assert caught.value.__cause__ is None


class _Form(BaseModel):
    numbers: list[int]


def test_faults_hold_no_context_no_input_and_no_address() -> None:
    with pytest.raises(ValidationError) as caught:
        _Form.model_validate({"numbers": [1, CANARY]})
    [fault] = faults_of(caught.value)
    assert fault.as_dict() == {"code": "int_parsing", "path": "/data/numbers/1"}
