"""`python -m tests`: all tests but the slow ones, in three runs side by side; `python -m tests PATH …`: those alone, as pytest runs them.

Tests of services wait most of their time for servers to start and messages to arrive: one run leaves half of two cores idle. Each run has
servers and ports of its own. The first shows how it goes, the others' words come when all are over. Ends with 1 where one failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from deploy.local.processes import PORTS, PORTS_VARIABLE

TESTS = Path(__file__).resolve().parent
RUNS = (("component", "unit"), ("integration", "contract"), ("e2e", "bench"))
"""Every folder with tests is in one of them, and they take about as long."""


def folders() -> set[str]:
    """The folders that hold tests."""
    return {file.relative_to(TESTS).parts[0] for file in TESTS.rglob("test_*.py")}


def ports(place: int) -> str:
    """Of the ports for servers the part of this run: a port whose server is just being started again is no other run's to take."""
    part = PORTS[place * len(PORTS) // len(RUNS) : (place + 1) * len(PORTS) // len(RUNS)]
    return f"{part[0]}-{part[-1]}"


def start(place: int, said: IO[bytes] | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", *(str(TESTS / name) for name in RUNS[place])]
    environment = {**os.environ, PORTS_VARIABLE: ports(place)}
    return subprocess.Popen(command, cwd=TESTS.parent, env=environment, stdout=said, stderr=subprocess.STDOUT if said else None)


def main(paths: list[str]) -> int:
    if paths:
        return subprocess.call([sys.executable, "-m", "pytest", *paths])
    assert folders() == {name for run in RUNS for name in run}, "a folder with tests is in no run"
    with ExitStack() as files:
        said = [files.enter_context(tempfile.TemporaryFile()) for _ in RUNS[1:]]
        runs = [start(place, words) for place, words in enumerate([None, *said])]
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
