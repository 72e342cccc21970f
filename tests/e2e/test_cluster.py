"""A clustered stack loses the broker that leads all queues and its primaries, and not one order. In full: `test_cluster_in_full`."""

from __future__ import annotations

from deploy.local.broker_cluster import BrokerCluster
from deploy.local.postgres_pair import PostgresPair
from deploy.local.stack import Stack
from tests.e2e.day import Day
from tests.integration.quorum import kill_and_bring_back, node_that_leads_most

ORDERS = 120


def test_the_leader_and_the_primaries_are_killed_with_orders_in_flight_and_all_of_them_end(clustered: Stack, day: Day) -> None:
    cluster, pairs = clustered.private["broker"], [clustered.private[name] for name in ("data", "keyring")]
    assert isinstance(cluster, BrokerCluster)
    leader = node_that_leads_most(cluster, {node.node for node in cluster.members})
    day.place(ORDERS)
    day.reaches(in_flight=ORDERS // 2)
    kill_and_bring_back(cluster, leader)

    day.most_handed_over = 1  # one round of the crew
    day.reaches(in_flight=ORDERS // 2, handed_over=1)
    heard = day.heard_accepted()
    for pair in pairs:
        assert isinstance(pair, PostgresPair)
        pair.primary.kill()
        assert pair.primary.pid is None
    assert day.in_flight >= ORDERS // 2
    for pair in pairs:
        assert isinstance(pair, PostgresPair)
        pair.promote()
    assert heard <= day.known()
    day.ends()
