"""The count of hops that the floor plays and the measured runs are held against: one course, closed in itself, over the real topology."""

from __future__ import annotations

from collections import Counter

import pytest

from shared.delivery import topology
from tests.bench.hops import COURSE, HOPS_PER_ORDER, SAID_PER_ORDER, heard, hops, said, times


def _said_events() -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for service in COURSE:
        for name, count in times(service).items():
            for one in COURSE[service][name].says:
                found[one] += count
    return found


@pytest.mark.parametrize("service", COURSE)
def test_a_service_is_handed_what_the_topology_routes_to_it_of_what_the_course_says(service):
    routed = Counter(
        event
        for (exchange, event), count in _said_events().items()
        if service in topology.HEARERS.get(exchange, {}).get(event, ())
        for _ in range(count)
    )
    if service == "orders":
        routed["order_placed"] += 1  # the storefront's
    assert routed == Counter(heard(service))


def test_each_service_says_only_what_the_topology_knows_of_it():
    for service in COURSE:
        for hop in COURSE[service].values():
            for exchange, event in hop.says:
                assert exchange in topology.own_exchanges(service)
                assert exchange == topology.ANSWERS_EXCHANGE or event in topology.HEARERS[exchange]


def test_an_order_has_so_many_hops():
    assert {service: (hops(service), said(service)) for service in COURSE} == {
        "orders": (8, 9),
        "payments": (4, 2),
        "shipping": (8, 5),
        "notifications": (7, 3),
    }
    assert (HOPS_PER_ORDER, SAID_PER_ORDER) == (27, 19)
