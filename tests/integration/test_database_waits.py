"""The database as a patched process meets it: what a statement holds up, and what a lost one leaves to the next."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.local.postgres import PrivateCluster
from tests.integration.facts import PATIENCE_SECONDS, wait_for
from tests.integration.scene import Scene, Service


@pytest.fixture(scope="module")
def asker(scene: Scene) -> Service:
    it = scene.service("payments", module="tests.integration.asker")
    it.start()
    return it


def test_other_greenthreads_run_while_a_query_sleeps_in_a_transaction_and_alone(asker: Service) -> None:
    ticks = asker.ask("GET", "/sleeps").json()
    assert min(ticks.values()) > 1


@pytest.mark.parametrize("lend", ["begin", "together"])
def test_a_statement_longer_than_the_buffers_goes_through_and_holds_up_nobody(lend: str, asker: Service) -> None:
    """The server's process is stopped while it is sent to it, so that nobody reads what is written."""
    with ThreadPoolExecutor(1) as pool:
        big = pool.submit(asker.ask, "GET", f"/big/{lend}")
        pid = wait_for(lambda: asker.ask("GET", "/state").json()["pid"], "the connection")
        os.kill(pid, signal.SIGSTOP)
        try:
            asker.ask("POST", "/go", {})
            wait_for(lambda: asker.ask("GET", "/state").json()["ticks"] >= 30, "others to go on while it is written")
            assert not big.done()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert big.result(timeout=PATIENCE_SECONDS).json() == {"length": 8 * 1024 * 1024, "same": True}


def test_a_worker_that_is_ended_in_mid_statement_leaves_its_connection_to_nobody(asker: Service) -> None:
    for case in asker.ask("GET", "/killed").json().values():
        assert case["answer"] == "mine"
        assert case["written"] == 0, "what it had begun is undone"
        ended, following, next_but_one = case["pids"]
        assert ended != following, "the next one has a connection of its own"
        assert following == next_but_one, "which serves on"


@pytest.mark.parametrize("lend", ["begin", "together", "single"])
def test_a_server_that_goes_away_in_mid_statement_is_unavailable_and_asked_again(
    lend: str, asker: Service, data_cluster: PrivateCluster
) -> None:
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(asker.ask, "GET", f"/lost/{lend}")
        sleeping = "select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(60)' and application_name = 'asker'"
        wait_for(lambda: asker.rows(sleeping), "the statement to be under way")
        data_cluster.kill()
        try:
            assert asker.ask("GET", "/health").status == 200
        finally:
            data_cluster.start()
        assert lost.result(timeout=PATIENCE_SECONDS).json() == {"end": "unavailable", "back": "yes"}
    assert asker.program.pid is not None
