"""Section 3: the floor. What the same hops cost on the same broker and database with nothing of ours in between.

Four processes (`floor_process`, the whole source) on a virtual host with the real topology, and on databases of their own in the same cluster.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from deploy.local.processes import Program
from deploy.local.stack import ROOT
from shared.delivery import topology
from tests.bench.floor_process import NUMBER_LENGTH, body_of
from tests.bench.hops import COURSE, hops
from tests.bench.patience import NothingMoves, Patience
from tests.bench.pipeline import Run, place_and_await
from tests.bench.processes import Meter
from tests.bench.stack import BenchStack
from tests.bench.storefront import connected
from tests.bench.workload import PLACED, Ready

VIRTUAL_HOST = "floor"
_READY_SECONDS = 180
_POLL_SECONDS = 0.05


class Floor:
    """The four processes, ready."""

    def __init__(self, stack: BenchStack) -> None:
        self._stack = stack
        self._uri = stack.extra_virtual_host(VIRTUAL_HOST)
        topology.declare(self._uri)
        self._urls = {service: stack.extra_database(f"floor_{service}") for service in COURSE}
        self._programs = {service: Program(stack.folder, f"floor-{service}") for service in COURSE}

    def start(self) -> None:
        for service, program in self._programs.items():
            # Its own programs say nothing secret, but a command line is anybody's to read: the addresses go by the environment.
            environment = {"FLOOR_AMQP_URI": self._uri, "FLOOR_DATABASE_URL": self._urls[service]}
            command = [sys.executable, "-m", "tests.bench.floor_process", service]
            program.start(command, environment, cwd=ROOT, dies_with_parent=signal.SIGTERM)
        for service, program in self._programs.items():
            program.wait_ready(lambda service=service: self._consumes(service), _READY_SECONDS)  # type: ignore[misc]

    def stop(self) -> None:
        for program in self._programs.values():
            program.stop()

    def run(self, orders: int, run: str) -> Run:
        """One round. Raises NothingMoves when something stands still or was counted wrong."""
        numbers = [f"B-{run}-{place:06}" for place in range(orders)]
        ready = [Ready(number, f"{number} {PLACED}", body_of(number, PLACED)) for number in numbers]
        servers = {name: pid for name, pid in self._stack.pids().items() if name in ("broker", "data")}
        floor = {service: pid for service, program in self._programs.items() if (pid := program.pid) is not None}
        done, meter = self._hops(), Meter({**servers, **floor}, self._stack.log_bytes)
        seconds = place_and_await(self._uri, ready, lambda: None, _number_at_the_head)
        self._await_all_handled({service: count + orders * hops(service) for service, count in done.items()})
        return Run(orders, seconds, *meter.stop(orders))

    def _consumes(self, service: str) -> bool:
        connection = connected(self._uri)
        try:
            return all(
                connection.channel().queue_declare(queue, passive=True).consumer_count > 0
                for queue in topology.queues_of(service)
            )
        finally:
            connection.close()

    def _hops(self) -> dict[str, int]:
        return {service: _one(url, "select coalesce(sum(hops), 0) from states") for service, url in self._urls.items()}

    def _await_all_handled(self, wanted: dict[str, int]) -> None:
        left = "select (select count(*) from outbox) + (select count(*) from intents)"
        patience = Patience()
        while (done := self._hops()) != wanted or any(_one(url, left) for url in self._urls.values()):
            if patience.is_over(done):
                raise NothingMoves(f"the floor's hops and what is awaited differ, or rows are left: {done}, {wanted}")
            time.sleep(_POLL_SECONDS)


@contextmanager
def floor_of(stack: BenchStack, *, warm_up: int) -> Iterator[Floor]:
    """The floor beside this stack, warmed up by so many orders; without any it is not started. Its processes are ended."""
    floor = Floor(stack)
    try:
        if warm_up:
            floor.start()
            floor.run(warm_up, "floor-w")
        yield floor
    finally:
        floor.stop()


def _one(url: str, statement: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return int(row[0]) if row else 0


def _number_at_the_head(body: bytes) -> str:
    return body[:NUMBER_LENGTH].decode().rstrip()


__all__ = ["Floor", "floor_of"]
