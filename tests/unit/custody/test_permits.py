"""Who may open what, for what, and when: every service, part, purpose and person's state, held against the policy's own words."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from shared.custody.permits import ACTIVE, BY_LAW, DEACTIVATED, ERASED, FOR_AN_OPEN_ORDER, PolicyPermits
from shared.policy import load
from shared.policy.uses import Use

POLICY = load()
PERMITS = PolicyPermits({POLICY.version: POLICY})
AT = datetime(2027, 2, 1, tzinfo=UTC)
STATES = (ACTIVE, DEACTIVATED, ERASED)
# Told once more, by hand: what the published policy promises of the sealed parts.
MAY_OPEN = {
    ("shipping", "recipient", "fill_order"),
    ("payments", "billing", "billing"),
    ("notifications", "contact", "order_news"),
    ("notifications", "contact", "order_difficulty"),
    ("notifications", "contact", "service_news"),
    ("notifications", "contact", "newsletter"),
    ("notifications", "contact", "policy_news"),
    ("notifications", "friend", "recommendation"),
    ("notifications", "request", "reply"),
    # What a person may have for the asking (addendum A-08).
    ("shipping", "recipient", "rights"),
    ("payments", "billing", "rights"),
    ("notifications", "contact", "rights"),
    ("notifications", "request", "rights"),
    # What two members of staff may give to an authority (clause 53, addendum A-10).
    ("shipping", "recipient", "authorities"),
    ("payments", "billing", "authorities"),
    ("notifications", "contact", "authorities"),
}
SEALED = tuple(name for name, part in POLICY.parts.items() if part.sealed)
MATRIX = list(product(POLICY.services, SEALED, POLICY.purposes, STATES))


def refusal(
    service: str, part: str, purpose: str, state: str, version: str = POLICY.version, permits: PolicyPermits = PERMITS
) -> str | None:
    return permits.decide(Use(service, part, purpose), collected_under=version, person_state=state, at=AT).refusal


def expected(service: str, part: str, purpose: str, state: str) -> str | None:
    if state == ERASED:
        return "person_erased"
    if (service, part, purpose) not in MAY_OPEN:
        return "purpose_not_allowed"
    return None if state == ACTIVE or purpose in FOR_AN_OPEN_ORDER | BY_LAW else "person_deactivated"


def test_the_matrix_is_whole_and_every_cell_is_as_promised() -> None:
    assert len(MATRIX) == len(POLICY.services) * len(SEALED) * len(POLICY.purposes) * 3
    assert wrong_cells(PERMITS) == []


def wrong_cells(permits: PolicyPermits) -> list[tuple[str, str, str, str]]:
    return [cell for cell in MATRIX if refusal(*cell, permits=permits) != expected(*cell)]


@pytest.mark.parametrize("name", [name for name, hold in POLICY.holds.items() if hold.part in SEALED])
def test_one_permit_more_or_less_is_red(name: str) -> None:
    hold = POLICY.holds[name]
    others = tuple(it for it in POLICY.holds.values() if it is not hold)
    other_way = POLICY.holds | {name: hold.model_copy(update={"opens": not hold.opens})}
    cell = (hold.service, hold.part, hold.purpose)
    wrong = wrong_cells(PolicyPermits({POLICY.version: POLICY.model_copy(update={"holds": other_way})}))
    # A second rule may let the same: then nothing is another way.
    doubled = any((it.service, it.part, it.purpose) == cell and it.opens for it in others)
    assert bool(wrong) != doubled
    assert {found[:3] for found in wrong} <= {cell}


def test_orders_opens_nothing() -> None:
    assert all(refusal(*cell) is not None for cell in MATRIX if cell[0] == "orders")


def test_who_has_left_gets_no_news_that_no_order_needs() -> None:
    assert refusal("notifications", "contact", "service_news", DEACTIVATED) == "person_deactivated"
    assert refusal("notifications", "contact", "policy_news", DEACTIVATED) == "person_deactivated"
    assert refusal("notifications", "contact", "order_news", DEACTIVATED) is None


@pytest.mark.parametrize("state", STATES)
def test_under_a_version_that_nobody_knows_nothing_opens(state: str) -> None:
    assert refusal("shipping", "recipient", "fill_order", state, "1999-01-01") is not None


def test_each_version_decides_for_what_was_collected_under_it() -> None:
    narrow = {name: hold for name, hold in POLICY.holds.items() if hold.purpose != "service_news"}
    both = PolicyPermits({POLICY.version: POLICY.model_copy(update={"holds": narrow}), "2027-01-01": POLICY})

    def of(version: str) -> str | None:
        return refusal("notifications", "contact", "service_news", ACTIVE, version, both)

    assert (of(POLICY.version), of("2027-01-01")) == ("new_use_not_allowed", None)
