"""Each broker node in turn, and then the database primaries, killed with a thousand orders in flight. `make test-cluster` runs it."""

from __future__ import annotations

import pytest

from deploy.local.broker_cluster import BrokerCluster
from deploy.local.postgres_pair import PostgresPair
from deploy.local.stack import Stack
from tests.e2e.day import Day
from tests.integration.facts import wait_for
from tests.integration.quorum import every_node_is_in_step, kill_and_bring_back, leaders, node_that_leads_most

pytestmark = pytest.mark.slow

IN_FLIGHT = 1000
MOST_IN_A_ROUND = 50  # parcels that the crew may hand over beyond its limit


def test_each_node_in_turn_is_killed_first_the_leader_and_comes_back(clustered: Stack, day: Day) -> None:
    cluster = clustered.private["broker"]
    assert isinstance(cluster, BrokerCluster)
    every_node_is_in_step(cluster)
    left = {node.node for node in cluster.members}
    first = {node_that_leads_most(cluster, left).node}
    wait_for(lambda: set(leaders(cluster).values()) == first, "one node to lead all queues")
    day.place(IN_FLIGHT + 600)
    # In which wave each is killed: of orders coming in, of parcels leaving, of parcels leaving and arriving.
    for limit, handed_over in ((0, 0), (250, 50), (600 - MOST_IN_A_ROUND, 300)):
        node = node_that_leads_most(cluster, left)
        left.discard(node.node)
        day.most_handed_over = limit
        day.reaches(in_flight=IN_FLIGHT, handed_over=handed_over)
        kill_and_bring_back(cluster, node)
        assert day.in_flight >= IN_FLIGHT
    assert left == set()
    day.ends()


def test_the_primaries_are_killed_and_their_standbys_promoted(clustered: Stack, day: Day) -> None:
    data, keyring = clustered.private["data"], clustered.private["keyring"]
    assert isinstance(data, PostgresPair)
    assert isinstance(keyring, PostgresPair)
    wait_for(data.is_in_step, "the standby to be in step")
    before = day.handed_over
    day.place(IN_FLIGHT + 300)
    day.most_handed_over = before + 300 - MOST_IN_A_ROUND
    day.reaches(in_flight=IN_FLIGHT, handed_over=before + 50)
    heard = day.heard_accepted()
    data.primary.kill()
    keyring.primary.kill()
    assert (data.primary.pid, keyring.primary.pid) == (None, None)
    assert day.in_flight >= IN_FLIGHT
    data.promote()
    keyring.promote()
    assert heard <= day.known(), "what was told to the storefront was committed, and so it stands"
    clustered.restart("shipping")  # it finds its keys at the promoted keyring
    data.rejoin()
    keyring.rejoin()
    wait_for(data.is_in_step, "the standby to be in step")
    assert day.in_flight >= IN_FLIGHT
    day.ends()
