from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contracts.errors import Refused
from shared.contracts.storefront import MAX_BODY_BYTES, EventRefused, OrderRejected, read_event
from tests.unit.contracts.storefront_samples import (
    AT,
    OTHER_DATA,
    RULES,
    SOURCE,
    drop,
    faults,
    order,
    other,
    put,
    read,
    refusal,
    sealed_order,
)


def test_a_sound_event_says_what_came() -> None:
    event = read(order())
    assert (event.id, event.source, event.type) == ("e5b1c7d2-2f0a-4c55-9a3e-0b7d54c1a9f6", SOURCE, "order_placed")
    assert event.time == datetime(2026, 3, 5, 16, 20, 31, tzinfo=UTC)
    assert event.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert (event.order_number, event.customer_id, event.sealed_for_key) == ("SH-20417", "c-30518", "SH-20417")


@pytest.mark.parametrize("member", ["specversion", "id", "source", "type", "time", "datacontenttype", "data"])
def test_each_member_of_the_envelope_is_required_and_a_text(member: str) -> None:
    assert ("missing", f"/{member}") in faults(drop(order(), f"/{member}"))
    for value in (None, 1, True, ["x"]):
        assert ("wrong_type", f"/{member}") in faults(put(order(), f"/{member}", value))


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("specversion", "0.3", "specversion_unsupported"),
        ("id", "", "too_short"),
        ("id", "x" * 129, "too_long"),
        ("id", "a b", "grammar"),
        ("id", "abc\n", "grammar"),
        ("source", "https://other.example", "source_unknown"),
        ("type", "order_eaten", "type_unknown"),
        ("time", "2026-03-05 16:20:31Z", "time_malformed"),
        ("time", "2026-03-05T16:20:31", "time_malformed"),
        ("time", "2026-02-30T16:20:31Z", "time_malformed"),
        ("time", "0001-01-01T00:00:00+14:00", "time_malformed"),
        ("time", "2026-03-05T16:20:31+24:00", "time_malformed"),
        ("time", "2026-03-05T16:20:60Z", "time_malformed"),
        ("datacontenttype", "text/xml", "datacontenttype_unsupported"),
    ],
)
def test_a_fault_in_the_envelope(member: str, value: str, code: str) -> None:
    assert faults(put(order(), f"/{member}", value)) == {(code, f"/{member}")}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id", "x"),
        ("id", "A9._~-" + "x" * 122),
        ("time", "2026-03-05t16:20:31.123456789z"),
        ("time", "2026-03-05T16:20:31-00:00"),
        ("time", "2016-12-31T23:59:60Z"),
        ("time", "2017-01-01T00:59:60.5+01:00"),
        ("datacontenttype", "application/json; charset=utf-8"),
        ("extra", {"deep": ["anything"]}),
    ],
)
def test_what_the_envelope_may_hold(member: str, value: Any) -> None:
    assert faults(put(order(), f"/{member}", value)) == set()


def test_a_leap_second_is_the_second_after() -> None:
    assert read(put(order(), "/time", "2016-12-31T23:59:60Z")).time == datetime(2017, 1, 1, tzinfo=UTC)


def test_times_are_in_utc() -> None:
    time = read(put(order(), "/time", "2026-03-05T01:00:00.25+02:00")).time
    assert (time, time.utcoffset()) == (datetime(2026, 3, 4, 23, 0, 0, 250_000, tzinfo=UTC), timedelta(0))


@pytest.mark.parametrize(
    "bad", [None, 7, "00-0-0-0", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-" + "0" * 32 + "-" + "b" * 16 + "-01"]
)
def test_a_bad_trace_context_is_ignored(bad: object) -> None:
    assert read(put(order(), "/traceparent", bad)).traceparent is None


def test_the_type_is_the_routing_key() -> None:
    assert faults(sealed_order(), over_amqp="order_placed") == set()
    assert faults(sealed_order(), over_amqp="order_cancellation_requested") == {("type_mismatch", "/type")}


@pytest.mark.parametrize("content_type", ["application/json", "application/cloudevents+json", "Application/JSON; charset=UTF-8"])
def test_content_types_that_are_taken(content_type: str) -> None:
    assert (
        read_event(json.dumps(order()).encode(), routing_key=None, content_type=content_type, rules=RULES, at=AT).type
        == "order_placed"
    )


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json; charset=latin-1", "application/cloudevents-batch+json"]
)
def test_content_types_that_are_not(content_type: str | None) -> None:
    body = json.dumps(put(order(), "/id", "")).encode()
    with pytest.raises(EventRefused) as caught:
        read_event(body, routing_key=None, content_type=content_type, rules=RULES, at=AT)
    assert {(fault.code, fault.path) for fault in caught.value.faults} == {("content_type_unsupported", ""), ("too_short", "/id")}


def test_the_body_limit_counts_bytes() -> None:
    body = json.dumps(order()).encode()
    assert faults(body + b" " * (MAX_BODY_BYTES - len(body))) == set()
    assert faults(body + b" " * (MAX_BODY_BYTES - len(body) + 1)) == {("too_large", "")}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"a": NaN}', "malformed_json"),
        (b'{"a": "\\ud800"}', "malformed_json"),
        (b'{"a": "\xff"}', "malformed_json"),
        (b"[" * 100_000, "malformed_json"),
        (b'{"a":' * 60_000, "malformed_json"),
        (b"[1]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"order"', "not_an_object"),
    ],
)
def test_bodies_that_are_no_event(body: bytes, code: str) -> None:
    assert faults(body) == {(code, "")}


def test_a_refusal_names_what_is_known_for_sure() -> None:
    known = refusal(put(order(), "/data/tax", 1))
    assert (known.id, known.source, known.type, known.order_number) == (
        "e5b1c7d2-2f0a-4c55-9a3e-0b7d54c1a9f6",
        SOURCE,
        "order_placed",
        "SH-20417",
    )
    event = order(order_number="not a number")
    event.update(id="not an id", source="somebody", type="something")
    unknown = refusal(event)
    assert (unknown.id, unknown.source, unknown.type, unknown.order_number) == (None, None, None, None)
    assert refusal(b"{}").order_number is None


def test_every_fault_is_named_at_once_and_once() -> None:
    event = put(put(order(discount="-1.00", policy_version="1999", secret=1), "/specversion", "2"), "/data/lines/1/quantity", "3")
    event = put(drop(event, "/data/contact/email"), "/data/recipient/address/country", "XX")
    assert faults(event) == {
        ("specversion_unsupported", "/specversion"),
        ("unknown_member", "/data/secret"),
        ("out_of_range", "/data/discount"),
        ("policy_version_unknown", "/data/policy_version"),
        ("wrong_type", "/data/lines/1/quantity"),
        ("missing", "/data/contact/email"),
        ("country_unknown", "/data/recipient/address/country"),
    }


def test_a_refusal_and_a_rejection_are_different_things() -> None:
    assert isinstance(refusal(order(total="1.00")), OrderRejected)
    assert isinstance(refusal(order(total="1.00", tax="x")), EventRefused)
    assert not issubclass(OrderRejected, EventRefused)
    assert issubclass(OrderRejected, Refused)


def test_a_hostile_number_of_faults_is_cut() -> None:
    event = order()
    event["data"].update({"member_" + "".join("abcdefghij"[int(digit)] for digit in str(index)): 1 for index in range(1_500)})
    found = refusal(event).faults
    assert len(found) == 1_001
    assert (found[-1].code, found[-1].path) == ("too_many_faults", "")


@pytest.mark.parametrize("name", ["Ana Müller", "a@b.example", "A", "_a", "a1", "a" * 41, "", "a/b", "a~b"])
def test_a_name_that_the_sender_made_up_enters_no_path(name: str) -> None:
    assert faults(put(order(), "/data", {**order()["data"], name: 1})) == {("unknown_member", "/data/*")}


def test_a_plain_unknown_name_is_named() -> None:
    assert faults(put(order(), "/data/" + "a" * 40, 1)) == {("unknown_member", "/data/" + "a" * 40)}


@pytest.mark.parametrize("type_", OTHER_DATA)
def test_data_must_be_an_object_in_every_event(type_: str) -> None:
    event = refusal({**other(type_), "data": []})
    assert [(fault.code, fault.path) for fault in event.faults] == [("wrong_type", "/data")]
    assert event.type == type_
