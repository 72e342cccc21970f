"""What `brownpaper privacy retention` calls overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.cli.retaining import ClearingRow, clearing_lines

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
EVERY = timedelta(minutes=10)
RECENTLY = AT - timedelta(minutes=5)


def a_row(due: int, oldest_due_at: datetime | None, looked_at: datetime = RECENTLY) -> ClearingRow:
    return ClearingRow("shipping", "parcels", 7, due, 2, oldest_due_at, looked_at)


@pytest.mark.parametrize(
    ("row", "minutes"),
    [
        (a_row(0, None), 0),
        (a_row(3, AT - timedelta(minutes=20)), 0),
        (a_row(3, AT - timedelta(minutes=50)), 30),
        # Nothing is due that anybody knows of: but nobody has looked for an hour.
        (a_row(0, None, AT - timedelta(minutes=60)), 40),
    ],
)
def test_overdue_is_what_two_turns_have_not_done(row: ClearingRow, minutes: int) -> None:
    assert row.overdue(AT, EVERY) == timedelta(minutes=minutes)


def test_every_number_is_shown() -> None:
    head, line = clearing_lines([a_row(3, AT - timedelta(minutes=50))], AT, EVERY)
    assert head.split() == ["SERVICE", "CLEARING", "DONE", "DUE", "HELD", "OVERDUE"]
    assert line.split() == ["shipping", "parcels", "7", "3", "2", "1800", "s"]
