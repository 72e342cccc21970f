"""`brownpaper demo` with its stack in a folder of the test's own: `python -m tests.e2e.demo_elsewhere FOLDER demo --orders 36`."""

import signal
import sys
from pathlib import Path

from shared.cli import demo
from shared.cli.main import app

# What a shell starts in the background is deaf to Ctrl-C, and so is what that starts: these tests, and this.
signal.signal(signal.SIGINT, signal.default_int_handler)
demo.ROOT = Path(sys.argv.pop(1))  # type: ignore[attr-defined]

app()
