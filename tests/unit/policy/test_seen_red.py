"""Checks that older tests make, seen red: what they watch is broken here, and they must fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from jinja2 import Template
from nacl.public import SealedBox
from pydantic import ConfigDict

from services.notifications import letters
from services.notifications.letters import Letter, ShipmentMail
from shared import logs, sealing
from shared.contracts.storefront import EVENT_FORMS, OrderPlaced, event_parts, parts
from tests.unit.contracts import test_storefront_order as orders
from tests.unit.contracts import test_storefront_parts as clear_parts
from tests.unit.notifications import test_letters as mails
from tests.unit.shared import test_logs as lines
from tests.unit.shared import test_sealing as boxes


@contextmanager
def seen_red() -> Iterator[None]:
    """The check inside must fail by its own words."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        yield


def cases_of(test: Callable[..., Any]) -> list[Any]:
    """What a test is run with, one after the other."""
    [marker] = [mark for mark in test.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    return list(marker.args[1])


def test_a_log_line_with_any_field_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> None:
        written, root = lines.Lines(), logging.getLogger()
        root.addHandler(written.handler)
        try:
            lines.test_our_own_line_holds_its_word_and_what_the_list_names(written)
        finally:
            root.removeHandler(written.handler)

    check()
    monkeypatch.setattr(logs, "FIELDS", (*logs.FIELDS, "e_mail", "recipient"))
    with seen_red():
        check()


@pytest.mark.parametrize(
    "more", ["<img src='https://shop.example/seen.gif'>", "<p>A coupon for you</p>", "<p>utm_source=mail</p>"]
)
@pytest.mark.parametrize("letter", cases_of(mails.test_a_service_mail_loads_nothing_and_sells_nothing), ids=lambda it: it.kind)
def test_a_mail_that_sells_is_red(monkeypatch: pytest.MonkeyPatch, letter: Letter, more: str) -> None:
    mails.test_a_service_mail_loads_nothing_and_sells_nothing(letter)
    texts = letters._TEMPLATES["en", letter.kind]
    monkeypatch.setitem(
        letters._TEMPLATES, ("en", letter.kind), replace(texts, html=Template(f"<html><body>{more}</body></html>"))
    )
    with seen_red():
        mails.test_a_service_mail_loads_nothing_and_sells_nothing(letter)


def test_a_link_that_names_somebody_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_link(letter: ShipmentMail) -> str:
        return letter.tracking_url or ""

    check = mails.test_a_link_that_is_not_plainly_the_carriers_is_left_out
    monkeypatch.setattr(letters, "_harmless_link", any_link)
    for url in cases_of(check):
        if url and url.startswith("https://ups.com/") and "\r" not in url:
            with seen_red():
                check(url)


@pytest.mark.parametrize("place", ["", "/payment"])
def test_a_form_that_takes_anything_is_red(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    class Anything(OrderPlaced):
        model_config = ConfigDict(extra="ignore")

    orders.test_unknown_members_are_refused_at_any_depth(place)
    monkeypatch.setitem(EVENT_FORMS, "order_placed", replace(EVENT_FORMS["order_placed"], data=Anything))  # type: ignore[arg-type]
    if place:
        orders.test_unknown_members_are_refused_at_any_depth(place)  # the form within keeps its own word
        return
    with seen_red():
        orders.test_unknown_members_are_refused_at_any_depth(place)


@pytest.mark.parametrize("member", cases_of(clear_parts.test_free_text_of_a_part_holds_no_card_number))
def test_a_card_number_that_passes_is_red(monkeypatch: pytest.MonkeyPatch, member: str) -> None:
    monkeypatch.setattr(parts, "holds_card_number", lambda _text: False)
    with seen_red():
        clear_parts.test_free_text_of_a_part_holds_no_card_number(member)


@pytest.mark.parametrize("part", cases_of(clear_parts.test_a_part_in_the_clear_is_not_taken_over_amqp_nor_looked_at))
def test_a_clear_part_that_passes_is_red(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(event_parts.PartsReader, "_clear_is_refused", lambda _reader: False)
    with seen_red():
        clear_parts.test_a_part_in_the_clear_is_not_taken_over_amqp_nor_looked_at(part)


def test_a_box_that_opens_though_it_was_changed_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unsealed(SealedBox):
        """Opens anything, as encryption without authentication would."""

        def decrypt(self, ciphertext: bytes, *_: Any) -> bytes:  # type: ignore[override]
            return ciphertext

    monkeypatch.setattr(sealing, "SealedBox", Unsealed)
    with seen_red():
        boxes.test_a_changed_box_is_not_opened()
