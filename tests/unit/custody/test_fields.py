"""What a purpose gets of a part: the fields it had when the part was collected; a field that came later waits for its owner's yes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.custody.fields import without
from shared.custody.permits import ACTIVE, DEACTIVATED, Choice, PolicyPermits
from shared.policy import Policy, load
from shared.policy.uses import Use, to_staff

TODAY = load()
OLD, NEW, LATER = TODAY.version, "2027-01-01", "2027-06-01"
AT = datetime(2027, 2, 1, tzinfo=UTC)
NEWS = Use("notifications", "contact", "order_news")
LABEL = Use("shipping", "recipient", "fill_order", "carrier")
BILL = Use("payments", "billing", "billing")
YES = Choice(AT - timedelta(days=3), NEW, policy_choice="allow")
NO = Choice(AT - timedelta(days=2), NEW, policy_choice="disallow")


def changed(section: str, name: str, **members: Any) -> Policy:
    """The policy with one rule another way."""
    entries = dict(getattr(TODAY, section))
    entries[name] = entries[name].model_copy(update=members)
    return TODAY.model_copy(update={section: entries})


def with_versions(*policies: Policy) -> PolicyPermits:
    return PolicyPermits(dict(zip((OLD, NEW, LATER), (TODAY, *policies), strict=False)))


def withheld(permits: PolicyPermits, use: Use, under: str = OLD) -> frozenset[str]:
    decision = permits.decide(use, collected_under=under, person_state=ACTIVE, at=AT)
    assert decision.refusal is None
    return decision.withheld


PHONE = changed("holds", "contact-for-news", fields=("name", "email", "language", "phone"))
NOTE = {**TODAY.disclosures["carrier-buy-label"].personal, "note": ("recipient.gift_message",)}
WIDER = {
    "a purpose": (PHONE, NEWS, "phone"),
    "a call": (changed("disclosures", "carrier-buy-label", personal=NOTE), LABEL, "gift_message"),
    "a role": (
        changed(
            "staff", "crew-prints-labels", fields=(*TODAY.staff["crew-prints-labels"].fields, "gift_message"), actions=("reveal",)
        ),
        LABEL._replace(to=to_staff("warehouse", "reveal")),
        "gift_message",
    ),
    "a case that is needed no more": (
        changed("staff", "clerk-reads-the-bill", needs_case=False),
        BILL._replace(to=to_staff("billing_clerk", "reveal", has_case=False)),
        "tax_id",
    ),
}


def gives(
    permits: PolicyPermits, use: Use, field: str, *choices: Choice, under: str = OLD, state: str = ACTIVE, at: datetime = AT
) -> bool:
    decision = permits.decide(use, collected_under=under, person_state=state, at=at, choices=choices)
    return decision.refusal is None and field not in decision.withheld


@pytest.mark.parametrize("what", WIDER)
def test_a_field_that_a_later_version_adds_waits_for_a_yes(what: str) -> None:
    wider, use, field = WIDER[what]
    permits = with_versions(wider)
    assert not gives(permits, use, field)
    assert gives(permits, use, field, YES)
    assert not gives(permits, use, field, YES, NO)
    assert not gives(permits, use, field, YES, state=DEACTIVATED)
    assert gives(permits, use, field, under=NEW)
    assert permits.is_new_use(use, OLD)
    assert not permits.is_new_use(use, NEW)


@pytest.mark.parametrize("what", WIDER)
def test_before_its_day_and_after_it_was_taken_back_no_yes_helps(what: str) -> None:
    wider, use, field = WIDER[what]
    assert not gives(with_versions(wider), use, field, YES, at=datetime(2026, 12, 31, tzinfo=UTC))
    assert not gives(with_versions(wider, TODAY), use, field, YES, at=datetime(2027, 7, 1, tzinfo=UTC))


@pytest.mark.parametrize("to", ["carier", "mailbox", to_staff("billing_clerk", "reveal")])
def test_to_whom_no_rule_shows_a_part_it_is_not_opened(to: str) -> None:
    decision = with_versions().decide(LABEL._replace(to=to), collected_under=OLD, person_state=ACTIVE, at=AT)
    assert decision.refusal == "purpose_not_allowed"


def test_of_a_part_a_purpose_gets_what_the_policy_lets_it_have() -> None:
    permits = with_versions()
    assert withheld(permits, NEWS) == {"phone"}
    assert withheld(permits, NEWS._replace(purpose="order_difficulty")) == frozenset()
    assert withheld(permits, LABEL) == frozenset()
    assert withheld(permits, NEWS._replace(to="mailbox")) == {"phone"}
    assert not permits.is_new_use(NEWS._replace(to="mailbox"), OLD)


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
