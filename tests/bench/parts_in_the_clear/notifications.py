"""`python -m tests.bench.parts_in_the_clear.notifications`: notifications at memory's edge, with its part kept in the clear."""

from __future__ import annotations

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from services.notifications.settings import NotificationsSettings
from tests.bench.memory_edges.notifications import NotificationsAtMemory
from tests.bench.parts_in_the_clear.parts import PartsInTheClear

# isort: on


class NotificationsInTheClear(NotificationsAtMemory):
    parts = PartsInTheClear()


if __name__ == "__main__":
    runtime.run(NotificationsInTheClear, NotificationsSettings)
