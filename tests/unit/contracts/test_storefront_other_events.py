from __future__ import annotations

import base64
from typing import Any

import pytest

from shared.contracts.storefront import EVENT_FORMS, EventRefused, Friend, PreferencesChanged, Request
from tests.unit.contracts.storefront_samples import CARD, EXAMPLE, OTHER_DATA, drop, faults, other, put, read, refusal, sealed

PERSONAL = {"contact", "friend", "request"}


@pytest.mark.parametrize("type_", OTHER_DATA)
def test_every_type_is_read(type_: str) -> None:
    event = read(other(type_))
    data = OTHER_DATA[type_]
    assert event.type == type_
    assert (event.order_number, event.customer_id) == (data.get("order_number"), data.get("customer_id"))
    assert event.sealed_for_key == data.get("order_number", data.get("customer_id"))
    assert set(event.parts) == PERSONAL & data.keys()


def test_no_type_of_the_contract_is_left_out() -> None:
    assert set(EVENT_FORMS) == {"order_placed", *OTHER_DATA}


OPTIONAL = {
    ("customer_corrected", "order_number"),
    ("preferences_changed", "communication"),
    ("preferences_changed", "policy_choice"),
}
MEMBERS = [(type_, member) for type_, data in OTHER_DATA.items() for member in data]


@pytest.mark.parametrize(("type_", "member"), MEMBERS)
def test_every_member_is_required_but_those_that_are_not(type_: str, member: str) -> None:
    found = faults(drop(other(type_), f"/data/{member}"))
    if (type_, member) in OPTIONAL:
        assert found == set()
    elif (type_, member) == ("customer_corrected", "contact"):
        assert found == {("nothing_given", "/data")}
    else:
        assert found == {("missing", f"/data/{member}")}


@pytest.mark.parametrize(("type_", "member"), MEMBERS)
def test_no_member_takes_another_type_nor_null(type_: str, member: str) -> None:
    for value in (None, 1, [1]):
        assert any(
            code == "wrong_type" and path.startswith(f"/data/{member}")
            for code, path in faults(put(other(type_), f"/data/{member}", value))
        )


@pytest.mark.parametrize("type_", OTHER_DATA)
def test_unknown_members_are_refused(type_: str) -> None:
    assert faults(other(type_, birthday="x")) == {("unknown_member", "/data/birthday")}


@pytest.mark.parametrize("type_", [type_ for type_ in OTHER_DATA if "customer_id" in OTHER_DATA[type_]])
def test_customer_ids_have_their_grammar(type_: str) -> None:
    assert faults(other(type_, customer_id="zoe@shop.example")) == {("grammar", "/data/customer_id")}


def test_a_part_that_an_event_does_not_have_is_unknown() -> None:
    assert faults(other("customer_deactivated", contact=sealed("contact"))) == {("unknown_member", "/data/contact")}


@pytest.mark.parametrize(
    ("type_", "member", "values"),
    [
        ("order_cancellation_requested", "reason", ("buyer", "fraud", "stock", "other")),
        ("return_requested", "reason", ("unwanted", "wrong", "damaged", "lost")),
        ("preferences_changed", "communication", ("all", "service_only", "none")),
        ("preferences_changed", "policy_choice", ("allow", "disallow")),
    ],
)
def test_choices(type_: str, member: str, values: tuple[str, ...]) -> None:
    for value in values:
        assert faults(other(type_, **{member: value})) == set()
    assert faults(other(type_, **{member: "whatever"})) == {("choice_unknown", f"/data/{member}")}


def test_a_replaced_payment_has_billing_where_it_is_needed() -> None:
    token = {"provider": "2checkout", "reference": "tok"}
    assert faults(other("payment_replaced", payment=token)) == {("billing_missing", "/data/billing")}
    assert set(read(other("payment_replaced", payment=token, billing=sealed("billing"))).parts) == {"billing"}
    assert read(other("payment_replaced", billing=sealed("billing"))).parts == {}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], {("too_short", "/data/lines")}),
        ([{"line": 2, "quantity": 1}, {"line": 2, "quantity": 1}], {("line_numbers", "/data/lines")}),
        ([{"line": 0, "quantity": 1}], {("out_of_range", "/data/lines/0/line")}),
        ([{"line": 2_000, "quantity": 0}], {("out_of_range", "/data/lines/0/quantity")}),
        ([{"line": 1, "quantity": 1, "why": "x"}], {("unknown_member", "/data/lines/0/why")}),
        ([{"line": 2_000, "quantity": 99_999}], set()),
    ],
)
def test_returned_lines(lines: list[dict[str, Any]], expected: set[tuple[str, str]]) -> None:
    assert faults(other("return_requested", lines=lines)) == expected


def test_a_correction_brings_any_of_three_parts() -> None:
    event = drop(other("customer_corrected"), "/data/contact")
    for part in ("recipient", "contact", "billing"):
        assert set(read(put(event, f"/data/{part}", sealed(part)), over_amqp="customer_corrected").parts) == {part}
    assert faults(other("customer_corrected"), over_amqp="customer_corrected") == {("part_in_clear", "/data/contact")}


def test_a_corrected_recipient_may_name_any_line() -> None:
    recipient = {**EXAMPLE["data"]["recipient"], "personalisation": [{"line": 7, "text": "x"}]}
    assert faults(other("customer_corrected", recipient=recipient)) == set()


def test_a_correction_without_an_order_is_sealed_for_the_customer() -> None:
    event = read(drop(other("customer_corrected"), "/data/order_number"))
    assert (event.order_number, event.sealed_for_key) == (None, "c-1")


@pytest.mark.parametrize("length", [31, 33, 0])
def test_a_reply_key_has_32_bytes(length: int) -> None:
    key = base64.b64encode(b"k" * length).decode()
    assert faults(other("customer_data_requested", reply_key=key)) == {("reply_key_malformed", "/data/reply_key")}


def test_preferences_need_one_choice() -> None:
    event = drop(drop(other("preferences_changed"), "/data/communication"), "/data/policy_choice")
    assert faults(event) == {("nothing_given", "/data")}
    read_back = read(drop(other("preferences_changed"), "/data/policy_choice")).data
    assert isinstance(read_back, PreferencesChanged)
    assert (read_back.communication, read_back.policy_choice) == ("service_only", None)


def test_an_unknown_policy_version_refuses_what_is_no_order() -> None:
    error = refusal(other("preferences_changed", policy_version="1999"))
    assert isinstance(error, EventRefused)
    assert [(fault.code, fault.path) for fault in error.faults] == [("policy_version_unknown", "/data/policy_version")]


@pytest.mark.parametrize(
    "url",
    ["https://shop.example", "http://shop.example:8080/a?b=c#d", "HTTPS://xn--bcher-kva.example/%20", "https://bücher.example/ä"],
)
def test_item_urls(url: str) -> None:
    assert faults(put(other("friend_referred"), "/data/item/url", url)) == set()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "//shop.example",
        "https://",
        "https://a:b@shop.example",
        "https://shop.example/a b",
        'https://a.example/"',
    ],
)
def test_item_urls_that_are_none(url: str) -> None:
    assert faults(put(other("friend_referred"), "/data/item/url", url)) == {("grammar", "/data/item/url")}


def test_an_item_url_from_both_sides() -> None:
    url = "https://shop.example/"
    longest = url + "x" * (2_000 - len(url))
    assert faults(put(other("friend_referred"), "/data/item/url", longest)) == set()
    assert faults(put(other("friend_referred"), "/data/item/url", longest + "x")) == {("too_long", "/data/item/url")}


def test_an_item_title_is_searched_for_card_numbers() -> None:
    assert faults(put(other("friend_referred"), "/data/item/title", CARD)) == {("card_number", "/data/item/title")}


def test_parts_of_friends_and_requests() -> None:
    friend = read(other("friend_referred")).parts["friend"]
    request = read(other("special_request_submitted")).parts["request"]
    assert isinstance(friend, Friend)
    assert isinstance(request, Request)
    assert faults(other("friend_referred"), over_amqp="friend_referred") == {("part_in_clear", "/data/friend")}
    assert faults(other("friend_referred", friend=sealed("friend")), over_amqp="friend_referred") == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x" * 5_000, None),
        ("x" * 5_001, "too_long"),
        ("", "too_short"),
        ("a\nb", "control_character"),
        (f"my card: {CARD}", "card_number"),
    ],
)
def test_request_texts(text: str, expected: str | None) -> None:
    found = faults(put(other("special_request_submitted"), "/data/request/text", text))
    assert found == ({(expected, "/data/request/text")} if expected else set())
