"""Secrets of one folder: made once, kept in a file that only its owner reads."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from deploy.local.processes import write_private


class SecretsFile:
    """Names to random tokens; the same name gives the same token as long as the file lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = {}

    def token(self, name: str) -> str:
        """192 random bits, safe in a URL and as a word of a shell."""
        if name not in self._values and self._path.exists():
            self._values = json.loads(self._path.read_text())
        if name not in self._values:
            self._values[name] = secrets.token_hex(24)
            write_private(self._path, json.dumps(self._values, indent=1))
        return self._values[name]
