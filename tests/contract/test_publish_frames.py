"""Our frames of `basic.publish` are py-amqp's, byte by byte."""

from __future__ import annotations

from typing import Any

import pytest
from amqp import spec
from amqp.basic_message import Message
from amqp.method_framing import frame_writer
from amqp.serialization import dumps

from shared.delivery.frames import publish_frames

FRAME_MAX = 4096


class Wire:
    """A connection and a transport that keep what is written."""

    frame_max = FRAME_MAX
    bytes_sent = 0

    def __init__(self) -> None:
        self.written = b""

    def write(self, frames: Any) -> None:
        self.written += bytes(frames)


def as_py_amqp_writes(exchange: str, routing_key: str, mandatory: bool, message_id: str, body: bytes) -> bytes:
    wire = Wire()
    message = Message(body, content_type="application/cloudevents+json", delivery_mode=2, message_id=message_id, type=routing_key)
    arguments = dumps("Bssbb", (0, exchange, routing_key, mandatory, False))
    frame_writer(wire, wire)(1, 1, spec.Basic.Publish, arguments, message)
    return wire.written


@pytest.mark.parametrize("mandatory", [True, False])
@pytest.mark.parametrize("length", [0, 1, 300, FRAME_MAX - 8, FRAME_MAX - 7, 3 * FRAME_MAX])
def test_our_frames_are_those_of_py_amqp(mandatory: bool, length: int) -> None:
    body = bytes(place % 251 for place in range(length))
    ours = b"".join(
        publish_frames(
            channel=1,
            frame_max=FRAME_MAX,
            exchange="orders.parts",
            routing_key="recipient_entrusted",
            mandatory=mandatory,
            content_type="application/cloudevents+json",
            message_id="7b0f6c1e-4f8e-4b0c-9d0d-6f6f0f4f3a10",
            body=body,
        )
    )
    theirs = as_py_amqp_writes("orders.parts", "recipient_entrusted", mandatory, "7b0f6c1e-4f8e-4b0c-9d0d-6f6f0f4f3a10", body)
    assert ours == theirs


def test_a_name_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        list(
            publish_frames(
                channel=1,
                frame_max=FRAME_MAX,
                exchange="x" * 256,
                routing_key="r",
                mandatory=True,
                content_type="c",
                message_id="i",
                body=b"",
            )
        )
