"""Running a server as somebody who is not root.

PostgreSQL refuses root and RabbitMQ needs no such rights. Two ways, in this order:

* a user namespace of its own (`unshare --map-user`): the program sees an ordinary user, every file stays where and whose it is;
* where the kernel forbids that, a user of the system, with the server's folder in a place which that user can enter.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Survives a reboot, unlike /tmp on many systems; a temporary folder all the same.
_ELSEWHERE = Path("/var/tmp")
_UNSHARE = ("unshare", "-U", "--map-user=1000", "--map-group=1000", "--")
FORBID_USER_NAMESPACES = "BROWNPAPER_NO_USER_NAMESPACES"
"""Environment variable: any value keeps to the second way."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server keeps its files, and as whom it runs: what to put before its command, or which user and group to become."""

    folder: Path
    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def run(
        self, command: Sequence[str], environment: dict[str, str], *, timeout_seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a short program there and give what it said. Raises subprocess.TimeoutExpired and OSError."""
        return subprocess.run(
            [*self.prefix, *command],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )

    def give(self, path: Path) -> None:
        """Make a file or folder belong to whom the server runs as."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def place_for(folder: Path, system_user: str) -> Place:
    """A place for a server whose files should lie in `folder` (made when missing, only for its owner).

    `system_user` is the distribution's user of this server; `nobody` stands in where there is none. Safe to repeat: the same
    folder gives the same place, so that a later run finds the data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if os.geteuid() != 0:
        return Place(folder)
    if FORBID_USER_NAMESPACES not in os.environ and _namespaces_work(folder):
        return Place(folder, _UNSHARE)
    return _place_elsewhere(folder, system_user)


def remove(folder: Path) -> None:
    """Remove a server's files, wherever they lie. Safe to repeat."""
    shutil.rmtree(_elsewhere(folder), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _elsewhere(folder: Path) -> Path:
    # Named after the folder, so that two clones never meet.
    return _ELSEWHERE / "brownpaper-servers" / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]


def _place_elsewhere(folder: Path, system_user: str) -> Place:
    try:
        entry = pwd.getpwnam(system_user)
    except KeyError:
        entry = pwd.getpwnam("nobody")
    target = _elsewhere(folder)
    for step, mode in ((target.parent, 0o711), (target, 0o700)):
        step.mkdir(exist_ok=True)
        status = step.lstat()
        if step.is_symlink() or status.st_uid not in (0, entry.pw_uid):
            raise PermissionError(f"{step} belongs to somebody else")
        step.chmod(mode)
    os.chown(target, entry.pw_uid, entry.pw_gid)
    return Place(target, (), entry.pw_uid, entry.pw_gid)


@functools.cache
def _namespaces_work(folder: Path) -> bool:
    """Whether a program in a user namespace of its own can write there: root without root's rights must still own the way in."""
    try:
        probe = subprocess.run([*_UNSHARE, "test", "-w", str(folder)], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0
