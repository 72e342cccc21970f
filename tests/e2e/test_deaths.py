"""Every service killed by SIGKILL at every step of its work, with orders on their way, and the books compared afterwards.

`make test-faults` goes through all steps of all services; `make test` through a few that the day chooses (`FAULT_SEED` chooses others, or
the same again). The steps and what kills a process at one of them are in `shared/delivery/steps.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from deploy.local.configuration import SERVICES
from shared.delivery.steps import CALL_STEPS, DIE_AT, MESSAGE_STEPS, STEPS, STEPS_FILE
from tests.e2e.faults import SHORT_LEASES, Run
from tests.integration.facts import wait_for
from tests.integration.scene import Service

SEED = int(os.environ.get("FAULT_SEED") or datetime.now(UTC).date().toordinal())
SAMPLED_BESIDE_ONE_OF_EACH = 2
HANDFUL, MOST_HANDFULS = 9, 4
WAVE = 3

NOT_OF_THIS_SERVICE = {("orders", step): "orders asks no outside party" for step in CALL_STEPS}
"""Steps that a service has not, with the reason. That it never reaches them is checked as well."""
NEEDS_A_LEFT_OVER = {"taken_up_again": ("publishing", "call_answered")}
"""A step that is reached only where a process died before: the steps at which that one may die, so that an event or a call is left over."""
POINTS = [(service, step) for service in SERVICES for step in STEPS if (service, step) not in NOT_OF_THIS_SERVICE]
# Whatever one greenthread does, it does in this order; what stands in different rows may come in any.
IN_ORDER = (
    MESSAGE_STEPS[: MESSAGE_STEPS.index("committed") + 1],
    ("publishing", "published", "confirmed", "forgotten"),
    ("acknowledging", "acknowledged"),
    CALL_STEPS,
)


def sample() -> list[tuple[str, str]]:
    """One step of each service, and some more."""
    random = Random(SEED)
    chosen = [random.choice([point for point in POINTS if point[0] == service]) for service in SERVICES]
    return [*chosen, *random.sample([point for point in POINTS if point not in chosen], SAMPLED_BESIDE_ONE_OF_EACH)]


def times_of(service: str, step: str) -> int:
    """At which time of reaching it the process dies: not the first, which may be the announcing of its key as it starts."""
    random = Random(f"{SEED} {service} {step}")
    if step in NEEDS_A_LEFT_OVER:
        return 1
    if step in ("confirmed", "forgotten"):
        return 2  # a relay that is slow has many events confirmed and forgotten at a time: a third time may be behind all work
    return random.randint(1, 8) if step in CALL_STEPS[:3] else random.randint(2, 4)


def dies_first_at(service: str, step: str) -> str:
    """Where the first process dies, so that there is something to take up; the step itself where it needs no left-over."""
    before = [it for it in NEEDS_A_LEFT_OVER.get(step, (step,)) if (service, it) not in NOT_OF_THIS_SERVICE]
    return Random(f"{SEED} {service} {step} first").choice(before)


@dataclass
class Row:
    """What became of one point: the process reached it and was killed by the signal there; so much was unfinished when it first died."""

    times: int
    reached: bool = False
    killed: bool = False
    unfinished: int = 0
    books_agree: bool = False

    def __str__(self) -> str:
        if not self.reached:
            return "not reached"
        return f"{'killed' if self.killed else 'NOT killed'} at {self.times}, books {'agree' if self.books_agree else 'DIFFER'}"


@dataclass
class Table:
    """All points that were tried, and the steps that each service noted."""

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    noted: dict[str, set[str]] = field(default_factory=lambda: {service: set() for service in SERVICES})

    def lines(self) -> Iterator[str]:
        yield f"Killed by SIGKILL, FAULT_SEED={SEED}; `at 3`: the third time that the process came to this step"
        width = 34
        yield " " * 18 + "".join(f"{service:{width}}" for service in SERVICES)
        for step in STEPS:
            cells = [NOT_OF_THIS_SERVICE.get((service, step)) or str(self.rows.get((service, step), "")) for service in SERVICES]
            if any(self.rows.get((service, step)) for service in SERVICES):
                yield f"{step:18}" + "".join(f"{cell:{width}}" for cell in cells)


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    it = Table()
    yield it
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    if reporter is not None and it.rows:
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            reporter.ensure_newline()
            for line in it.lines():
                reporter.write_line(line)


class Life:
    """One process of a service, which notes the steps it reaches."""

    def __init__(self, run: Run, name: str, die_at: str = "") -> None:
        self._noted_in = run.stack.folder / f"steps-of-{name}"
        self._noted_in.unlink(missing_ok=True)
        more = {STEPS_FILE: str(self._noted_in), **({DIE_AT: die_at, **SHORT_LEASES} if die_at else {})}
        self.service: Service = run.service(name, **more)
        self.service.begin()

    @property
    def is_over(self) -> bool:
        return self.service.program.pid is None

    @property
    def was_killed(self) -> bool:
        return self.service.program.exit_status == -signal.SIGKILL

    def wait_ready(self) -> None:
        """Wait until it is ready, or has died already."""
        wait_for(lambda: self.is_over or self.service.is_ready(), f"{self.service.name} to be ready or dead")

    def noted(self) -> list[str]:
        """The steps that it reached, in the order of the first times."""
        return self._noted_in.read_text().split() if self._noted_in.exists() else []


def work_until_it_is_over(run: Run, life: Life, handfuls: list[list[dict[str, Any]]]) -> set[str]:
    """Publish handfuls of orders, in small waves, until the process dies of them; gives the numbers."""
    numbers: set[str] = set()

    def is_over() -> bool:
        return life.is_over or not (run.on_the_way(numbers) or run.unfinished(numbers) or run.left(life.service.name))

    for events in handfuls:
        life.wait_ready()
        for start in range(0, HANDFUL, WAVE):
            numbers.update(run.publish(events[start : start + WAVE]))
        wait_for(is_over, "a death, or the end of these orders")
        if life.is_over:
            break
    return numbers


def kill_at(run: Run, table: Table, service: str, step: str) -> None:
    """One point: the service dies there, comes back, and everything ends as if nothing had been."""
    row = table.rows[service, step] = Row(times_of(service, step))
    handfuls = [run.prepare(HANDFUL) for _ in range(MOST_HANDFULS)]  # while all are there who seal
    run.service(service).kill()
    first = dies_first_at(service, step)
    victim = Life(run, service, f"{first}:{times_of(service, first)}")
    numbers = work_until_it_is_over(run, victim, handfuls)
    row.unfinished = len(run.unfinished(numbers)) + run.left(service)
    if first != step:
        table.noted[service] |= set(victim.noted())
        victim = Life(run, service, f"{step}:{row.times}")
        wait_for(lambda: victim.is_over, f"{service} to die at {step}")
    row.reached, row.killed = step in victim.noted(), victim.was_killed
    successor = Life(run, service)
    assert row.reached, f"{service} never came to {step}"
    assert row.killed, f"{service} was not killed at {step}: it ended with {victim.service.program.exit_status}"
    assert row.unfinished, "it died when all was done"
    successor.wait_ready()
    run.all_is_well(numbers)
    row.books_agree = True
    for life in (victim, successor):
        table.noted[service] |= set(life.noted())
        assert_in_order(life.noted())


def assert_in_order(noted: list[str]) -> None:
    """The points stand where their names say: of each greenthread's steps the first times came in their order."""
    for steps in IN_ORDER:
        came = [step for step in noted if step in steps]
        assert came == list(steps[: len(came)]), came


@pytest.mark.parametrize(("service", "step"), sample())
def test_a_service_killed_at_a_step_that_the_day_chooses(run: Run, table: Table, service: str, step: str) -> None:
    kill_at(run, table, service, step)


@pytest.mark.sweep
@pytest.mark.parametrize(("service", "step"), POINTS)
def test_a_service_killed_at_each_of_its_steps(run: Run, table: Table, service: str, step: str) -> None:
    kill_at(run, table, service, step)


@pytest.mark.sweep
def test_every_step_was_a_death_in_every_service_that_has_it(table: Table) -> None:
    assert {point for point, row in table.rows.items() if row.killed and row.books_agree} == set(POINTS)
    for service in SERVICES:
        without = {step for of, step in NOT_OF_THIS_SERVICE if of == service}
        assert table.noted[service] == set(STEPS) - without, service


def test_the_sample_has_every_service_and_only_points_that_there_are() -> None:
    assert {service for service, _ in sample()} == set(SERVICES)
    assert set(sample()) <= set(POINTS)


def test_nothing_stands_in_the_table_of_reasons_that_is_no_step() -> None:
    assert {step for _, step in NOT_OF_THIS_SERVICE} | set(NEEDS_A_LEFT_OVER) <= set(STEPS)
