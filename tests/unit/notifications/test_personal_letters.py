"""Letters to a friend and to whoever asked the staff: the way out in text, page and header; nothing of anybody in a link; plain words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.letters import Letter, render
from services.notifications.personal_letters import ComplaintAcknowledgement, FriendInvitation, RequestReply
from tests.unit.notifications.letters import AT, SHOP, TAGS, bodies, parse

TO = {"to_name": "Frida Müller", "to_email": "frida@example.com"}
WAY_OUT = "https://shop.example/no-more?word=abcDEF-_123"
INVITATION = FriendInvitation(
    message_id="<i1@astrojewelry.example>", item_title="Elvish band", item_url="https://shop.example/ring", way_out=WAY_OUT, **TO
)
REPLY = RequestReply(message_id="<r1@astrojewelry.example>", text="Yes, in gold too.\n\n\n\nIt takes\ntwo weeks.", **TO)
ACKNOWLEDGEMENT = ComplaintAcknowledgement(message_id="<c1@astrojewelry.example>", case="C-1a", due_on="2026-12-25", **TO)


@pytest.mark.parametrize("letter", [INVITATION, REPLY, ACKNOWLEDGEMENT], ids=lambda it: it.kind)
def test_such_a_letter_is_of_no_order_loads_nothing_and_shows_no_person_in_a_log(letter: Letter) -> None:
    mail = render(letter, SHOP, AT)
    message = parse(mail)
    assert message["X-Brown-Paper-Order"] is None
    assert message["X-Brown-Paper-Kind"] == letter.kind
    assert (message["To"].addresses[0].addr_spec, mail.recipient) == ("frida@example.com", "frida@example.com")
    text, page = bodies(mail)
    assert page.tags <= TAGS
    assert "Hello Frida Müller," in text
    assert "Hello Frida Müller," in page.words
    assert not re.search("Frida|Müller|frida@|abcDEF|two weeks", repr(letter) + repr(mail))


def test_an_invitation_shows_the_way_out_everywhere_and_names_the_friend_in_no_link() -> None:
    mail = render(INVITATION, SHOP, AT)
    text, page = bodies(mail)
    assert parse(mail)["List-Unsubscribe"] == f"<{WAY_OUT}>"
    assert WAY_OUT in text
    assert page.links == ["https://shop.example/ring", WAY_OUT]
    named = render(replace(INVITATION, item_url="https://shop.example/for-frida"), SHOP, AT)
    assert "for-frida" not in bodies(named)[0]
    assert bodies(named)[1].links == [WAY_OUT]


def test_only_an_invitation_has_a_header_for_the_way_out() -> None:
    assert [parse(render(it, SHOP, AT))["List-Unsubscribe"] for it in (REPLY, ACKNOWLEDGEMENT)] == [None, None]


def test_an_answer_keeps_its_paragraphs_and_each_is_one_line() -> None:
    text, page = bodies(render(REPLY, SHOP, AT))
    assert "Yes, in gold too.\n\nIt takes two weeks.\n" in text
    for words in ("Yes, in gold too.", "It takes two weeks."):
        assert words in page.words


@given(st.text(max_size=200))
def test_no_answer_can_bend_a_mail(words: str) -> None:
    mail = render(replace(REPLY, text=words), SHOP, AT)
    assert parse(mail).keys() == parse(render(REPLY, SHOP, AT)).keys()
    assert bodies(mail)[1].tags <= TAGS


def test_a_case_is_named_with_its_day() -> None:
    text, page = bodies(render(ACKNOWLEDGEMENT, SHOP, AT))
    for words in ("C-1a", "2026-12-25"):
        assert words in text
        assert words in page.words
