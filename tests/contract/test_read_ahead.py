"""py-amqp's transports read through `_quick_recv`, and keep what it gives beyond what they wanted."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import UnexpectedFrame
from amqp.transport import SSLTransport, TCPTransport

from shared.delivery.connecting import BROKEN, READ_AHEAD_BYTES, handle_read_ahead, hear, keep_alive, read_ahead

PAYLOADS = [bytes([place]) * length for place, length in enumerate((0, 1, 8, 300, 20_000, 5, 70_000, 2))]


class Counting:
    """A socket's end, and how often it was read."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self.times = end, 0

    def recv(self, wanted: int) -> bytes:
        self.times += 1
        return self._end.recv(wanted)


@pytest.fixture(params=[TCPTransport, SSLTransport])
def wire(request: pytest.FixtureRequest) -> Iterator[tuple[Any, socket.socket, Counting]]:
    """(transport, the other end, what counts), as after connecting."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    counting = Counting(ours)
    transport = request.param("localhost:1", 5)
    transport.sock, transport.connected = ours, True
    transport._read_buffer, transport._quick_recv = b"", counting.recv
    yield transport, theirs, counting
    ours.close()
    theirs.close()


def frame(payload: bytes) -> bytes:
    return struct.pack(">BHI", 3, 1, len(payload)) + payload + b"\xce"


def test_frames_come_whole_and_in_order_however_they_are_cut(wire: tuple[Any, socket.socket, Counting]) -> None:
    transport, theirs, _counting = wire
    read_ahead(transport)
    stream = b"".join(map(frame, PAYLOADS))
    found = []
    for start in range(0, len(stream), 4_999):
        theirs.sendall(stream[start : start + 4_999])
        transport.sock.settimeout(0.01)
        try:
            while len(found) < len(PAYLOADS):
                found.append(transport.read_frame()[2])
        except TimeoutError:
            pass  # what was read until now is not lost
    assert found == PAYLOADS


def test_a_hundred_small_frames_are_one_reading(wire: tuple[Any, socket.socket, Counting]) -> None:
    transport, theirs, counting = wire
    read_ahead(transport)
    small = [frame(b"12345678")] * 100
    assert sum(map(len, small)) < READ_AHEAD_BYTES
    theirs.sendall(b"".join(small))
    assert [transport.read_frame()[2] for _ in small] == [b"12345678"] * 100
    assert counting.times == 1


class Heard:
    """As much of a connection as `handle_read_ahead` needs, and the frames that were handled."""

    def __init__(self, transport: Any) -> None:
        self.transport, self.frames = transport, list[Any]()

    def on_inbound_frame(self, frame: tuple[int, int, bytes]) -> None:
        self.frames.append(frame)


def test_what_was_read_ahead_is_handled_whole_frame_by_whole_frame_and_the_rest_is_left(
    wire: tuple[Any, socket.socket, Counting],
) -> None:
    transport, theirs, counting = wire
    read_ahead(transport)
    heard = Heard(transport)
    payloads = [b"", b"12345678", b"x" * 300, b"\xce" * 9]
    stream = b"".join(map(frame, [b"first", *payloads, b"cut"]))
    for cut in range(1, len(frame(b"cut"))):
        heard.frames.clear()
        theirs.sendall(stream[:-cut])
        assert transport.read_frame()[2] == b"first"
        times = counting.times
        handle_read_ahead(heard)
        handle_read_ahead(heard)
        assert heard.frames == [(3, 1, payload) for payload in payloads]
        assert counting.times == times, "nothing is read for it"
        theirs.sendall(stream[-cut:])
        assert transport.read_frame() == (3, 1, b"cut")


def test_what_is_no_frame_is_left_to_the_reading_that_complains(wire: tuple[Any, socket.socket, Counting]) -> None:
    transport, theirs, _counting = wire
    read_ahead(transport)
    theirs.sendall(frame(b"first") + frame(b"second")[:-1] + b"!")
    transport.read_frame()
    heard = Heard(transport)
    handle_read_ahead(heard)
    assert heard.frames == []
    with pytest.raises(UnexpectedFrame):
        transport.read_frame()


def test_without_it_a_frame_is_three_readings(wire: tuple[Any, socket.socket, Counting]) -> None:
    transport, theirs, counting = wire
    theirs.sendall(frame(b"12345678") * 100)
    for _ in range(100):
        transport.read_frame()
    assert counting.times == 300, "py-amqp reads ahead by itself now: ours is not needed any more"


@pytest.mark.parametrize("protocol", [None, SimpleNamespace(connected=False)])
def test_a_connection_that_a_write_found_broken_is_not_listened_to(protocol: Any) -> None:
    """kombu would open another in its place, on which nobody consumes: the process would be deaf and call itself ready."""
    channel: Any = SimpleNamespace(connection=protocol)
    for ask in (hear, keep_alive):
        with pytest.raises(BROKEN):
            ask(channel)
