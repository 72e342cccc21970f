"""The bench, run small as a program: everything works, every figure is there, the counts are right. No figure is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.__main__ import SMALL
from tests.bench.hops import COURSE

ROOT = Path(__file__).resolve().parents[2]
SERVERS = {"broker", "data", "keyring"}
SANDBOXES = {"paypal", "twocheckout", "carrier", "mailbox"}
OURSELVES = {"bench itself"}
PATIENCE_SECONDS = 1500


def _bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """(figures, table) of one small run of all sections."""
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    done = _bench("--small", "--json", str(path))
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.read_text()), done.stdout


def _are_all_there(section: Any, processes: set[str]) -> None:
    """That the rounds were played to their end is the bench's own doing: it ends with 1 where a count is not right."""
    assert section["orders_per_second"] > 0
    assert len(section["orders_per_second_by_round"]) == len(section["others_percent_by_round"])
    assert set(section["cpu_ms_per_order"]) == processes
    assert section["cpu_ms_per_order_in_all"] > 0


def test_the_pipeline_has_a_rate_latencies_cpu_and_memory_by_process(small):
    pipeline = small[0]["pipeline"]
    _are_all_there(pipeline, set(COURSE) | SERVERS | SANDBOXES | OURSELVES)
    assert pipeline["orders_per_round"] == SMALL.orders
    assert set(pipeline["memory_mib"]) == set(COURSE) | SERVERS | SANDBOXES
    assert all(mib > 1 for mib in pipeline["memory_mib"].values())
    assert set(pipeline["batch_mean"]) == set(COURSE)
    for name in ("placed_to_authorised", "label_to_dispatch_mail"):
        told = pipeline["paced"][name]
        assert told["orders"] == SMALL.paced_orders
        assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["worst_ms"]


def test_the_core_has_no_sandbox_in_it_and_the_floor_nothing_of_ours(small):
    _are_all_there(small[0]["core"], set(COURSE) | SERVERS | OURSELVES)
    _are_all_there(small[0]["floor"], set(COURSE) | {"broker", "data"} | OURSELVES)
    assert small[0]["core"]["orders_per_round"] == small[0]["floor"]["orders_per_round"] == SMALL.orders


def test_growth_has_each_size_with_its_rows_and_memory_early_and_late(small):
    growth = small[0]["growth"]
    assert set(growth["finished_orders"]) == {"0", "200", "600"}
    for size, told in growth["finished_orders"].items():
        _are_all_there(told, set(COURSE) | SERVERS | OURSELVES)
        if size == "0":
            assert told["rows"] == {}
            continue
        # Nobody pays by a part here, so the keyring of payments keeps nothing of an order.
        assert set(told["rows"]) == {*COURSE, "shipping keyring", "notifications keyring"}
        for service, rows in told["rows"].items():
            # Plumbing that empties itself is not cloned; the inbox is, and so is at least one table of the service's own.
            assert ("inbox" in rows) == (service in COURSE)
            assert not service.endswith("keyring") or set(rows) == {"openings", "part_keys"}
            assert len(rows) > 1
            assert not {"outbox", "intents"} & set(rows), service
            assert min(rows.values()) >= int(size), service
    early, late = (str(done) for done in SMALL.growth.memory_at)
    assert set(growth["memory_mib_after_orders"]) == {early, late}
    for told in growth["memory_mib_after_orders"].values():
        assert set(told["at_rest"]) == set(told["peak"]) == set(COURSE) | SERVERS
        assert all(told["at_rest"][service] <= told["peak"][service] for service in COURSE)


def test_privacy_has_rounds_with_and_without_it_and_what_it_adds(small):
    privacy = small[0]["privacy"]
    for kind in ("with", "without"):
        _are_all_there(privacy[kind], set(COURSE) | SERVERS | OURSELVES)
        assert len(privacy["services_ms_by_round"][kind]) == SMALL.privacy_rounds
    assert isinstance(privacy["added_ms_per_order_over_services"], float)


def test_every_bar_is_printed_beside_its_figure(small):
    figures, table = small
    assert [bar["what"].split()[0] for bar in figures["bars"]] == ["1", "1", "1", "2", "2", "4", "4", "5", "6"]
    for bar in figures["bars"]:
        assert isinstance(bar["met"], bool)
        assert f"{bar['what']}: {bar['value']:g}{bar['unit']} ({bar['bar']})" in table


def test_an_unknown_section_is_named_and_nothing_is_started():
    done = _bench("--only", "pipeline,everything")
    assert done.returncode == 2
    assert "any of pipeline,core,floor,growth,privacy,scan" in done.stderr
    assert done.stdout == ""
