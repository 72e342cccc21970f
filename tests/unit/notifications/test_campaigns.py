"""A letter to many, as rules: who asks for one, how far it is, and that everybody is found though they come while it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.campaigns import PASS_EVERY, Campaign, Person
from shared.contracts.policy_events import LetterAnnounced, PolicyPublished

AT = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
PAUSE = timedelta(seconds=5)


def published(**more: Any) -> PolicyPublished:
    told: dict[str, Any] = {
        "policy_version": "2027-01-01",
        "previous_version": "2013-08-19",
        "published_at": AT,
        "widened": [],
        "noticed": [],
        "is_mailed": False,
    }
    return PolicyPublished(**told | more)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"widened": ["W."]}, "policy_change"),
        ({"widened": ["W."], "noticed": ["N."], "is_mailed": True}, "policy_change"),
        ({"noticed": ["N."], "is_mailed": True}, "policy_notice"),
        ({"noticed": ["N."]}, None),
        ({"is_mailed": True}, None),
        ({}, None),
    ],
)
def test_a_widening_asks_everybody_and_a_notice_whoever_wants_mail_if_the_shop_does(
    more: dict[str, Any], kind: str | None
) -> None:
    campaign = Campaign.of_policy(published(**more), AT)
    assert (campaign.kind if campaign else None) == kind
    if campaign is not None:
        assert campaign.told == {"version": "2027-01-01", "sentences": more.get("widened") or more["noticed"]}
        assert (campaign.collected_before, campaign.until) == ("2027-01-01", datetime(2027, 1, 2, tzinfo=UTC))


def test_a_letter_goes_once_through_everybody() -> None:
    event = LetterAnnounced(announcement="d", kind="newsletter", subject="S", text="T", announced_at=AT)
    campaign = Campaign.of_letter(event, AT)
    assert (campaign.name, campaign.told, campaign.collected_before) == ("newsletter d", {"subject": "S", "text": "T"}, None)
    campaign.step([Person("s", "c-1", "A-1")], AT, PAUSE)
    assert (campaign.cursor, campaign.due_at, campaign.done_at) == (("s", "c-1"), AT + PAUSE, None)
    campaign.step([], AT + PAUSE, PAUSE)
    assert (campaign.cursor, campaign.done_at) == (("", ""), AT + PAUSE)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 50)), max_size=25), st.integers(1, 5))
def test_everybody_who_comes_before_the_version_counts_is_found_once(arrivals: list[tuple[int, int]], batch: int) -> None:
    """Persons come at any hour of the campaign, with any id, also behind the cursor."""
    campaign = Campaign.of_policy(published(policy_version="2026-12-10", widened=["W."]), AT)
    assert campaign is not None
    letters: list[str] = []
    hours = 0
    while campaign.done_at is None:
        at = campaign.due_at
        known = {f"c-{person:03}" for hour, person in arrivals if AT + timedelta(hours=hour) <= at}
        waiting = sorted(known - set(letters))
        taken = [Person("s", it, "A-1") for it in waiting if ("s", it) > campaign.cursor][:batch]
        letters += [it.customer_id for it in taken]
        campaign.step(taken, at, PAUSE)
        hours += 1
        assert hours < 2000
    expected = {f"c-{person:03}" for hour, person in arrivals if AT + timedelta(hours=hour) <= campaign.until}
    assert len(letters) == len(set(letters))
    assert expected <= set(letters)
    assert campaign.done_at >= campaign.until
    assert campaign.done_at - campaign.until < timedelta(hours=1) + PASS_EVERY
