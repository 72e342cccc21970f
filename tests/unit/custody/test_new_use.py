"""A use that only a later policy allows: it needs a yes that stands. Every short course of choices, in every order of their coming."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.custody import permits as permits_module
from shared.custody.permits import ACTIVE, DEACTIVATED, ERASED, Choice, PolicyPermits, communication
from shared.policy import load
from shared.policy.uses import Use

TODAY = load()
NEW = TODAY.holds["recipient-to-ship"].model_copy(update={"purpose": "improve"})
WIDER = TODAY.model_copy(update={"holds": {**TODAY.holds, "recipient-to-improve": NEW}})
USE = Use("shipping", "recipient", "improve")
OLD_VERSION, MIDDLE, NEW_VERSION = TODAY.version, "2026-06-01", "2027-01-01"
PERMITS = PolicyPermits({OLD_VERSION: TODAY, MIDDLE: TODAY, NEW_VERSION: WIDER, "2027-06-01": WIDER})
AT = datetime(2027, 2, 1, tzinfo=UTC)
WORDS: tuple[tuple[str, str, str], ...] = (
    ("policy_choice", "allow", NEW_VERSION),
    ("policy_choice", "disallow", NEW_VERSION),
    ("policy_choice", "allow", MIDDLE),
    ("policy_choice", "disallow", MIDDLE),
    ("policy_choice", "allow", "2027-06-01"),
    ("communication", "none", OLD_VERSION),
    ("communication", "service_only", OLD_VERSION),
    ("communication", "all", OLD_VERSION),
)
STATES = (ACTIVE, DEACTIVATED, ERASED)


def chosen(course: Sequence[tuple[str, str, str]]) -> list[Choice]:
    """The words of a course, a minute apart."""
    return [
        Choice(AT - timedelta(days=1) + timedelta(minutes=minute), version, **{member: word})
        for minute, (member, word, version) in enumerate(course)
    ]


def expected(course: Sequence[tuple[str, str, str]], state: str) -> str | None:
    """Told once more, step by step, as the published policy has it."""
    if state == ERASED:
        return "person_erased"
    if state == DEACTIVATED:
        return "person_deactivated"
    allows = refuses_all = False
    for member, word, version in course:
        if member == "communication":
            refuses_all = word == "none"
            allows = allows and not refuses_all
        elif version >= NEW_VERSION:
            allows = word == "allow"
    return None if allows and not refuses_all else "new_use_not_allowed"


def decided(
    choices: Collection[Choice], state: str = ACTIVE, at: datetime = AT, collected_under: str = OLD_VERSION
) -> str | None:
    return PERMITS.decide(USE, collected_under=collected_under, person_state=state, at=at, choices=choices).refusal


def wrong() -> Iterator[tuple[Any, str]]:
    """The courses of up to three words that are decided otherwise than promised, whatever the order in which the words came."""
    for length in range(4):
        for course in product(WORDS, repeat=length):
            for state in STATES:
                answers = {decided(order, state) for order in permutations(chosen(course))}
                if answers != {expected(course, state)}:
                    yield course, state


def test_only_a_yes_that_stands_opens_for_a_new_use() -> None:
    assert list(wrong()) == []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=12), st.sampled_from(STATES), st.randoms(use_true_random=False))
def test_a_long_course_in_any_order_is_decided_alike(course: list[Any], state: str, chance: random.Random) -> None:
    choices = chosen(course)
    chance.shuffle(choices)
    assert decided(choices, state) == expected(course, state)


def _silence_is_yes(choices: Collection[Choice], version: str) -> bool:
    return not choices or _RIGHT(choices, version)


def _mail_says_nothing(choices: Collection[Choice], version: str) -> bool:
    return _RIGHT([choice for choice in choices if choice.communication is None], version)


def _last_to_come_wins(choices: Collection[Choice], version: str) -> bool:
    return bool(choices) and list(choices)[-1].policy_choice == "allow"


def _any_version_counts(choices: Collection[Choice], version: str) -> bool:
    return _RIGHT(choices, "")


def _this_version_alone_counts(choices: Collection[Choice], version: str) -> bool:
    return _RIGHT([choice for choice in choices if choice.policy_version in (version, OLD_VERSION)], version)


def _one_yes_is_enough(choices: Collection[Choice], version: str) -> bool:
    return any(choice.policy_choice == "allow" and choice.policy_version >= version for choice in choices)


_RIGHT = permits_module.says_yes


@pytest.mark.parametrize(
    "forgetful",
    [
        _silence_is_yes,
        _mail_says_nothing,
        _last_to_come_wins,
        _any_version_counts,
        _this_version_alone_counts,
        _one_yes_is_enough,
    ],
)
def test_a_decision_that_forgets_one_rule_is_red(forgetful: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits_module, "says_yes", forgetful)
    assert next(wrong(), None) is not None


def test_of_two_words_at_one_moment_the_no_counts() -> None:
    yes, no = Choice(AT, NEW_VERSION, None, "allow"), Choice(AT, NEW_VERSION, None, "disallow")
    quiet = Choice(AT, OLD_VERSION, "none", None)
    for words in ([yes, no], [no, yes], [yes, quiet], [quiet, yes]):
        assert decided(words) == "new_use_not_allowed"
    assert decided([yes]) is None
    assert communication([Choice(AT, OLD_VERSION, "all"), quiet, Choice(AT, OLD_VERSION, "service_only")]) == "none"
    assert communication([yes]) is None


def test_a_version_counts_from_its_day_and_the_last_one_must_still_allow() -> None:
    yes = chosen([("policy_choice", "allow", NEW_VERSION)])
    assert decided(yes, at=datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == "purpose_not_allowed"
    assert decided(yes, at=datetime(2027, 1, 1, tzinfo=UTC)) is None
    narrowed = PolicyPermits({OLD_VERSION: TODAY, NEW_VERSION: WIDER, "2027-02-01": TODAY})
    decision = narrowed.decide(USE, collected_under=OLD_VERSION, person_state=ACTIVE, at=AT, choices=yes)
    assert decision.refusal == "purpose_not_allowed"


def test_what_was_collected_under_the_new_version_asks_nobody() -> None:
    assert decided([], collected_under=NEW_VERSION) is None
    assert decided([], collected_under=NEW_VERSION, state=DEACTIVATED) == "person_deactivated"
    assert PERMITS.is_new_use(USE, OLD_VERSION)
    assert not PERMITS.is_new_use(USE, NEW_VERSION)
    assert not PERMITS.is_new_use(USE._replace(purpose="fill_order"), OLD_VERSION)
    assert not PERMITS.is_new_use(USE._replace(purpose="newsletter"), OLD_VERSION)
