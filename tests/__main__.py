"""`python -m tests`: all tests but the slow ones, in two runs side by side; `python -m tests PATH …`: those alone, as pytest runs them.

Tests of services wait most of their time for servers to start and messages to arrive: one run leaves half of two cores idle. Each run has
servers of its own. The first shows how it goes, the second's words come when it is over. Ends with 1 where either failed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

TESTS = Path(__file__).resolve().parent
RUNS = (("component", "bench", "unit", "contract"), ("integration", "e2e"))
"""Every folder with tests is in one of them, and both take about as long."""


def folders() -> set[str]:
    """The folders that hold tests."""
    return {file.relative_to(TESTS).parts[0] for file in TESTS.rglob("test_*.py")}


def start(names: tuple[str, ...], said: IO[bytes] | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", *(str(TESTS / name) for name in names)]
    return subprocess.Popen(command, cwd=TESTS.parent, stdout=said, stderr=subprocess.STDOUT if said else None)


def main(paths: list[str]) -> int:
    if paths:
        return subprocess.call([sys.executable, "-m", "pytest", *paths])
    assert folders() == {name for run in RUNS for name in run}, "a folder with tests is in no run"
    with tempfile.TemporaryFile() as said:
        runs = [start(RUNS[0], None), start(RUNS[1], said)]
        try:
            codes = [run.wait() for run in runs]
        except KeyboardInterrupt:
            for run in runs:
                run.send_signal(signal.SIGINT)
            codes = [run.wait() for run in runs]
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
