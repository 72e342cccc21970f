"""A case is one member's, for one order, for a time; a release takes two different members; what is masked tells next to nothing."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts.values import OrderKey
from shared.staffing import passwords
from shared.staffing.cases import PROPOSAL_LASTS, Case, Release
from shared.staffing.masking import MASK, masked, shown, unopened

AT = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
KEY, OTHER = OrderKey("https://shop.example", "A-1"), OrderKey("https://shop.example", "A-2")
CASE = Case("case-1", "staff-a", KEY, "buyer_asked", None, AT, AT + timedelta(hours=1))
RELEASE = Release("release-1", KEY, "contact", "53", "DO-7", "key", "staff-a", AT)


def test_a_case_opens_one_order_to_one_member_for_its_time() -> None:
    assert CASE.refusal("staff-a", KEY, AT) is None
    assert CASE.refusal("staff-a", KEY, AT + timedelta(minutes=59, seconds=59)) is None
    assert CASE.refusal("staff-a", KEY, AT + timedelta(hours=1)) == "case_over"
    assert CASE.refusal("staff-a", KEY, AT - timedelta(seconds=1)) == "case_over"
    assert CASE.refusal("staff-a", OTHER, AT) == "case_of_another_order"
    assert CASE.refusal("staff-a", OrderKey("https://other.example", "A-1"), AT) == "case_of_another_order"
    assert CASE.refusal("staff-b", KEY, AT) == "case_of_another"


def test_a_release_takes_two_different_members() -> None:
    assert RELEASE.refusal("staff-a", AT) == "second_person_needed"
    with pytest.raises(ValueError, match="two members"):
        RELEASE.approved("staff-a", AT)
    assert RELEASE.people == ("staff-a",)
    approved = RELEASE.approved("staff-b", AT + timedelta(minutes=1))
    assert approved.people == ("staff-a", "staff-b")
    assert approved.approved("staff-b", AT + timedelta(hours=1)) == approved, "the first time stands"
    assert approved.refusal("staff-a", AT) == "second_person_needed"
    assert approved.refusal("staff-c", AT) == "release_approved_before"
    assert RELEASE.refusal("staff-b", AT + PROPOSAL_LASTS) == "release_too_old"


def test_one_person_with_two_chairs_is_red() -> None:
    """A rule that counted approvals and not people would let this through."""
    same = Release("release-1", KEY, "contact", "53", "DO-7", "key", "staff-a", AT, approved_by="staff-a", approved_at=AT)
    assert same.refusal("staff-a", AT) == "second_person_needed"
    assert len(set(same.people)) < 2


PART = {
    "name": "Ana Müller",
    "email": "ana@post.example",
    "language": "en",
    "address": {"line1": "12 Larimer St", "line2": None},
    "for": "A-1",
}
FIELDS = ("name", "email", "phone", "address.line1", "address.line2")


def test_what_is_not_asked_for_is_behind_a_mask_and_what_is_not_granted_is_not_there() -> None:
    assert shown(PART, FIELDS, {"email"}) == {
        "name": f"A{MASK}",
        "email": "ana@post.example",
        "phone": None,
        "address.line1": f"1{MASK}",
        "address.line2": None,
    }
    assert "Larimer" not in json.dumps(shown(PART, FIELDS, {"name"}))
    assert "language" not in shown(PART, FIELDS, FIELDS)


def test_a_mask_tells_no_length() -> None:
    assert len(masked("Ana")) == len(masked("Ana Müller von und zu"))
    assert masked(["Zoë", "Al"]) == [f"Z{MASK}", f"A{MASK}"]
    assert set(unopened(FIELDS).values()) == {MASK}


def test_a_password_is_kept_as_argon2id_and_a_token_not_at_all() -> None:
    kept = passwords.secret_hash_of("correct horse battery")
    assert kept.startswith("$argon2id$")
    assert passwords.is_right(kept, "correct horse battery")
    assert not passwords.is_right(kept, "correct horse batterz")
    assert not passwords.is_right(kept, "x" * 100_000)
    assert not passwords.is_right(None, "correct horse battery")
    assert not passwords.is_right("not a hash", "correct horse battery")
    token = passwords.new_token()
    assert len(token) >= 40
    assert passwords.token_digest(token) == hashlib.sha256(token.encode()).hexdigest()


@pytest.mark.parametrize("password", ["short", "x" * 300, "aaaaaaaaaaaaaaaa"])
def test_a_poor_password_is_not_taken(password: str) -> None:
    fault = passwords.password_fault(password)
    assert fault is not None
    assert password not in fault
    assert passwords.password_fault("a good long sentence") is None


def test_an_approval_that_means_something_else_is_seen() -> None:
    meant = {"key": KEY, "part": "contact", "clause": "53", "dossier": "DO-7", "authority_key": "key"}
    assert RELEASE.differing(**meant) == ()
    others = {
        "source": {"key": KEY._replace(shop="another")},
        "order_number": {"key": KEY._replace(order_number="another")},
        **{name: {name: "another"} for name in ("part", "clause", "dossier", "authority_key")},
    }
    for name, other in others.items():
        assert RELEASE.differing(**{**meant, **other}) == (name,)
