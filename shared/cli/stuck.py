"""`brownpaper stuck`: the orders that have not moved in time, what each waits for, and what stands in its way."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import psycopg
import typer

from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, complain, ending_clearly, say
from shared.contracts.values import OrderKey
from shared.delivery.obstacles import Obstacle, obstacles
from shared.delivery.topology import SERVICES
from shared.lines import is_protected

Item = Mapping[str, Any]
Found = Mapping[OrderKey, Sequence[tuple[str, Obstacle]]]
_READ_ONLY = "-c default_transaction_read_only=on -c statement_timeout=10000 -c jit=off"
_TITLES = ("ORDER", "STATE", "SINCE (UTC)", "OVERDUE", "WAITS FOR")


def stuck(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The most orders to show.")] = 100,
    state: Annotated[str | None, typer.Option("--state", metavar="STATE", help="Only orders in this state.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    env: EnvFile = None,
) -> None:
    """List the orders that have not moved in time, those longest in their state first.

    Where the services' databases are known (`make up` writes their addresses down), also what each service's plumbing says of them. Ends
    with 0 whether orders are stuck or not.
    """
    with ending_clearly():
        settings = cli_settings.load(env)
        settings.require("ORDERS_HTTP_URL", "STAFF_TOKEN")
        answer = _ask(settings, limit, state)
        found = look_up(settings, [_key(item) for item in answer["items"]])
        if as_json:
            say(json.dumps(as_document(answer, found)))
        else:
            for line in lines(answer, found):
                say(line)


def _ask(settings: Mapping[str, str], limit: int, state: str | None) -> Any:
    door = Door(
        "The orders service",
        settings["ORDERS_HTTP_URL"],
        token=settings["STAFF_TOKEN"],
        ca_file=settings.get("DOORS_CA_FILE"),
        patience_seconds=10,
    )
    try:
        return door.get_json("/stuck", limit=limit, **({"state": state} if state else {}))
    except Answered as error:
        if error.status == 422:
            raise Misused("No order can be stuck in that state: see docs/operations.md for the states.") from None
        raise


# ── what the services know ───────────────────────────────────────────────────────────────────────────────────────────────────


def look_up(settings: Mapping[str, str], keys: Sequence[OrderKey]) -> Found:
    """By order, what stands in its way in each service whose database is known; reads only. One that does not answer is named."""
    found: dict[OrderKey, list[tuple[str, Obstacle]]] = defaultdict(list)
    for service in SERVICES:
        url = settings.get(f"{service.upper()}_DATABASE_URL")
        if not url or not keys:
            continue
        if not is_protected(url):
            raise Misused(
                f"{service.upper()}_DATABASE_URL is a plain line that leaves this machine: sslmode=verify-full is wanted."
            )
        try:
            with psycopg.connect(url, connect_timeout=5, options=_READ_ONLY) as connection:
                for obstacle in obstacles(connection, keys):
                    found[obstacle.about].append((service, obstacle))
        except psycopg.Error as error:  # its text may hold an address or a value
            complain(f"The database of {service} cannot be asked ({type(error).__name__}).")
    return found


# ── how it is shown ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(answer: Item, found: Found) -> Iterator[str]:
    """The lines to print: a table, under each order what stands in its way, and how many there are in all."""
    items: Sequence[Item] = answer["items"]
    with_shop = len({item["source"] for item in items}) > 1
    rows = [_row(item, with_shop=with_shop) for item in items]
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows, strict=True)]
    if items:
        yield _aligned(_TITLES, widths)
    for item, row in zip(items, rows, strict=True):
        yield _aligned(row, widths)
        for service, obstacle in found.get(_key(item), ()):
            yield f"    {service}: {said_of(obstacle)}"
    yield _sum(answer["counts"], len(items))


def as_document(answer: Item, found: Found) -> dict[str, Any]:
    """The answer of `GET /stuck`, each order with its `obstacles`."""
    items = [
        {**item, "obstacles": [_as_json(service, obstacle) for service, obstacle in found.get(_key(item), ())]}
        for item in answer["items"]
    ]
    return {**answer, "items": items}


def said_of(obstacle: Obstacle) -> str:
    """One obstacle in a line: what it is, why, how often it was tried, and when it is tried again."""
    why = f" ({obstacle.code})" if obstacle.code else ""
    tries = f"{obstacle.tries} {'try' if obstacle.tries == 1 else 'tries'}"
    if obstacle.again_at is None:
        return f"{obstacle.name} parked{why}, {tries}"
    stands = {"call": "not settled", "message": "waits", "event": "not published"}[obstacle.what]
    return f"{obstacle.name} {stands}{why}, {tries}, again at {_time(obstacle.again_at)}"


def _row(item: Item, *, with_shop: bool) -> tuple[str, str, str, str, str]:
    number = f"{item['order_number']} {item['source']}" if with_shop else item["order_number"]
    since = _time(datetime.fromisoformat(item["since"]))
    reasons = f" [{', '.join(item['reasons'])}]" if item["reasons"] else ""
    return number, item["state"], since, length(item["overdue_seconds"]), f"{_wait(item['waits_for'])}{reasons}"


def _aligned(words: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(word.ljust(width) for word, width in zip(words, widths, strict=True)).rstrip()


def _wait(wait: Item) -> str:
    act = str(wait["act"]).replace("_", " ") if wait["act"] else None
    if wait["event"] is None:
        return f"{wait['service']}: {act}"
    return f"{wait['service']}: {wait['event']}{f' ({act})' if act else ''}"


def length(seconds: int) -> str:
    """A length of time in its two largest units: `2d 3h`, `5m 10s`, `9s`."""
    for size, unit, smaller_size, smaller_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // smaller_size}{smaller_unit}"
    return f"{seconds}s"


def _sum(counts: Mapping[str, int], shown: int) -> str:
    if not counts:
        return "No order is stuck."
    each = ", ".join(f"{count} {state}" for state, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
    return f"{sum(counts.values())} stuck: {each}; {shown} shown."


def _key(item: Item) -> OrderKey:
    return OrderKey(item["source"], item["order_number"])


def _time(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")


def _as_json(service: str, obstacle: Obstacle) -> dict[str, Any]:
    again_at = obstacle.again_at.isoformat() if obstacle.again_at else None
    return {
        "service": service,
        "what": obstacle.what,
        "name": obstacle.name,
        "code": obstacle.code,
        "tries": obstacle.tries,
        "again_at": again_at,
    }
