"""py-amqp handles what `incoming_frames` puts together, whatever a stranger wrote into names and properties."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from amqp import spec
from amqp.exceptions import UnexpectedFrame
from amqp.serialization import loads

from shared.delivery.incoming import Frame, incoming_frames
from tests.strangers import STRANGE, Strange, short, table

DELIVER_ARGUMENTS = "sLbss"  # consumer tag, delivery tag, redelivered, exchange, routing key


def delivery(strange: Strange, *, pieces: int = 1) -> list[Frame]:
    arguments = struct.pack(">HH", *spec.Basic.Deliver) + short(b"tag") + struct.pack(">QB", 0xFFFF, 0)
    length = -(-len(strange.body) // pieces)
    bodies = [strange.body[at : at + length] for at in range(0, len(strange.body), length)] if strange.body else []
    header = struct.pack(">HHQ", 60, 0, len(strange.body)) + strange.properties
    return [
        (1, 7, arguments + short(b"shipping.events") + short(strange.routing_key)),
        (2, 7, header),
        *((3, 7, body) for body in bodies),
    ]


class Broker:
    """Hands frames over, and keeps what comes of them as a channel of py-amqp would read it."""

    def __init__(self) -> None:
        self.bytes_recv = 0
        self.heard: list[Any] = []
        self.on_frame = incoming_frames(self, self._take)

    def _take(self, channel: int, method: tuple[int, int], arguments: bytes, content: Any) -> None:
        read = loads(DELIVER_ARGUMENTS, arguments, 4)[0] if method == spec.Basic.Deliver else None
        self.heard.append(SimpleNamespace(channel=channel, method=method, arguments=read, content=content))

    def says(self, *frames: Frame) -> list[bool]:
        return [self.on_frame(frame) for frame in frames]


@pytest.mark.parametrize("what", STRANGE)
def test_a_strange_message_comes_whole_and_its_neighbour_too(what: str) -> None:
    strange, broker = STRANGE[what], Broker()
    broker.says(*delivery(strange), *delivery(Strange()))
    first, second = broker.heard
    assert bytes(first.content.body or b"") == strange.body
    assert first.arguments[:4] == ["tag", 0xFFFF, False, "shipping.events"]
    assert first.arguments[4] == strange.reads_as
    assert first.content.properties == strange.reads_properties
    assert second.arguments[4] == "label_created"
    assert second.content.properties == {"message_id": "a-name"}


def test_a_body_in_pieces_is_put_together_and_channels_do_not_mix() -> None:
    broker = Broker()
    one, other = delivery(Strange(body=b"0123456789"), pieces=4), delivery(Strange(body=b"abc"))
    other = [(kind, 8, payload) for kind, _channel, payload in other]
    handled = broker.says(*one[:3], *other[:2], (8, 0, b""), *one[3:], *other[2:])
    assert [(it.channel, it.content.body) for it in broker.heard] == [(7, b"0123456789"), (8, b"abc")]
    assert handled == [False] * 8 + [True, True]
    assert broker.bytes_recv == 10


def test_a_method_without_content_is_handed_over_at_once() -> None:
    broker = Broker()
    assert broker.says((1, 7, struct.pack(">HH", *spec.Channel.CloseOk))) == [True]
    assert [(it.method, it.content) for it in broker.heard] == [(spec.Channel.CloseOk, None)]


@pytest.mark.parametrize("places", [(1,), (2,), (0, 0), (0, 2), (0, 1, 1)])
def test_frames_out_of_their_order_are_the_broker_s_fault_and_said(places: tuple[int, ...]) -> None:
    frames = delivery(Strange(body=b"0123"), pieces=2)
    with pytest.raises(UnexpectedFrame):
        Broker().says(*(frames[place] for place in places))


def test_what_stands_beside_a_property_that_cannot_be_read_is_read() -> None:
    headers = table(b"\x01xT" + struct.pack(">Q", 2**63))
    properties = struct.pack(">H", 0x8000 | 0x2000 | 0x1000 | 0x0080 | 0x0040)
    properties += short(b"text/plain") + headers + b"\x02" + short(b"m\xff") + struct.pack(">Q", 1_700_000_000_000)
    broker = Broker()
    broker.says(*delivery(Strange(properties=properties)))
    assert broker.heard[0].content.properties == {
        "content_type": "text/plain",
        "delivery_mode": 2,
        "message_id": "m?",
        "timestamp": 1_700_000_000_000,
    }
