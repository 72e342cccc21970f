"""Section 4: what a million finished orders cost those that come after them, and whether memory stays flat.

The core (`core`) is what is measured here: without HTTP the databases have a greater share, so that growth shows more. One set of the
services' and the keyrings' databases for each size, in the same two clusters. The rows are cloned by SQL from real finished orders of this
run (`cloning`), the counts are told. Rounds take turns over the sizes: the services start anew on each set, warm up, and are measured; the
set without finished orders is made anew each time. A first turn is told and not counted: it reads pages that nobody has read since they were
cloned, which happens to a shop once, when its server has started.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg

from deploy.local.configuration import SERVICES
from tests.bench.cloning import Cloned, bytes_of, clone
from tests.bench.core import play_core, run_core
from tests.bench.pipeline import Run
from tests.bench.processes import Processes
from tests.bench.stack import BenchStack

_SEED = "growth_seed"
_TELL_EVERY = 5_000
_ROOM_FOR_WORK = 2.5  # times what the rows take: the log of writing them, and the sorting for their indexes


class NoRoom(Exception):
    """The disk is too small for the finished orders."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How much is done. The orders of the memory's run are those that are cloned: each size is a multiple of the second of `memory_at`."""

    sizes: tuple[int, ...]
    rounds: int
    warm_up: int
    orders: int
    memory_at: tuple[int, int]
    memory_step: int

    @property
    def seed(self) -> int:
        return self.memory_at[1]


@dataclass(slots=True)
class Grown:
    """What was found: runs by size, rows by size and database, and memory (at rest, highest) by orders done."""

    runs: dict[int, list[Run]] = field(default_factory=dict)
    rows: dict[int, dict[str, list[Cloned]]] = field(default_factory=dict)
    memory_mib: dict[int, tuple[dict[str, float], dict[str, float]]] = field(default_factory=dict)


def measure_growth(stack: BenchStack, growth: Growth, progress: Callable[[str], None]) -> Grown:
    """All of it. Raises NothingMoves, NoRoom, CannotClone, StartError."""
    found = Grown()
    _measure_memory(stack, growth, found, progress)
    like, like_size = _SEED, growth.seed
    for size in growth.sizes:
        found.runs[size], found.rows[size] = [], {}
        if size:
            _check_room(stack, like, like_size, size, progress)
            found.rows[size] = _fill(stack, size, growth.seed, progress)
            like, like_size = _set_of(size), size
    for number in range(growth.rounds + 1):
        for size in growth.sizes:
            run = _round(stack, growth, size, number)
            if number:
                found.runs[size].append(run)
            progress(
                f"Growth: round {number} of {growth.rounds}{'' if number else ' (not counted)'}, {size:,} finished orders: "
                f"{run.orders_per_second:.1f} orders per second, {run.cpu_ms_in_all:.2f} CPU ms per order"
            )
    stack.rest()
    for name in (_SEED, *map(_set_of, growth.sizes)):
        stack.drop_set(name)
    return found


def _measure_memory(stack: BenchStack, growth: Growth, found: Grown, progress: Callable[[str], None]) -> None:
    early, late = growth.memory_at
    progress(f"Growth: memory after {early:,} and after {late:,} orders.")
    play_core(stack, _SEED)
    done = 0
    while done < late:
        step = min(growth.memory_step, late - done)
        run_core(stack, step, f"memory-{done}")
        done += step
        if done % _TELL_EVERY == 0:
            progress(f"  {done:,} orders")
        if done in growth.memory_at:
            processes = Processes(stack.pids())
            found.memory_mib[done] = processes.memory_at_rest_mib(), processes.memory_mib()
    stack.rest()


def _check_room(stack: BenchStack, like: str, like_size: int, size: int, progress: Callable[[str], None]) -> None:
    """Raises NoRoom where so many orders do not fit on the disk, going by what those of another set take."""
    taken = sum(bytes_of(url, like_size) for url in stack.set_admin_urls(like).values())
    wanted_gib = taken * size / like_size * _ROOM_FOR_WORK / 2**30
    free_gib = shutil.disk_usage(stack.folder).free / 2**30
    progress(
        f"Growth: {size:,} finished orders, at most {wanted_gib:.1f} GiB with the log and the sorting; {free_gib:.0f} are free."
    )
    if wanted_gib > free_gib:
        raise NoRoom(f"{size:,} finished orders need {wanted_gib:.0f} GiB beneath .bench, and {free_gib:.0f} are free")


def _fill(stack: BenchStack, size: int, seed: int, progress: Callable[[str], None]) -> dict[str, list[Cloned]]:
    """A set with so many finished orders in every table that keeps them."""
    stack.make_set(_set_of(size), like=_SEED)
    urls = stack.set_admin_urls(_set_of(size))
    with _few_checkpoints(stack.admin_urls()), ThreadPoolExecutor(len(SERVICES)) as pool:
        filled = pool.map(lambda url: clone(url, seed, size), urls.values())
        rows = {name: tables for name, tables in zip(urls, filled, strict=True) if tables}
    for name, url in urls.items():
        if name not in SERVICES:
            _note_as_seen(url)
    for name, tables in rows.items():
        progress(f"  {name}: " + ", ".join(f"{table.table} {table.after:,}" for table in tables))
    return rows


def _note_as_seen(keyring_url: str) -> None:
    """Clones of a record's entries are bound to nothing: the watch over it goes on behind the last of them, to which the next is bound."""
    with psycopg.connect(keyring_url, autocommit=True) as connection:
        connection.execute(
            """
            update record_marks set (position, hash) = (select position, hash from openings order by position desc limit 1)
            where exists (select from openings) and name <> 'head'
            """
        )


@contextmanager
def _few_checkpoints(admin_urls: tuple[str, ...]) -> Iterator[None]:
    """While rows are cloned: a page that was written once would else be logged whole again after each. At the end all is on disk."""
    with ExitStack() as connections:
        clusters = [connections.enter_context(psycopg.connect(url, autocommit=True)) for url in admin_urls]
        for cluster in clusters:
            for setting in ("max_wal_size = '16GB'", "checkpoint_timeout = '1h'"):
                cluster.execute(f"alter system set {setting}".encode())
            cluster.execute("select pg_reload_conf()")
        yield
        for cluster in clusters:
            for name in ("max_wal_size", "checkpoint_timeout"):
                cluster.execute(f"alter system reset {name}".encode())
            cluster.execute("select pg_reload_conf()")
            cluster.execute("checkpoint")


def _round(stack: BenchStack, growth: Growth, size: int, number: int) -> Run:
    if not size:
        stack.rest()
        stack.drop_set(_set_of(0))
    play_core(stack, _set_of(size))
    run_core(stack, growth.warm_up, f"growth-{size}-{number}-w")
    return run_core(stack, growth.orders, f"growth-{size}-{number}")


def _set_of(size: int) -> str:
    return f"growth_{size}"
