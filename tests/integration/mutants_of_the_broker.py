"""One broken rule at a time, on a live broker: what is done, what it breaks, and how it is mended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from deploy.local import definitions, servers
from shared.delivery import topology
from shared.policy.compile_broker import Wiring, broker_facts, parts_by_event
from shared.policy.document import Policy
from shared.policy.server_rules import Name


@dataclass(frozen=True)
class Mutant:
    """`breaks` are exactly the rules that must be named while it is there."""

    name: str
    breaks: frozenset[Name]
    do: Callable[[], object]
    undo: Callable[[], object]


class Api:
    """The management API of the test's broker, in one virtual host."""

    def __init__(self, url: str, host: str) -> None:
        self.url, self.host = url, quote(host, safe="")

    def put(self, what: str, content: dict[str, Any]) -> None:
        servers.ask_api(self.url, what, content, method="PUT")

    def post(self, what: str, content: dict[str, Any]) -> None:
        servers.ask_api(self.url, what, content, method="POST")

    def delete(self, what: str) -> None:
        servers.ask_api(self.url, what, method="DELETE")


def path(*names: str) -> str:
    return "/".join(quote(name, safe="") for name in names)


def broker_mutants(
    policy: Policy, wiring: Wiring, api: Api, declare: Callable[[], None], document: dict[str, Any]
) -> list[Mutant]:
    """Every rule dropped, and every rule that can be widened, widened; some rules that should not be there, added."""
    facts = broker_facts(policy, wiring)
    bench = _Bench(facts, api, declare, document)
    found: list[Mutant] = []
    for rule in facts:
        found += bench.of(rule)
    return [*found, *bench.additions(policy, wiring)]


class _Bench:
    def __init__(self, facts: dict[Name, str], api: Api, declare: Callable[[], None], document: dict[str, Any]) -> None:
        self.facts, self.api, self.declare = facts, api, declare
        self.document = document
        self.rows = {(row["user"], row["exchange"]): row for row in document["topic_permissions"]}
        self.rights = {row["user"]: row for row in document["permissions"]}

    def of(self, rule: Name) -> Iterator[Mutant]:
        match rule:
            case ("user", user):
                yield from self._user(user)
            case ("permission", user):
                yield from self._permission(user)
            case ("topic", user, exchange):
                yield from self._topic(user, exchange)
            case ("exchange", name):
                broken = {it for it in self.facts if it[:2] == ("binding", name)}
                drop = lambda: self.api.delete(f"exchanges/{self.api.host}/{path(name)}")  # noqa: E731
                yield Mutant(f"drop exchange {name}", frozenset({rule, *broken}), drop, self.declare)
            case ("queue", name):
                yield from self._queue(name)
            case ("binding", exchange, queue, key):
                where = f"bindings/{self.api.host}/e/{path(exchange)}/q/{path(queue)}"
                drop = lambda: self.api.delete(f"{where}/{quote(key, safe='')}")  # noqa: E731
                yield Mutant(f"drop {' '.join(rule)}", frozenset({rule}), drop, self.declare)
            case ("tracing",):
                yield Mutant(
                    "switch tracing on",
                    frozenset({rule}),
                    lambda: self.api.put(f"vhosts/{self.api.host}", {"tracing": True}),
                    lambda: self.api.put(f"vhosts/{self.api.host}", {"tracing": False}),
                )

    def _user(self, user: str) -> Iterator[Mutant]:
        told = next(row for row in self.document["users"] if row["name"] == user)
        body = {key: told[key] for key in ("password_hash", "hashing_algorithm", "tags")}
        its = frozenset(it for it in self.facts if it[0] in {"user", "permission", "topic"} and it[1] == user)
        yield Mutant(
            f"drop user {user}",
            its,
            lambda: self.api.delete(f"users/{user}"),
            lambda: servers.apply_definitions(self.api.url, self.document),
        )
        for tag in ("administrator", "monitoring"):
            yield Mutant(
                f"make {user} {tag}",
                frozenset({("user", user)}),
                lambda tag=tag: self.api.put(f"users/{user}", {**body, "tags": tag}),  # type: ignore[misc]
                lambda: self.api.put(f"users/{user}", body),
            )

    def _permission(self, user: str) -> Iterator[Mutant]:
        where, told = f"permissions/{self.api.host}/{user}", self.rights[user]
        body = {key: told[key] for key in ("configure", "write", "read")}
        broken = frozenset({("permission", user)})
        yield Mutant(f"drop rights of {user}", broken, lambda: self.api.delete(where), lambda: self.api.put(where, body))
        for right in body:
            yield Mutant(
                f"let {user} {right} all",
                broken,
                lambda right=right: self.api.put(where, {**body, right: ".*"}),  # type: ignore[misc]
                lambda: self.api.put(where, body),
            )

    def _topic(self, user: str, exchange: str) -> Iterator[Mutant]:
        where = f"topic-permissions/{self.api.host}/{user}"
        own = [row for (its, _), row in self.rows.items() if its == user]
        broken = frozenset({("topic", user, exchange)})

        def put(row: dict[str, str], **changes: str) -> None:
            self.api.put(where, {"exchange": row["exchange"], "write": row["write"], "read": row["read"], **changes})

        def drop() -> None:
            self.api.delete(where)  # all of the user's; the others come back
            for row in own:
                if row["exchange"] != exchange:
                    put(row)

        row = self.rows[user, exchange]
        yield Mutant(f"drop topic row {user} {exchange}", broken, drop, lambda: put(row))
        yield Mutant(f"let {user} bind all of {exchange}", broken, lambda: put(row, read=".*"), lambda: put(row))
        if row["write"] != "^.*$":
            yield Mutant(f"let {user} say all on {exchange}", broken, lambda: put(row, write=".*"), lambda: put(row))

    def _queue(self, name: str) -> Iterator[Mutant]:
        broken = frozenset({("queue", name), *(it for it in self.facts if it[0] == "binding" and it[2] == name)})
        where = f"queues/{self.api.host}/{path(name)}"
        yield Mutant(f"drop queue {name}", broken, lambda: self.api.delete(where), self.declare)

        def remake(**its: object) -> None:
            self.api.delete(where)
            self.api.put(where, {"durable": True, "arguments": {"x-queue-type": "classic"}, **its})
            for _, exchange, _, key in (it for it in broken if it[0] == "binding"):
                self.api.post(f"bindings/{self.api.host}/e/{path(exchange)}/q/{path(name)}", {"routing_key": key})

        def mend() -> None:
            self.api.delete(where)
            self.declare()

        yield Mutant(f"make queue {name} classic", frozenset({("queue", name)}), remake, mend)
        if name == topology.DROPPED_ANSWERS:
            arguments = json.loads(self.facts["queue", name].partition(" ")[2])
            # A queue of several nodes cannot be one that goes with its reader: there the broker itself refuses.
            for its in ({"auto_delete": True}, {"arguments": {**arguments, "x-max-length": 1}}):
                yield Mutant(
                    f"make queue {name} with {its}",
                    frozenset({("queue", name)}),
                    lambda its=its: remake(**its),  # type: ignore[misc]
                    mend,
                )

    def additions(self, policy: Policy, wiring: Wiring) -> Iterator[Mutant]:
        """What should not be: listeners to parts, users, rights elsewhere, policies that forward."""
        api = self.api
        for exchange, events in wiring.hearers.items():
            for event in set(events) & set(parts_by_event(policy)):
                for service in set(policy.services) - set(events[event]):
                    yield self._bound(exchange, topology.events_queue(service), event)
        yield self._bound("orders.parts", "orders.events", "#")
        yield self._bound("amq.rabbitmq.trace", "shipping.events", "publish.#")
        yield Mutant(
            "add a queue that hears everything said to shipping",
            frozenset({("queue", "listening"), ("binding", "orders.parts", "listening", "recipient_entrusted")}),
            lambda: (
                api.put(f"queues/{api.host}/listening", {"durable": True}),
                api.post(f"bindings/{api.host}/e/orders.parts/q/listening", {"routing_key": "recipient_entrusted"}),
            ),
            lambda: api.delete(f"queues/{api.host}/listening"),
        )
        yield Mutant(
            "add an exchange behind orders.parts",
            frozenset({("exchange", "behind"), ("binding-to-exchange", "orders.parts", "behind", "#")}),
            lambda: (
                api.put(f"exchanges/{api.host}/behind", {"type": "fanout", "durable": True}),
                api.post(f"bindings/{api.host}/e/orders.parts/e/behind", {"routing_key": "#"}),
            ),
            lambda: api.delete(f"exchanges/{api.host}/behind"),
        )
        for name in ("guest", "somebody"):
            yield Mutant(
                f"add user {name}",
                frozenset({("user", name)}),
                lambda name=name: api.put(f"users/{name}", {"password": name, "tags": ""}),  # type: ignore[misc]
                lambda name=name: api.delete(f"users/{name}"),  # type: ignore[misc]
            )
        yield Mutant(
            "give shipping rights in another virtual host",
            frozenset({("foreign", "shipping", "elsewhere")}),
            lambda: (
                api.put("vhosts/elsewhere", {}),
                api.put("permissions/elsewhere/shipping", {"configure": ".*", "write": ".*", "read": ".*"}),
            ),
            lambda: api.delete("vhosts/elsewhere"),
        )
        for kind in ("policies", "operator-policies"):
            definition = {"dead-letter-exchange": "amq.topic"} if kind == "policies" else {"message-ttl": 1000}
            yield Mutant(
                f"add {kind} over all queues",
                frozenset(
                    {("policy", "over-all") if kind == "policies" else ("parameter", "operator_policy", "over-all")}
                ),  # as the export tells the second
                lambda kind=kind, it=definition: api.put(  # type: ignore[misc]
                    f"{kind}/{api.host}/over-all", {"pattern": ".*", "definition": it, "apply-to": "queues"}
                ),
                lambda kind=kind: api.delete(f"{kind}/{api.host}/over-all"),  # type: ignore[misc]
            )

    def _bound(self, exchange: str, queue: str, key: str) -> Mutant:
        where = f"bindings/{self.api.host}/e/{path(exchange)}/q/{path(queue)}"
        return Mutant(
            f"bind {queue} to {key} of {exchange}",
            frozenset({("binding", exchange, queue, key)}),
            lambda: self.api.post(where, {"routing_key": key}),
            lambda: self.api.delete(f"{where}/{quote(key, safe='')}"),
        )


__all__ = ["Api", "Mutant", "broker_mutants", "definitions"]
