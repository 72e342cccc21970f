"""Every test carries the marker of the folder it lies in, and may ask for the servers of `fix_servers`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["tests.fix_seed", "tests.fix_servers"]

_TESTS = Path(__file__).parent
_MARKERS = frozenset({"unit", "contract", "integration", "component", "e2e"})
_UNMARKED = frozenset({"bench"})


def pytest_configure(config: pytest.Config) -> None:
    # Nameko's own pytest plugin imports eventlet into every run and warns that nothing is patched. Our services run as processes
    # of their own, and a test that wants eventlet starts it itself.
    config.pluginmanager.unregister(name="pytest_nameko")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        try:
            folder = item.path.relative_to(_TESTS).parts[0]
        except ValueError:
            continue  # not one of ours
        if folder in _MARKERS:
            item.add_marker(getattr(pytest.mark, folder))
        elif folder not in _UNMARKED:
            raise pytest.UsageError(f"{item.nodeid} lies in no folder that says what kind of test it is")
