"""Delays grow, are spread within bounds, and come to an end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.ladder import DEFAULT_RUNGS_SECONDS, Ladder

RUNGS = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=20).map(tuple)


def test_the_usual_ladder_grows_from_a_second_to_a_day() -> None:
    assert list(DEFAULT_RUNGS_SECONDS) == sorted(DEFAULT_RUNGS_SECONDS)
    assert (DEFAULT_RUNGS_SECONDS[0], DEFAULT_RUNGS_SECONDS[-1]) == (1, 24 * 3600)


@given(rungs=RUNGS, tries=st.integers(-3, 60), jitter=st.floats(0, 0.9))
def test_a_delay_stays_within_its_rung_s_bounds(rungs: tuple[float, ...], tries: int, jitter: float) -> None:
    rung = rungs[min(max(tries, 1), len(rungs)) - 1]
    delay = Ladder(rungs, jitter).delay(tries)
    slack = timedelta(microseconds=1)  # a timedelta holds whole microseconds
    assert timedelta(seconds=rung * (1 - jitter)) - slack <= delay <= timedelta(seconds=rung * (1 + jitter)) + slack


@pytest.mark.parametrize("tries", range(1, 14))
def test_without_jitter_each_try_waits_its_rung(tries: int) -> None:
    assert Ladder(jitter=0).delay(tries) == timedelta(seconds=DEFAULT_RUNGS_SECONDS[tries - 1])


def test_what_failed_together_does_not_come_back_together() -> None:
    ladder = Ladder()
    assert len({ladder.delay(5) for _ in range(20)}) > 10


@given(rungs=RUNGS, tries=st.integers(0, 60))
def test_the_ladder_ends_after_its_last_rung(rungs: tuple[float, ...], tries: int) -> None:
    assert Ladder(rungs).is_over(tries) is (tries > len(rungs))
