"""Whatever is wrong with an event: nothing of what was sent stands in what is raised."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contracts.errors import Refused
from shared.contracts.storefront import Contact, read_part
from tests.unit.contracts.storefront_samples import OTHER_DATA, order, other, put, read, sealed_order

CANARY = "Qanary Zwölf"


def places(sent: Any, root: str = "") -> Iterator[str]:
    """Pointers to everything in what was sent."""
    for member, value in sent.items() if isinstance(sent, dict) else enumerate(sent):
        yield f"{root}/{member}"
        if isinstance(value, dict | list):
            yield from places(value, f"{root}/{member}")


EVENTS = [order(), sealed_order(), *(other(type_) for type_ in OTHER_DATA)]
PLACES = [(event, place) for event in EVENTS for place in places(event)]


def shown(error: BaseException) -> str:
    """All that a log could make of an error: texts, attributes, and every error behind it."""
    texts = [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error, chain=True)[-1:]]
    behind = [behind for behind in (error.__cause__, error.__context__) if behind is not None]
    return "\n".join([*texts, *(shown(other_error) for other_error in behind)])


@given(
    st.sampled_from(PLACES),
    st.sampled_from(
        [CANARY, [CANARY], {CANARY: CANARY}, {"x": {"y": CANARY}}, CANARY + "\x01", CANARY + " 4111111111111111", CANARY * 900]
    ),
    st.booleans(),
)
def test_no_refusal_shows_what_was_sent(where: tuple[dict[str, Any], str], value: Any, by_name: bool) -> None:
    event, place = where
    changed = put(event, place, value)
    if by_name:
        changed["data"] = {**changed["data"], CANARY: 1} if isinstance(changed["data"], dict) else {CANARY: 1}
    for over_amqp in (None, "order_placed"):
        try:
            read(changed, over_amqp=over_amqp)
        except Refused as error:
            text = shown(error)
            assert "Qanary" not in text
            assert "4111111111111111" not in text
            assert "Zoë" not in text
            assert "Nov" not in text


@pytest.mark.parametrize("body", [b'{"name": "Qanary', b'"Qanary"', b'["Qanary"]', b'{"id": "Qanary \xff"}'])
def test_no_malformed_text_is_shown(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read(body)
    assert "Qanary" not in shown(caught.value)
    with pytest.raises(Refused) as caught:
        read_part("contact", body, sealed_for_key="Qanary")
    assert "Qanary" not in shown(caught.value)
    assert caught.value.__context__ is None


def test_no_part_that_is_refused_is_shown() -> None:
    text = json.dumps({"for": CANARY, "name": CANARY + "\x01", "email": CANARY, "phone": CANARY, CANARY: CANARY}).encode()
    with pytest.raises(Refused) as caught:
        read_part("contact", text, sealed_for_key="Qanary-2")
    assert "Qanary" not in shown(caught.value)


def test_even_a_form_made_by_hand_shows_nothing() -> None:
    with pytest.raises(ValidationError) as caught:
        Contact(name=CANARY, email=CANARY)
    assert "Qanary" not in str(caught.value)


def test_an_event_shows_no_part() -> None:
    event = read(order())
    assert "Zoë" not in repr(event)
    assert "Zoë" not in str(event.parts)
