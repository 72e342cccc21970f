"""The HTTP door of a sandbox and its life: listen, say so, serve until SIGTERM or SIGINT, write the books."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from multidict import CIMultiDict

from deploy.sandbox.party import Answer, Ask, Lost, Party

_LARGEST_BODY_BYTES = 16 * 1024 * 1024


def door(party: Party) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """The handler that turns aiohttp's requests into the party's and its answers back."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read() if request.can_read_body else b""
        url = request.rel_url
        ask = Ask(request.method, url.path, url.raw_query_string, request.headers, body)
        try:
            answer = party.answer(ask)
        except Lost:
            if request.transport is not None:
                request.transport.abort()
            answer = Answer(500)
        except Exception as error:  # a sandbox must not die, and a traceback may quote the request
            print(f"{party.name}: {type(error).__name__} at {ask.method}", file=sys.stderr)  # noqa: T201
            answer = Answer(500)
        headers = CIMultiDict(answer.headers or {})
        if answer.body:
            headers["Content-Type"] = answer.content_type
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    return handle


async def serve(
    party: Party,
    *,
    host: str,
    port: int,
    ready_file: Path | None,
    tls: ssl.SSLContext | None = None,
    control_port: int = 0,
    more: Callable[[], Awaitable[dict[str, str]]] | None = None,
    at_end: Callable[[], None] | None = None,
) -> None:
    """Serve until a signal comes. Once it listens, one JSON line with the URLs goes to stdout and into `ready_file`.

    `url` is where the control side is asked, `party_url` where the party is: the same, unless the party speaks `tls`; then the control side
    is at a plain port of its own, on loopback. `more` opens further doors (the mailbox's SMTP) and gives their URLs; `at_end` closes them.
    """
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # its messages may quote what was sent
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = web.Server(door(party), access_log=None, keepalive_timeout=3600, client_max_size=_LARGEST_BODY_BYTES)
    runner = web.ServerRunner(server, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024).start()
    if tls is not None:
        await web.TCPSite(runner, "127.0.0.1", control_port).start()
    ports = [address[1] for address in runner.addresses]
    party.base_url = f"{'https' if tls else 'http'}://{_host_in_url(host)}:{ports[0]}"
    control = f"http://127.0.0.1:{ports[1]}" if tls else party.base_url
    urls = {"sandbox": party.name, "url": control, "party_url": party.base_url, **(await more() if more else {})}
    line = json.dumps(urls) + "\n"
    print(line, end="", flush=True)  # noqa: T201
    if ready_file is not None:
        _write_whole(ready_file, line)
    tasks = [asyncio.create_task(_tick(party)), *(asyncio.create_task(work) for work in party.background())]
    try:
        await stop.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if at_end:
            at_end()
        await runner.cleanup()
        party.tick()
        party.journal.close()


async def _tick(party: Party) -> None:
    while True:
        await asyncio.sleep(0.5)
        party.tick()


def _host_in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _write_whole(path: Path, text: str) -> None:
    """Appear at once and whole: whoever waits for the file must never read half a line."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
