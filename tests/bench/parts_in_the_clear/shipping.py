"""`python -m tests.bench.parts_in_the_clear.shipping`: shipping at memory's edge, with its part kept in the clear."""

from __future__ import annotations

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from services.shipping.settings import ShippingSettings
from tests.bench.memory_edges.shipping import ShippingAtMemory
from tests.bench.parts_in_the_clear.parts import PartsInTheClear

# isort: on


class ShippingInTheClear(ShippingAtMemory):
    parts = PartsInTheClear()


if __name__ == "__main__":
    runtime.run(ShippingInTheClear, ShippingSettings)
