"""What `brownpaper privacy complaints list` says of a case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.cli.complaints import case_lines

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


def a_case(due_in: timedelta, **changes: Any) -> dict[str, Any]:
    due = NOW + due_in
    common = {"case_id": "C-1", "request_id": "r-1", "owner": "privacy_officer", "closed_at": None, "acknowledged_at": None}
    return {**common, "due_at": due.isoformat(), "is_overdue": due <= NOW, **changes}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (a_case(timedelta(days=3)), "due in 3 days, not acknowledged yet"),
        (a_case(timedelta(days=-3), acknowledged_at="x"), "OVERDUE by 3 days, acknowledged"),
        (a_case(timedelta(days=-3), closed_at="x", is_overdue=False, request_id=None), "request (gone), closed"),
    ],
)
def test_a_case_says_when_it_is_due(case: dict[str, Any], words: str) -> None:
    line, last = case_lines([case], NOW)
    assert words in line
    assert last == "1 shown."


def test_without_a_case_it_says_so() -> None:
    assert list(case_lines([], NOW)) == ["No complaint is open."]
