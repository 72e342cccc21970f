"""However a message and its repeats come, and whatever the clocks say: what is forgotten by the inbox does not get through again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.horizon import CLOCKS, MOST_AHEAD, Horizon
from shared.delivery.ladder import Ladder

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
HORIZON = Horizon(timedelta(days=30))
SECOND = timedelta(seconds=1)

spans = st.timedeltas(timedelta(days=-60), timedelta(days=60))
waits = st.timedeltas(timedelta(0), timedelta(days=90))
skews = st.timedeltas(-CLOCKS / 2, CLOCKS / 2)


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(0), None),
        (timedelta(days=30), None),
        (timedelta(days=30) + SECOND, "too_old"),
        (-MOST_AHEAD, None),
        (-MOST_AHEAD - SECOND, "time_ahead"),
    ],
)
def test_what_is_taken_up_lies_between_the_horizon_and_a_day_ahead(age: timedelta, code: str | None) -> None:
    assert HORIZON.code_of(AT - age, AT) == code


@given(written=spans, again_after=waits, cleared_after=waits, clocks=st.tuples(skews, skews, skews))
def test_no_repeat_is_taken_up_once_its_claim_may_be_forgotten(
    written: timedelta, again_after: timedelta, cleared_after: timedelta, clocks: tuple[timedelta, timedelta, timedelta]
) -> None:
    """Three machines with clocks of their own: one takes the message up, one clears the inbox, one gets the repeat afterwards."""
    first, janitor, second = clocks
    claimed_at = AT + first
    if HORIZON.code_of(AT + written, claimed_at) is not None:
        return
    cleared_at = AT + cleared_after
    if claimed_at >= HORIZON.claims_kept_since(cleared_at + janitor):
        return  # the claim stands: a repeat is known by it
    assert HORIZON.code_of(AT + written, cleared_at + again_after + second) == "too_old"


def test_the_ladder_ends_long_before_the_horizon() -> None:
    assert Ladder().longest < HORIZON.behind / 10
