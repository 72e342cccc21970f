"""The erasure journal: what is in it stays readable, what was changed is seen, what was never finished is passed over."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.custody.journal import Erased, ErasureJournal, JournalBroken, JournalMark

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
DIGESTS = [f"{number:032x}" for number in range(1, 6)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shipping.journal"


def filled(file: Path) -> ErasureJournal:
    journal = ErasureJournal(file)
    for digest in DIGESTS:
        journal.append(digest, AT)
    return journal


def test_everybody_is_read_back_in_order(file: Path) -> None:
    assert ErasureJournal(file).read() == []
    assert filled(file).read() == [Erased(digest, AT) for digest in DIGESTS]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_line_that_a_power_cut_left_unfinished_is_passed_over_and_written_behind(file: Path) -> None:
    journal = filled(file)
    whole = file.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(last, len(whole) - 1):
        file.write_bytes(whole[:cut])
        assert [it.person for it in journal.read()] == DIGESTS[:-1]
        journal.append("f" * 32, AT)
        assert [it.person for it in journal.read()] == [*DIGESTS[:-1], "f" * 32]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_line_that_was_changed_is_seen(file: Path, data: st.DataObject) -> None:
    file.unlink(missing_ok=True)
    journal = filled(file)
    content = bytearray(file.read_bytes())
    places = [place for place, byte in enumerate(content) if byte not in b"\n "]
    place = data.draw(st.sampled_from(places))
    content[place] = data.draw(st.sampled_from([it for it in b"0123456789abcdef" if it != content[place]]))
    file.write_bytes(content)
    with pytest.raises(JournalBroken) as caught:
        journal.read()
    assert not any(digest in str(caught.value) for digest in DIGESTS)


def _append_some(file: str, first: int) -> None:
    for number in range(first, first + 50):
        ErasureJournal(Path(file)).append(f"{number:032x}", AT)


def test_two_processes_write_whole_lines(file: Path) -> None:
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_append_some, [os.fspath(file)] * 2, [0, 1000]))
    assert {int(it.person, 16) for it in ErasureJournal(file).read()} == {*range(50), *range(1000, 1050)}


def test_what_was_added_to_extends_and_what_was_cut_or_begun_anew_does_not(file: Path) -> None:
    none = ErasureJournal(file).mark()
    journal = filled(file)
    mark = journal.mark()
    assert mark.lines == len(DIGESTS)
    assert journal.extends(none)
    assert journal.extends(mark)
    journal.append("f" * 32, AT)
    assert journal.extends(mark)
    lines = file.read_bytes().splitlines(keepends=True)
    for cut in (lines[:4], [*lines[:4], lines[4][:-3]], [], lines[1:]):
        file.write_bytes(b"".join(cut))
        assert not ErasureJournal(file).extends(mark)
    file.unlink()
    assert not ErasureJournal(file).extends(mark)
    assert ErasureJournal(file).extends(JournalMark(0, none.head))
