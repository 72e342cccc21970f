"""`python -m tests.bench.parts_in_the_clear.payments`: payments at memory's edge, with its part kept in the clear."""

from __future__ import annotations

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from services.payments.settings import PaymentsSettings
from tests.bench.memory_edges.payments import PaymentsAtMemory
from tests.bench.parts_in_the_clear.parts import PartsInTheClear

# isort: on


class PaymentsInTheClear(PaymentsAtMemory):
    parts = PartsInTheClear()


if __name__ == "__main__":
    runtime.run(PaymentsInTheClear, PaymentsSettings)
