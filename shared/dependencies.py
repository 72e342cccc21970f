"""What a door's methods are given beside their message: things made once for the process, from its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nameko.extensions import DependencyProvider


class Made(DependencyProvider):
    """Injects what `make(settings)` gives: `reads = Made(open_reads)`. It is made when the service starts, and shared by all its workers."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def setup(self) -> None:
        self._made = self._make(self.container.config["settings"])

    def get_dependency(self, worker_ctx: Any) -> Any:
        return self._made


def settings_themselves(settings: Any) -> Any:
    """For `Made`: the settings as they were read."""
    return settings
