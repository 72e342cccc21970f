"""Frames that come from the broker, read so that nothing that a stranger wrote into a message breaks the connection that brings it.

The broker hands on names and properties as they were published, and looks into none: a routing key or an id that is no UTF-8, a time that no
calendar has. py-amqp raises at these out of the reading of the frame, the message comes again to the next connection, and what stands beside
it with it. Here such a name is read with `?` in place of what cannot be read, and a property that cannot be read is left out, so that the
message comes to the one who can park it. The layout is that of the AMQP 0-9-1 specification, sections 2.3.5 (frames), 4.2.6 (content) and
1.8.3.13 (basic.deliver).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from struct import unpack_from
from typing import Any

from amqp import spec
from amqp.basic_message import Message
from amqp.exceptions import UnexpectedFrame
from amqp.serialization import loads

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_WITH_CONTENT = frozenset((spec.Basic.Return, spec.Basic.Deliver, spec.Basic.GetOk))
_PLAIN = bytes(code if code < 128 else ord("?") for code in range(256))
_LENGTHS = {"o": 1, "L": 8}  # of the properties that are numbers

Frame = tuple[int, int, bytes]
Callback = Callable[[int, tuple[int, int], bytes, Any], None]


def incoming_frames(connection: Any, callback: Callback) -> Callable[[Frame], bool]:
    """In the place of py-amqp's `frame_handler`: takes (type, channel, payload), and gives whether a method was whole and handled.

    Raises UnexpectedFrame where the broker breaks the order of frames.
    """
    begun: dict[int, _Incoming] = {}

    def on_frame(frame: Frame) -> bool:
        kind, channel, payload = frame
        connection.bytes_recv += 1
        if kind == _HEARTBEAT:
            return False
        message = begun.get(channel)
        if kind == _METHOD and message is None:
            method = unpack_from(">HH", payload)
            if method in _WITH_CONTENT:
                begun[channel] = _Incoming(frame_method=method, frame_args=payload)
                return False
            callback(channel, method, payload, None)
            return True
        if message is None or kind != (_BODY if message.has_header else _HEADER):
            raise UnexpectedFrame(f"a frame of type {kind} out of its order")
        if kind == _HEADER:
            message.inbound_header(payload)
        else:
            message.inbound_body(payload)
        if not message.ready:
            return False
        del begun[channel]
        is_delivery = message.frame_method == spec.Basic.Deliver
        arguments = _with_readable_names(message.frame_args) if is_delivery else message.frame_args
        callback(channel, message.frame_method, arguments, message)
        return True

    return on_frame


class _Incoming(Message):
    """A message that is put together frame by frame."""

    has_header = False

    def _load_properties(self, class_id: int, payload: bytes, offset: int) -> int:
        self.has_header = True
        try:
            end: int = super()._load_properties(class_id, payload, offset)
        except Exception:  # whatever reading what a stranger wrote may raise
            self.properties = _readable_properties(payload, offset)
            return len(payload)
        return end


def _with_readable_names(arguments: bytes) -> bytes:
    """The arguments of a delivery, of equal length; its exchange and routing key follow the consumer's tag and nine octets more."""
    start = 4 + 1 + arguments[4] + 9
    names = arguments[start:]
    if names.isascii():
        return arguments
    end = 1 + names[0]
    return arguments[:start] + names[:1] + _readable(names[1:end]) + names[end : end + 1] + _readable(names[end + 1 :])


def _readable(name: bytes) -> bytes:
    try:
        name.decode()
    except UnicodeDecodeError:
        return name.translate(_PLAIN)
    return name


def _readable_properties(payload: bytes, offset: int) -> dict[str, Any]:
    """Those that can be read, one by one; of a table that cannot be read nothing."""
    (flags,) = unpack_from(">H", payload, offset)
    place = offset + 2
    found: dict[str, Any] = {}
    for position, (name, kind) in enumerate(Message.PROPERTIES):
        if not flags & 0x8000 >> position or place >= len(payload):
            continue
        if kind == "s":
            end = place + 1 + payload[place]
            found[name] = _readable(payload[place + 1 : end]).decode()
        elif kind == "F":
            end = place + 4 + unpack_from(">I", payload, place)[0]
            with suppress(Exception):  # as above
                found[name] = loads("F", payload, place)[0][0]
        else:
            end = place + _LENGTHS[kind]
            found[name] = int.from_bytes(payload[place:end])
        place = end
    return found
