"""A session locks when nobody acts, opens by the password, and ends; tries of a password are slowed down. The clock stands still here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.staffing.sessions import FREE_TRIES, Limits, Session, Standing, wait_after

AT = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
LIMITS = Limits(idle=15 * MINUTE, lifetime=timedelta(hours=12))


def begun(at: datetime = AT) -> Session:
    return Session("staff-1", at, at)


def test_after_fifteen_minutes_without_an_action_it_is_locked() -> None:
    session = begun()
    assert session.standing(AT + 15 * MINUTE - SECOND, LIMITS) is Standing.OPEN
    assert session.standing(AT + 15 * MINUTE, LIMITS) is Standing.LOCKED
    assert session.standing(AT + 3 * timedelta(hours=1), LIMITS) is Standing.LOCKED


def test_an_action_slides_the_lock_and_a_look_does_not() -> None:
    session = begun().acted(AT + 14 * MINUTE, LIMITS)
    assert session.standing(AT + 20 * MINUTE, LIMITS) is Standing.OPEN
    for minute in range(1, 15):
        session.standing(AT + (14 + minute) * MINUTE, LIMITS)  # what runs in the background looks, and nothing slides
    assert session.standing(AT + 29 * MINUTE, LIMITS) is Standing.LOCKED


def test_what_is_locked_is_not_acted_open_and_opens_by_the_password_alone() -> None:
    late = AT + 15 * MINUTE
    assert begun().acted(late, LIMITS) == begun()
    opened = begun().locked(late).unlocked(late + MINUTE, LIMITS)
    assert opened.standing(late + MINUTE, LIMITS) is Standing.OPEN
    assert opened.standing(late + 16 * MINUTE, LIMITS) is Standing.LOCKED, "and it locks again"


def test_a_lock_stays_when_the_clock_is_set_back() -> None:
    locked = begun().locked(AT + 15 * MINUTE)
    assert locked.standing(AT + MINUTE, LIMITS) is Standing.LOCKED
    assert locked.locked(AT + 20 * MINUTE) == locked
    assert begun().acted(AT - MINUTE, LIMITS).acted_at == AT


def test_after_twelve_hours_it_is_over_whatever_happens() -> None:
    session, at = begun(), AT
    while at < AT + LIMITS.lifetime - 10 * MINUTE:
        at += 10 * MINUTE
        session = session.acted(at, LIMITS)
    assert session.standing(AT + LIMITS.lifetime - SECOND, LIMITS) is Standing.OPEN
    over = AT + LIMITS.lifetime
    assert session.standing(over, LIMITS) is Standing.OVER
    assert session.unlocked(over, LIMITS).standing(over, LIMITS) is Standing.OVER
    assert session.acted(over, LIMITS).standing(over, LIMITS) is Standing.OVER
    assert session.ends_at(LIMITS) == over


STEPS = st.lists(st.tuples(st.sampled_from(["act", "look", "lock"]), st.integers(0, 1200)), max_size=30)


@given(STEPS)
def test_no_course_of_things_but_the_password_opens_a_locked_session(steps: list[tuple[str, int]]) -> None:
    session, at, was_locked = begun(), AT, False
    for step, seconds in steps:
        at += timedelta(seconds=seconds)
        was_locked = was_locked or session.standing(at, LIMITS) is not Standing.OPEN
        if step == "act":
            session = session.acted(at, LIMITS)
        elif step == "lock":
            session, was_locked = session.locked(at), True
        if was_locked:
            assert session.standing(at, LIMITS) is not Standing.OPEN


def wrong_about_the_lock(limits: Limits) -> list[tuple[int, int]]:
    """(last action, look) in minutes where a session stands otherwise than the promise of fifteen minutes says."""
    return [
        (acted, look)
        for acted, look in product(range(0, 15, 7), range(60))
        if look >= acted
        and (begun().acted(AT + acted * MINUTE, limits).standing(AT + look * MINUTE, limits) is Standing.LOCKED)
        is not (look - acted >= 15)
    ]


def test_the_lock_is_as_promised() -> None:
    assert wrong_about_the_lock(LIMITS) == []


@pytest.mark.parametrize("idle", [14 * MINUTE, 16 * MINUTE, timedelta(days=1)])
def test_a_lock_that_comes_sooner_or_later_or_never_is_red(idle: timedelta) -> None:
    assert wrong_about_the_lock(Limits(idle, LIMITS.lifetime))


def test_wrong_passwords_are_slowed_down_and_no_more_than_a_quarter_of_an_hour() -> None:
    assert [wait_after(failures) for failures in range(FREE_TRIES)] == [timedelta(0)] * FREE_TRIES
    waits = [wait_after(failures).total_seconds() for failures in range(FREE_TRIES, FREE_TRIES + 5)]
    assert waits == [1, 2, 4, 8, 16]
    assert wait_after(10_000) == timedelta(minutes=15)
    assert all(wait_after(one) <= wait_after(one + 1) for one in range(40))
