"""What a running broker holds, read from its own export of definitions: users, rights, exchanges, queues, bindings, and what listens in."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from shared.policy.compile_broker import Wiring, broker_clauses, broker_facts, permission_text, queue_text
from shared.policy.document import Policy
from shared.policy.server_rules import Difference, Name, compare


@dataclass(frozen=True, slots=True)
class LiveBroker:
    """A broker's export (`rabbitmqctl export_definitions`, `GET /api/definitions`), and what the export does not tell."""

    export: Mapping[str, Any]
    virtual_host: str
    plugins: frozenset[str]
    is_traced: bool
    administrators: frozenset[str]
    """The users that are the operator's and no service's."""


def broker_differences(
    policy: Policy, wiring: Wiring, live: LiveBroker, *, markers: Collection[str] = (), other_hosts: Collection[str] = ()
) -> list[Difference]:
    """Everything in the virtual host that is not as the policy says. Takes nothing but rules, so it shows nobody's data.

    `markers` are exchanges that the topology sets besides its own; in `other_hosts` our users may have rights too (a run of tests has many).
    Raises `WiringRefused`.
    """
    expected = broker_facts(policy, wiring)
    found = _found(policy, live, markers, other_hosts)
    return list(compare(expected, found, lambda name: broker_clauses(policy, wiring, name)))


def _found(policy: Policy, live: LiveBroker, markers: Collection[str], other_hosts: Collection[str]) -> dict[Name, str]:
    ours = set(policy.broker.users)
    found: dict[Name, str] = {("tracing",): "on" if live.is_traced else "off"}
    for user in live.export.get("users", ()):
        tags = user.get("tags") or []
        told = ", ".join(tags.split(",") if isinstance(tags, str) else tags)
        if user["name"] not in live.administrators:
            found["user", user["name"]] = told or "no tags"
    for row in live.export.get("permissions", ()):
        if row["user"] in live.administrators:
            continue
        rights = permission_text(row["configure"], row["write"], row["read"])
        if row["vhost"] == live.virtual_host:
            found["permission", row["user"]] = rights
        elif row["user"] in ours and row["vhost"] not in other_hosts:
            found["foreign", row["user"], row["vhost"]] = rights
    for row in _here(live, "topic_permissions"):
        if row["user"] not in live.administrators:
            found["topic", row["user"], row["exchange"]] = f"write {row['write']} read {row['read']}"
    found |= _shape(live, markers)
    for plugin in live.plugins - set(policy.broker.plugins):
        found["plugin", plugin] = "enabled"
    return found


def _shape(live: LiveBroker, markers: Collection[str]) -> dict[Name, str]:
    found: dict[Name, str] = {}
    for row in _here(live, "exchanges"):
        if row["name"] not in markers:
            extra = [word for word in ("auto_delete", "internal") if row.get(word)]
            extra += [json.dumps(row["arguments"], sort_keys=True)] if row.get("arguments") else []
            found["exchange", row["name"]] = " ".join(["durable" if row["durable"] else "transient", row["type"], *extra])
    for row in _here(live, "queues"):
        extra = [word for word in ("auto_delete", "exclusive") if row.get(word)]
        found["queue", row["name"]] = queue_text(durable=row["durable"], arguments=row.get("arguments", {}), extra=extra)
    for row in _here(live, "bindings"):
        name = (row["source"], row["destination"], row["routing_key"])
        kind = "binding" if row["destination_type"] == "queue" else "binding-to-exchange"
        found[kind, *name] = json.dumps(row.get("arguments") or {}, sort_keys=True)
    # Policies and parameters can turn, copy or forward what passes: shovels, federation, limits, other dead letters. What they are set to
    # may hold an address with its password, so that it is not told.
    for row in _here(live, "policies"):
        found["policy", row["name"]] = f"it sets {', '.join(sorted(row.get('definition', {})))}"
    for row in _here(live, "parameters"):
        found["parameter", row["component"], row["name"]] = "it is set"
    return found


def _here(live: LiveBroker, kind: str) -> list[Mapping[str, Any]]:
    return [row for row in live.export.get(kind, ()) if row["vhost"] == live.virtual_host]
