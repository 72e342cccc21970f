"""`brownpaper orders show`: where one order stands, as the orders service tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door
from shared.cli.storefront import EnvFile
from shared.cli.terminal import NotDone, ending_clearly, say

app = typer.Typer(no_args_is_help=True, help="Look at orders.")


@app.callback()
def look() -> None:
    """Look at orders."""


@app.command()
def show(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="The order's number.")],
    source: Annotated[
        str | None, typer.Option("--source", help="The shop's URI; needed only where several are configured.")
    ] = None,
    env: EnvFile = None,
) -> None:
    """Show an order's state, its facts with their times, and the reasons where it was held or refused."""
    with ending_clearly():
        settings = cli_settings.load(env)
        settings.require("ORDERS_HTTP_URL", "STAFF_TOKEN")
        door = Door(
            "The orders service",
            settings["ORDERS_HTTP_URL"],
            token=settings["STAFF_TOKEN"],
            ca_file=settings.get("DOORS_CA_FILE"),
            patience_seconds=10,
        )
        try:
            answer = door.get_json(f"/orders/{quote(number, safe='')}", **({"source": source} if source else {}))
        except Answered as error:
            if error.status == 404:
                raise NotDone(f"There is no order {number}.") from None
            if error.status == 422 and source is None:
                raise NotDone("There are several storefronts: say which one with --source.") from None
            raise
        for line in timeline(number, answer):
            say(line)


def timeline(number: str, answer: Mapping[str, Any]) -> Iterator[str]:
    """The lines to print of what `GET /orders/{order_number}` answered."""
    yield f"Order {number}: {answer.get('state', 'unknown')}"
    facts: Mapping[str, str] = answer.get("facts") or {}
    for fact, at in sorted(facts.items(), key=lambda entry: datetime.fromisoformat(entry[1])):
        yield f"  {datetime.fromisoformat(at).isoformat(timespec='milliseconds'):<31} {fact}"
    for reason in answer.get("reasons") or ():
        yield f"  reason: {reason.get('code')} {reason.get('path') or ''}".rstrip()
