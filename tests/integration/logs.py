"""A service's log from some moment on, by whole lines: earlier tests wrote to the same file, and its process may be in the midst of a line."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.scene import Service


class Log:
    """What a service logs from now on."""

    def __init__(self, service: Service) -> None:
        self._path = service.program.log
        self._from = self._path.stat().st_size if self._path.exists() else 0

    def text(self) -> str:
        """All whole lines."""
        if not self._path.exists():
            return ""
        with self._path.open("rb") as file:
            file.seek(self._from)
            whole, end, _ = file.read().rpartition(b"\n")
        return (whole + end).decode(errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """Those that are JSON, read."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def count(self, message: str) -> int:
        return sum(line["message"] == message for line in self.lines())
