"""Connections to the broker: to any of its addresses, given up in time, and found to hold this release's topology.

A broker of several nodes has several addresses (`amqps://…;amqps://…`): a connection that breaks comes back to any that answers.
Errors carry no payload.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import eventlet
import kombu
import kombu.exceptions
from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, NotFound

from shared.broker_address import connection_to, open_patiently
from shared.contracts.errors import BrownPaperError
from shared.delivery import topology
from shared.delivery.incoming import incoming_frames

HEARTBEAT_SECONDS = 10  # a peer that says nothing for twice as long is given up
ANSWER_SECONDS = 10  # for the answer to a request: a node that has lost its colleagues takes connections and answers nothing
GOOD_BYE_SECONDS = 2
READ_AHEAD_BYTES = 16 * 1024
_FRAME_HEAD = struct.Struct(">BHI")  # AMQP 0-9-1, 2.3.5: type, channel, size of the payload; behind it one octet that ends it
_FRAME_END = 0xCE
BROKEN = (AMQPError, OSError, socket.timeout, kombu.exceptions.OperationalError)
"""What a broken connection or a closed channel raises; a certificate that is not trusted is one (`BrokerUntrusted`)."""


class CredentialsRefused(BrownPaperError):
    """The broker does not know the user, the password or the virtual host of `AMQP_URI`."""

    def __init__(self) -> None:
        super().__init__("the broker refuses the credentials, or knows no such virtual host: AMQP_URI")


class TopologyMissing(BrownPaperError):
    """The broker does not hold the topology of this release: run `brownpaper topology declare` first."""


def connect(uri: str, name: str) -> kombu.Connection:
    """An open connection to one of the addresses, each tried once, in any order; where none answers it raises one of `BROKEN`.

    In any order, so that all processes do not meet at the first; the time-out of a dead one is paid only by some.
    """
    addresses = uri.split(";")
    random.shuffle(addresses)
    while True:
        connection = connection_to(
            addresses.pop(),
            heartbeat=HEARTBEAT_SECONDS,
            connect_timeout=5,
            transport_options={"client_properties": {"connection_name": name}, "frame_handler": incoming_frames},
        )
        try:
            open_patiently(connection, max_retries=0)
        except BROKEN:
            connection.release()
            if not addresses:
                raise
        else:
            read_ahead(connection.connection.transport)
            return connection


def read_ahead(transport: Any) -> None:
    """Let an open transport of py-amqp take from its socket what is there, and not nine times for each message what it wants next.

    A frame is read as head, payload and end, a message has three, and each reading is a system call beneath eventlet. The transport keeps
    what it did not ask for in the buffer that it has for readings that were cut short (decision 0053).
    """
    receive = transport._quick_recv  # it has no other place for it; tests/contract/test_read_ahead.py holds it to this
    transport._quick_recv = lambda wanted: receive(max(wanted, READ_AHEAD_BYTES))


def open_channel(connection: kombu.Connection) -> kombu.transport.pyamqp.Channel:
    """The connection's channel, which gives bodies as they came: an encoding that a message claims to have is nobody's order."""
    channel = connection.default_channel
    channel.auto_decode = False
    return channel


def hear(channel: kombu.transport.pyamqp.Channel, timeout_seconds: float | None = None) -> None:
    """Wait for what the broker says next, and handle it with all that was read ahead.

    Asks the channel's own connection: kombu's, where a write elsewhere has found this one broken, opens another in silence, on which nobody
    consumes. Raises TimeoutError, or one of `BROKEN`.
    """
    protocol = _protocol_of(channel)
    protocol.drain_events(timeout=timeout_seconds)
    handle_read_ahead(protocol)


def keep_alive(channel: kombu.transport.pyamqp.Channel) -> None:
    """Send a heartbeat where one is due, and raise one of `BROKEN` where the broker's stay away; to be called about every second."""
    _protocol_of(channel).heartbeat_tick()


def _protocol_of(channel: kombu.transport.pyamqp.Channel) -> Any:
    protocol = channel.connection
    if protocol is None or not protocol.connected:
        raise ConnectionResetError("the connection to the broker is broken")
    return protocol


def handle_read_ahead(protocol: Any) -> None:
    """Have every whole frame handled that stands in the transport's buffer already, as `drain_events` would, one after the other.

    What is not whole yet, or is no frame, is left to the next reading. Raises what a frame says: one of `BROKEN` where it closes something.
    """
    buffer = protocol.transport._read_buffer
    frames, place, length = [], 0, len(buffer)
    while length - place > _FRAME_HEAD.size:
        kind, channel, size = _FRAME_HEAD.unpack_from(buffer, place)
        start = place + _FRAME_HEAD.size
        end = start + size
        if end >= length or buffer[end] != _FRAME_END:
            break
        frames.append((kind, channel, buffer[start:end]))
        place = end + 1
    if frames:
        protocol.transport._read_buffer = buffer[place:]
        for frame in frames:
            protocol.on_inbound_frame(frame)


def disconnect(connection: kombu.Connection) -> None:
    """Close it in order, or, where the other side does not answer, let go of it all the same."""
    with suppress(*BROKEN), eventlet.Timeout(GOOD_BYE_SECONDS, False):
        connection.release()
    connection.collect()


@contextmanager
def connected(uri: str, name: str) -> Iterator[kombu.Connection]:
    """As `connect`, and disconnected at the end."""
    connection = connect(uri, name)
    try:
        yield connection
    finally:
        disconnect(connection)


def require_topology(uri: str, name: str) -> None:
    """Raises `TopologyMissing` where the broker does not hold this release's topology, `CredentialsRefused`, or one of `BROKEN`."""
    try:
        with connected(uri, name) as connection, eventlet.Timeout(ANSWER_SECONDS, TimeoutError):
            connection.default_channel.exchange_declare(topology.marker(), "fanout", passive=True)
    except NotFound:
        raise TopologyMissing(topology.marker()) from None
    except (AccessRefused, NotAllowed):
        raise CredentialsRefused from None
