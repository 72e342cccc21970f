"""Sends webhooks until they are acknowledged: a few connections kept open, growing delays, and a second copy now and then."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

IN_FLIGHT = 8
_MOST_TRIES = 200
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 5.0
_ANSWER_WITHIN_SECONDS = 15.0


@dataclass(slots=True)
class Webhook:
    """One notification. `body` is made when it is sent; `acknowledged` is told when the receiver has taken it."""

    reference: str
    body: Callable[[], bytes]
    acknowledged: Callable[[], None]
    twice: bool = False
    tries: int = 0


@dataclass(slots=True)
class Counts:
    sent: int = 0
    delivered: int = 0
    repeats: int = 0
    given_up: int = 0


class WebhookSender:
    """Keeps a queue and at most eight requests in flight. An unreachable or failing receiver (5xx, 429, silence) holds the slot
    while the sender waits, so that a long queue is not thrown at it; one refused notification (4xx) steps aside meanwhile."""

    def __init__(self) -> None:
        self.url = ""
        self.counts = Counts()
        self._queue: deque[Webhook] = deque()
        self._waiting = asyncio.Condition()
        self._aside: set[asyncio.TimerHandle] = set()

    @property
    def outstanding(self) -> int:
        """How many are queued or stand aside (those in flight not counted)."""
        return len(self._queue) + len(self._aside)

    def enqueue(self, *webhooks: Webhook) -> None:
        """Take notifications for sending; returns at once."""
        self._queue.extend(webhooks)
        self._wake()

    def forget(self) -> None:
        """Drop what waits; what is in flight still arrives."""
        self._queue.clear()
        for timer in self._aside:
            timer.cancel()
        self._aside.clear()
        self.counts = Counts()

    def point_to(self, url: str) -> None:
        """Send to this address from now on."""
        urlsplit(url).port  # noqa: B018 - raises ValueError for a malformed one
        self.url = url
        self._wake()

    def _wake(self) -> None:
        async def notify() -> None:
            async with self._waiting:
                self._waiting.notify_all()

        self._notifying = asyncio.get_running_loop().create_task(notify())

    async def run(self) -> None:
        """Send until cancelled."""
        await asyncio.gather(*(self._work() for _ in range(IN_FLIGHT)))

    async def _work(self) -> None:
        connection = Connection()
        try:
            while True:
                async with self._waiting:
                    await self._waiting.wait_for(lambda: self._queue and self.url)
                    webhook = self._queue.popleft()
                await self._deliver(connection, webhook)
        finally:
            connection.close()

    async def _deliver(self, connection: Connection, webhook: Webhook) -> None:
        while True:
            status = await connection.post(self.url, webhook.body())
            webhook.tries += 1
            self.counts.sent += 1
            if 200 <= status < 300:
                self.counts.delivered += 1
                if webhook.twice:
                    self.counts.sent += 1
                    self.counts.repeats += 1
                    await connection.post(self.url, webhook.body())
                webhook.acknowledged()
                return
            if webhook.tries >= _MOST_TRIES:
                self.counts.given_up += 1
                return
            delay_seconds = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(webhook.tries - 1, 10))
            if 400 <= status < 500 and status != 429:
                self._step_aside(webhook, delay_seconds)
                return
            await asyncio.sleep(delay_seconds)

    def _step_aside(self, webhook: Webhook, delay_seconds: float) -> None:
        def come_back() -> None:
            self._aside.discard(timer)
            self.enqueue(webhook)

        timer = asyncio.get_running_loop().call_later(delay_seconds, come_back)
        self._aside.add(timer)


class Connection:
    """One kept-open HTTP/1.1 connection that can POST JSON. It takes a tenth of a full client's CPU."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._place: tuple[str, str] | None = None

    async def post(self, url: str, body: bytes) -> int:
        """POST and give the status; 0 where no whole answer came. A connection closed meanwhile is opened again once."""
        for attempt in (1, 2):
            reused = self._streams is not None
            try:
                async with asyncio.timeout(_ANSWER_WITHIN_SECONDS):
                    return await self._post(url, body)
            except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
                self.close()
                # Only a kept-open connection that was closed before it took the request is worth a second try at once.
                if not reused or attempt == 2 or isinstance(error, TimeoutError):
                    return 0
        return 0

    async def _post(self, url: str, body: bytes) -> int:
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        if place != self._place:
            self.close()
        if self._streams is None:
            secure = parts.scheme == "https"
            context = ssl.create_default_context() if secure else None
            port = parts.port or (443 if secure else 80)
            self._streams = await asyncio.open_connection(parts.hostname, port, ssl=context)
            self._place = place
        reader, writer = self._streams
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields_sent = f"Host: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(f"POST {target} HTTP/1.1\r\n{fields_sent}\r\n\r\n".encode("latin-1") + body)
        raw = await reader.readuntil(b"\r\n\r\n")
        status = int(raw[9:12])
        fields = raw.lower()
        length_at = fields.find(b"\r\ncontent-length:")
        if length_at >= 0:
            length = int(fields[length_at + 17 :].split(b"\r\n", 1)[0])
            if length:
                await reader.readexactly(length)
        if (length_at < 0 and status != 204) or b"\r\nconnection: close" in fields or raw.startswith(b"HTTP/1.0"):
            self.close()
        return status

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = self._place = None
