"""Strings and files that were collected to break programs: each is an event or a refusal, nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.contracts.errors import Refused
from shared.contracts.storefront import holds_card_number
from tests.unit.contracts.storefront_samples import ROOT, faults, order, put, read

HOSTILE = ROOT.parent / "shared" / "data" / "hostile"
JSON_FILES = HOSTILE / "JSONTestSuite" / "test_parsing"
NAUGHTY_STRINGS = HOSTILE / "blns" / "blns.json"
ADDRESSES = HOSTILE / "addresses" / "google-i18n"


def folder(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the reference data is not beside this repository: {path.name}")
    return path


def naughty_strings() -> list[str]:
    strings = json.loads(folder(NAUGHTY_STRINGS).read_text("utf-8"))
    assert len(strings) > 100
    return [string for string in strings if isinstance(string, str)]


@pytest.mark.parametrize(
    ("pointer", "longest", "empty"),
    [
        ("/data/recipient/name", 200, False),
        ("/data/recipient/address/line1", 200, False),
        ("/data/recipient/gift_message", 5_000, True),
        ("/data/lines/0/title", 500, True),
    ],
)
def test_naughty_strings_as_text(pointer: str, longest: int, empty: bool) -> None:
    for string in naughty_strings():
        allowed = "\n\r" if pointer.endswith("gift_message") else ""
        expected = set()
        if len(string) > longest:
            expected.add("too_long")
        elif not string and not empty:
            expected.add("too_short")
        elif any(sign < " " and sign not in allowed for sign in string):
            expected.add("control_character")
        if len(string) <= 5_000 and holds_card_number(string):
            expected.add("card_number")
        assert faults(put(order(), pointer, string)) == {(code, pointer) for code in expected}


@pytest.mark.parametrize(
    "pointer",
    [
        "/id",
        "/source",
        "/type",
        "/time",
        "/data/order_number",
        "/data/total",
        "/data/currency",
        "/data/contact/email",
        "/data/contact/phone",
    ],
)
def test_naughty_strings_elsewhere(pointer: str) -> None:
    for string in naughty_strings():
        assert {path for _, path in faults(put(order(), pointer, string))} <= {pointer}


def test_naughty_strings_as_names_of_members() -> None:
    for string in naughty_strings():
        event = order()
        event["data"]["recipient"] = {**event["data"]["recipient"], f" {string}": 1}
        assert faults(event) == {("unknown_member", "/data/recipient/*")}


def test_every_json_file_as_a_body_and_inside_one() -> None:
    files = sorted(folder(JSON_FILES).glob("*.json"))
    assert len(files) > 100
    codes: dict[str, set[str]] = {}
    for file in files:
        body = file.read_bytes()
        with pytest.raises(Refused) as caught:
            read(body)
        codes[file.name] = {fault.code for fault in caught.value.faults}
        inside = json.dumps(put(order(), "/data/lines/0/title", "@")).encode().replace(b'"@"', body)
        assert len(faults(inside)) <= 1_001
    assert [name for name in codes if name.startswith("n_") and codes[name] != {"malformed_json"}] == []
    assert [name for name in codes if name.startswith("y_") and "malformed_json" in codes[name]] == []


@pytest.mark.parametrize("depth", [10, 900, 1_100, 50_000])
@pytest.mark.parametrize(
    "pointer",
    [
        "/id",
        "/data/policy_version",
        "/data/currency",
        "/data/lines",
        "/data/lines/0/title",
        "/data/total",
        "/data/recipient",
        "/data/recipient/address",
        "/data/recipient/address/country",
        "/data/recipient/personalisation",
        "/data/contact/email",
        "/data/payment",
        "/data/payment/provider",
    ],
)
def test_deep_nests_are_refused_wherever_they_stand(pointer: str, depth: int) -> None:
    body = json.dumps(put(order(), pointer, "@")).encode()
    for opening, closing in ((b"[", b"]"), (b'{"address":', b"}"), (b'{"lines":[', b"]}")):
        assert faults(body.replace(b'"@"', opening * depth + b"1" + closing * depth)) != set()


def test_the_countries_of_the_address_data_are_known() -> None:
    """All but what ISO 3166-1 reserves or leaves to its users: AC Ascension, TA Tristan da Cunha, XK Kosovo, ZZ nowhere."""
    names = {file.stem.upper() for file in folder(ADDRESSES).glob("??.json")}
    assert len(names) > 50
    for country in sorted(names):
        unknown = {("country_unknown", "/data/recipient/address/country")} if country in {"AC", "TA", "XK", "ZZ"} else set()
        assert faults(put(order(), "/data/recipient/address/country", country)) == unknown
