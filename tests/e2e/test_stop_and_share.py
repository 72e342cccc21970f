"""Services that are told to stop while they are busy, several processes of each at once, and disks that are full for a while."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.local.configuration import SERVICES
from deploy.local.processes import free_ports
from shared.delivery import topology
from tests.e2e.faults import SHORT_LEASES, Run
from tests.integration.facts import PATIENCE_SECONDS, rows, wait_for
from tests.integration.logs import Log
from tests.integration.scene import Service

STOP_TIMEOUT_SECONDS = 120  # the settings' limit: it stops long before
PREFETCH = 5
LOADED, SHARED = 90, 200
ROWS_OF = {"orders": "orders", "payments": "payments", "shipping": "shipments", "notifications": "correspondences"}


def messages(lines: list[dict[str, Any]], *endings: str) -> list[str]:
    """The ids of the queues' messages that ended so, one for each time."""
    return [line["id"] for line in lines if line["message"] == "handled" and line["ending"] in endings and line.get("id")]


@pytest.mark.parametrize("name", SERVICES)
def test_told_to_stop_it_finishes_what_it_has_in_hand_and_takes_nothing_new(run: Run, name: str) -> None:
    run.service(name).kill()
    tight = {"PREFETCH": str(PREFETCH), "BATCH_SIZE": "5", "STOP_TIMEOUT_SECONDS": str(STOP_TIMEOUT_SECONDS)}
    busy = run.service(name, **tight, **SHORT_LEASES)
    log = Log(busy)
    busy.start()
    numbers = run.publish(run.prepare(LOADED))
    wait_for(lambda: len(messages(log.lines(), "done")) >= 8, f"{name} to be in the midst of it")
    assert run.on_the_way(numbers)

    busy.program.stop(signal.SIGTERM, PATIENCE_SECONDS)
    assert busy.program.exit_status == 0, "it did not stop in time by itself"
    lines = log.lines()
    said = [line["message"] for line in lines]
    assert said[-1] == "stopped"
    in_hand = messages(lines[said.index("stopping") :], "done", "repeated", "later", "parked", "refused")
    # What it had, and what was on its way to it when it took leave of its queues.
    assert len(in_hand) <= 2 * PREFETCH * len(topology.queues_of(name)), "it went on taking messages"
    assert busy.rows("select count(*) from outbox") == [(0,)]

    successor = run.service(name)
    after = Log(successor)
    successor.start()
    run.all_is_well(numbers)
    came_again = set(messages(after.lines(), "repeated")) & set(messages(lines, "done"))
    assert came_again == set(), "what was handled was not acknowledged"


@pytest.fixture
def pairs(run: Run) -> Iterator[dict[str, tuple[Service, Service]]]:
    """Two processes of each service."""
    ports = iter(free_ports(len(SERVICES)))
    both = {name: (run.service(name), run.another(name, "second", f"127.0.0.1:{next(ports)}")) for name in SERVICES}
    processes = [process for pair in both.values() for process in pair]
    try:
        for process in processes:
            process.begin()
        for process in processes:
            process.start()
        yield both
    finally:
        for _, second in both.values():
            second.kill()


def test_two_processes_of_each_service_share_a_run(run: Run, pairs: dict[str, tuple[Service, Service]]) -> None:
    def done(service: Service) -> float:
        return service.metric("brownpaper_messages_total", ending="done")

    before = {name: done(first) for name, (first, _) in pairs.items()}
    numbers = run.publish(run.prepare(SHARED))
    run.all_is_well(numbers)
    for name, (first, second) in pairs.items():
        assert done(first) > before[name], f"the first process of {name} did nothing"
        assert done(second) > 0, f"the second process of {name} did nothing"
    for name, (_, second) in pairs.items():
        second.program.stop(signal.SIGTERM, PATIENCE_SECONDS)
        assert second.program.exit_status == 0, name


def test_disks_that_are_full_for_a_while(run: Run) -> None:
    logs = {name: Log(run.service(name)) for name in SERVICES}
    events = run.prepare(12)
    try:
        for name in SERVICES:
            fill(run, name)
        numbers = run.publish(events)
        wait_for(lambda: logs["orders"].count("database_unavailable") > 1, "orders to have tried twice")
        empty(run, "orders")
        for name in set(SERVICES) - {"orders"}:
            wait_for(lambda it=name: logs[it].count("database_unavailable") > 1, f"{name} to have tried twice")
    finally:
        for name in SERVICES:
            empty(run, name)
    run.all_is_well(numbers)


def fill(run: Run, name: str) -> None:
    """No further row of this service's own finds room."""
    url = run.env[f"{name.upper()}_DATABASE_URL"]
    rows(
        url,
        "create function is_full() returns trigger language plpgsql as "
        "$$ begin raise exception 'no space left' using errcode = '53100'; end $$",
    )
    rows(url, f"create trigger is_full before insert or update on {ROWS_OF[name]} for each row execute function is_full()")


def empty(run: Run, name: str) -> None:
    """Make room again. Safe to repeat."""
    rows(run.env[f"{name.upper()}_DATABASE_URL"], "drop function if exists is_full() cascade")
