"""A version that an older release accepted binds what was collected under it, whatever this release asks of the policy in force."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.cli.main import app
from shared.policy import POLICY_FILE, PolicyRefused, load, load_versions
from shared.policy.changes import difference
from shared.policy.loading import load_text
from tests.unit.policy.earlier import EARLIER, as_before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / f"{EARLIER}.yaml").write_text(as_before(), "utf-8")
    return tmp_path


def test_a_version_of_the_release_before_stands_beside_the_one_in_force(folder: Path) -> None:
    known = load_versions(folder)
    assert list(known) == [EARLIER, load().version]
    assert difference(known[EARLIER], load())


def test_the_same_text_is_refused_as_the_one_in_force_and_as_a_new_one(folder: Path) -> None:
    for read in (lambda: load(folder / f"{EARLIER}.yaml"), lambda: load_text(as_before())):
        with pytest.raises(PolicyRefused) as caught:
            read()
        assert {fault.code for fault in caught.value.faults} >= {"personal_as_plain", "retention_untimed"}


def test_an_earlier_version_must_still_be_whole() -> None:
    with pytest.raises(PolicyRefused) as caught:
        load_text(as_before().replace("purpose: fill_order", "purpose: idle"), is_earlier=True)
    assert {fault.code for fault in caught.value.faults} == {"purpose_unknown"}


def test_a_change_is_shown_from_an_earlier_version_and_never_to_one(folder: Path) -> None:
    earlier = str(folder / f"{EARLIER}.yaml")
    done = CliRunner().invoke(app, ["privacy", "change", earlier, str(POLICY_FILE)])
    assert done.exit_code == 0
    assert f"{EARLIER} -> {load().version}" in done.output
    assert CliRunner().invoke(app, ["privacy", "change", str(POLICY_FILE), earlier]).exit_code == 1
