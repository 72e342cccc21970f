"""`brownpaper storefront`: plays the shop. It seals, has payments approved, publishes, and reads the answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.cli import settings as cli_settings
from shared.cli.answers import Answer, consume
from shared.cli.approvals import Approvals
from shared.cli.doors import Door
from shared.cli.order_sets.opening import NAMES, open_set
from shared.cli.publisher import WindowedPublisher
from shared.cli.sealed_parts import Keys
from shared.cli.terminal import complain, ending_clearly, err, out, say

DEFAULT_SOURCE = "https://www.astrojewelry.com"
_BATCH = 25

app = typer.Typer(no_args_is_help=True, help="Play the shop: publish orders, read the answers.")

EnvFile = Annotated[
    Path | None,
    typer.Option("--env", metavar="FILE", help="Settings file; without it the nearest .run/env. The environment wins."),
]


def source_of(settings: Mapping[str, str]) -> str:
    """The shop that speaks: the first of STOREFRONT_SOURCES."""
    return settings.get("STOREFRONT_SOURCES", "").split(",")[0].strip() or DEFAULT_SOURCE


class Storefront:
    """Publishes whole events: payments approved in batches, parts sealed, each event confirmed by the broker.

    `on_published(event)` is called before an event goes out (its answer may come before its confirm), `on_confirmed(event_id)`
    when the broker has it.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        stop: threading.Event | None = None,
        on_published: Callable[[dict[str, Any]], None] = lambda _: None,
        on_confirmed: Callable[[str], None] = lambda _: None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stop = stop or threading.Event()
        self._amqp_uri = settings["STOREFRONT_AMQP_URI"]

        def door(name: str, setting: str) -> Door | None:
            url = settings.get(setting)
            return Door(name, url, on_wait=on_trouble, stop=self._stop) if url else None

        self._approvals = Approvals(
            door("The PayPal sandbox", "PAYPAL_SANDBOX_URL"), door("The 2Checkout sandbox", "TWOCHECKOUT_SANDBOX_URL")
        )
        ca_file = settings.get("DOORS_CA_FILE")
        self._keys = Keys(
            Door("The orders service", settings["ORDERS_HTTP_URL"], ca_file=ca_file, on_wait=on_trouble, stop=self._stop)
        )
        self._on_published = on_published
        self._on_confirmed = on_confirmed
        self._on_trouble = on_trouble

    def publish(self, events: Iterable[dict[str, Any]], *, orders_per_second: float | None = None) -> int:
        """Publish every event, in order, at most at the given rate; how many there were. Ends early when stopped.

        Raises NotDone where keys, payments or the broker are not to be had.
        """
        published = 0
        began = time.monotonic()
        with WindowedPublisher(self._amqp_uri, on_confirmed=self._on_confirmed, on_trouble=self._on_trouble) as publisher:
            for batch in _batches(iter(events), _BATCH):
                approved = self._approvals.approve([event["data"] for event in batch])
                for event, data in zip(batch, approved, strict=True):
                    if orders_per_second:
                        self._stop.wait(max(0.0, began + published / orders_per_second - time.monotonic()))
                    if self._stop.is_set():
                        return published
                    self._on_published({**event, "data": data})
                    sealed = {**event, "data": self._keys.seal(data)}
                    body = json.dumps(sealed, ensure_ascii=False, separators=(",", ":")).encode()
                    publisher.publish(str(event["id"]), str(event["type"]), body)
                    published += 1
        return published


def _batches(events: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(events, size)):
        yield batch


@app.command()
def publish(
    file: Annotated[
        str, typer.Argument(help=f"A file of order_placed events (JSON lines or an array), or a set: {', '.join(NAMES)}.")
    ],
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="How many orders; a set that has fewer is gone through again.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", min=0.01, help="At most this many orders per second.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Invents other buyers for a set.")] = 1,
    env: EnvFile = None,
) -> None:
    """Seal and publish orders to a running stack, with confirms; payments are approved first where the sandbox is ours.

    Publishing a file twice is harmless: the same event id gets the same answer. A set gets new order numbers each time.
    """
    with ending_clearly():
        settings = cli_settings.load(env)
        settings.require("STOREFRONT_AMQP_URI", "ORDERS_HTTP_URL")
        order_set = open_set(file, source=source_of(settings), orders=count, seed=seed)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
            bar = progress.add_task("Publishing", total=count)
            confirmed = 0

            def on_confirmed(_event_id: str) -> None:
                nonlocal confirmed
                confirmed += 1
                progress.advance(bar)

            shop = Storefront(settings, on_confirmed=on_confirmed, on_trouble=complain)
            shop.publish(order_set.events, orders_per_second=rate)
        say(f"Published {confirmed} order(s), each confirmed by the broker.")
        if order_set.left_out:
            rows = ", ".join(f"{code} {times}" for code, times in order_set.left_out.most_common())
            say(f"Rows of the set that are part of no order: {rows}.")


@app.command()
def answers(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    env: EnvFile = None,
) -> None:
    """Print the answers waiting on storefront.answers, and TAKE THEM OFF the queue: no one else will read them again."""
    with ending_clearly():
        settings = cli_settings.load(env)
        settings.require("STOREFRONT_AMQP_URI")
        consume(settings["STOREFRONT_AMQP_URI"], _print_answer, stop=threading.Event(), follow=follow, on_trouble=complain)


def _print_answer(answer: Answer) -> None:
    at = answer.time.isoformat(timespec="seconds") if answer.time else "-"
    about = answer.order_number or answer.caused_by or "-"
    reasons = f"  {'; '.join(answer.reasons)}" if answer.reasons else ""
    out.print(f"{at}  {answer.type:<26} {about}{reasons}", markup=False)
