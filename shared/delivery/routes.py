"""Which method of a door is for what: filled by the door's entrypoints as they are set up, read by the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from nameko.extensions import Entrypoint

from shared.contracts.events import Event
from shared.delivery import topology
from shared.delivery.batch import Reading
from shared.delivery.dead_letters import read_dead_letter
from shared.delivery.horizon import Horizon
from shared.delivery.reading import read_event
from shared.delivery.work import RawMessage


class Routes:
    """One door's methods. Nothing is asked of it before the whole door is set up."""

    def __init__(self) -> None:
        self.batch_entrypoint: Entrypoint | None = None
        self.heard: dict[str, tuple[type[Event], str]] = {}
        self.calls_entrypoint: Entrypoint | None = None
        self.prepared_by: dict[str, str] = {}
        self.performed_by: dict[str, str] = {}
        self.settled_by: dict[str, str] = {}
        self._parties: dict[str, tuple[str, str]] = {}  # kind → whom it asks, or the member of its details that says so
        self._intake: dict[str, str] = {}

    def run_batches_through(self, entrypoint: Entrypoint) -> None:
        self.batch_entrypoint = entrypoint

    def make_calls_through(self, entrypoint: Entrypoint) -> None:
        self.calls_entrypoint = entrypoint

    def hear(self, event: type[Event], method: str) -> None:
        self.heard[event.type] = (event, method)

    def take_in(self, queues: Sequence[str], method: str) -> None:
        self._intake.update(dict.fromkeys(queues, method))

    def prepare(self, kind: str, method: str) -> None:
        self.prepared_by[kind] = method

    def perform(self, kind: str, method: str, party: str = "", party_in: str = "") -> None:
        self.performed_by[kind] = method
        self._parties[kind] = party, party_in

    def party_of(self, kind: str, details: Mapping[str, Any]) -> str:
        """Whom a call of this kind asks, "" where the service asks one only."""
        party, party_in = self._parties.get(kind, ("", ""))
        return str(details.get(party_in, "")) if party_in else party

    def intents_for(self, party: str) -> list[tuple[str, dict[str, str]]]:
        """Which intents ask this party: of which kind, and what their details hold."""
        return [
            (kind, {party_in: party} if party_in else {})
            for kind, (fixed, party_in) in self._parties.items()
            if party_in or fixed == party
        ]

    def settle(self, kind: str, method: str) -> None:
        self.settled_by[kind] = method

    def read(self, service: str, door: object, horizon: Horizon, raw: RawMessage) -> Reading:
        """What a raw message says, by the door's own reader of its queue or as a colleague's event. Raises what readers raise.

        A message that is tried again from the table `held` is never too old.
        """
        if raw.queue == topology.parked_queue(service):
            return read_dead_letter(raw, service, partial(self.read, service, door, horizon))
        method = self._intake.get(raw.queue)
        if method is None:
            return read_event(raw, self.heard, None if raw.received_at else horizon)
        reading: Reading = getattr(door, method)(raw)
        return reading

    def known_kinds(self, door_class: type[Any]) -> frozenset[str]:
        """The closed set of types that a log line or a metric may name."""
        methods = (name for name in dir(door_class) if not name.startswith("_"))
        return frozenset({*self.heard, *topology.STOREFRONT_EVENTS, *methods})
