"""A special request is answered once; a complaint is a case with a clock that its answer stops (clauses 2 and 36)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.inquiries import ACKNOWLEDGEMENT, ANSWERED, ANSWERING, OWNER, REFUSED, REPLY, SpecialRequest
from shared.contracts.errors import Refused
from shared.policy import load
from tests.builders import AT

MONTH = timedelta(days=30)
ENVELOPE: dict[str, Any] = {"box": "", "policy_version": "1", "form": "reply"}


def a_request() -> SpecialRequest:
    return SpecialRequest(shop="https://shop.example", request_id="r-1", customer_id="c-1", request=ENVELOPE, received_at=AT)


def test_an_answer_is_mailed_and_said_once() -> None:
    it = a_request()
    it.answer(ENVELOPE)
    with pytest.raises(Refused, match="request_answered"):
        it.answer(ENVELOPE)
    assert ([intent.details["kind"] for intent in it.intents], it.state) == ([REPLY], ANSWERING)
    for _ in range(2):
        it.note_mailed(REPLY, AT, taken=True)
    assert (it.state, it.ended_at) == (ANSWERED, AT)
    assert [event.type for event in it.events] == ["special_request_answered"]


def test_an_answer_that_no_server_takes_ends_the_request_and_is_not_said() -> None:
    it = a_request()
    case = it.complain(AT, MONTH)
    it.answer(ENVELOPE)
    it.note_mailed(REPLY, AT, taken=False)
    assert (it.state, it.ended_at, it.events) == (REFUSED, AT, [])
    assert case.closed_at is None, "its owner finds another way"


def test_a_complaint_has_one_case_with_an_owner_of_the_policy_and_is_acknowledged() -> None:
    it = a_request()
    assert it.complain(AT, MONTH) is it.complain(AT + MONTH, MONTH)
    case = it.complaint
    assert case is not None
    assert (case.owner, case.due_at) == (OWNER, AT + MONTH)
    assert OWNER in load().roles
    assert [intent.details["kind"] for intent in it.intents] == [ACKNOWLEDGEMENT]
    it.note_mailed(ACKNOWLEDGEMENT, AT, taken=True)
    assert (case.acknowledged_at, it.ended_at) == (AT, None)


def test_what_has_been_answered_cannot_become_a_complaint() -> None:
    it = a_request()
    it.answer(ENVELOPE)
    with pytest.raises(Refused, match="request_answered"):
        it.complain(AT, MONTH)


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_case_whose_time_is_over_is_overdue_until_it_is_closed(days: int, closed_on: int) -> None:
    it = a_request()
    case = it.complain(AT, MONTH)
    assert case.is_overdue(AT + timedelta(days=days)) is (days >= 30)
    it.answer(ENVELOPE)
    it.note_mailed(REPLY, AT + timedelta(days=closed_on), taken=True)
    assert case.closed_at == AT + timedelta(days=closed_on)
    assert not case.is_overdue(AT + timedelta(days=days))
