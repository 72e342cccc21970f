"""The books on disk: one JSON line per effect, buffered; the totals themselves are kept in memory by each party."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import orjson


class Journal:
    """Appends to `<folder>/<name>.jsonl`. `note` only buffers; `flush` writes (each second, and at the end)."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._descriptor = os.open(folder / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lines: list[bytes] = []

    def note(self, effect: str, **facts: Any) -> None:
        """Write down one effect. `facts` hold ids, amounts and states only, never a personal datum."""
        self._lines.append(orjson.dumps({"at": time.time(), "effect": effect, **facts}, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Write what is buffered; safe to repeat."""
        if self._lines:
            text = memoryview(b"".join(self._lines))
            self._lines.clear()
            while text:
                text = text[os.write(self._descriptor, text) :]

    def close(self) -> None:
        """Flush and close; nothing may be noted afterwards."""
        self.flush()
        os.close(self._descriptor)
