"""A member of staff has acknowledged the policy in force, not too long ago; else nothing of a person is shown (clauses 48, 49)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.cli.staff import Row, lines
from shared.policy import load
from shared.staffing.members import NAME, Acknowledged, Knowledge, Member, Period, due_at, knowledge, may_see

AT = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
PERIOD = Period(timedelta(days=180), timedelta(days=14))
LAST = Acknowledged("2013-08-19", AT)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
PROMISED = [
    (timedelta(0), Knowledge.GOOD, True),
    (180 * DAY - SECOND, Knowledge.GOOD, True),
    (180 * DAY, Knowledge.DUE, True),
    (194 * DAY - SECOND, Knowledge.DUE, True),
    (194 * DAY, Knowledge.OVERDUE, False),
    (4000 * DAY, Knowledge.OVERDUE, False),
]


def wrong_moments(period: Period) -> list[timedelta]:
    found = []
    for after, stands, sees in PROMISED:
        known = knowledge(LAST, LAST.policy_version, AT + after, period)
        if (known, may_see(known)) != (stands, sees):
            found.append(after)
    return found


def test_it_is_good_then_due_then_overdue() -> None:
    assert wrong_moments(PERIOD) == []
    assert due_at(LAST, LAST.policy_version, PERIOD) == AT + 180 * DAY


@pytest.mark.parametrize(
    "period", [Period(181 * DAY, 14 * DAY), Period(180 * DAY, 15 * DAY), Period(180 * DAY, timedelta(0)), Period(DAY, 14 * DAY)]
)
def test_another_period_is_red(period: Period) -> None:
    assert wrong_moments(period)


def test_who_never_acknowledged_or_another_version_sees_nothing() -> None:
    for last in (None, Acknowledged("2027-01-01", AT), Acknowledged("2012-01-01", AT)):
        known = knowledge(last, "2013-08-19", AT, PERIOD)
        assert (known, may_see(known)) == (Knowledge.MISSING, False)
        assert due_at(last, "2013-08-19", PERIOD) is None


def test_a_new_version_wants_it_anew_at_once() -> None:
    assert knowledge(LAST, LAST.policy_version, AT + SECOND, PERIOD) is Knowledge.GOOD
    assert knowledge(LAST, "2026-04-01", AT + SECOND, PERIOD) is Knowledge.MISSING


def test_the_list_shows_when_it_is_due_and_nothing_secret() -> None:
    member = Member("staff-1a", "clerk.one", "billing_clerk", True, "$argon2id$secret")
    rows = [Row("payments", member, Acknowledged(load().version, AT)), Row("orders", member, None)]
    head, known, unknown = lines(rows, AT + 181 * DAY, PERIOD)
    assert head.split() == ["NAME", "ACCOUNT", "ROLE", "SERVICE", "STATE", "POLICY", "DUE"]
    assert known.split() == ["clerk.one", "staff-1a", "billing_clerk", "payments", "active", "due", "2026-09-02"]
    assert unknown.split()[-2:] == ["missing", "now"]
    assert "argon2" not in known + repr(member)


@pytest.mark.parametrize("name", ["a@b", "A", "ana m", "", "x" * 41, ".ana"])
def test_a_staff_name_is_no_address_and_no_sentence(name: str) -> None:
    assert NAME.fullmatch(name) is None
