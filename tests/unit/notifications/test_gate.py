"""The gate of mails: every class of the policy, every state of a person and every word of theirs, held against what is promised."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from services.notifications import gate
from services.notifications.gate import Reader, classes_by_kind, refusal
from shared.policy import load
from shared.policy.document import MailClass

MAILS = {name: mails for name, mails in load().mails.items() if mails.part == "contact"}
STATES = ("active", "deactivated", "erased")
WORDS: tuple[gate.Communication | None, ...] = (None, "all", "service_only", "none")
CELLS = [(name, Reader(*it)) for name, it in product(MAILS, product(STATES, WORDS, (True, False)))]

# By hand: who of the active gets a class of mail, and what stops it besides (clauses 7, 25, 30, 31, 59, 61; addendum A-12).
ANYBODY = {None, "all", "service_only"}
PROMISED: dict[str, tuple[set[str | None], bool]] = {
    "order": (ANYBODY, True),
    "difficulty": (ANYBODY, True),
    "announcement": (ANYBODY, False),
    "policy": (ANYBODY, False),
    "newsletter": ({"all"}, False),
    "notice": ({"all"}, False),
}
"""class → (what an active reader has said, whether whoever left or refuses everything gets it for an open order)."""


def promised(name: str, reader: Reader) -> bool:
    words, is_for_open_orders = PROMISED[name]
    if reader.state == "active" and reader.communication in words:
        return True
    return is_for_open_orders and reader.has_open_order and reader.state != "erased"


def wrong(decide: Callable[[MailClass, Reader], str | None]) -> list[tuple[str, Reader]]:
    return [(name, reader) for name, reader in CELLS if (decide(MAILS[name], reader) is None) != promised(name, reader)]


def test_every_cell_is_as_promised() -> None:
    assert set(PROMISED) == set(MAILS)
    assert wrong(refusal) == []


def _none_is_service_only(mails: MailClass, reader: Reader) -> str | None:
    word = "service_only" if reader.communication == "none" else reader.communication
    return refusal(mails, Reader(reader.state, word, reader.has_open_order))


def _with(**members: Any) -> Callable[[MailClass, Reader], str | None]:
    return lambda mails, reader: refusal(mails.model_copy(update=members), reader)


def _silence_is_yes(mails: MailClass, reader: Reader) -> str | None:
    return None if refusal(mails, reader) == "not_asked_for" else refusal(mails, reader)


@pytest.mark.parametrize(
    "decide",
    [
        pytest.param(_none_is_service_only, id="who refuses everything is written to"),
        pytest.param(_with(promotional=False, needs_consent=False), id="newsletters to everybody"),
        pytest.param(_with(to_deactivated="for_an_open_order", stopped_by=()), id="an open order opens every class"),
        pytest.param(_with(to_deactivated="never"), id="an open order opens none"),
        pytest.param(_silence_is_yes, id="silence is yes"),
        pytest.param(
            lambda mails, reader: refusal(mails, Reader(reader.state, None, reader.has_open_order)), id="words are not heard"
        ),
        pytest.param(lambda mails, reader: refusal(mails, Reader("active", *_rest(reader))), id="who left is written to"),
        pytest.param(
            lambda mails, reader: refusal(mails, Reader(reader.state, reader.communication, True)), id="every order is open"
        ),
        pytest.param(lambda *_: "shut", id="nobody gets anything"),
    ],
)
def test_a_gate_that_forgets_one_rule_is_red(decide: Callable[[MailClass, Reader], str | None]) -> None:
    assert wrong(decide)


def _rest(reader: Reader) -> tuple[Any, bool]:
    return reader.communication, reader.has_open_order


def test_a_promotion_is_asked_for_whatever_else_its_class_says() -> None:
    careless = MAILS["newsletter"].model_copy(update={"needs_consent": False, "stopped_by": ()})
    assert [word for word in WORDS if refusal(careless, Reader("active", word, True)) is None] == ["all"]


def test_nobody_gets_anything_once_erased() -> None:
    for mails, word in product(MAILS.values(), WORDS):
        assert refusal(mails.model_copy(update={"stopped_by": ()}), Reader("erased", word, True)) == "person_erased"


def test_a_kind_is_of_one_class() -> None:
    assert set(classes_by_kind(MAILS)) >= {"order_confirmation", "shipment", "delivery", "policy_change", "newsletter"}
    with pytest.raises(ValueError, match="two classes"):
        classes_by_kind({**MAILS, "again": MAILS["order"]})
