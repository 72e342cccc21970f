"""`python -m tests`: all tests but the slow ones, in three runs side by side; `python -m tests PATH …`: those alone, as pytest runs them.

Tests of services wait most of their time for servers to start and messages to arrive: one run leaves half of two cores idle. Each run has
servers of its own. The first shows how it goes, the others' words come when all are over. Ends with 1 where one failed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

TESTS = Path(__file__).resolve().parent
RUNS = (("component", "bench"), ("integration", "unit", "contract"), ("e2e",))
"""Every folder with tests is in one of them, and they take about as long."""


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
    with ExitStack() as files:
        said = [files.enter_context(tempfile.TemporaryFile()) for _ in RUNS[1:]]
        runs = [start(names, words) for names, words in zip(RUNS, [None, *said], strict=True)]
        try:
            codes = [run.wait() for run in runs]
        except KeyboardInterrupt:
            for run in runs:
                run.send_signal(signal.SIGINT)
            codes = [run.wait() for run in runs]
        for words in said:
            words.seek(0)
            sys.stdout.buffer.write(words.read())
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
