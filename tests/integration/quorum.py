"""The quorum queues of a broker cluster, looked at with the broker's own tools."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from deploy.local.broker import VIRTUAL_HOST, PrivateBroker
from deploy.local.broker_cluster import BrokerCluster
from shared.delivery import topology
from tests.integration.facts import wait_for

_LOOK = f"""
    [{{Name, proplists:get_value(<<"Node Name">>, Member), proplists:get_value(<<"Raft State">>, Member),
       proplists:get_value(<<"Log Index">>, Member, -1), proplists:get_value(<<"Commit Index">>, Member, -1)}}
     || Queue <- rabbit_amqqueue:list(<<"{VIRTUAL_HOST}">>), {{resource, _, queue, Name}} <- [amqqueue:get_name(Queue)],
        Member <- rabbit_quorum_queue:status(<<"{VIRTUAL_HOST}">>, Name)].
"""
_MEMBER = re.compile(r"\{<<\"([a-z._]+)\">>,\s*'?([\w@.-]+)'?,\s*([\w{},]+?),\s*(-?\w+),\s*(-?\w+)\}")


@dataclass(frozen=True, slots=True)
class Member:
    """One node's copy of one queue: what it is, and how far its log and its knowledge of what is committed go (-1: it does not answer)."""

    queue: str
    node: str
    role: str
    log_index: int
    commit_index: int


def members(cluster: BrokerCluster) -> list[Member]:
    """Every member of every queue, as a node that runs sees it."""
    node = next(it for it in cluster.members if it.pid is not None)
    done = node.command("rabbitmqctl", "--silent", "eval", _LOOK)
    if done.returncode != 0:
        return []  # it is about to lose or to find its colleagues
    found = [(queue, name, role, *map(_number, places)) for queue, name, role, *places in _MEMBER.findall(done.stdout)]
    return [Member(*it) for it in found]


def leaders(cluster: BrokerCluster) -> dict[str, str]:
    """Each queue's leader."""
    return {it.queue: it.node for it in members(cluster) if it.role == "leader"}


def node_that_leads_most(cluster: BrokerCluster, among: set[str]) -> PrivateBroker:
    """Of the nodes named in `among` the one that leads the most queues, at least one."""

    def led() -> Counter[str]:
        now = leaders(cluster)
        return Counter(node for node in now.values() if node in among and now.keys() == _queues())

    [(name, _)] = wait_for(led, "every queue to have a leader").most_common(1)
    return next(it for it in cluster.members if it.node == name)


def kill_and_bring_back(cluster: BrokerCluster, node: PrivateBroker) -> None:
    """Kill a node, wait until the others lead all queues, start it again, and wait until it has all that it missed."""
    node.kill()
    assert node.pid is None
    wait_for(lambda: _are_led(cluster, node), f"leaders other than {node.node}")
    node.start()
    every_node_is_in_step(cluster)


def every_node_is_in_step(cluster: BrokerCluster) -> None:
    """Wait until each queue has a member on every node, and all of them have what was committed when this was asked."""
    nodes = {it.node for it in cluster.members}
    target: dict[str, int] = {}

    def is_in_step() -> bool:
        seen: dict[str, dict[str, Member]] = defaultdict(dict)
        for member in members(cluster):
            seen[member.queue][member.node] = member
        if not target and seen.keys() == _queues():
            target.update({queue: max(it.commit_index for it in its.values()) for queue, its in seen.items()})
        return bool(target) and all(
            its.keys() == nodes and all(it.log_index >= target[queue] for it in its.values()) for queue, its in seen.items()
        )

    wait_for(is_in_step, "every node to be in step")


def _are_led(cluster: BrokerCluster, lost: PrivateBroker) -> bool:
    """Whether every queue has a leader that is not the lost node."""
    now = leaders(cluster)
    return now.keys() == _queues() and lost.node not in now.values()


def _queues() -> set[str]:
    return {queue.name for queue in topology.QUEUES}


def _number(word: str) -> int:
    return int(word) if word.lstrip("-").isdecimal() else -1
