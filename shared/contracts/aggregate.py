"""What a domain object remembers while it changes: events to tell and calls to make, until its store writes them down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.contracts.events import Event


@dataclass(frozen=True, slots=True)
class Intent:
    """A call to an outside party that is decided.

    `key` is the same for ever for the same deed and goes to the party as its idempotency key or reference; (`kind`, `key`) is written once.
    `details` are JSON values, personal parts sealed.
    """

    kind: str
    key: str
    details: dict[str, Any]


@dataclass(kw_only=True)
class Aggregate:
    """A domain object. Its verbs replace members and never change one in place; its store saves it and tells what it remembers.

    `has_come`: its order was unknown here before this change, and is known with it.
    """

    events: list[Event] = field(default_factory=list, init=False, repr=False, compare=False)
    intents: list[Intent] = field(default_factory=list, init=False, repr=False, compare=False)
    has_come: bool = field(default=False, init=False, repr=False, compare=False)

    def say(self, event: Event) -> None:
        self.events = [*self.events, event]

    def intend(self, intent: Intent) -> None:
        self.intents = [*self.intents, intent]
