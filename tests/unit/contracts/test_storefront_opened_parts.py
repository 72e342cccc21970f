from __future__ import annotations

import json
from typing import Any

import pytest

from shared.contracts.errors import Refused
from shared.contracts.storefront import CODES, PART_FORMS, PartRefused, part_to_json, read_part
from tests.unit.contracts.storefront_samples import CARD, EXAMPLE, FRIEND, REQUEST

KEY = "SH-20417"
PARTS: dict[str, dict[str, Any]] = {
    **{part: EXAMPLE["data"][part] for part in ("recipient", "contact", "billing")},
    "friend": FRIEND,
    "request": REQUEST,
}


def plaintext(part: str, **changes: Any) -> bytes:
    return json.dumps({**PARTS[part], "for": KEY, **changes}).encode()


def part_faults(part: str, text: bytes, **context: Any) -> set[tuple[str, str]]:
    try:
        read_part(part, text, sealed_for_key=KEY, **context)
    except PartRefused as error:
        found = {(fault.code, fault.path) for fault in error.faults}
    else:
        return set()
    assert {code for code, _ in found} <= CODES.keys()
    return found


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_read_and_written_back(part: str) -> None:
    read = read_part(part, plaintext(part), sealed_for_key=KEY)
    assert isinstance(read, PART_FORMS[part])
    assert json.loads(part_to_json(read, KEY)) == {**PARTS[part], "for": KEY}
    assert read_part(part, part_to_json(read, KEY), sealed_for_key=KEY) == read


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_another_order_is_refused(part: str) -> None:
    assert part_faults(part, plaintext(part, **{"for": "SH-20418"})) == {("sealed_for_another", "/for")}
    assert part_faults(part, plaintext(part, **{"for": None})) == {("wrong_type", "/for")}
    assert part_faults(part, json.dumps(PARTS[part]).encode()) == {("missing", "/for")}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'"\\ud800"', "malformed_json"),
        (b"[]", "not_an_object"),
        (b"[" * 9_999, "malformed_json"),
    ],
)
def test_what_is_no_part(text: bytes, code: str) -> None:
    assert part_faults("contact", text) == {(code, "")}


def test_every_fault_of_a_part_is_named_from_the_part() -> None:
    address = {"line1": "", "city": CARD, "country": "US", "planet": "x"}
    text = json.dumps({"for": "other", "given_name": "A\t", "email": "x", "address": address, "Ä": 1}).encode()
    assert part_faults("billing", text) == {
        ("sealed_for_another", "/for"),
        ("control_character", "/given_name"),
        ("missing", "/family_name"),
        ("email_malformed", "/email"),
        ("too_short", "/address/line1"),
        ("card_number", "/address/city"),
        ("unknown_member", "/address/planet"),
        ("postal_code_missing", "/address/postal_code"),
        ("region_missing", "/address/region"),
        ("unknown_member", "/*"),
    }


def test_personalisation_is_held_against_the_lines_where_they_are_known() -> None:
    text = plaintext("recipient", personalisation=[{"line": 1, "text": "a"}, {"line": 9, "text": "b"}])
    assert part_faults("recipient", text) == set()
    assert part_faults("recipient", text, line_numbers=frozenset({1, 2})) == {("line_unknown", "/personalisation/1/line")}


def test_a_card_number_in_a_box_refuses_the_part() -> None:
    assert part_faults("recipient", plaintext("recipient", gift_message=f"pay with {CARD}")) == {("card_number", "/gift_message")}


def test_a_refused_part_is_refused_like_everything() -> None:
    assert issubclass(PartRefused, Refused)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_shows_no_value(part: str) -> None:
    read = read_part(part, plaintext(part), sealed_for_key=KEY)
    name = PART_FORMS[part].__name__
    assert (repr(read), str(read), f"{read}") == (f"{name}()",) * 3
