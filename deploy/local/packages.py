"""The distribution's packages of the two servers, installed without starting anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.processes import StartError

FORBID = "BROWNPAPER_INSTALL_PACKAGES"
"""Environment variable: `no` forbids it."""

_POLICY = Path("/usr/sbin/policy-rc.d")
_CREATE_NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/brownpaper.conf")


def may_install(environ: Mapping[str, str]) -> bool:
    """Whether packages can and may be installed here: root on Debian or a relative of it, and nobody said no."""
    return (
        os.geteuid() == 0
        and Path("/etc/debian_version").exists()
        and shutil.which("apt-get") is not None
        and environ.get(FORBID, "").lower() not in {"no", "0", "false"}
    )


def install(names: list[str], say: Callable[[str], None]) -> None:
    """Install packages after saying so; no system service is started and no system cluster made. Safe to repeat.

    Raises StartError with the end of apt's own words.
    """
    say(f"Installing the distribution's packages {' and '.join(names)}; their system services are not started.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with _nothing_starts(), _no_main_cluster():
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *names]):
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
            )
            if done.returncode != 0:
                raise StartError(f"`{' '.join(command)}` failed:\n{(done.stderr or done.stdout).strip()[-1500:]}")


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Debian asks policy-rc.d before a package starts its service: for a while it says no. One that was there comes back."""
    kept = _POLICY.with_name("policy-rc.d.brownpaper-kept")
    if _POLICY.exists() and not kept.exists():
        _POLICY.rename(kept)
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
        if kept.exists():
            kept.rename(_POLICY)


@contextmanager
def _no_main_cluster() -> Iterator[None]:
    """PostgreSQL's package makes a cluster of its own unless this drop-in says no."""
    made_folder = not _CREATE_NO_CLUSTER.parent.exists()
    _CREATE_NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    _CREATE_NO_CLUSTER.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        _CREATE_NO_CLUSTER.unlink(missing_ok=True)
        if made_folder and not any(_CREATE_NO_CLUSTER.parent.iterdir()):
            _CREATE_NO_CLUSTER.parent.rmdir()
