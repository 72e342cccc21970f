"""Programs as children of their own: started, found again by a later run, ended by process id.

Nothing here ever looks for a process by its name. What was started is remembered in two small files, `<name>.pid` (the bare
number, so that `kill $(cat …)` works) and `<name>.identity` (start time and boot), because the system gives a number out again.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

_TAIL_LINES = 15
_POLL_SECONDS = 0.05
# Below Linux's ephemeral range (32768 and up): no outgoing connection takes the port of a server that is about to come back.
PORTS = range(20_000, 32_000)
PORTS_VARIABLE = "LOCAL_PORTS"
"""Which of them are for this process and its children (`20000-23999`), where several start servers side by side: all, unless set."""
_drawn: set[int] = set()
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


class StartError(Exception):
    """A program did not come up. The message says which, and the end of its own log."""


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """`count` different TCP ports that nobody listens on now, and that this process was never given before.

    Whoever was given one may not listen yet, or not at the moment. Raises OSError where there are none.
    """
    found: list[int] = []
    ours = set(_own_ports()) - _drawn
    with ExitStack() as held:
        for port in random.sample(sorted(ours), len(ours)):
            if len(found) == count:
                break
            probe = held.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind((host, port))
                found.append(port)
    if len(found) < count:
        raise OSError("no free port")
    _drawn.update(found)
    return found


def _own_ports() -> range:
    if not (told := os.environ.get(PORTS_VARIABLE)):
        return PORTS
    first, last = map(int, told.split("-"))
    return range(first, last + 1)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now (as a server does: a connection in TIME_WAIT is no hindrance)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, all of it or nothing."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def identity_of(pid: int) -> str | None:
    """What tells this process from a later one of the same number (start time and boot); None if it is gone or a zombie.

    Its first thread may be over, and called a zombie, a moment before the others: till the last of them ends, the ports are taken.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    state, threads = fields[0], int(fields[17])
    if state == "X" or (state == "Z" and threads == 1):
        return None
    return f"{fields[19]} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"


def wait_until(fact: Callable[[], bool], timeout_seconds: float, poll_seconds: float = _POLL_SECONDS) -> bool:
    """Ask for a fact until it is so (True) or the time is over (False)."""
    deadline = time.monotonic() + timeout_seconds
    while not fact():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_seconds)
    return True


class Program:
    """One program under `folder`: its pid file, its log and, while it runs, its process.

    A second `Program` of the same folder and name, also in another process, stands for the same running program.
    """

    def __init__(self, folder: Path, name: str, *, log: Path | None = None) -> None:
        self.name = name
        self.log = log or folder / "logs" / f"{name}.log"
        self._pid_file = folder / f"{name}.pid"
        self._identity_file = folder / f"{name}.identity"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs and is still ours, else None."""
        if self._child is not None:
            self._child.poll()  # reaps it: a zombie would keep its number
        try:
            pid, identity = int(self._pid_file.read_text()), self._identity_file.read_text()
        except (OSError, ValueError):
            return None
        return pid if identity_of(pid) == identity else None

    @property
    def exit_status(self) -> int | None:
        """How it ended, if this very object started it: its exit code, or the signal's number below zero. None while it runs."""
        return None if self._child is None else self._child.poll()

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path | None = None,
        dies_with_parent: signal.Signals | None = None,
        user: int | None = None,
        group: int | None = None,
    ) -> int:
        """Start it in a session of its own and give its process id; when it runs already, only that.

        With `dies_with_parent` the kernel sends it this signal when our process ends, however that comes about.
        Raises StartError if the program is not there.
        """
        if (running := self.pid) is not None:
            return running
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if dies_with_parent is not None:
            # Innermost, because a change of user or of user namespace would clear the wish.
            front = _front(command)
            command = [*command[:front], "setpriv", "--pdeathsig", dies_with_parent.name[3:], "--", *command[front:]]
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # The kernel watches the thread that started it, not the process: one thread, as long-lived as we are, starts all.
            self._child = _starter.submit(
                subprocess.Popen,
                command,
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            ).result()
        except OSError as error:
            raise StartError(f"{self.name} could not be started: {error.strerror}") from None
        finally:
            os.close(descriptor)
        write_private(self._identity_file, identity_of(self._child.pid) or "gone")
        write_private(self._pid_file, f"{self._child.pid}\n")
        return self._child.pid

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout_seconds: float = 20) -> None:
        """End it: ask with `how`, and after the time-out kill it with its group. Safe to repeat, and when it is not running."""
        pid = self.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            if not wait_until(lambda: self.pid is None, timeout_seconds):
                self.kill()
        self._forget()

    def kill(self) -> None:
        """End it and all its descendants at once (SIGKILL), and return when they are gone. Safe to repeat."""
        pid = self.pid
        if pid is not None:
            # A server's own workers make themselves sessions of their own, so that the process group is not enough.
            family = [psutil.Process(pid)]
            with suppress(psutil.NoSuchProcess):
                family += family[0].children(recursive=True)
            workers = {member.pid: identity for member in family[1:] if (identity := identity_of(member.pid))}
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.kill()  # psutil checks that the number was not given out again
            wait_until(lambda: self.pid is None, 10)
            wait_until(lambda: all(identity_of(worker) != identity for worker, identity in workers.items()), 10)
        self._forget()

    def wait_ready(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Wait for the fact that it is up. Raises StartError, with the end of its log, if it ends or the time does."""
        is_up = False

        def is_known() -> bool:
            nonlocal is_up
            is_up = ready()
            return is_up or self.pid is None

        wait_until(is_known, timeout_seconds)
        if is_up:  # not asked again: a busy program that has said yes may be late with the next answer
            return
        reason = "ended again" if self.pid is None else f"was not ready within {timeout_seconds:.0f} s"
        raise StartError(f"{self.name} {reason}; its log ({self.log}) ends:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        except OSError:
            return "(no log)"

    def _forget(self) -> None:
        self._pid_file.unlink(missing_ok=True)
        self._identity_file.unlink(missing_ok=True)


def _front(command: Sequence[str]) -> int:
    """How many words of the command are a change of user namespace in front of the program."""
    return list(command).index("--") + 1 if command[0] == "unshare" else 0
