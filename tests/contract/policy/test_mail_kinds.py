"""Every letter that notifications can write belongs to one class of mail of the policy, and is made of that class's fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from email import message_from_bytes
from typing import Any

from services.notifications import circulars, difficulty_letters, letters, personal_letters
from services.notifications.letters import Letter, Shop, render
from shared.policy import Policy, load
from tests.contract.gateways import test_outgoing_by_policy as outgoing

TEMPLATES = {kind for _, kind in letters._TEMPLATES} | set(circulars.TEXTS)
_FIELD_OF = {"to_name": "name", "to_email": "email", "language": "language"}


def kinds() -> dict[str, type[Any]]:
    written = [*Letter.__subclasses__(), *circulars.Circular.__subclasses__()]
    rooms = {room.__name__ for room in (letters, difficulty_letters, personal_letters, circulars)}
    return {letter.kind: letter for letter in written if letter.__module__ in rooms}


def faults(policy: Policy, written: dict[str, type[Any]]) -> list[str]:
    """Letters of no class or of several, kinds that nobody writes, and letters with a field of the person that their class does not name."""
    classes = {kind: [name for name, mails in policy.mails.items() if kind in mails.kinds] for kind in written}
    wrong = [f"{kind}: {len(names)} classes" for kind, names in classes.items() if len(names) != 1]
    told = {kind for mails in policy.mails.values() for kind in mails.kinds}
    wrong += [f"{kind}: nobody writes it" for kind in sorted(told - set(written))]
    for kind, names in classes.items():
        its = {_FIELD_OF[field.name] for field in fields(written[kind]) if field.name in _FIELD_OF}
        for name in names:
            # A part without a language has none to tell: such a letter is in the language there is.
            of_its_part = its & set(policy.parts[policy.mails[name].part].fields)
            wrong += [f"{kind}: {field}" for field in sorted(of_its_part - set(policy.mails[name].fields))]
    return wrong


def test_every_letter_belongs_to_a_class() -> None:
    assert faults(load(), kinds()) == []
    assert set(kinds()) == TEMPLATES


def test_a_letter_that_promotes_is_asked_for_and_shows_the_way_out() -> None:
    promoting = [mails for mails in load().mails.values() if mails.promotional]
    assert [mails.kinds for mails in promoting] == [("newsletter",)]
    assert all(mails.needs_consent and mails.carries_way_out for mails in promoting)


def test_the_way_out_is_shown_by_the_classes_that_promise_it_and_no_other() -> None:
    shown = {}
    for letter in outgoing.letters():
        mail = message_from_bytes(render(letter, Shop("AstroJewelry.com", "orders@astrojewelry.com"), outgoing.AT).message)
        shown[letter.kind] = mail["List-Unsubscribe"] is not None
    promised = {kind: mails.carries_way_out for mails in load().mails.values() for kind in mails.kinds}
    assert shown == {kind: promised[kind] for kind in shown}
    assert set(promised) - set(shown) == set(circulars.TEXTS), "letters to many have a test of their own: test_circulars"


def test_a_letter_of_no_class_is_red() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Flyer(Letter):
        kind = "flyer"

    assert faults(load(), {**kinds(), "flyer": Flyer}) == ["flyer: 0 classes"]
    less = {kind: letter for kind, letter in kinds().items() if kind != "delivery"}
    assert faults(load(), less) == ["delivery: nobody writes it"]
    order = load().mails["order"].model_copy(update={"fields": ("email", "language")})
    narrower = load().model_copy(update={"mails": {**load().mails, "order": order}})
    assert faults(narrower, kinds()) == [f"{kind}: name" for kind in kinds() if kind in order.kinds]
