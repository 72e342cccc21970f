"""`brownpaper demo` as a person runs it: whole, with services killed in mid-run, and ended by Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.processes import identity_of
from deploy.local.stack import Stack
from tests.integration.facts import wait_for

ROOT = Path(__file__).resolve().parents[2]


class Demo:
    """A demo in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = folder / f"output-{len(list(folder.glob('output-*')))}"
        command = [
            sys.executable,
            "-m",
            "tests.e2e.demo_elsewhere",
            str(folder),
            "demo",
            "--orders",
            "36",
            "--from",
            "sample",
            *options,
        ]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
            )

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def ends(self) -> int:
        """Wait for its end and give its exit status."""
        return self.process.wait(timeout=1500)

    def row(self, name: str) -> int:
        """A row of the report's table."""
        found = re.search(rf"^[^\w\n]*{re.escape(name)}\b[^\d\n]*(\d+)", self.output(), re.MULTILINE)
        assert found, (name, self.output()[-3000:])
        return int(found[1])

    def running(self) -> dict[str, int]:
        return {name: pid for name, pid, _ in Stack(self.folder / ".demo").status() if pid}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Start a demo, all of one test in the same folder; none outlives the test."""
    started: list[Demo] = []

    def start(*options: str) -> Demo:
        started.append(Demo(tmp_path, *options))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()
    Stack(tmp_path / ".demo").remove()


def report_agrees(demo: Demo) -> None:
    """What the report counts follows from each other, and the books say the same."""
    assert "the sandboxes' books agree" in demo.output()
    completed = demo.row("completed")
    assert demo.row("orders published") == 36
    assert completed + demo.row("declined") + demo.row("refused") == 36
    assert completed >= 25
    for name in ("captured", "labelled", "dispatched", "delivered", "handed over"):
        assert demo.row(name) == completed, name
    for name in ("mails: order confirmation", "mails: shipment", "mails: delivery"):
        assert demo.row(name) == completed, name


def test_ctrl_c_leaves_nothing_behind_and_the_next_run_goes_through(start: Callable[..., Demo]) -> None:
    demo = start("--orders", "300")  # so many that it still plays when the signal comes, on a machine however busy
    wait_for(lambda: "Playing 300 order(s)" in demo.output() or demo.process.poll() is not None, "the demo to play")
    running = demo.running()
    assert len(running) == 11, (running, demo.output()[-2000:])
    demo.process.send_signal(signal.SIGINT)
    assert demo.ends() != 0, demo.output()[-2000:]
    assert "Traceback" not in demo.output()
    assert {name for name, pid in running.items() if identity_of(pid) is not None} == set()
    again = start()
    assert again.ends() == 0, again.output()[-3000:]
    report_agrees(again)
    assert again.running() == {}


def test_every_service_killed_in_mid_run_and_nothing_is_lost_or_done_twice(start: Callable[..., Demo]) -> None:
    services = ("orders", "payments", "shipping", "notifications")
    demo = start(*(word for service in services for word in ("--kill", service)))
    assert demo.ends() == 0, demo.output()[-3000:]
    for service in services:
        assert f"Killing {service}" in demo.output()
    report_agrees(demo)
