"""Names, titles, addresses and numbers that would bend a mail: shown as they are, or parked without a word of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifications.letters import (
    LetterLine,
    render,
)
from services.notifications.mail_format import one_line
from shared.contracts.errors import Parked
from tests.unit.notifications.letters import (
    AT,
    CONFIRMATION,
    DELIVERY,
    HEADERS,
    SHOP,
    TAGS,
    bodies,
    display_name,
    parse,
    usd,
)


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
