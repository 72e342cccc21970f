"""epmd, the port mapper by which the nodes of private brokers find each other."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from deploy.local import unprivileged
from deploy.local.processes import Program, StartError, port_is_free

_START_SECONDS = 180.0


class PortMapper:
    """epmd, where private nodes find each other by name. Not the system's: it is not to learn of them, nor they of its nodes."""

    def __init__(self, folder: Path, *, dies_with_parent: bool) -> None:
        self._folder, self._dies_with_parent = folder, dies_with_parent
        self._program = Program(folder, "epmd", log=folder / "epmd.log")

    @property
    def pid(self) -> int | None:
        return self._program.pid

    def start(self, port: int) -> None:
        """Start it, answering; does nothing where it runs. Raises StartError."""
        epmd = shutil.which("epmd")
        if epmd is None:
            raise StartError("the RabbitMQ programs are not on this machine")
        place = unprivileged.place_for(self._folder, "rabbitmq")
        self._program.start(
            [*place.prefix, epmd, "-address", "127.0.0.1", "-port", str(port)],
            {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(place.folder)},
            cwd=place.folder,
            dies_with_parent=signal.SIGTERM if self._dies_with_parent else None,
            user=place.user,
            group=place.group,
        )
        self._program.wait_ready(lambda: not port_is_free(port), _START_SECONDS)

    def stop(self) -> None:
        """Safe to repeat."""
        self._program.stop(signal.SIGTERM, 5)

    def kill(self) -> None:
        """Safe to repeat."""
        self._program.kill()
