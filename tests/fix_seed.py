"""Chance in tests: one seed for the whole run, another one each time, printed at its head and in every failure.

`TEST_SEED=4711 make test TESTS=…` plays a run again.
"""

from __future__ import annotations

import os
import secrets

import pytest

VARIABLE = "TEST_SEED"
_SEED = int(os.environ.get(VARIABLE) or secrets.randbelow(1_000_000))


def pytest_report_header() -> str:
    return f"seed: {_SEED} ({VARIABLE}={_SEED} plays this run again)"


@pytest.fixture(scope="session")
def run_seed() -> int:
    """What a test that leaves something to chance begins with; it prints it, so that pytest shows it where the test fails."""
    return _SEED
