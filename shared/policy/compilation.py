"""All that is compiled from the policy, as files: data for the programs, documents for people."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from shared.policy.compile_broker import Wiring, compile_broker
from shared.policy.compile_databases import OWNER_RIGHTS, ROLE, database_names, personal_columns, tables_of
from shared.policy.compile_models import INTERNAL_FILE, STOREFRONT_FILE, compile_models
from shared.policy.compile_outgoing import schemas
from shared.policy.document import Policy
from shared.policy.documents import processing_record, public_page

DOCUMENTS = ("what-is-kept.md", "processing.md")
"""The documents that stand in the repository, under `docs/privacy`."""
MODELS = (INTERNAL_FILE, STOREFRONT_FILE)
"""The modules that stand in the repository, each at its own path."""


def compile_all(policy: Policy, wiring: Wiring) -> dict[str, str]:
    """File name → its text; the same policy gives the same texts. Raises `WiringRefused`."""
    data: dict[str, Any] = {
        "broker.json": broker(policy, wiring),
        "databases.json": databases(policy),
        "personal-fields.json": {
            name: {field: it.category for field, it in part.fields.items()} for name, part in policy.parts.items()
        },
        "retention.json": retention_jobs(policy),
        "staff.json": staff_permissions(policy),
        "mails.json": {name: mails.model_dump() for name, mails in policy.mails.items()},
        "observed.json": policy.observed.model_dump(),
        "canaries.json": canaries(policy),
        **{f"outgoing/{name}.schema.json": schema for name, schema in schemas(policy).items()},
    }
    texts = {name: json.dumps(content, indent=1, ensure_ascii=False) + "\n" for name, content in data.items()}
    return {**texts, **compile_models(policy), "what-is-kept.md": public_page(policy), "processing.md": processing_record(policy)}


def broker(policy: Policy, wiring: Wiring) -> dict[str, Any]:
    """Users, permissions and a topic row for every user and exchange. Raises `WiringRefused`."""
    rules = compile_broker(policy, wiring)
    return {
        "users": list(rules.users),
        "permissions": {user: asdict(may) for user, may in rules.permissions.items()},
        "topic_permissions": [
            {"user": user, "exchange": exchange, "write": write, "read": read}
            for (user, exchange), (write, read) in rules.topics.items()
        ],
        "plugins": list(policy.broker.plugins),
    }


def databases(policy: Policy) -> dict[str, Any]:
    """Databases with the role that enters each, settings, and every column with what may be in it."""
    boxes: dict[str, dict[str, str]] = {}
    for (database, table, column), part in personal_columns(policy).items():
        boxes.setdefault(database, {})[f"{table}.{column}"] = part
    return {
        "databases": {
            name: {
                "cluster": its.cluster,
                "role": name,
                "role_is": ROLE,
                "rights": OWNER_RIGHTS,
                "boxes": boxes.get(name, {}),
                "boxes_among_others": [
                    f"{table}.{column}" for table, it in tables_of(policy, name).items() for column in it.with_boxes
                ],
                "tables": {
                    table: sorted([*it.sealed, *it.pseudonymous, *it.plain])
                    for table, it in sorted(tables_of(policy, name).items())
                },
            }
            for cluster in ("data", "keyring")
            for name in database_names(policy, cluster)
            for its in (policy.databases.databases[name],)
        },
        "settings": policy.databases.settings,
    }


def retention_jobs(policy: Policy) -> list[dict[str, Any]]:
    """One job for each hold: the part and its fields, the purpose that ends, the event it is counted from, the days, what is done."""
    jobs = []
    for name, hold in policy.holds.items():
        if hold.retention is None:
            continue  # `soundness` refuses it
        jobs.append(
            {
                "job": name,
                "service": hold.service,
                "part": hold.part,
                "fields": list(hold.fields),
                "form": hold.form,
                "purpose": hold.purpose,
                **hold.retention.model_dump(),
                "clauses": list(hold.clauses),
            }
        )
    return jobs


def staff_permissions(policy: Policy) -> dict[str, list[dict[str, Any]]]:
    """Role → what it may do with which fields for which purpose, at which service's door. What is not here is refused."""
    return {
        role: [
            {
                "grant": name,
                "service": grant.service,
                "part": grant.part,
                "fields": list(grant.fields),
                "purpose": grant.purpose,
                "actions": list(grant.actions),
                "needs_case": grant.needs_case,
                "people": grant.people,
            }
            for name, grant in policy.staff.items()
            if grant.role == role
        ]
        for role in policy.roles
    }


def may_staff(policy: Policy, role: str, action: str, field: str, purpose: str) -> bool:
    """Whether a role may do this with `part.field` for a purpose; False for every name that the policy does not have."""
    part, _, its = field.partition(".")
    return any(
        (grant.role, grant.part, grant.purpose) == (role, part, purpose) and action in grant.actions and its in grant.fields
        for grant in policy.staff.values()
    )


def canaries(policy: Policy) -> dict[str, dict[str, str]]:
    """`part.field` → place → `must` (where its call is made), `may` (pseudonyms) or `never`; what may not be here at all, too."""
    sent: dict[str, set[str]] = {}
    for call in policy.disclosures.values():
        for field in (field for fields in call.personal.values() for field in fields):
            sent.setdefault(field, set()).add(f"sent_{call.to}")
    table = {}
    for name, part in policy.parts.items():
        for field in part.fields:
            may = set() if part.sealed else set(policy.canaries.pseudonymous_places)
            must = sent.get(f"{name}.{field}", set()) if part.sealed else set()
            table[f"{name}.{field}"] = {
                place: "must" if place in must else "may" if place in may else "never" for place in policy.canaries.places
            }
    return table | {f"never.{name}": dict.fromkeys(policy.canaries.places, "never") for name in policy.never}
