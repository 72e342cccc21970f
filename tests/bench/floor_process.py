"""`python -m tests.bench.floor_process payments`: one of the floor's four processes, and all of its source.

Bare py-amqp and psycopg, doing the hops of `hops.COURSE` for one service as fast as its author could make it: batches of 100, one transaction
each, in two round trips; one write for all that a batch says; one acknowledgement for all that it took; confirms taken in while the next batch
is under way, and confirmed outbox rows deleted in its transaction, for free. Nothing is parsed: an order's number stands at the head of the
body, and an event's id is that number and its name.

Durable as the real services are: inbox claim, state row, outbox and intent rows in one transaction with synchronous_commit=on, published with
confirms to quorum queues, acknowledged after the commit.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import Counter, deque
from types import SimpleNamespace
from typing import Any, NamedTuple

import amqp
import psycopg
from amqp.method_framing import frame_writer

from shared.delivery.topology import has_hearers, queues_of
from tests.bench.hops import COURSE
from tests.bench.storefront import connected

BATCH = 100
PREFETCH = 300
NUMBER_LENGTH = 24
# Bytes of each message's body, as the real ones have them; of the others see `_OTHERS_BYTES`.
BODY_BYTES = {"order_placed": 1510, "billing_entrusted": 440, "recipient_entrusted": 1000, "contact_entrusted": 930}
_OTHERS_BYTES = 300
_IDLE_SECONDS = 0.05

SCHEMA = """
    create table inbox (id text primary key, received_at timestamptz not null default now());
    create table states (order_number text primary key, hops integer not null, last text not null, part text not null);
    create table outbox (id text primary key, exchange text not null, type text not null, body bytea not null);
    create table intents (id text primary key, created_at timestamptz not null default now());
"""
_CLAIM = "insert into inbox (id) select unnest(%b::text[]) on conflict do nothing returning id"
_STATE = """
    insert into states (order_number, hops, last, part) select * from unnest(%b::text[], %b::int[], %b::text[], %b::text[])
    on conflict (order_number) do update set hops = states.hops + excluded.hops, last = excluded.last
"""
_OUTBOX = "insert into outbox (id, exchange, type, body) select * from unnest(%b::text[], %b::text[], %b::text[], %b::bytea[])"
_INTEND = "insert into intents (id) select unnest(%b::text[])"
_SETTLE = "delete from intents where id = any(%b::text[])"
_FORGET = "delete from outbox where id = any(%b::text[])"


class Thing(NamedTuple):
    """One thing to handle. `claim` is a message's id, `intent` the id of the call whose outcome it is; an act of staff has neither."""

    number: str
    hop: str
    claim: str = ""
    intent: str = ""
    body: str = ""
    tag: int = 0


class Service:
    """One process, in one thread, on one connection each."""

    def __init__(self, service: str, amqp_uri: str, database_url: str) -> None:
        self._course = COURSE[service]
        options = "-c jit=off -c synchronous_commit=on"
        self._database = psycopg.connect(database_url, autocommit=True, prepare_threshold=1, options=options)
        self._database.execute(SCHEMA)
        self._connection = connected(amqp_uri)
        self._gathered: list[bytes] = []
        self._gather = frame_writer(self._connection, SimpleNamespace(write=lambda frame: self._gathered.append(bytes(frame))))
        self._consuming, self._publishing = self._connection.channel(), self._connection.channel()
        self._publishing.confirm_select()
        self._publishing.events["basic_ack"].add(self._on_confirm)
        self._consuming.basic_qos(0, PREFETCH, False)
        self._waiting: deque[Thing] = deque()
        self._unconfirmed: dict[int, str] = {}
        self._confirmed: list[str] = []
        self._published = 0
        self._is_over = False
        for queue in queues_of(service):
            self._consuming.basic_consume(queue, callback=self._on_message)

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        while not self._is_over:
            self._drain()
            if self._waiting:
                self._handle([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
            elif self._confirmed:
                self._database.execute(_FORGET, (self._confirmed,))
                self._confirmed = []

    def _drain(self) -> None:
        """Take in what the socket holds, up to a batch; wait only where there is nothing to do."""
        transport = self._connection.transport
        if not self._waiting:
            try:
                self._connection.drain_events(timeout=_IDLE_SECONDS)
            except TimeoutError:
                return
        while len(self._waiting) < BATCH and (transport._read_buffer or select.select([transport.sock], [], [], 0)[0]):
            self._connection.drain_events()

    def _handle(self, batch: list[Thing]) -> None:
        claims = [thing.claim for thing in batch if thing.claim]
        settled = [thing.intent for thing in batch if thing.intent]
        confirmed, self._confirmed = self._confirmed, []
        with self._database.pipeline(), self._database.transaction():
            new = {row[0] for row in self._database.execute(_CLAIM, (claims,))} if claims else set()
            things = [thing for thing in batch if not thing.claim or thing.claim in new]
            said, intended, then = self._consequences(things)
            hops = Counter(thing.number for thing in things)
            rows = {thing.number: (thing.hop, thing.body) for thing in things}
            columns = [list(column) for column in zip(*rows.values(), strict=True)] or [[], []]
            self._database.execute(_STATE, (list(rows), [hops[number] for number in rows], *columns))
            if said:
                self._database.execute(_OUTBOX, [list(column) for column in zip(*said, strict=True)])
            if intended:
                self._database.execute(_INTEND, (intended,))
            if settled:
                self._database.execute(_SETTLE, (settled,))
            if confirmed:
                self._database.execute(_FORGET, (confirmed,))
        self._waiting.extend(then)
        if said:
            self._publish(said)
        if (tag := max(thing.tag for thing in batch)) > 0:
            self._consuming.basic_ack(tag, multiple=True)

    def _consequences(self, things: list[Thing]) -> tuple[list[tuple[str, str, str, bytes]], list[str], list[Thing]]:
        """What these say, as outbox rows; the intents that they write; and what this process does next by itself."""
        said, intended, then = [], [], []
        for number, name, _, intent, *_ in things:
            hop = self._course[name]
            for exchange, event in hop.says:
                said.append((f"{intent or number} {exchange} {event}", exchange, event, body_of(number, event)))
            for call in hop.calls:
                intended.append(f"{number} {name}")
                then.append(Thing(number, call, intent=f"{number} {name}"))
            then += [Thing(number, act) for act in hop.acts]
        return said, intended, then

    def _publish(self, said: list[tuple[str, str, str, bytes]]) -> None:
        """py-amqp's own frames, gathered into one write."""
        self._connection.frame_writer, write_at_once = self._gather, self._connection.frame_writer
        for identity, exchange, event, body in said:
            self._published += 1
            self._unconfirmed[self._published] = identity
            message = amqp.Message(body, delivery_mode=2, message_id=identity)
            self._publishing.basic_publish(message, exchange, event, mandatory=has_hearers(exchange, event))
        self._connection.frame_writer = write_at_once
        self._connection.transport.write(b"".join(self._gathered))
        self._gathered.clear()

    def _on_message(self, message: Any) -> None:
        info = message.delivery_info
        number = message.body[:NUMBER_LENGTH].decode().rstrip()
        self._waiting.append(
            Thing(number, info["routing_key"], message.properties["message_id"], "", message.body.decode(), info["delivery_tag"])
        )

    def _on_confirm(self, delivery_tag: int, multiple: bool) -> None:
        tags = [tag for tag in self._unconfirmed if tag <= delivery_tag] if multiple else [delivery_tag]
        self._confirmed += [self._unconfirmed.pop(tag) for tag in tags]

    def _on_signal(self, *_: object) -> None:
        self._is_over = True


def body_of(number: str, event: str) -> bytes:
    """A body of the size that this event has in reality, with the order's number at its head."""
    return number.ljust(BODY_BYTES.get(event, _OTHERS_BYTES)).encode()


if __name__ == "__main__":
    Service(sys.argv[1], os.environ["FLOOR_AMQP_URI"], os.environ["FLOOR_DATABASE_URL"]).run()
