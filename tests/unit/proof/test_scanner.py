"""Every encoding is found, in every case, folded or compressed, and what only looks like a marker is not."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proof import scanner as rooms
from tests.proof.encodings import NAMES
from tests.proof.markers import PERSONAL, PSEUDONYM, Mint
from tests.proof.scanner import Scanner, Sighting
from tests.proof.writing import WRITTEN

CASED = {"as it is": lambda text: text, "lower": str.lower, "upper": str.upper, "folded": str.casefold}


@pytest.fixture(scope="module")
def mint() -> Mint:
    it = Mint()
    it.word("ana", "contact.name")
    it.digits("ana", "contact.phone")
    it.subtag("ana", "contact.language")
    for number in range(60):
        it.word(f"other {number}", "contact.name")
    return it


@pytest.fixture(scope="module")
def scanner(mint: Mint) -> Scanner:
    return Scanner(mint.made)


@pytest.mark.parametrize("cased", CASED)
@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("which", range(3))
def test_each_encoding_is_found_in_each_case(which: int, written: str, cased: str, mint: Mint, scanner: Scanner) -> None:
    marker = mint.made[which]
    data = b"before \xff\x00" + WRITTEN[written](CASED[cased](marker.text)) + b"\x00 behind"
    assert {it.marker for it in scanner.search(data)} == {marker}


def test_every_encoding_has_been_seen(mint: Mint, scanner: Scanner) -> None:
    text = mint.made[0].text
    seen = {it.encoding for write in WRITTEN.values() for it in scanner.search(write(text))}
    assert seen == set(NAMES)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda text: text[1:],
        lambda text: text[:4] + "-" + text[4:],
        lambda text: text[::-1],
        lambda text: text.swapcase()[:7],
        lambda text: base64.b64encode(text.encode())[2:].decode()[::-1],
    ],
)
def test_what_only_looks_like_a_marker_is_not_one(spoilt: Callable[[str], str], mint: Mint, scanner: Scanner) -> None:
    assert scanner.search(spoilt(mint.made[0].text).encode()) == set()


def test_a_root_without_a_code_is_seen_too(mint: Mint, scanner: Scanner) -> None:
    assert scanner.search(f"... {mint.word_root}!!!! ...".encode()) == {Sighting(None, "utf-8", PERSONAL)}


def test_of_what_is_cut_off_the_kind_is_known(mint: Mint) -> None:
    other = Mint()
    text = other.pseudonym("ana", "references.customer_id")
    assert Scanner(other.made).search(text[:9].encode()) == {Sighting(None, "utf-8", PSEUDONYM)}


def test_another_run_s_markers_are_not_ours(scanner: Scanner) -> None:
    other = Mint()
    assert scanner.search(other.word("ana", "contact.name").encode()) == set()


@pytest.mark.parametrize("shift", [-700, -513, -100, -7, -1, 0, 1, 5, 600])
@pytest.mark.parametrize("written", ["utf-8", "json escapes twice", "base64 at 1", "gzip"])
def test_a_marker_across_two_pieces_of_a_file_is_found(
    written: str, shift: int, mint: Mint, scanner: Scanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "CHUNK_BYTES", 70_000)
    marker, file = mint.made[0], tmp_path / "file"
    data = WRITTEN[written](marker.text)
    file.write_bytes(b"." * (70_000 + shift) + data + b"." * 50_000)
    read, found = scanner.search_file(file)
    assert (read, {it.marker for it in found}) == (file.stat().st_size, {marker})


def test_a_file_of_a_whole_number_of_pieces_is_read_to_its_end(
    mint: Mint, scanner: Scanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "CHUNK_BYTES", 70_000)
    marker, file = mint.made[0], tmp_path / "file"
    file.write_bytes(b"." * (140_000 - len(marker.text)) + marker.text.encode())
    assert {it.marker for it in scanner.search_file(file)[1]} == {marker}
