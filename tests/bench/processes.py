"""What the stack's processes spend and hold: CPU with all children, memory without counting what is shared twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

STOREFRONT_AND_CREW = "bench itself"
_DATABASES = ("data", "keyring")


class Processes:
    """Processes by name, each with its children. `bench itself` is this process: it plays the storefront and the crew."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._roots = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._roots[STOREFRONT_AND_CREW] = psutil.Process()

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far of each, its children and those of them that ended, user and system."""
        return {name: sum(_each(root, _cpu)) for name, root in self._roots.items()}

    def memory_mib(self) -> dict[str, float]:
        """The highest memory so far of each, in MiB, without this process.

        The kernel's own high-water mark (VmHWM), added up over the children. PostgreSQL's backends share their buffers, so its two servers
        are told as the sum of the proportional shares (PSS) at this moment: ask while the backends that did the work still run.
        """
        return self._memory(_high_water)

    def memory_at_rest_mib(self) -> dict[str, float]:
        """What each holds at this moment, in MiB, added up in the same way."""
        return self._memory(_resident)

    def _memory(self, read: Callable[[psutil.Process], float]) -> dict[str, float]:
        return {
            name: round(sum(_each(root, _share if name in _DATABASES else read)) / 1024, 1)
            for name, root in self._roots.items()
            if root.pid != os.getpid()
        }


class Meter:
    """Reads, from its making to `stop`: CPU by process, what others on this machine took, and what the data cluster wrote to its log."""

    def __init__(self, pids: Mapping[str, int], read_log_bytes: Callable[[], int]) -> None:
        self._processes, self._read_log_bytes, self._log_before = Processes(pids), read_log_bytes, read_log_bytes()
        self._before, self._busy_before, self._started = self._processes.cpu_seconds(), _busy_seconds(), time.monotonic()

    def stop(self, orders: int) -> tuple[dict[str, float], float, float]:
        """CPU milliseconds per order by process, the percentage of the machine's cores that was others', and KiB of log per order."""
        after = self._processes.cpu_seconds()
        spent = {name: after[name] - self._before[name] for name in after}
        others = max(0.0, _busy_seconds() - self._busy_before - sum(spent.values()))
        cores_seconds = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        log_kib = (self._read_log_bytes() - self._log_before) / 1024 / orders
        return {name: seconds * 1000 / orders for name, seconds in spent.items()}, 100 * others / cores_seconds, log_kib


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _each(root: psutil.Process, read: Callable[[psutil.Process], float]) -> Iterator[float]:
    # The bench's children are the stack itself, told by name.
    children = [] if root.pid == os.getpid() else root.children(recursive=True)
    for process in (root, *children):
        try:
            yield read(process)
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            continue


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    own = times.user + times.system
    # What this process's ended children spent is added to it when they are reaped; the bench's own children are counted by name.
    return float(own if process.pid == os.getpid() else own + times.children_user + times.children_system)


def _high_water(process: psutil.Process) -> float:
    return _kib(f"/proc/{process.pid}/status", "VmHWM:")


def _resident(process: psutil.Process) -> float:
    return _kib(f"/proc/{process.pid}/status", "VmRSS:")


def _share(process: psutil.Process) -> float:
    return _kib(f"/proc/{process.pid}/smaps_rollup", "Pss:")


def _kib(path: str, member: str) -> float:
    line = next((line for line in Path(path).read_text().splitlines() if line.startswith(member)), f"{member} 0")
    return float(line.split()[1])
