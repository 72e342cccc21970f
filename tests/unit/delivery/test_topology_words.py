"""Who hears what: the table, the doors and the architecture page say the same, and nobody may do more than it must."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.events import EVENTS
from shared.delivery import topology
from shared.delivery.topology import EXCHANGES, HEARERS, QUEUES, SERVICES
from shared.policy import load
from shared.policy.compile_broker import compile_broker
from tests.unit.delivery.doors import DOORS, REGISTERS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "architecture.md"
USERS = (*SERVICES, "storefront")
RULES = compile_broker(load(), topology.wiring())
SAID = [(exchange, event) for exchange, events in HEARERS.items() for event in events]


def topic_rows(user: str) -> list[tuple[str, str, str]]:
    """(exchange, write, read) of a user."""
    return [(exchange, *row) for (its, exchange), row in RULES.topics.items() if its == user]


def may(expression: str, name: str) -> bool:
    """Whether RabbitMQ grants it: it searches, and only the anchors make that a match of the whole name."""
    return re.search(expression, name) is not None


# ── the table against the doors and the page ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("service", SERVICES)
def test_a_door_hears_exactly_what_the_table_routes_to_it(service: str) -> None:
    routed = {event for events in HEARERS.values() for event, hearers in events.items() if service in hearers}
    assert set(REGISTERS[service].heard) == routed


@pytest.mark.parametrize("service", SERVICES)
def test_a_door_hears_each_event_by_the_method_of_its_name(service: str) -> None:
    for event, (model, method) in REGISTERS[service].heard.items():
        assert EVENTS[event] is model
        assert method == event


@pytest.mark.parametrize("service", SERVICES)
def test_a_door_settles_what_it_performs_and_runs_its_batches(service: str) -> None:
    register = REGISTERS[service]
    assert set(register.performs) == set(register.settles)
    assert register.runs_batches == 1


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_no_colleague_s_queue_has_a_method_that_reads_it(service: str) -> None:
    own = set(topology.queues_of(service)) - {topology.events_queue(service)}
    assert own <= set(REGISTERS[service].intake)


def test_there_is_a_door_of_every_service() -> None:
    assert set(DOORS) == set(SERVICES)


def rows_of_the_page() -> dict[tuple[str, str], set[str]]:
    """(exchange, event) → hearers, as the page's table has them; an empty first cell continues the one above."""
    table = PAGE.read_text("utf-8").split("| exchange (topic) | event |")[1].split("\n\n")[0]
    rows: dict[tuple[str, str], set[str]] = {}
    exchanges: list[str] = []
    for line in table.splitlines()[2:]:
        first, events, *_, heard_by = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if "each of the last three" in first:
            exchanges = ["payments.events", "shipping.events", "notifications.events"]
        elif first:
            exchanges = [first.strip("`")]
        hearers = {name.strip() for name in heard_by.split(",")} - {"–"}
        for event in re.findall(r"`([a-z_]+)`", events):
            rows.update({(exchange, event): hearers for exchange in exchanges})
    return rows


def test_the_architecture_page_says_the_same() -> None:
    assert rows_of_the_page() == {(exchange, event): set(HEARERS[exchange][event]) for exchange, event in SAID}


def test_every_event_has_one_speaker_s_exchange_and_every_exchange_its_events() -> None:
    own = {service: topology.own_exchanges(service) for service in SERVICES}
    assert len(set(chain(*own.values()))) == len(list(chain(*own.values()))), "no exchange has two speakers"
    assert set(chain(*own.values())) == {*HEARERS, topology.ANSWERS_EXCHANGE}
    assert {event for _, event in SAID} == set(EVENTS)
    for name, event in EVENTS.items():
        places = [exchange for exchange, said in SAID if said == name]
        # What several services say has no exchange of its own: each says it on its own.
        assert places == [event.exchange] if event.exchange else len(places) == 3, name


# ── queues ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("exchange", "event"), SAID)
def test_every_heard_event_is_bound_to_its_hearers_queues_and_no_other(exchange: str, event: str) -> None:
    bound = {queue.name for queue in QUEUES if (exchange, event) in queue.bindings}
    assert bound == {f"{service}.events" for service in HEARERS[exchange][event]}
    assert topology.has_hearers(exchange, event) is bool(bound)


def test_every_binding_is_to_an_exchange_that_is_there() -> None:
    assert {exchange for queue in QUEUES for exchange, _ in queue.bindings} <= set(EXCHANGES)
    assert len({queue.name for queue in QUEUES}) == len(QUEUES)


def test_every_queue_survives_a_node_and_what_is_worked_on_is_never_lost() -> None:
    consumed = set(chain(*(topology.queues_of(service) for service in SERVICES)))
    for queue in QUEUES:
        assert queue.arguments["x-queue-type"] == "quorum", queue.name
        if queue.name in consumed - {topology.DROPPED_ANSWERS}:
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once", queue.name
            assert queue.arguments["x-overflow"] == "reject-publish", queue.name  # which at-least-once needs
            assert queue.arguments["x-delivery-limit"] == topology.DELIVERY_LIMIT, queue.name


def test_what_the_broker_gives_up_on_finds_a_queue() -> None:
    parked = {key for queue in QUEUES for exchange, key in queue.bindings if exchange == topology.PARKED_EXCHANGE}
    for queue in QUEUES:
        if "x-dead-letter-exchange" in queue.arguments:
            assert queue.arguments["x-dead-letter-exchange"] == topology.PARKED_EXCHANGE
            assert queue.arguments["x-dead-letter-routing-key"] in parked


def test_answers_are_kept_a_week_and_the_oldest_go_first() -> None:
    [answers] = [queue for queue in QUEUES if queue.name == topology.ANSWERS_QUEUE]
    assert answers.arguments["x-message-ttl"] == 604_800_000
    assert answers.arguments["x-overflow"] == "drop-head"
    assert topology.has_hearers(topology.ANSWERS_EXCHANGE, "order_accepted")


# ── permissions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

EVERY_NAME = {*EXCHANGES, *(queue.name for queue in QUEUES), "amq.topic", "", "orders", "payments.events2", "xpayments.events"}
WRITES = {**{service: set(topology.own_exchanges(service)) for service in SERVICES}, "storefront": {topology.INTAKE_EXCHANGE}}
READS = {**{service: set(topology.readable_queues_of(service)) for service in SERVICES}, "storefront": {topology.ANSWERS_QUEUE}}


@pytest.mark.parametrize("user", USERS)
def test_a_user_writes_its_own_exchanges_reads_its_own_queues_and_configures_nothing(user: str) -> None:
    granted = RULES.permissions[user]
    assert {name for name in EVERY_NAME if may(granted.write, name)} == WRITES[user]
    assert {name for name in EVERY_NAME if may(granted.read, name)} == READS[user]
    assert [name for name in EVERY_NAME if name and may(granted.configure, name)] == []


@pytest.mark.parametrize("user", USERS)
def test_every_permission_is_anchored_at_both_ends_and_has_no_wildcard_dot(user: str) -> None:
    granted = RULES.permissions[user]
    for expression in (granted.configure, granted.write, granted.read):
        assert expression.startswith("^")
        assert expression.endswith("$")
        assert not may(expression, "paymentsXevents")
        assert "|" not in re.sub(r"^\^\(.*\)\$$", "", expression), "an alternative outside of brackets escapes the anchors"


@pytest.mark.parametrize("user", USERS)
def test_there_is_a_topic_row_of_every_exchange_for_every_user(user: str) -> None:
    rows = topic_rows(user)
    assert [exchange for exchange, _, _ in rows] == list(EXCHANGES)
    for exchange, write, read in rows:
        assert write.startswith("^")
        assert write.endswith("$")
        assert read == "^$"
        # The row for the name of an exchange that the user may not write at all says so again.
        if not may(RULES.permissions[user].write, exchange):
            assert write == "^$"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_only_its_own_events(service: str) -> None:
    for exchange, write, _ in topic_rows(service):
        sayable = {event for event in EVENTS if may(write, event)}
        if exchange == topology.ANSWERS_EXCHANGE:
            assert bool(sayable) is (service == "orders")
        else:
            assert sayable == (set(HEARERS[exchange]) if exchange in topology.own_exchanges(service) else set())


def test_the_storefront_s_answers_are_plain_words() -> None:
    [write] = [row[1] for row in topic_rows("orders") if row[0] == topology.ANSWERS_EXCHANGE]
    assert may(write, "order_accepted")
    assert not any(may(write, key) for key in ("", "a.b", "#", "A", "order-accepted"))


# ── the marker ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "changes",
    [
        {"EXCHANGES": (*EXCHANGES, "another")},
        {"QUEUES": QUEUES[:-1]},
        {"QUEUES": (replace(QUEUES[0], bindings=(*QUEUES[0].bindings, ("orders.events", "order_held"))), *QUEUES[1:])},
        {"QUEUES": (replace(QUEUES[0], arguments={**QUEUES[0].arguments, "x-delivery-limit": 3}), *QUEUES[1:])},
    ],
    ids=["another exchange", "a queue less", "another binding", "another argument"],
)
def test_another_topology_has_another_marker(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    before = topology.marker()
    for name, value in changes.items():
        monkeypatch.setattr(topology, name, value)
    assert topology.marker() != before


def test_the_marker_does_not_hang_on_the_order_of_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    before = topology.marker()
    turned = tuple(replace(queue, arguments=dict(reversed(queue.arguments.items()))) for queue in QUEUES)
    monkeypatch.setattr(topology, "QUEUES", turned)
    assert topology.marker() == before
    assert re.fullmatch(r"topology\.[0-9a-f]{16}", before)
