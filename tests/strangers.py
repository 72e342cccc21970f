"""Messages with names and properties as no colleague writes them, byte by byte: AMQP libraries would refuse to send some."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.broker_address import connection_to

_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _CORRELATION_ID, _MESSAGE_ID = 0x8000, 0x4000, 0x2000, 0x0400, 0x0080
_METHOD, _HEADER, _BODY = 1, 2, 3


def short(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def table(fields: bytes) -> bytes:
    return struct.pack(">I", len(fields)) + fields


def _properties(flag: int, value: bytes) -> bytes:
    """One property, and a message id where that is another."""
    if flag == _MESSAGE_ID:
        return struct.pack(">H", flag) + value
    return struct.pack(">H", flag | _MESSAGE_ID) + value + short(b"a-name")


@dataclass(frozen=True)
class Strange:
    """A message, and what it is to be read as."""

    routing_key: bytes = b"label_created"
    properties: bytes = _properties(_MESSAGE_ID, short(b"a-name"))
    body: bytes = b"{}"
    reads_as: str = "label_created"
    reads_properties: Mapping[str, Any] = field(default_factory=lambda: {"message_id": "a-name"})


def _named(**properties: Any) -> dict[str, Any]:
    return {"message_id": "a-name", **properties}


STRANGE = {
    "a Latin-1 routing key": Strange(b"l\xe4bel", reads_as="l?bel"),
    "a routing key of surrogates": Strange(b"\xed\xa0\x80", reads_as="???"),
    "a routing key in Greek": Strange("ετικέτα".encode(), reads_as="ετικέτα"),
    "a long routing key": Strange(b"k" * 200, reads_as="k" * 200),
    "a routing key with NUL": Strange(b"a\0b", reads_as="a\0b"),
    "a Latin-1 content type": Strange(
        properties=_properties(_CONTENT_TYPE, short(b"caf\xe9")), reads_properties=_named(content_type="caf?")
    ),
    "a Latin-1 message id": Strange(
        properties=_properties(_MESSAGE_ID, short(b"caf\xe9")), reads_properties={"message_id": "caf?"}
    ),
    "a message id with NUL": Strange(
        properties=_properties(_MESSAGE_ID, short(b"a\0b")), reads_properties={"message_id": "a\0b"}
    ),
    "a correlation id that is no text": Strange(
        properties=_properties(_CORRELATION_ID, short(b"\xff\xfe")), reads_properties=_named(correlation_id="??")
    ),
    "a time in milliseconds among its headers": Strange(
        properties=_properties(_HEADERS, table(b"\x02atT" + struct.pack(">Q", 1_700_000_000_000))), reads_properties=_named()
    ),
    "an encoding that fails": Strange(
        properties=_properties(_CONTENT_ENCODING, short(b"unicode_escape")),
        body=b"\\ud800",
        reads_properties=_named(content_encoding="unicode_escape"),
    ),
    "an encoding that changes its body": Strange(
        properties=_properties(_CONTENT_ENCODING, short(b"utf-16")),
        body=b"ab",
        reads_properties=_named(content_encoding="utf-16"),
    ),
    "no body": Strange(body=b""),
}


def publish(uri: str, exchange: str, strange: Strange) -> None:
    """Publish it, and return when the broker has confirmed it."""
    with connection_to(uri) as connection:
        channel = connection.default_channel
        channel.confirm_select()
        confirmed: list[object] = []
        channel.events["basic_ack"].add(lambda *said: confirmed.append(said))
        number = channel.channel_id
        frames = (
            (_METHOD, struct.pack(">HHH", 60, 40, 0) + short(exchange.encode()) + short(strange.routing_key) + b"\0"),
            (_HEADER, struct.pack(">HHQ", 60, 0, len(strange.body)) + strange.properties),
            *([(_BODY, strange.body)] if strange.body else []),
        )
        written = b"".join(struct.pack(">BHI", kind, number, len(payload)) + payload + b"\xce" for kind, payload in frames)
        channel.connection.transport.write(written)
        while not confirmed:
            channel.connection.drain_events(timeout=60)
