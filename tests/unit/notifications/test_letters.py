"""What the buyer reads, and that nothing in an order can bend a mail: values are compared after the standard parser read it."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import EmailMessage
from email.utils import unquote
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifications.difficulty_letters import DIFFICULTY_LETTERS
from services.notifications.letters import (
    DeliveryMail,
    Letter,
    LetterLine,
    OrderConfirmation,
    RenderedMail,
    ShipmentMail,
    Shop,
    message_id,
    render,
)
from services.notifications.mail_format import one_line
from shared.contracts.errors import Parked
from shared.contracts.values import Money, OrderKey

AT = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
SHOP = Shop("Astro Jewelry", "orders@astrojewelry.example")
KEY = OrderKey("https://www.astrojewelry.example", "AJ-100042")
HEADERS = ["Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "X-Brown-Paper-Kind", "X-Brown-Paper-Order"]
HEADERS += ["MIME-Version", "Content-Type"]
TAGS = {"html", "head", "meta", "title", "style", "body", "table", "tr", "td", "th", "p", "h1", "br", "strong", "bdi", "a"}


def usd(amount: str) -> Money:
    return Money.parse(amount, "USD")


CONFIRMATION = OrderConfirmation(
    message_id="<c1@astrojewelry.example>",
    order_number="AJ-100042",
    to_name="Ana Müller",
    to_email="ana@example.com",
    placed_at=datetime(2026, 11, 22, 10, 14, 58, tzinfo=UTC),
    lines=(LetterLine(1, "Elvish band, size 9", 1, usd("1129.00")), LetterLine(2, "Chain-nose pliers", 2, usd("18.50"))),
    discount=usd("0.00"),
    shipping=usd("7.95"),
    tax=usd("13.70"),
    total=usd("1187.65"),
)
SHIPMENT = ShipmentMail(
    message_id="<s1@astrojewelry.example>",
    order_number="AJ-100042",
    to_name="Ana Müller",
    to_email="ana@example.com",
    carrier="UPS",
    tracking_number="1Z999AA10123456784",
    tracking_url="https://www.ups.com/track?tracknum=1Z999AA10123456784",
)
DELIVERY = DeliveryMail(
    message_id="<d1@astrojewelry.example>", order_number="AJ-100042", to_name="Ana Müller", to_email="ana@example.com"
)
TROUBLE = tuple(
    letter(
        message_id=f"<{kind}@astrojewelry.example>", order_number="AJ-100042", to_name="Ana Müller", to_email="ana@example.com"
    )
    for kind, letter in DIFFICULTY_LETTERS.items()
)
LETTERS = (CONFIRMATION, SHIPMENT, DELIVERY, *TROUBLE)


class Page(HTMLParser):
    """What a reader sees of an HTML body, its tags, its links, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words, self.tags, self.links, self.open = "", set[str](), list[str](), list[str]()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "background", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data


def parse(mail: RenderedMail) -> EmailMessage:
    message = message_from_bytes(mail.message, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def bodies(mail: RenderedMail) -> tuple[str, Page]:
    text, html = parse(mail).iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return text.get_content().replace("\r\n", "\n"), Page(html.get_content())


def display_name(mail: RenderedMail, name: str) -> str:
    """The name in an address header. (`policy.default` of Python 3.11 puts a space between the encoded words of a phrase.)"""
    phrase = message_from_bytes(mail.message, policy=policy.compat32)[name].rpartition("<")[0].strip()
    if phrase.startswith('"'):
        return unquote(phrase)
    return "".join(part if isinstance(part, str) else part.decode(charset or "ascii") for part, charset in decode_header(phrase))


def kind(letter: Letter) -> str:
    return letter.kind


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


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("Ana\r\nBcc: victim@example.net", "Ana Bcc: victim@example.net"),
        ("Ana\n\n<b>body</b>", "Ana <b>body</b>"),
        ("\x00Ana\x1b[31m\x85\u2028x", "Ana [31m x"),
        ('Robert "Bob" \\ O\'Neil', 'Robert "Bob" \\ O\'Neil'),
        ("Smith, John <john@example.net>", "Smith, John <john@example.net>"),
        ("=?utf-8?B?QmNjOiB4?=", "=?utf-8?B?QmNjOiB4?="),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("{{ 7 * 7 }}{% raw %}", "{{ 7 * 7 }}{% raw %}"),
        ("&lt;&amp;&#39;", "&lt;&amp;&#39;"),
        ("--=_brown_paper--", "--=_brown_paper--"),
        (".", "."),
        ("田中さん 🌈👩‍👩‍👧", "田中さん 🌈👩‍👩‍👧"),
        ("\u202eevil\u2066\u202c", "evil"),
        ("lone \ud800 half", "lone half"),
        ("a" * 200, "a" * 200),
        ("é" * 200, "é" * 200),
    ],
    ids=lambda value: f"{len(value)} signs",
)
def test_a_hostile_text_stays_what_it_is(hostile: str, shown: str) -> None:
    letter = replace(CONFIRMATION, to_name=hostile, lines=(LetterLine(1, hostile, 1, usd("1.00")),))
    mail = render(letter, replace(SHOP, name=hostile), AT)
    message = parse(mail)
    assert message.keys() == HEADERS
    assert display_name(mail, "To") == shown
    assert display_name(mail, "From") == shown
    assert [one.addr_spec for one in message["To"].addresses] == ["ana@example.com"]
    assert message["Subject"] == f"Your order AJ-100042 with {shown}"
    text, page = bodies(mail)
    assert text.startswith(f"Hello {shown},\n")
    assert f"\n1 x {shown}\n" in text
    assert page.words.count(shown) >= 3
    assert page.tags <= TAGS


def test_words_from_right_to_left_are_set_apart() -> None:
    text, _ = bodies(render(replace(CONFIRMATION, to_name="דוד", lines=(LetterLine(1, "خاتم 9", 1, usd("1.00")),)), SHOP, AT))
    assert "Hello \u2068דוד\u2069,\n" in text
    assert "1 x \u2068خاتم 9\u2069\n" in text


@given(st.text(max_size=120), st.text(max_size=120))
@settings(deadline=None, max_examples=60)
def test_no_name_and_no_title_can_bend_a_mail(name: str, title: str) -> None:
    mail = render(replace(CONFIRMATION, to_name=name, lines=(LetterLine(1, title, 1, usd("1.00")),)), SHOP, AT)
    message = parse(mail)
    assert message.keys() == HEADERS
    assert message["To"].addresses[0].addr_spec == "ana@example.com"
    _, page = bodies(mail)
    assert one_line(name) in page.words
    assert (one_line(title) or "Item 1") in page.words
    assert page.tags <= TAGS
    assert max(map(len, mail.message.split(b"\r\n"))) <= 100


@pytest.mark.parametrize(
    ("address", "on_the_wire", "smtputf8"),
    [
        ("ana@example.com", "ana@example.com", False),
        ("o'neil+tag@sub.example.com", "o'neil+tag@sub.example.com", False),
        ('"a b"@example.com', '"a b"@example.com', False),
        ("ana@bücher.example", "ana@xn--bcher-kva.example", False),
        ("ana@例え.テスト", "ana@xn--r8jz45g.xn--zckzah", False),
        ("ana@[192.0.2.1]", "ana@[192.0.2.1]", False),
        ("josé@example.com", "josé@example.com", True),
        ("用户@例子.example", "用户@xn--fsqu00a.example", True),
    ],
)
def test_an_address_asks_for_smtputf8_only_where_it_must(address: str, on_the_wire: str, smtputf8: bool) -> None:
    mail = render(replace(DELIVERY, to_email=address), SHOP, AT)
    assert mail.recipient == on_the_wire
    assert mail.smtputf8 is smtputf8
    assert f" <{on_the_wire}>\r\n".encode() in mail.message
    assert mail.message.isascii() is not smtputf8


@pytest.mark.parametrize(
    "address",
    [
        "",
        "canary",
        "@example.com",
        "canary@",
        "canary@x y",
        "canary@-x.example",
        "canary@example.com\r\nBcc: b@example.net",
        "can\nary@example.com",
        "can\u2028ary@example.com",
        "canary\u202e@example.com",
        "<canary@example.com>",
        "canary@example.com,b@example.net",
        "canary@x..example",
        "canary@\u2603\u0000.example",
        '"canary"b"@example.com',
        "can\ud800ary@example.com",
    ],
)
def test_an_unfit_address_is_parked_and_never_repeated(address: str) -> None:
    with pytest.raises(Parked, match=r"\Amail_address_unfit\Z") as caught:
        render(replace(DELIVERY, to_email=address), SHOP, AT)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("identity", ["", "x@example.com", "<x>", "<x@y>\r\nBcc: b@example.net", "<a b@c>", "<a@b@c>", "<é@c>"])
def test_an_unfit_message_id_is_parked(identity: str) -> None:
    with pytest.raises(Parked, match="message_id_unfit"):
        render(replace(DELIVERY, message_id=identity), SHOP, AT)


@pytest.mark.parametrize("number", ["", "A\r\nB", "A B", "a" * 65, "№1"])
def test_an_unfit_order_number_is_parked(number: str) -> None:
    with pytest.raises(Parked, match="order_number_unfit"):
        render(replace(DELIVERY, order_number=number), SHOP, AT)


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
