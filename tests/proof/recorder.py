"""In front of each outside party: every byte that is sent to it is written down before it is handed on."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.integration.proxies import Proxy, Way


class Recorder(Proxy):
    """Between our services and one outside party; a file for each connection, `<folder>/<number>.sent`, with all that was sent over it."""

    def __init__(self, url: str, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._numbers = itertools.count(1)
        self._stalls, self._lock = 0, threading.Lock()
        self.stalled = 0
        self.statuses: Counter[str] = Counter()
        """How often the party answered with each status, where it speaks HTTP."""
        super().__init__(url)

    def address(self, url: str) -> str:
        """This URL of the party's, by way of the recorder."""
        port = self._listener.getsockname()[1]
        return urlunsplit(urlsplit(url)._replace(netloc=f"127.0.0.1:{port}"))

    def stall(self, times: int) -> None:
        """The next so many answers do not come for longer than anybody waits."""
        with self._lock:
            self._stalls += times

    def is_to_stall(self) -> bool:
        """Whether this answer is to be kept back; counts it."""
        with self._lock:
            if not self._stalls:
                return False
            self._stalls -= 1
            self.stalled += 1
            return True

    def note_answer(self, data: bytes) -> None:
        """Count the status of an answer that begins here."""
        if data.startswith(b"HTTP/"):
            with self._lock:
                self.statuses[data[9:12].decode("ascii", "replace")] += 1

    def _way(self, client: socket.socket, server: socket.socket) -> Way:
        return _RecordedWay(client, server, self, self.folder / f"{next(self._numbers)}.sent")


class _RecordedWay(Way):
    def __init__(self, client: socket.socket, server: socket.socket, recorder: Recorder, file: Path) -> None:
        super().__init__(client, server)
        self._recorder = recorder
        self._file = file.open("ab", buffering=0)

    def _hand_to_server(self, data: bytes) -> None:
        self._file.write(data)
        super()._hand_to_server(data)

    def _hand_to_client(self, data: bytes) -> None:
        self._recorder.note_answer(data)
        if self._recorder.is_to_stall():
            time.sleep(STALL_SECONDS)
        super()._hand_to_client(data)


STALL_SECONDS = 5.0
