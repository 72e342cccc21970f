"""A way to a server that can fall silent: connections stay open, and nothing goes through them any more."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_Pair = tuple[socket.socket, socket.socket]


class SilentWay:
    """A port of loopback that passes everything on to a server, until `fall_silent`: then new connections only.

    It looks like a server that hangs, or a network that swallows: nobody closes anything. A context manager.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[_Pair] = set()
        self._silent: set[_Pair] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._take, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._listener.close()
        for pair in self._open | self._silent:
            _end(pair)

    @property
    def connections(self) -> int:
        """How many are open and not silent."""
        with self._lock:
            return len(self._open)

    def fall_silent(self) -> int:
        """Pass nothing more through the connections that are open; how many there are."""
        with self._lock:
            fallen, self._open = self._open, set()
            self._silent |= fallen
            return len(fallen)

    def _take(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                pair = client, socket.create_connection(("127.0.0.1", self._server))
                with self._lock:
                    self._open.add(pair)
                for source, target in (pair, pair[::-1]):
                    threading.Thread(target=self._pass_on, args=(pair, source, target), daemon=True).start()

    def _pass_on(self, pair: _Pair, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if pair not in self._silent:
                    target.sendall(data)
        with self._lock:
            if pair in self._open:
                self._open.discard(pair)
                _end(pair)


def _end(pair: _Pair) -> None:
    for end in pair:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
