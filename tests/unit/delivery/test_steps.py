"""The named steps: each has its one place in the code, and no place has a name that is none."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from shared.delivery import steps
from shared.delivery.steps import CALL_STEPS, DIE_AT, MESSAGE_STEPS, STEPS, STEPS_FILE, SWEEP_STEPS, reach, watch

DELIVERY = Path(steps.__file__).parent


def places() -> Counter[str]:
    """How often the code says `reach("…")`, by name."""
    found: Counter[str] = Counter()
    for path in DELIVERY.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                [name] = node.args
                assert isinstance(name, ast.Constant), f"{path.name}:{node.lineno} names its step only at run time"
                found[str(name.value)] += 1
    return found


def test_every_step_has_one_place_and_every_place_is_a_step() -> None:
    assert places() == Counter(STEPS)


def test_the_docstring_names_every_step() -> None:
    told = steps.__doc__ or ""
    assert [step for step in STEPS if step not in told] == []


def test_no_step_stands_in_two_rows() -> None:
    assert len({*MESSAGE_STEPS, *CALL_STEPS, *SWEEP_STEPS}) == len(STEPS)


@pytest.mark.parametrize("wrong", ["comitted", "committed:soon", "committed:-1", ":3"])
def test_a_process_is_not_started_to_die_where_there_is_no_step(wrong: str) -> None:
    with pytest.raises(ValueError, match=DIE_AT):
        watch({DIE_AT: wrong})


def test_what_is_reached_is_noted_once_in_the_order_of_the_first_times(tmp_path: Path) -> None:
    file = tmp_path / "steps"
    watch({STEPS_FILE: str(file), DIE_AT: "forgotten:2"})
    try:
        for step in ("received", "read", "received", "forgotten"):
            reach(step)
    finally:
        watch({})
    reach("claimed")
    assert file.read_text().split() == ["received", "read", "forgotten"]
