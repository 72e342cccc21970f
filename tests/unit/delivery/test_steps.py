"""The named steps: each stands in the code once, and a process told to die at one dies there, at the right time."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.delivery import steps

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _unwatched() -> Iterator[None]:
    yield
    steps.watch({})


# ── in the code ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reaches() -> list[tuple[str, ast.expr]]:
    """Every call of `reach` outside `steps.py`, with what it names."""
    found = []
    for folder in ("shared", "services", "deploy"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if file == Path(steps.__file__):
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    if name == "reach":
                        found.append((f"{file.relative_to(ROOT)}:{node.lineno}", node.args[0]))
    return found


def test_every_reach_names_a_step_in_so_many_letters() -> None:
    assert _reaches()
    for place, named in _reaches():
        assert isinstance(named, ast.Constant), place
        assert named.value in steps.STEPS, place


def test_every_step_is_reached_at_one_place() -> None:
    places = Counter(named.value for _, named in _reaches() if isinstance(named, ast.Constant))
    assert places == dict.fromkeys(steps.STEPS, 1)


def test_the_picture_shows_every_step() -> None:
    assert steps.__doc__ is not None
    drawn = set(steps.__doc__.replace("▸", " ").replace(":", " ").split())
    assert set(steps.STEPS) <= drawn


# ── what the environment may say ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "die_at", ["commited", "committed:", "committed:0", "committed:x", "committed:-1", "committed:1.5", ":3", "committed:1:2"]
)
def test_a_step_that_there_is_not_and_a_number_that_is_none_are_refused(die_at: str) -> None:
    with pytest.raises(ValueError, match=r"^DIE_AT is the name of a step"):
        steps.watch({steps.DIE_AT: die_at})


@pytest.mark.parametrize("die_at", ["committed", "committed:1", "taken_up_again:250"])
def test_a_step_and_a_number_are_taken(die_at: str) -> None:
    steps.watch({steps.DIE_AT: die_at})
    steps.reach("received")  # another step: nothing happens


def test_unwatched_nothing_happens() -> None:
    steps.watch({})
    for step in steps.STEPS:
        steps.reach(step)


def test_each_step_is_noted_once_in_the_order_of_its_first_time(tmp_path: Path) -> None:
    noted = tmp_path / "steps"
    steps.watch({steps.STEPS_FILE: str(noted)})
    for step in ("received", "read", "received", "committed", "read"):
        steps.reach(step)
    assert noted.read_text().splitlines() == ["received", "read", "committed"]


def test_what_an_earlier_process_noted_stands(tmp_path: Path) -> None:
    noted = tmp_path / "steps"
    for step in ("received", "read"):
        steps.watch({steps.STEPS_FILE: str(noted)})
        steps.reach(step)
    assert noted.read_text().splitlines() == ["received", "read"]


# ── dying ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_PROGRAM = """
import os, sys
from shared.delivery import steps
steps.watch(os.environ)
for number in range(5):
    for step in ("received", "committed"):
        steps.reach(step)
        print(step, number, flush=True)
"""


def _run(**environment: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(("die_at", "times"), [("committed", 1), ("committed:1", 1), ("committed:3", 3)])
def test_a_process_is_killed_when_it_comes_to_the_step_for_the_nth_time(die_at: str, times: int) -> None:
    code, came_to = _run(DIE_AT=die_at)
    assert code == -signal.SIGKILL
    whole = [f"{step} {number}" for number in range(5) for step in ("received", "committed")]
    assert came_to == whole[: 2 * times - 1], "the step itself is begun, and nothing after it"


def test_a_process_that_never_comes_so_far_lives() -> None:
    code, came_to = _run(DIE_AT="committed:6")
    assert (code, len(came_to)) == (0, 10)


def test_the_step_at_which_it_died_is_noted(tmp_path: Path) -> None:
    code, _ = _run(DIE_AT="committed:2", STEPS_FILE=str(tmp_path / "steps"))
    assert code == -signal.SIGKILL
    assert (tmp_path / "steps").read_text().splitlines() == ["received", "committed"]
