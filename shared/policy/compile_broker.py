"""What the policy makes of the broker: its users, what each may do, a topic row for every user and exchange, and nothing else in it.

Who hears which event is the topology's to know (`Wiring`); who may have which part is the policy's. Where the two disagree nothing is compiled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.contracts.errors import BrownPaperError
from shared.contracts.storefront import EVENT_FORMS
from shared.policy.document import Policy
from shared.policy.server_rules import Name, guard_clauses

NOTHING: Final = "^$"


@dataclass(frozen=True, slots=True)
class WiredQueue:
    """A queue as the topology declares it."""

    bindings: tuple[tuple[str, str], ...]
    arguments: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the topology knows: exchanges, who hears what, queues, what each user says (exchange → anchored expression) and reads."""

    exchanges: Mapping[str, str]
    """exchange → its type."""
    hearers: Mapping[str, Mapping[str, tuple[str, ...]]]
    queues: Mapping[str, WiredQueue]
    says: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Permission:
    """What a broker user may do in the virtual host: anchored regular expressions, as RabbitMQ takes them."""

    configure: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class BrokerRules:
    """The compiled rules; `topics` is (user, exchange) → (write, read), every pair."""

    users: tuple[str, ...]
    permissions: Mapping[str, Permission]
    topics: Mapping[tuple[str, str], tuple[str, str]]


class WiringRefused(BrownPaperError):
    """The topology sends a part where the policy does not let it be. `faults` names each event or queue and the clauses."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def compile_broker(policy: Policy, wiring: Wiring) -> BrokerRules:
    """The broker's users and what each may do. Raises `WiringRefused`."""
    refuse_strangers(policy, wiring)
    users = tuple(policy.broker.users)
    return BrokerRules(
        users,
        {user: Permission(NOTHING, any_of(wiring.says.get(user, {})), any_of(wiring.reads.get(user, ()))) for user in users},
        # RabbitMQ allows everything where a user has no topic row at all; reading by topic would be binding, which nobody does.
        {
            (user, exchange): (wiring.says.get(user, {}).get(exchange, NOTHING), NOTHING)
            for user in users
            for exchange in wiring.exchanges
        },
    )


def refuse_strangers(policy: Policy, wiring: Wiring) -> None:
    """Raise `WiringRefused` where a part's event reaches a service, or a queue of it a reader, that may not have the part."""
    carried = parts_by_event(policy)
    faults = []
    for exchange, events in wiring.hearers.items():
        for event, hearers in events.items():
            for part in carried.get(event, ()):
                faults += [
                    f"{exchange} {event}: {hearer} hears it and may not hold `{part}` (clauses {_clauses(policy, part)})"
                    for hearer in hearers
                    if hearer not in policy.holders_of(part)
                ]
    faults += [f"user {user}: it is not in the policy" for user in {*wiring.says, *wiring.reads} - set(policy.broker.users)]
    for user, queues in wiring.reads.items():
        told = policy.broker.users.get(user)
        if told is None:
            continue
        for queue in queues:
            faults += [
                f"queue {queue}: {user} reads it and may not hold `{part}` (clauses {_clauses(policy, part)})"
                for part in sorted(parts_in(policy, wiring, queue))
                if told.service not in policy.holders_of(part)
            ]
    if faults:
        raise WiringRefused(faults)


def parts_in(policy: Policy, wiring: Wiring, queue: str) -> set[str]:
    """The sealed parts that can lie in a queue: by its bindings, and by what other queues give up into it."""
    found: set[str] = set()
    for exchange, key in wiring.queues[queue].bindings:
        events = wiring.hearers.get(exchange, EVENT_FORMS if exchange in _shops_exchanges(policy, wiring) else {})
        found.update(part for event in events if key in ("#", event) for part in parts_by_event(policy).get(event, ()))
        for name, other in wiring.queues.items():
            gives_up_to = (other.arguments.get("x-dead-letter-exchange"), other.arguments.get("x-dead-letter-routing-key"))
            if name != queue and gives_up_to == (exchange, key):
                found |= parts_in(policy, wiring, name)
    return found


def parts_by_event(policy: Policy) -> dict[str, tuple[str, ...]]:
    """Event → the sealed parts that it carries."""
    carried: dict[str, tuple[str, ...]] = {}
    for name, part in policy.parts.items():
        for event in part.events if part.sealed else ():
            carried[event] = (*carried.get(event, ()), name)
    return carried


def broker_facts(policy: Policy, wiring: Wiring) -> dict[Name, str]:
    """All that a broker should hold in one virtual host, for `compare`. Raises `WiringRefused`."""
    rules = compile_broker(policy, wiring)
    facts: dict[Name, str] = {("tracing",): "off"}
    facts |= {("user", user): "no tags" for user in rules.users}
    facts |= {("permission", user): permission_text(*_triple(it)) for user, it in rules.permissions.items()}
    facts |= {("topic", *pair): f"write {write} read {read}" for pair, (write, read) in rules.topics.items()}
    facts |= {("exchange", name): f"durable {kind}" for name, kind in wiring.exchanges.items()}
    for name, queue in wiring.queues.items():
        facts["queue", name] = queue_text(durable=True, arguments=queue.arguments)
        facts |= {("binding", exchange, name, key): "{}" for exchange, key in queue.bindings}
    return facts


def broker_clauses(policy: Policy, wiring: Wiring, name: Name) -> tuple[int, ...]:
    """The clauses that a broker rule serves, whether it should be there or not."""
    match name:
        case ("user" | "guest" | "foreign", user, *_):
            return guard_clauses(policy, "broker-users", *_services(policy, user))
        case ("permission", user):
            return guard_clauses(policy, "broker-permissions", *_services(policy, user))
        case ("topic", user, exchange):
            parts = {part for event in wiring.hearers.get(exchange, {}) for part in parts_by_event(policy).get(event, ())}
            numbers = set(guard_clauses(policy, "broker-words", *_services(policy, user)))
            return tuple(sorted(numbers.union(*(guard_clauses(policy, "broker-words", part=part) for part in parts))))
        case ("binding", _, _, key):
            numbers = set(guard_clauses(policy, "broker-shape"))
            parts = set(parts_by_event(policy).get(key, ()))
            return tuple(sorted(numbers.union(*(guard_clauses(policy, "broker-shape", part=part) for part in parts))))
        case _:
            return guard_clauses(policy, "broker-shape")


def any_of(names: Iterable[str]) -> str:
    """An anchored expression that matches exactly these names."""
    listed = "|".join(re.escape(name) for name in sorted(names))
    return f"^({listed})$" if listed else NOTHING


def permission_text(configure: str, write: str, read: str) -> str:
    return f"configure {configure} write {write} read {read}"


def queue_text(*, durable: bool, arguments: Mapping[str, Any], extra: Iterable[str] = ()) -> str:
    """What a queue is; `extra` names what else it has of itself: `auto_delete` goes with whoever reads it last, and with what lies in it."""
    return " ".join(["durable" if durable else "transient", *extra, json.dumps(dict(arguments), sort_keys=True)])


def _triple(permission: Permission) -> tuple[str, str, str]:
    return permission.configure, permission.write, permission.read


def _services(policy: Policy, user: str) -> tuple[str, ...]:
    told = policy.broker.users.get(user)
    return (told.service,) if told is not None and told.service is not None else ()


def _shops_exchanges(policy: Policy, wiring: Wiring) -> set[str]:
    return {it for user, told in policy.broker.users.items() if told.party is not None for it in wiring.says.get(user, ())}


def _clauses(policy: Policy, part: str) -> str:
    numbers = {number for hold in policy.holds.values() if hold.part == part for number in hold.clauses}
    return ", ".join(map(str, sorted(numbers)))
