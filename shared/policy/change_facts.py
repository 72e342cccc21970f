"""What the policy lets servers, messages, calls and what is written about the system hold, as facts for the difference of two policies."""

from __future__ import annotations

from collections.abc import Iterator

from shared.policy.change_rules import unruled, values_at
from shared.policy.document import Policy, Table

Key = tuple[str, ...]


def facts_of_the_system(policy: Policy) -> Iterator[Key]:
    """Each key of what is allowed, or kept true, beside the holds, the staff and the mails."""
    yield from (("service", name) for name in policy.services)
    yield from (("role", name) for name in policy.roles)
    yield from _parts(policy)
    yield from (("party-reached", name, party.reached_by) for name, party in policy.parties.items())
    yield from _calls(policy)
    yield from _servers(policy)
    yield from _messages(policy)
    yield from (("log-field", name) for name in policy.observed.log_fields)
    for metric, labels in policy.observed.metric_labels.items():
        yield from (("metric-label", metric, label) for label in labels)
    yield from (("searched", place) for place in policy.canaries.places)


def unjudged_facts(policy: Policy) -> Iterator[tuple[Key, str]]:
    """What members say that no rule of change knows: a change of any of them widens."""
    data = policy.model_dump(mode="json") if unruled() else {}
    for member in unruled():
        for names, value in values_at(data, member):
            yield ("unjudged", *member, *names), repr(value)


def _parts(policy: Policy) -> Iterator[Key]:
    for name, part in policy.parts.items():
        yield from (("part-carried-by", name, event) for event in part.events)
        yield from (("part-written-as", name, field, told.grammar) for field, told in part.fields.items() if told.grammar)


def _calls(policy: Policy) -> Iterator[Key]:
    for call in policy.disclosures.values():
        between = (call.by, call.to, call.purpose)
        yield ("call", *between, call.method, call.path, call.body)
        yield from (("call-plain", *between, call.path, place) for place in call.plain)
        yield from (("call-query", *between, call.path, name) for name in call.query)
        yield from (("call-header", *between, call.path, name) for name in call.headers)


def _servers(policy: Policy) -> Iterator[Key]:
    for name, user in policy.broker.users.items():
        yield ("broker-user", name, user.service or "", user.party or "")
    yield from (("broker-plugin", name) for name in policy.broker.plugins)
    for name, database in policy.databases.databases.items():
        yield ("database", name, database.cluster, database.service, database.tables)
    yield from (("setting", name, value) for name, value in policy.databases.settings.items())
    yield from (("called-alike", column) for column in policy.databases.called_alike)
    for set_of_tables, tables in policy.databases.tables.items():
        for name, table in tables.items():
            yield from _table((set_of_tables, name), table)


def _table(where: Key, table: Table) -> Iterator[Key]:
    yield from (("column-pseudonymous", *where, column, part) for column, part in table.pseudonymous.items())
    yield from (("column-plain", *where, column) for column in table.plain)
    yield from (("column-with-boxes", *where, column) for column in table.with_boxes)
    yield from (("table-keeps", *where, trigger, function) for trigger, function in table.triggers.items())
    if table.added_only:
        yield ("added-only", *where)


def _messages(policy: Policy) -> Iterator[Key]:
    for side, models in (("storefront", policy.messages.storefront), ("internal", policy.messages.internal)):
        for model, parts in models.items():
            for part, members in parts.items():
                yield from (("message-member", side, model, part, member, grammar) for member, grammar in members.items())
    yield from (("message-plain", word) for word in policy.messages.plain)
