"""A friend's mark and the way out: the same for every spelling of one mailbox, readable by nobody else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications import friends
from services.notifications.friends import IN_DOUBT, REFUSED, SENT, FriendMarks, Invitation, normalised, way_out

MARKS, OTHERS = FriendMarks(b"k" * 32), FriendMarks(b"o" * 32)
ONE_MAILBOX = (
    "Ana.Müller@Post.Example",
    "ana.müller@post.example",
    "ANA.MÜLLER@POST.EXAMPLE",
    "ana.mu\u0308ller@post.example",
    "ana.müller+shop@post.example",
    '"ana.müller"@post.example',
)
LOCAL = st.text(st.characters(categories=("Ll", "Lu", "Nd"), max_codepoint=0x24F), min_size=1, max_size=20)


def test_one_mailbox_has_one_mark_however_it_is_spelt() -> None:
    assert len({MARKS.of(address) for address in ONE_MAILBOX}) == 1
    assert MARKS.of("ana@bücher.example") == MARKS.of("ana@xn--bcher-kva.example")
    others = ("ana@post.example", "ana.muller@post.example", "ana.müller@mail.example", "+@post.example")
    assert len({MARKS.of(address) for address in (*others, ONE_MAILBOX[0])}) == len(others) + 1


def test_a_mark_that_tells_spellings_apart_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(friends, "normalised", lambda address: address)
    with pytest.raises(AssertionError):
        test_one_mailbox_has_one_mark_however_it_is_spelt()


@given(LOCAL, LOCAL)
def test_case_and_what_follows_a_plus_change_no_mark(local: str, more: str) -> None:
    plain = f"{local}@post.example"
    assert MARKS.of(plain) == MARKS.of(f"{local}+{more}@POST.example")
    assert MARKS.of(normalised(plain)) == MARKS.of(plain)


def test_a_mark_needs_our_key_and_shows_nothing() -> None:
    mark = MARKS.of("ana@post.example")
    assert re.fullmatch("[0-9a-f]{32}", mark)
    assert mark != OTHERS.of("ana@post.example")


def test_the_word_names_its_mark_and_only_we_can_make_it() -> None:
    mark = MARKS.of("ana@post.example")
    word = MARKS.word(mark)
    assert MARKS.read_word(word) == mark
    assert OTHERS.read_word(word) is None
    assert MARKS.read_word(OTHERS.word(mark)) is None
    assert way_out("https://shop.example/no", word) == f"https://shop.example/no?word={word}"
    assert re.fullmatch("[A-Za-z0-9_-]{43}", word), "it goes into a link as it is"


@given(st.text(max_size=60))
def test_no_other_word_is_read(word: str) -> None:
    assert MARKS.read_word(word) is None


@given(st.integers(0, 31), st.integers(1, 255))
def test_a_word_with_one_changed_byte_is_not_read(place: int, change: int) -> None:
    import base64

    word = MARKS.word(MARKS.of("ana@post.example"))
    signed = bytearray(base64.urlsafe_b64decode(word + "="))
    signed[place] ^= change
    assert MARKS.read_word(base64.urlsafe_b64encode(bytes(signed)).decode().rstrip("=")) is None


@pytest.mark.parametrize(("outcome", "said"), [(SENT, ["friend_invited"]), (REFUSED, []), (IN_DOUBT, [])])
def test_however_the_mail_ends_the_friend_is_forgotten_and_only_a_sent_one_is_said(outcome: str, said: list[str]) -> None:
    invitation = Invitation(shop="https://shop.example", referral="e-1", customer_id="c-1")
    invitation.end(outcome)
    assert [event.type for event in invitation.events] == said
    assert [intent.kind for intent in invitation.intents] == ["forget_friend"]
