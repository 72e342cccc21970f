"""Letters to many: plain text, the same bytes for the same letter, and never without the way out where their class must show it."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from jinja2 import Environment

from services.notifications import circulars
from services.notifications.circulars import CIRCULARS, Ways, render, write
from services.notifications.gate import classes_by_kind
from services.notifications.letters import Shop
from shared.contracts.errors import Parked
from shared.policy import load

AT = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
SHOP = Shop("AstroJewelry.com", "orders@astrojewelry.com")
CHOICE, OUT = "https://shop.example/privacy/choice", "https://shop.example/mail"
WAYS = Ways(CHOICE, OUT)
CLASSES = classes_by_kind(load().mails)
LETTER = UUID(int=7)
TOLD: dict[str, dict[str, Any]] = {
    "policy_change": {
        "version": "2027-01-01",
        "sentences": ["Send what was subscribed to.", "Somebody new is given data: Counts."],
    },
    "policy_notice": {"version": "2027-01-01", "sentences": ["Said in other words (addenda A-01): Sixty days."]},
    "announcement": {"subject": "The shop moves", "text": "From Monday on we are at\n12 Larimer St."},
    "newsletter": {"subject": "New rings", "text": "There are new rings."},
}


def contact(**more: str) -> Any:
    return SimpleNamespace(**{"name": "Ana Müller", "email": "ana@post.example", "language": "de", **more})


def rendered(kind: str, ways: Ways = WAYS, **more: str) -> EmailMessage:
    circular = write(kind, LETTER, TOLD[kind], contact(**more))
    mail = render(circular, SHOP, AT, ways, must_show_way_out=CLASSES[kind].carries_way_out)
    return cast(EmailMessage, email.message_from_bytes(mail.message, policy=email.policy.default))


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize("kind", CIRCULARS)
def test_a_letter_is_plain_text_and_the_same_twice(kind: str) -> None:
    mail = rendered(kind)
    assert mail.get_content_type() == "text/plain"
    assert (mail["X-Brown-Paper-Kind"], mail["Message-ID"]) == (kind, f"<{LETTER.hex}@astrojewelry.com>")
    assert mail["To"] == "Ana Müller <ana@post.example>"
    assert "Hello Ana Müller," in text_of(mail)
    assert rendered(kind).as_bytes() == mail.as_bytes()


def test_a_changed_policy_is_told_in_its_own_words_with_the_choice_and_what_silence_means() -> None:
    text = text_of(rendered("policy_change"))
    assert "- Send what was subscribed to.\n- Somebody new is given data: Counts.\n" in text
    assert CHOICE in text.splitlines()
    assert "If you do nothing, that is a no." in text
    with pytest.raises(Parked) as missing:
        rendered("policy_change", Ways(None, OUT))
    assert missing.value.code == "choice_link_missing"


@pytest.mark.parametrize("kind", [kind for kind in CIRCULARS if CLASSES[kind].carries_way_out])
def test_a_letter_shows_the_way_out_where_its_class_must(kind: str) -> None:
    mail = rendered(kind)
    assert OUT in text_of(mail).splitlines()
    assert mail["List-Unsubscribe"] == f"<mailto:orders@astrojewelry.com?subject=unsubscribe>, <{OUT}>"
    for without in (Ways(CHOICE, None), Ways(CHOICE, "javascript:0"), Ways(CHOICE, "https://shop.example/a b")):
        with pytest.raises(Parked) as missing:
            rendered(kind, without)
        assert missing.value.code == "way_out_missing"


@pytest.mark.parametrize("kind", [kind for kind in CIRCULARS if CLASSES[kind].carries_way_out])
def test_a_template_without_the_way_out_is_red(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("Subject: S\n\nHello {{ name }},\n", "Subject: S\n\nHello, <a{{ way_out }}>\n"):
        monkeypatch.setitem(circulars.TEXTS, kind, Environment().from_string(text))
        with pytest.raises(Parked) as missing:
            rendered(kind)
        assert missing.value.code == "way_out_missing"


def test_an_announcement_needs_no_way_out_and_has_no_header_for_one() -> None:
    mail = rendered("announcement", Ways())
    assert mail["List-Unsubscribe"] is None
    assert "12 Larimer St." in text_of(mail)


@pytest.mark.parametrize("kind", CIRCULARS)
def test_no_link_holds_a_word_of_the_reader(kind: str) -> None:
    one, other = rendered(kind), rendered(kind, name="Bob Builder", email="bob@post.example")
    assert text_of(one).replace("Ana Müller", "Bob Builder") == text_of(other)
    assert one["List-Unsubscribe"] == other["List-Unsubscribe"]


def test_a_hostile_name_or_text_adds_no_header_and_hides_no_link() -> None:
    mail = rendered("newsletter", name="Ana\r\nBcc: all@post.example\u202e")
    assert mail["Bcc"] is None
    circular = write("newsletter", LETTER, {"subject": "A\r\nBcc: x@y.example", "text": "\u202eturned\x00 around"}, contact())
    parsed = email.message_from_bytes(
        render(circular, SHOP, AT, WAYS, must_show_way_out=True).message, policy=email.policy.default
    )
    assert parsed["Bcc"] is None
    assert not set(text_of(cast(EmailMessage, parsed))) & set("\u202e\x00")
