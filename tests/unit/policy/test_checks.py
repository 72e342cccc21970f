"""Every check that the policy names is there, and so is the test that saw it red."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from shared.policy import load

ROOT = Path(__file__).resolve().parents[3]
CHECKS = load().checks
COMPILED = {"part-models", "event-members", "never-a-field", "hearers", "staff", "metric-labels", "documents"}
LIVE = {"broker", "databases", "settings"}


def is_there(test: str) -> bool:
    """Whether `tests/…::test_…` names a test of the repository."""
    path, _, name = test.partition("::")
    if not (ROOT / path).is_file():
        return False
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == name and name.startswith("test_") for node in tree.body)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_and_the_test_that_saw_it_red_exist(name: str) -> None:
    check = CHECKS[name]
    assert check.test is None or is_there(check.test)
    assert check.compiled is None or check.compiled in COMPILED
    assert check.live is None or check.live in LIVE
    assert is_there(check.red)
    assert check.red != check.test


def test_what_is_not_there_is_seen() -> None:
    assert not is_there("tests/unit/policy/test_checks.py::test_of_nothing")
    assert not is_there("tests/unit/policy/nowhere.py::test_of_nothing")
    assert is_there("tests/unit/policy/test_checks.py::test_what_is_not_there_is_seen")


def test_every_comparison_is_some_check_s() -> None:
    assert {check.compiled for check in CHECKS.values()} - {None} == COMPILED
    assert {check.live for check in CHECKS.values()} - {None} == LIVE
