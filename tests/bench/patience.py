"""Waiting as long as something moves: a slow machine is no failure, one that stands still is."""

from __future__ import annotations

import time

PATIENCE_SECONDS = 180.0


class NothingMoves(Exception):
    """A measured run stands still, or went another way than it should; the message says what of it is there."""


class Patience:
    """Is over when what it is shown has not changed for three minutes."""

    def __init__(self) -> None:
        self._seen: object = None
        self._since = time.monotonic()

    def is_over(self, seen: object) -> bool:
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since > PATIENCE_SECONDS
