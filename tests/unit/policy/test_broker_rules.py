"""Who may hear what: the topology's wiring against the policy's holds; and what a broker's export would tell of a stranger."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from deploy.local import definitions
from shared.delivery import topology
from shared.policy import load
from shared.policy.compile_broker import Wiring, WiringRefused, broker_clauses, broker_facts, compile_broker, parts_in
from shared.policy.live_broker import LiveBroker, broker_differences

POLICY = load()
WIRING = topology.wiring()
PASSWORDS = dict.fromkeys(definitions.USERS, "a password")


def heard_also(event: str, service: str) -> Wiring:
    """The wiring with one hearer more, and its queue bound to the event."""
    hearers = {exchange: dict(events) for exchange, events in WIRING.hearers.items()}
    hearers["orders.parts"][event] = (*hearers["orders.parts"][event], service)
    queue = f"{service}.events"
    bound = replace(WIRING.queues[queue], bindings=(*WIRING.queues[queue].bindings, ("orders.parts", event)))
    return replace(WIRING, hearers=hearers, queues={**WIRING.queues, queue: bound})


def test_the_topology_sends_no_part_to_a_stranger() -> None:
    assert set(compile_broker(POLICY, WIRING).users) == {*topology.SERVICES, "storefront"}


@pytest.mark.parametrize("service", topology.SERVICES)
@pytest.mark.parametrize(
    ("event", "part"), [("recipient_entrusted", "recipient"), ("contact_entrusted", "contact"), ("billing_entrusted", "billing")]
)
def test_a_hearer_that_may_not_hold_the_part_is_refused(event: str, part: str, service: str) -> None:
    if service in POLICY.holders_of(part):
        compile_broker(POLICY, heard_also(event, service))
        return
    with pytest.raises(WiringRefused, match=rf"{event}: {service} hears it and may not hold `{part}` \(clauses .*\d+") as refused:
        compile_broker(POLICY, heard_also(event, service))
    assert [fault for fault in refused.value.faults if f"queue {service}.events" in fault], "its queue is named besides"


def test_a_reader_of_somebody_else_s_queue_is_refused() -> None:
    reads = {**WIRING.reads, "payments": (*WIRING.reads["payments"], "shipping.events")}
    with pytest.raises(WiringRefused, match=r"queue shipping\.events: payments reads it and may not hold `recipient`"):
        compile_broker(POLICY, replace(WIRING, reads=reads))


def test_what_a_queue_gives_up_is_as_personal_as_what_it_took() -> None:
    assert parts_in(POLICY, WIRING, "shipping.parked") == {"recipient"}
    assert parts_in(POLICY, WIRING, "orders.intake") == {"recipient", "contact", "billing", "friend", "request"}
    assert parts_in(POLICY, WIRING, "storefront.answers") == parts_in(POLICY, WIRING, "orders.dropped_answers") == set()
    own = {**WIRING.reads, "shipping": (*WIRING.reads["shipping"], "shipping.parked")}
    compile_broker(POLICY, replace(WIRING, reads=own))
    foreign = {**WIRING.reads, "payments": (*WIRING.reads["payments"], "shipping.parked")}
    with pytest.raises(WiringRefused, match=r"queue shipping\.parked"):
        compile_broker(POLICY, replace(WIRING, reads=foreign))


def test_a_reader_that_the_policy_does_not_know_is_refused() -> None:
    for changes in ({"reads": {**WIRING.reads, "somebody": ("orders.events",)}}, {"says": {**WIRING.says, "somebody": {}}}):
        with pytest.raises(WiringRefused, match="user somebody: it is not in the policy"):
            compile_broker(POLICY, replace(WIRING, **changes))


def test_a_user_that_the_topology_gives_nothing_may_do_nothing() -> None:
    says, reads = ({user: told for user, told in its.items() if user != "storefront"} for its in (WIRING.says, WIRING.reads))
    rules = compile_broker(POLICY, replace(WIRING, says=says, reads=reads))
    assert asdict(rules.permissions["storefront"]) == {"configure": "^$", "write": "^$", "read": "^$"}
    assert {row for (user, _), row in rules.topics.items() if user == "storefront"} == {("^$", "^$")}


def test_nothing_is_declared_where_they_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(topology.HEARERS["orders.parts"], "contact_entrusted", ("notifications", "payments"))
    with pytest.raises(WiringRefused):
        topology.declare("amqp://nobody:at@127.0.0.1:9/all")
    with pytest.raises(WiringRefused):
        definitions.services(PASSWORDS, "here")


def test_every_rule_serves_a_clause_and_the_parts_theirs() -> None:
    for name in broker_facts(POLICY, WIRING):
        assert broker_clauses(POLICY, WIRING, name), name
    assert 10 in broker_clauses(POLICY, WIRING, ("binding", "orders.parts", "payments.events", "recipient_entrusted"))
    assert 9 in broker_clauses(POLICY, WIRING, ("permission", "payments"))
    assert 10 not in broker_clauses(POLICY, WIRING, ("binding", "payments.events", "orders.events", "payment_captured"))


# ── a broker's export ────────────────────────────────────────────────────────────────────────────────────────────────────────


def export(**changes: Any) -> LiveBroker:
    """What a broker that is as it should be tells of itself, with changes."""
    document: dict[str, Any] = definitions.services(PASSWORDS, "here")
    document["exchanges"] = [
        {"vhost": "here", "name": name, "type": kind, "durable": True} for name, kind in WIRING.exchanges.items()
    ]
    document["queues"] = [
        {"vhost": "here", "name": name, "durable": True, "arguments": dict(it.arguments)} for name, it in WIRING.queues.items()
    ]
    document["bindings"] = [
        {
            "vhost": "here",
            "source": exchange,
            "destination": name,
            "destination_type": "queue",
            "routing_key": key,
            "arguments": {},
        }
        for name, it in WIRING.queues.items()
        for exchange, key in it.bindings
    ]
    return replace(LiveBroker(document, "here", frozenset(), is_traced=False, administrators=frozenset()), **changes)


def test_a_broker_that_is_as_it_should_be_has_no_difference() -> None:
    assert broker_differences(POLICY, WIRING, export()) == []
    assert broker_differences(POLICY, WIRING, export(plugins=frozenset({"rabbitmq_management"}))) == []


@pytest.mark.parametrize("changes", [{"auto_delete": True}, {"exclusive": True}, {"durable": False}, {"arguments": {}}])
def test_a_queue_that_is_made_otherwise_is_named(changes: dict[str, Any]) -> None:
    live = export()
    queues = [{**it, **changes} if it["name"] == "shipping.events" else it for it in live.export["queues"]]
    [difference] = broker_differences(POLICY, WIRING, replace(live, export={**live.export, "queues": queues}))
    assert difference.rule == ("queue", "shipping.events")
    assert difference.clauses == POLICY.guards["broker-shape"].clauses


def test_a_plugin_that_copies_messages_is_named() -> None:
    [difference] = broker_differences(POLICY, WIRING, export(plugins=frozenset({"rabbitmq_shovel"})))
    assert difference.rule == ("plugin", "rabbitmq_shovel")
    assert difference.clauses


def test_a_shovel_s_address_is_not_told() -> None:
    live = export()
    shovel = {"vhost": "here", "component": "shovel", "name": "away", "value": {"src-uri": "amqp://user:secret@host"}}
    [difference] = broker_differences(POLICY, WIRING, replace(live, export={**live.export, "parameters": [shovel]}))
    assert difference.rule == ("parameter", "shovel", "away")
    assert "secret" not in str(difference)


def test_an_administrator_s_rights_are_no_difference_and_another_host_s_rows_neither() -> None:
    live = export(administrators=frozenset({"operator"}))
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    document = dict(live.export)
    document["users"] = [*document["users"], {"name": "operator", "tags": ["administrator"]}]
    document["permissions"] = [
        *document["permissions"],
        {"user": "operator", "vhost": "here", **rights},
        {"user": "else", "vhost": "there", **rights},
    ]
    document["users"].append({"name": "else", "tags": ""})
    [stranger] = broker_differences(POLICY, WIRING, replace(live, export=document))
    assert stranger.rule == ("user", "else")
    assert str(stranger).endswith("(clause 50)")
