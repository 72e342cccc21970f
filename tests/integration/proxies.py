"""Between a service and its servers: what no server can be made to do on request is done on the way."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 1 << 16


class Proxy:
    """Hands bytes on between its clients and one server on loopback, until `close`. A broken side breaks the other."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The server's URL, by way of this proxy."""
        user, _, _ = self._parts.netloc.rpartition("@")
        return urlunsplit(self._parts._replace(netloc=f"{user}@127.0.0.1:{self._listener.getsockname()[1]}"))

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((self._parts.hostname or "", self._parts.port or 0), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            way = self._way(client, server)
            for pump in (way.to_server, way.to_client):
                threading.Thread(target=pump, daemon=True).start()

    def _way(self, client: socket.socket, server: socket.socket) -> Way:
        return Way(client, server)


class Way:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client, self._server = client, server

    def to_server(self) -> None:
        self._pump(self._client, self._hand_to_server)

    def to_client(self) -> None:
        self._pump(self._server, self._hand_to_client)

    def break_off(self) -> None:
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()

    def _hand_to_server(self, data: bytes) -> None:
        self._server.sendall(data)

    def _hand_to_client(self, data: bytes) -> None:
        self._client.sendall(data)

    def _pump(self, source: socket.socket, hand: Callable[[bytes], None]) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                hand(data)
        self.break_off()


class BrokerProxy(Proxy):
    """Can close the channels of all its connections, as a broker does when something is not as it should be."""

    def __init__(self, uri: str) -> None:
        self._ways: list[_FramesWay] = []
        super().__init__(uri)

    def close_channels(self) -> int:
        """Tell every client that its first channel is closed (406); gives how many were told."""
        return sum(way.close_channel() for way in self._ways)

    def _way(self, client: socket.socket, server: socket.socket) -> Way:
        way = _FramesWay(client, server)
        self._ways.append(way)
        return way


class _FramesWay(Way):
    """Hands whole frames to the client, so that one of ours can come between two of them."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        super().__init__(client, server)
        self._buffer = b""
        self._lock = threading.Lock()

    def close_channel(self) -> bool:
        text = b"PRECONDITION_FAILED - said by a test"
        method = struct.pack(">HHHB", 20, 40, 406, len(text)) + text + struct.pack(">HH", 0, 0)
        frame = struct.pack(">BHI", 1, 1, len(method)) + method + b"\xce"
        with self._lock:
            try:
                self._client.sendall(frame)
            except OSError:
                return False
        return True

    def _hand_to_client(self, data: bytes) -> None:
        self._buffer += data
        end = 0
        while len(self._buffer) >= end + 7:
            length = struct.unpack_from(">I", self._buffer, end + 3)[0] + 8
            if len(self._buffer) < end + length:
                break
            end += length
        with self._lock:
            self._client.sendall(self._buffer[:end])
        self._buffer = self._buffer[end:]


class DatabaseProxy(Proxy):
    """Can lose the answer of a commit: the server has committed, and the client never hears it."""

    def __init__(self, url: str) -> None:
        self._mentioned, self._times = b"", 0
        self.lost = 0
        super().__init__(url)

    def lose_the_commits_of(self, text: str, times: int) -> None:
        """The next so many transactions that mention this text are committed, and their connections break before the answer."""
        self._mentioned, self._times = text.encode(), times

    def is_to_be_lost(self, transaction: bytes) -> bool:
        """Whether this is such a transaction; counts it."""
        if not self._times or self._mentioned not in transaction:
            return False
        self._times -= 1
        self.lost += 1
        return True

    def _way(self, client: socket.socket, server: socket.socket) -> Way:
        return _TransactionsWay(client, server, self)


class _TransactionsWay(Way):
    """Knows what was said since the last commit."""

    def __init__(self, client: socket.socket, server: socket.socket, proxy: DatabaseProxy) -> None:
        super().__init__(client, server)
        self._proxy = proxy
        self._said = self._answered = b""
        self._is_losing = False

    def _hand_to_server(self, data: bytes) -> None:
        self._said += data
        if b"COMMIT\0" in data:
            self._is_losing = self._proxy.is_to_be_lost(self._said)
            self._said = b""
        self._server.sendall(data)

    def _hand_to_client(self, data: bytes) -> None:
        if not self._is_losing:
            self._client.sendall(data)
            return
        self._answered += data
        if b"COMMIT\0" in self._answered:  # now the server has committed; what it said before that is lost too
            raise ConnectionAbortedError
