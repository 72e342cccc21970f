"""The four doors for tests that need no server: their classes, and what their entrypoints register."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says on import that it is maintained, but no more; nothing is patched by it
    from services.notifications.service import NotificationsService
    from services.orders.service import OrdersService
    from services.payments.service import PaymentsService
    from services.shipping.service import ShippingService
    from shared.delivery.entrypoints import Door
    from shared.delivery.routes import Routes

DOORS: dict[str, type[Door]] = {
    door.name: door for door in (OrdersService, PaymentsService, ShippingService, NotificationsService)
}


class Register:
    """What an engine's routes are told by a door's entrypoints."""

    def __init__(self, door: type[Door]) -> None:
        self.routes = self
        self.prepares: dict[str, str] = {}
        self.heard: dict[str, tuple[type[Any], str]] = {}
        self.intake: dict[str, str] = {}
        self.performs: dict[str, str] = {}
        self.settles: dict[str, str] = {}
        self.runs_batches = self.makes_calls = 0
        for method, entrypoint in _registered(door):
            self._method = method
            entrypoint._register(self, method, entrypoint)

    def hear(self, event: type[Any], method: str) -> None:
        assert event.type not in self.heard, "two methods hear one event"
        self.heard[event.type] = (event, method)

    def take_in(self, queues: Sequence[str], method: str) -> None:
        self.intake.update(dict.fromkeys(queues, method))

    def prepare(self, kind: str, method: str) -> None:
        self.prepares[kind] = method

    def make_calls_through(self, _entrypoint: object) -> None:
        self.makes_calls += 1

    def perform(self, kind: str, method: str, _party: str, _party_in: str) -> None:
        self.performs[kind] = method

    def settle(self, kind: str, method: str) -> None:
        self.settles[kind] = method

    def run_batches_through(self, _entrypoint: object) -> None:
        self.runs_batches += 1


def _registered(door: type[Door]) -> Iterator[tuple[str, Any]]:
    for name in dir(door):
        for entrypoint in getattr(getattr(door, name), "nameko_entrypoints", ()):
            if hasattr(entrypoint, "_register"):
                yield name, entrypoint


def routes_of(door: type[Door]) -> Routes:
    """The routes that an engine would read this door's messages by."""
    engine = SimpleNamespace(routes=Routes())
    for method, entrypoint in _registered(door):
        entrypoint._register(engine, method, entrypoint)
    return engine.routes


REGISTERS = {name: Register(door) for name, door in DOORS.items()}

__all__ = [
    "DOORS",
    "REGISTERS",
    "NotificationsService",
    "OrdersService",
    "PaymentsService",
    "Register",
    "ShippingService",
    "routes_of",
]
