from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.storefront import Contact, Recipient, SealedPart
from tests.unit.contracts.storefront_samples import (
    AT,
    CARD,
    RULES,
    drop,
    faults,
    order,
    paypal_order,
    put,
    read,
    sealed,
    sealed_order,
)


def encoded(length: int) -> str:
    return base64.b64encode(b"\xfb" * length).decode()


def test_sealed_parts_stay_as_they_came() -> None:
    event = read(sealed_order(), over_amqp="order_placed")
    box = encoded(90)
    assert event.parts == {
        "recipient": SealedPart("shipping", "shipping-2026-10", box),
        "contact": SealedPart("notifications", "notifications-2026-10", box),
        "billing": SealedPart("payments", "payments-2026-10", box),
    }
    assert box not in repr(event.parts)


def test_clear_parts_over_https_are_read() -> None:
    parts = read(order()).parts
    assert isinstance(parts["recipient"], Recipient)
    assert isinstance(parts["contact"], Contact)
    assert parts["recipient"].address.city == "Wien"
    assert parts["contact"].language == "de-AT"


def test_the_language_is_english_where_it_is_left_out() -> None:
    contact = read(drop(order(), "/data/contact/language")).parts["contact"]
    assert isinstance(contact, Contact)
    assert contact.language == "en"


@pytest.mark.parametrize(
    "member",
    [
        "recipient/address/line2",
        "recipient/address/region",
        "recipient/personalisation",
        "recipient/gift_message",
        "contact/phone",
        "contact/language",
    ],
)
def test_optional_members_may_be_left_out_but_not_be_null(member: str) -> None:
    event = put(order(), "/data/recipient/address/region", "Wien")
    assert faults(drop(event, f"/data/{member}")) == set()
    assert faults(put(event, f"/data/{member}", None)) == {("wrong_type", f"/data/{member}")}


def test_a_recipient_needs_no_postal_code() -> None:
    assert faults(drop(order(), "/data/recipient/address/postal_code")) == set()


@pytest.mark.parametrize("part", ["recipient", "contact", "billing"])
def test_a_part_in_the_clear_is_not_taken_over_amqp_nor_looked_at(part: str) -> None:
    event = sealed_order(**{part: {"name": CARD, "anything": None}})
    assert faults(event, over_amqp="order_placed") == {("part_in_clear", f"/data/{part}")}


def test_a_part_in_the_clear_over_amqp_where_the_shop_takes_it() -> None:
    assert faults(order(), over_amqp="order_placed", rules=replace(RULES, accept_clear_parts=True)) == set()


@pytest.mark.parametrize("value", [None, "Ana", 1, [], True])
def test_a_part_is_an_object(value: Any) -> None:
    for over_amqp in (None, "order_placed"):
        assert faults(sealed_order(contact=value), over_amqp=over_amqp) == {("wrong_type", "/data/contact")}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sealed_for": "notifications"}, {("sealed_for_wrong_service", "sealed_for"), ("key_unknown", "key_id")}),
        (
            {"sealed_for": "notifications", "key_id": "notifications-2026-10"},
            {("sealed_for_wrong_service", "sealed_for")},
        ),
        ({"sealed_for": 1}, {("wrong_type", "sealed_for")}),
        ({"key_id": "nobody"}, {("key_unknown", "key_id")}),
        ({"key_id": "notifications-2026-10"}, {("key_unknown", "key_id")}),
        ({"key_id": "shipping-old"}, {("key_expired", "key_id")}),
        ({"key_id": None}, {("wrong_type", "key_id")}),
        ({"box": 3}, {("wrong_type", "box")}),
        ({"box": ""}, {("box_malformed", "box")}),
        ({"box": encoded(47)}, {("box_malformed", "box")}),
        ({"box": encoded(90)[:-1]}, {("box_malformed", "box")}),
        ({"box": encoded(49).rstrip("=")}, {("box_malformed", "box")}),
        ({"box": encoded(90)[:-4] + "é+++"}, {("box_malformed", "box")}),
        ({"box": encoded(90) + "\n"}, {("box_malformed", "box")}),
        ({"box": encoded(90)[:-4] + "-_+/"}, {("box_malformed", "box")}),
        ({"name": "Ana"}, {("unknown_member", "name")}),
    ],
)
def test_faults_of_a_sealed_part(changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    found = faults(sealed_order(recipient=sealed("recipient", **changes)), over_amqp="order_placed")
    assert found == {(code, f"/data/recipient/{member}") for code, member in expected}


@pytest.mark.parametrize("member", ["sealed_for", "key_id", "box"])
def test_a_sealed_part_has_all_its_members(member: str) -> None:
    event = drop(sealed_order(), f"/data/contact/{member}")
    assert faults(event, over_amqp="order_placed") == {("missing", f"/data/contact/{member}")}


@pytest.mark.parametrize(
    "box",
    [
        encoded(48),
        encoded(49),
        base64.urlsafe_b64encode(b"\xfb" * 49).decode(),
        base64.urlsafe_b64encode(b"\xfb" * 49).decode().rstrip("="),
    ],
)
def test_boxes_in_either_alphabet(box: str) -> None:
    assert faults(sealed_order(contact=sealed("contact", box=box)), over_amqp="order_placed") == set()


def test_a_key_lasts_until_it_expires() -> None:
    event = sealed_order(recipient=sealed("recipient", key_id="shipping-old"))
    assert faults(event, at=AT - timedelta(microseconds=1)) == set()
    assert faults(event, at=AT) == {("key_expired", "/data/recipient/key_id")}


def test_billing_is_needed_with_2checkout_only() -> None:
    assert faults(drop(order(), "/data/billing")) == {("billing_missing", "/data/billing")}
    assert faults(paypal_order()) == set()


@pytest.mark.parametrize("billing", [order()["data"]["billing"], sealed("billing"), sealed("billing", key_id="gone"), {}])
def test_billing_with_paypal_is_accepted_and_dropped(billing: dict[str, Any]) -> None:
    event = read(paypal_order(billing=billing))
    assert set(event.parts) == {"recipient", "contact"}
    assert event.data_digest == read(paypal_order()).data_digest


def test_what_is_refused_even_of_billing_with_paypal() -> None:
    card = {**order()["data"]["billing"], "given_name": CARD}
    assert faults(paypal_order(billing=card)) == {("card_number", "/data/billing/given_name")}
    assert faults(paypal_order(billing=[])) == {("wrong_type", "/data/billing")}
    clear = sealed_order(payment={"provider": "paypal", "reference": "X"}, billing={"given_name": "Ana"})
    assert faults(clear, over_amqp="order_placed") == {("part_in_clear", "/data/billing")}


@pytest.mark.parametrize("country", ["US", "TR", "IN", "RO"])
def test_billing_in_some_countries_needs_a_region(country: str) -> None:
    event = put(order(), "/data/billing/address/country", country)
    assert faults(event) == {("region_missing", "/data/billing/address/region")}
    assert faults(put(event, "/data/billing/address/region", "CO")) == set()


def test_billing_in_brazil_needs_a_tax_id() -> None:
    event = put(order(), "/data/billing/address/country", "BR")
    assert faults(event) == {("tax_id_missing", "/data/billing/tax_id")}
    assert faults(put(event, "/data/billing/tax_id", "123.456.789-09")) == set()


def test_billing_always_needs_a_postal_code() -> None:
    assert faults(drop(order(), "/data/billing/address/postal_code")) == {
        ("postal_code_missing", "/data/billing/address/postal_code")
    }


@pytest.mark.parametrize("place", ["recipient/address", "billing/address"])
@pytest.mark.parametrize("country", ["XX", "at", "AUT", "", "UK", "EU"])
def test_countries_are_of_iso_3166(place: str, country: str) -> None:
    assert faults(put(order(), f"/data/{place}/country", country)) == {("country_unknown", f"/data/{place}/country")}


def test_a_country_of_another_type_is_no_country() -> None:
    assert faults(put(order(), "/data/billing/address/country", ["US"])) == {("wrong_type", "/data/billing/address/country")}


def test_personalisation_names_lines_of_the_order() -> None:
    texts = [{"line": 3, "text": "a"}, {"line": 4, "text": "b"}, {"line": 3, "text": "c"}]
    assert faults(put(order(), "/data/recipient/personalisation", texts)) == {
        ("line_unknown", "/data/recipient/personalisation/1/line")
    }


def test_personalisations_from_both_sides() -> None:
    assert faults(put(order(), "/data/recipient/personalisation", [{"line": 1, "text": "x"}] * 2_000)) == set()
    found = faults(put(order(), "/data/recipient/personalisation", [{"line": 1, "text": "x"}] * 2_001))
    assert found == {("too_long", "/data/recipient/personalisation")}


@pytest.mark.parametrize(
    "member",
    [
        "recipient/name",
        "recipient/address/line1",
        "recipient/address/line2",
        "recipient/address/city",
        "recipient/address/region",
        "recipient/address/postal_code",
        "recipient/personalisation/0/text",
        "recipient/gift_message",
        "contact/name",
        "billing/given_name",
        "billing/family_name",
        "billing/address/line1",
    ],
)
def test_free_text_of_a_part_holds_no_card_number(member: str) -> None:
    assert faults(put(order(), f"/data/{member}", CARD)) == {("card_number", f"/data/{member}")}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("contact/phone", "4111111111111111"),
        ("contact/email", "4111111111111111@shop.example"),
        ("billing/tax_id", "4111111111111111"),
    ],
)
def test_what_has_its_own_grammar_is_not_searched(member: str, value: str) -> None:
    assert faults(put(order(), f"/data/{member}", value)) == set()


@pytest.mark.parametrize("phone", ["+1 303 555 0142", "(0043) 1/555-01.99", "555 0142 ext. 7", "+49–30–5550199", "٠١٢٣", "1"])
def test_phones(phone: str) -> None:
    assert faults(put(order(), "/data/contact/phone", phone)) == set()


@pytest.mark.parametrize("phone", ["none", "<script>1", "1\n2", "+"])
def test_phones_that_are_none(phone: str) -> None:
    assert faults(put(order(), "/data/contact/phone", phone)) == {("grammar", "/data/contact/phone")}


def test_a_malformed_mail_address_and_language() -> None:
    assert faults(put(order(), "/data/contact/email", "zoe")) == {("email_malformed", "/data/contact/email")}
    assert faults(put(order(), "/data/contact/language", "de_AT")) == {("language_malformed", "/data/contact/language")}
