"""What a shop's own settings say about the events it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """What the door of the orders service knows when it reads an event.

    `sources` are the configured storefronts' URIs; `intake_keys` maps (service, key id) to the time at which that sealing key
    expires, aware and in UTC; `accept_clear_parts` lets parts in the clear come over AMQP (ACCEPT_CLEAR_PARTS_OVER_AMQP).
    """

    sources: frozenset[str]
    policy_versions: frozenset[str]
    shipping_services: frozenset[str]
    accept_clear_parts: bool
    intake_keys: Mapping[tuple[str, str], datetime]
