"""`brownpaper demo` with its stack in a folder of the test's own: `python -m tests.e2e.demo_elsewhere FOLDER demo --orders 36`."""

import sys
from pathlib import Path

from shared.cli import demo
from shared.cli.main import app

demo.ROOT = Path(sys.argv.pop(1))  # type: ignore[attr-defined]

app()
