"""`python -m tests.bench.memory_edges.payments`: payments, whose companies say yes from memory.

The door is a subclass of the real one with another dependency in the place of the gateway, so that no product code knows of it. The same
holds for the other two edges beside this one: no HTTP and no SMTP are left, and everything else is as in production.
"""

from __future__ import annotations

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from typing import Any

from nameko.extensions import DependencyProvider

from services.payments.gateway import Authorised, AuthorisePayment, Captured, CapturePayment
from services.payments.service import PaymentsService
from services.payments.settings import PaymentsSettings

# isort: on


class MemoryProvider:
    """Says yes at once; the same answer for the same ask."""

    def authorise(self, ask: AuthorisePayment, *, in_doubt: bool) -> Authorised:
        return Authorised(f"A-{ask.key}")

    def capture(self, ask: CapturePayment, *, in_doubt: bool) -> Captured:
        return Captured(f"C-{ask.key}")


class MemoryProviders(DependencyProvider):
    def get_dependency(self, worker_ctx: Any) -> dict[str, MemoryProvider]:
        return {"paypal": MemoryProvider()}


class PaymentsAtMemory(PaymentsService):
    providers = MemoryProviders()


if __name__ == "__main__":
    runtime.run(PaymentsAtMemory, PaymentsSettings)
