"""How figures are made of measurements: percentiles, the legs of a latency, medians over rounds, bars."""

from __future__ import annotations

import random

import pytest

from tests.bench import report
from tests.bench.cloning import Cloned
from tests.bench.growth import Grown
from tests.bench.paced import Latencies, Times
from tests.bench.patience import NothingMoves
from tests.bench.pipeline import Run
from tests.bench.workload import Ready

SERVICES = ("orders", "payments", "shipping", "notifications")


def _run(seconds: float, ms: float = 2.0) -> Run:
    cpu = {**dict.fromkeys(SERVICES, ms), "data": ms, "bench itself": 0.5}
    return Run(100, seconds, cpu, 1.0, 40.0, dict.fromkeys(SERVICES, 10.0))


def test_percentiles_are_of_the_nearest_rank():
    milliseconds = [float(value) for value in range(1, 201)]
    random.Random(3).shuffle(milliseconds)
    assert report.of_latencies(milliseconds) == {"orders": 200, "p50_ms": 100.0, "p99_ms": 198.0, "worst_ms": 200.0}
    assert report.of_latencies([7.0]) == {"orders": 1, "p50_ms": 7.0, "p99_ms": 7.0, "worst_ms": 7.0}


def test_what_lies_between_the_legs_is_left_out():
    times = Times(
        placed={"A": 1.0}, authorised={"A": 1.025}, label_asked={"A": 2.0}, captured={"A": 2.040}, hand_over_asked={"A": 9.0}
    )
    order = Ready("A", "id", b"")
    with pytest.raises(NothingMoves):
        times.latencies([order])
    times.mail_accepted["A"] = 9.010
    first, second = times.latencies([order])
    assert first == [pytest.approx(25.0)]
    assert second == [pytest.approx(50.0)]


def test_a_section_tells_the_median_of_its_rounds_and_each_rate():
    told = report.of_runs([_run(1.0), _run(0.5, 3.0), _run(2.0)])
    assert told["orders_per_second"] == 100.0
    assert told["orders_per_second_by_round"] == [100.0, 200.0, 50.0]
    # The bench's own half is left out of "in all", and takes its share of the cores.
    assert told["cpu_ms_per_order_in_all"] == 10.0
    assert told["cpu_ms_per_order"]["orders"] == 2.0


def _figures(pipeline: Run, core: Run, floor: Run, most: Run, memory_late: float) -> dict[str, object]:
    early, late = (dict.fromkeys(SERVICES, 100.0 if done == 1000 else memory_late) for done in (1000, 20000))
    grown = Grown(
        runs={0: [core], 1000: [most]},
        rows={0: {}, 1000: {"orders": [Cloned("orders", 10, 1000)]}},
        memory_mib={1000: (early, early), 20000: (late, late)},
    )
    paced = report.of_paced(Latencies([60.0], [80.0], pipeline), 30)
    return {
        "pipeline": {**report.of_runs([pipeline]), "paced": paced},
        "core": report.of_runs([core]),
        "floor": report.of_runs([floor]),
        "growth": report.of_growth(grown),
    }


def test_each_bar_stands_beside_its_figure_met_or_not():
    found = report.bars(_figures(_run(0.5), _run(0.4), _run(0.2), _run(0.4, 2.1), 120.0))
    assert [(bar["what"].partition(",")[0], bar["value"], bar["met"]) for bar in found] == [
        ("1 pipeline", 200.0, True),
        ("1 from placed to payment authorised", 60.0, True),
        ("1 from label asked for to dispatch mail accepted", 80.0, False),
        ("2 core", 250.0, True),
        ("2 core", 0.5, True),
        ("4 growth", 5.0, True),
        ("4 growth", 20.0, False),
    ]


def test_the_scan_has_its_bar():
    [found] = report.bars({"scan": {"megabytes_per_second": 99.0, "by_round": [99.0]}})
    assert (found["what"], found["met"]) == ("6 scan, megabytes per second", False)


def test_a_section_that_did_not_run_has_no_bar():
    whole = _figures(_run(1.0), _run(1.0), _run(0.2), _run(1.0, 2.3), 100.0)
    assert [bar["what"] for bar in report.bars({"core": whole["core"]})] == ["2 core, orders per second"]
    assert [bar["met"] for bar in report.bars(whole)] == [False, True, False, False, False, False, True]
