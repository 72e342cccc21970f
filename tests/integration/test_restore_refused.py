"""A restore beside a journal that has lost somebody is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local import backups
from shared.cli.backups import lacking_journals
from shared.custody.journal import ErasureJournal

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
Harm = Callable[[Path], object]


def shorter(file: Path) -> None:
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])


def half_a_line_less(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])  # the last line, and some of the one before


def another(file: Path) -> None:
    file.unlink()
    for number in range(5):
        ErasureJournal(file).append(f"{number + 7:032x}", AT)


def changed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"2026", b"2027", 1))


HARMS: list[tuple[Harm, str]] = [
    (shorter, "is shorter than"),
    (half_a_line_less, "is shorter than"),
    (lambda file: file.write_bytes(b""), "is shorter than"),
    (Path.unlink, "is shorter than"),
    (another, "is another than"),
    (changed, "erasure_journal_broken at line 1"),
]


@pytest.mark.parametrize(("harm", "said"), HARMS)
def test_a_journal_that_lost_somebody_is_named_and_one_that_grew_is_not(tmp_path: Path, harm: Harm, said: str) -> None:
    file = tmp_path / "shipping.journal"
    for number in range(3):
        ErasureJournal(file).append(f"{number:032x}", AT)
    marks = {"shipping": asdict(ErasureJournal(file).mark())}
    keep: dict[backups.Cluster, timedelta] = {"data": timedelta(days=30), "keyring": timedelta(days=7)}
    made = backups.back_up([], tmp_path / "backups", AT, keep=keep, journals=marks)
    ErasureJournal(file).append("f" * 32, AT)
    assert lacking_journals({"shipping": file}, made.values()) == []
    harm(file)
    lines = lacking_journals({"shipping": file}, made.values())
    assert lines
    assert all(said in line for line in lines)


def test_a_backup_of_an_older_release_knows_nothing_of_journals(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    assert lacking_journals({}, [tmp_path]) == []


def test_what_a_later_backup_knows_counts_for_an_earlier_one_too(tmp_path: Path) -> None:
    """Else going back behind an erasure with a journal that was lost would bring the person back unseen."""
    file, folder = tmp_path / "shipping.journal", tmp_path / "backups"
    keep: dict[backups.Cluster, timedelta] = {"data": timedelta(days=30), "keyring": timedelta(days=7)}
    for day in range(2):
        marks = {"shipping": asdict(ErasureJournal(file).mark())}
        backups.back_up([], folder, AT + timedelta(days=day), keep=keep, journals=marks)
        ErasureJournal(file).append(f"{day:032x}", AT)
    file.unlink()
    standing = backups.standing(folder, "data")
    assert lacking_journals({"shipping": file}, standing[:1]) == []
    assert len(lacking_journals({"shipping": file}, standing)) == 1
