"""What the buyer reads, and that nothing in an order can bend a mail: values are compared after the standard parser read it."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import timedelta, timezone

import pytest

from services.notifications.letters import (
    DeliveryMail,
    Letter,
    LetterLine,
    OrderConfirmation,
    ShipmentMail,
    Shop,
    message_id,
    render,
)
from shared.contracts.errors import Parked
from shared.contracts.values import Money, OrderKey
from tests.unit.notifications.letters import (
    AT,
    CONFIRMATION,
    DELIVERY,
    HEADERS,
    KEY,
    LETTERS,
    SHIPMENT,
    SHOP,
    TAGS,
    TROUBLE,
    bodies,
    kind,
    parse,
    usd,
)


@pytest.mark.parametrize("letter", LETTERS, ids=kind)
def test_a_mail_is_whole(letter: Letter) -> None:
    mail = render(letter, SHOP, AT)
    message = parse(mail)
    assert message.keys() == HEADERS
    assert message["From"].addresses[0].display_name == "Astro Jewelry"
    assert message["From"].addresses[0].addr_spec == mail.sender == "orders@astrojewelry.example"
    assert message["To"].addresses[0].display_name == "Ana Müller"
    assert message["To"].addresses[0].addr_spec == mail.recipient == "ana@example.com"
    assert message["Date"].datetime == AT
    assert message["Message-ID"] == mail.message_id == letter.message_id
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Brown-Paper-Kind"] == letter.kind
    assert message["X-Brown-Paper-Order"] == "AJ-100042"
    assert message.get_content_type() == "multipart/alternative"
    assert [part["Content-Language"] for part in message.iter_parts()] == ["en", "en"]
    assert "AJ-100042" in message["Subject"]
    assert not mail.smtputf8


@pytest.mark.parametrize("letter", LETTERS, ids=kind)
def test_a_mail_keeps_to_the_limits_of_the_wire(letter: Letter) -> None:
    mail = render(replace(letter, to_name="Ана " * 50), SHOP, AT)
    assert mail.message.isascii()
    assert mail.message.endswith(b"--\r\n")
    lines = mail.message.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 76


@pytest.mark.parametrize("letter", LETTERS, ids=kind)
def test_text_and_html_say_the_same(letter: Letter) -> None:
    text, page = bodies(render(letter, SHOP, AT))
    seen = page.words.replace("−", "-")
    for words in ("Hello Ana Müller,", "AJ-100042", "Astro Jewelry", "please reply to this message"):
        assert words in text
        assert words in seen
    amounts = re.findall(r"[$][\d,.]+", text)
    assert set(amounts) == set(re.findall(r"[$][\d,.]+", seen))


def test_a_confirmation_shows_lines_and_amounts() -> None:
    text, page = bodies(render(replace(CONFIRMATION, discount=usd("5.00"), total=usd("1182.65")), SHOP, AT))
    assert "2 x Chain-nose pliers\n    $18.50 each, together $37.00\n" in text
    assert "Placed: 22 November 2026, 10:14 UTC\n" in text
    summary = "Items: $1,166.00\nDiscount: -$5.00\nShipping: $7.95\nTax: $13.70\nTotal: $1,182.65 (USD)\n"
    assert summary in text
    for words in (
        "Chain-nose pliers",
        "2 × $18.50",
        "$37.00",
        "−$5.00",
        "$1,182.65",
        "Total (USD)",
        "22 November 2026, 10:14 UTC",
    ):
        assert words in page.words


def test_without_a_discount_none_is_mentioned() -> None:
    text, page = bodies(render(CONFIRMATION, SHOP, AT))
    assert "Discount" not in text + page.words


def test_a_line_without_a_title_is_called_by_its_number() -> None:
    text, page = bodies(render(replace(CONFIRMATION, lines=(LetterLine(7, " \u2028", 1, usd("1.00")),)), SHOP, AT))
    assert "1 x Item 7\n" in text
    assert "Item 7" in page.words


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("0.05", "USD", "$0.05"),
        ("1234567.89", "EUR", "€1,234,567.89"),
        ("1500", "JPY", "¥1,500"),
        ("12.345", "KWD", "KWD\u00a012.345"),
        ("10.00", "CAD", "CAD\u00a010.00"),
    ],
)
def test_money_has_the_digits_of_its_currency(amount: str, currency: str, shown: str) -> None:
    price, nothing = Money.parse(amount, currency), Money(0, currency)
    letter = replace(
        CONFIRMATION, lines=(LetterLine(1, "Ring", 1, price),), discount=nothing, shipping=nothing, tax=nothing, total=price
    )
    text, page = bodies(render(letter, SHOP, AT))
    assert f"Total: {shown} ({currency})\n" in text
    assert shown in page.words


def test_two_currencies_in_one_letter_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two currencies"):
        render(replace(CONFIRMATION, tax=Money(1, "EUR")), SHOP, AT)


def test_a_shipment_names_carrier_number_and_link() -> None:
    text, page = bodies(render(SHIPMENT, SHOP, AT))
    assert "Carrier: UPS\nTracking number: 1Z999AA10123456784\n" in text
    assert f"\n{SHIPMENT.tracking_url}\n" in text
    assert "1Z999AA10123456784" in page.words
    assert page.links == [SHIPMENT.tracking_url]


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://www.ups.com/track?tracknum=1Z9",
        "javascript:alert(1)",
        "https://",
        "https:///track",
        "https://[::1",
        "https://user:password@ups.com/1Z9",
        "https://ups.com/track?n=1Z9\r\nBcc: x@example.net",
        'https://ups.com/"onmouseover="x y',
        "https://ups.com/track?mail=ana@example.com",
        "https://ups.com/track?mail=ana%2540example.com",
        "https://ups.com/m%C3%BCller/1Z9",
        "https://ups.com/track?name=Ana+M",
        "https://ups.com/träck",
    ],
)
def test_a_link_that_is_not_plainly_the_carriers_is_left_out(url: str | None) -> None:
    text, page = bodies(render(replace(SHIPMENT, tracking_url=url), SHOP, AT))
    assert page.links == []
    assert "http" not in text
    assert "1Z999AA10123456784" in text


def test_a_short_name_in_a_link_is_seen_too() -> None:
    text, page = bodies(render(replace(SHIPMENT, to_name="Li Wu", tracking_url="https://ups.com/track?to=Li+Wu"), SHOP, AT))
    assert page.links == []
    assert "Li+Wu" not in text


def test_a_links_ampersand_survives_both_bodies() -> None:
    url = "https://tools.usps.com/go/Track?a=1&tLabels=9400&lt=2"
    text, page = bodies(render(replace(SHIPMENT, tracking_url=url), SHOP, AT))
    assert url in text.splitlines()
    assert page.links == [url]


def test_a_letter_has_no_field_for_an_address_or_a_payment() -> None:
    shared = {"message_id", "order_number", "to_name", "to_email", "language"}
    assert {one.name for one in fields(DeliveryMail)} == shared
    assert {one.name for one in fields(ShipmentMail)} == shared | {"carrier", "tracking_number", "tracking_url"}
    amounts = {"discount", "shipping", "tax", "total"}
    assert all({one.name for one in fields(letter)} == shared for letter in TROUBLE)
    assert {one.name for one in fields(OrderConfirmation)} == shared | {"placed_at", "lines"} | amounts


@pytest.mark.parametrize("letter", LETTERS, ids=kind)
def test_a_letter_shows_no_person_in_a_log(letter: Letter) -> None:
    for shown in (repr(letter), repr(render(letter, SHOP, AT))):
        assert not re.search("Ana|Müller|ana@|1Z999", shown)


@pytest.mark.parametrize("letter", LETTERS, ids=kind)
def test_a_service_mail_loads_nothing_and_sells_nothing(letter: Letter) -> None:
    mail = render(letter, SHOP, AT)
    message = parse(mail)
    assert "List-Unsubscribe" not in message
    _, page = bodies(mail)
    assert page.tags <= TAGS
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert not re.search(r"url\(|@import|<link|utm_|coupon|newsletter", html)


def test_html_stays_small() -> None:
    lines = tuple(LetterLine(number, "Chain-nose pliers, box joint, 120 mm", 2, usd("18.50")) for number in range(1, 31))
    html = parse(render(replace(CONFIRMATION, lines=lines), SHOP, AT)).get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert len(html.encode()) <= 20_000


@pytest.mark.parametrize("language", ["en", "EN-us", "de-AT", "tlh", "zh_Hant", "", "../secrets"])
def test_a_language_without_texts_falls_back_to_english(language: str) -> None:
    mail = render(replace(DELIVERY, language=language), SHOP, AT)
    assert mail.message == render(DELIVERY, SHOP, AT).message


def test_rendering_again_gives_the_same_bytes() -> None:
    assert render(CONFIRMATION, SHOP, AT) == render(CONFIRMATION, SHOP, AT.astimezone(timezone(timedelta(hours=-7))))


def test_a_time_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="time zone"):
        render(DELIVERY, SHOP, AT.replace(tzinfo=None))
    with pytest.raises(ValueError, match="time zone"):
        render(replace(CONFIRMATION, placed_at=AT.replace(tzinfo=None)), SHOP, AT)


def test_a_shop_with_an_unfit_address_cannot_be_made() -> None:
    with pytest.raises(Parked, match="mail_address_unfit"):
        Shop("Astro Jewelry", "Astro <orders@astrojewelry.example>")


def test_message_ids_are_stable_and_tell_nothing() -> None:
    one = message_id(SHOP.domain, "shipment", KEY, "PA-1")
    assert one == message_id("AstroJewelry.example", "shipment", KEY, "PA-1")
    assert re.fullmatch(r"<[0-9a-f]{40}@astrojewelry\.example>", one)
    others = {
        message_id(SHOP.domain, "shipment", KEY),
        message_id(SHOP.domain, "shipment", KEY, "PA-2"),
        message_id(SHOP.domain, "delivery", KEY, "PA-1"),
        message_id(SHOP.domain, "shipment", OrderKey(KEY.shop, "AJ-100043"), "PA-1"),
        message_id(SHOP.domain, "shipment", OrderKey("https://other.example", KEY.order_number), "PA-1"),
        message_id(SHOP.domain, "shipment", OrderKey(KEY.shop, "AJ-100042PA-1")),
    }
    assert len(others | {one}) == 7
    assert render(replace(DELIVERY, message_id=one), SHOP, AT).message_id == one


@pytest.mark.parametrize("domain", ["", "a b", "bücher.example", "x>\r\nBcc: b"])
def test_a_message_id_needs_a_domain(domain: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        message_id(domain, "shipment", KEY)
