"""Chance repeats itself and keeps its bounds."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.chance import Chance, Switches


def _chance(**switches: float) -> Chance:
    return Chance(Switches(**switches))  # type: ignore[arg-type]


def test_two_runs_with_one_seed_go_wrong_alike() -> None:
    first, second, other = _chance(seed=7, decline=0.5), _chance(seed=7, decline=0.5), _chance(seed=8, decline=0.5)
    references = [f"AJ-{number}" for number in range(200)]
    decided = [first.declines(reference) for reference in references]
    assert decided == [second.declines(reference) for reference in reversed(references)][::-1]
    assert decided != [other.declines(reference) for reference in references]


def test_a_share_is_about_kept() -> None:
    chance = _chance(decline=0.02)
    declined = sum(chance.declines(f"AJ-{number}") for number in range(10_000))
    assert 130 <= declined <= 270


def test_nothing_goes_wrong_at_a_share_of_zero_and_everything_at_one() -> None:
    assert not any(_chance(repeat_webhooks=0.0).repeats(str(number)) for number in range(100))
    assert all(_chance(repeat_webhooks=1.0).repeats(str(number)) for number in range(100))


@given(share=st.floats(0.01, 1.0), seed=st.integers(0, 1000))
def test_no_request_loses_more_than_two_answers_in_a_row(share: float, seed: int) -> None:
    chance = _chance(seed=seed, lose_answers=share)
    lost = [chance.loses_answer("POST", "/v1/labels", "parcel") for _ in range(40)]
    assert all(len(list(run)) <= 2 for was_lost, run in groupby(lost) if was_lost)


def test_a_request_that_lost_its_answer_is_counted_for_itself() -> None:
    chance = _chance(lose_answers=1.0)
    assert [chance.loses_answer("GET", "/a") for _ in range(4)] == [True, True, False, True]
    assert chance.loses_answer("GET", "/b")


@given(length=st.integers(1, 20), what=st.text())
def test_an_identifier_is_its_own_and_of_plain_letters(length: int, what: str) -> None:
    made = _chance().identifier(length, what)
    assert made == _chance().identifier(length, what)
    assert len(made) == length
    assert made.isascii()
    assert made.isalnum()
