"""What a purpose gets of a part: the fields it had when the part was collected; a field that came later waits for its owner's yes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.custody.fields import without
from shared.custody.permits import ACTIVE, DEACTIVATED, Choice, PolicyPermits
from shared.policy import Policy, load, showings
from shared.policy.showings import to_staff

TODAY = load()
OLD, NEW, LATER = TODAY.version, "2027-01-01", "2027-06-01"
AT = datetime(2027, 2, 1, tzinfo=UTC)
NEWS = {"service": "notifications", "part": "contact", "purpose": "order_news"}
LABEL = {"service": "shipping", "part": "recipient", "purpose": "fill_order", "to": "carrier"}
BILL = {"service": "payments", "part": "billing", "purpose": "billing"}
YES = Choice(AT - timedelta(days=3), NEW, policy_choice="allow")
NO = Choice(AT - timedelta(days=2), NEW, policy_choice="disallow")


def changed(section: str, name: str, **members: Any) -> Policy:
    """The policy with one rule another way."""
    entries = dict(getattr(TODAY, section))
    entries[name] = entries[name].model_copy(update=members)
    return TODAY.model_copy(update={section: entries})


def with_versions(*policies: Policy) -> PolicyPermits:
    versions = dict(zip((OLD, NEW, LATER), (TODAY, *policies), strict=False))
    return PolicyPermits(
        {name: tuple(it.holds.values()) for name, it in versions.items()},
        {name: tuple(showings(it)) for name, it in versions.items()},
    )


def withheld(
    permits: PolicyPermits, use: dict[str, str], under: str = OLD, state: str = ACTIVE, *choices: Choice
) -> frozenset[str]:
    return permits.withheld(**use, collected_under=under, person_state=state, at=AT, choices=choices)


WIDER = {
    "a purpose": (
        with_versions(changed("holds", "contact-for-news", fields=("name", "email", "language", "phone"))),
        NEWS,
        "phone",
    ),
    "a call": (
        with_versions(
            changed(
                "disclosures",
                "carrier-buy-label",
                personal={**TODAY.disclosures["carrier-buy-label"].personal, "note": ("recipient.gift_message",)},
            )
        ),
        LABEL,
        "gift_message",
    ),
    "a role": (
        with_versions(changed("staff", "crew-prints-labels", fields=("name", "gift_message"), actions=("reveal",))),
        {"service": "shipping", "part": "recipient", "purpose": "fill_order", "to": to_staff("warehouse", "reveal")},
        "gift_message",
    ),
    "a case that is needed no more": (
        with_versions(changed("staff", "clerk-reads-the-bill", needs_case=False)),
        {**BILL, "to": to_staff("billing_clerk", "reveal", has_case=False)},
        "tax_id",
    ),
}


@pytest.mark.parametrize("what", WIDER)
def test_a_field_that_a_later_version_adds_waits_for_a_yes(what: str) -> None:
    permits, use, field = WIDER[what]
    assert field in withheld(permits, use)
    assert field not in withheld(permits, use, OLD, ACTIVE, YES)
    assert field in withheld(permits, use, OLD, ACTIVE, YES, NO)
    assert field in withheld(permits, use, OLD, DEACTIVATED, YES)
    assert field not in withheld(permits, use, NEW)
    assert permits.is_new_use(**use, collected_under=OLD)
    assert not permits.is_new_use(**use, collected_under=NEW)


@pytest.mark.parametrize("what", WIDER)
def test_before_its_day_and_after_it_was_taken_back_no_yes_helps(what: str) -> None:
    permits, use, field = WIDER[what]
    asked: dict[str, Any] = {**use, "collected_under": OLD, "person_state": ACTIVE, "choices": [YES]}
    early = permits.withheld(**asked, at=datetime(2026, 12, 31, tzinfo=UTC))
    assert (field in early) == (not use.get("to")), "what no version in force shows is withheld from nobody who is shown it"
    if not use.get("to"):
        back = with_versions(changed("holds", "contact-for-news", fields=("name", "email", "language", "phone")), TODAY)
        assert field in back.withheld(**asked, at=datetime(2027, 7, 1, tzinfo=UTC))


def test_of_a_part_a_purpose_gets_what_the_policy_lets_it_have() -> None:
    permits = with_versions()
    assert withheld(permits, NEWS) == {"phone"}
    assert withheld(permits, {**NEWS, "purpose": "order_difficulty"}) == frozenset()
    assert withheld(permits, LABEL) == frozenset()
    assert withheld(permits, {**NEWS, "to": "mailbox"}) == {"phone"}
    assert not permits.is_new_use(**NEWS, to="mailbox", collected_under=OLD)


def test_what_a_later_version_takes_from_a_purpose_stays_as_it_was_promised() -> None:
    narrower = with_versions(changed("holds", "contact-for-news", fields=("email",)))
    assert withheld(narrower, NEWS) == {"phone"}
    assert withheld(narrower, NEWS, NEW) == {"phone", "name", "language"}


def test_a_part_without_some_fields_has_all_others() -> None:
    part = {
        "for": "1",
        "name": "n",
        "address": {"line1": "l", "city": "c"},
        "personalisation": [{"line": 1, "text": "t"}, {"line": 2, "text": "u"}],
        "gift_message": None,
    }
    left = json.loads(without(json.dumps(part).encode(), {"name", "address.city", "personalisation.text", "phone", "no.such"}))
    assert left == {
        "for": "1",
        "address": {"line1": "l"},
        "personalisation": [{"line": 1}, {"line": 2}],
        "gift_message": None,
    }
