"""`brownpaper report departments`: the statistics that may be shared, a month at a time, once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, ending_clearly, say

app = typer.Typer(no_args_is_help=True, help="What may be told of the sales: sums of many persons.")
_HIDDEN = "-"
_WHY = {
    "month_open": "The month is not over, or ended less than three days ago.",
    "month_released_before": "The month was let out before in another cut; two tables of one month could be held against each other.",
}


@app.callback()
def keep() -> None:
    """What may be told of the sales."""


@app.command()
def departments(
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="The month, in UTC; it must be over.")],
    source: Annotated[
        str | None, typer.Option("--source", help="One shop's orders alone; then never all of the month's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    env: EnvFile = None,
) -> None:
    """Let a month's sums by department out: for good, and once. Asked again, it shows what was let out."""
    with ending_clearly():
        settings = cli_settings.load(env)
        settings.require("ORDERS_HTTP_URL", "STAFF_TOKEN")
        door = Door(
            "The orders service",
            settings["ORDERS_HTTP_URL"],
            token=settings["STAFF_TOKEN"],
            timeout_seconds=900,
            patience_seconds=10,
        )
        try:
            document = door.post_json("/reports/departments", {"month": month, "source": source})
        except Answered as error:
            if error.status == 409:
                raise NotDone(next((_WHY[code] for code in error.codes if code in _WHY), str(error))) from None
            if error.status == 422:
                raise Misused(f"That is not taken ({', '.join(error.codes)}).") from None
            raise
        if as_json:
            say(json.dumps(document))
        else:
            for line in lines(document):
                say(line)


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The table: a row for each department, three columns for each currency, and what its numbers are."""
    currencies = list(document["total"]["by_currency"])
    rows = [["DEPARTMENT", "ORDERS", "UNITS", *(f"{it} {what}" for it in currencies for what in ("ORDERS", "UNITS", "REVENUE"))]]
    for it in document["departments"]:
        cells = [it["by_currency"][name] or {} for name in currencies]
        shown = [str(cell.get(what, _HIDDEN)) for cell in cells for what in ("orders", "units", "revenue")]
        rows.append([it["department"], str(it["orders"]), str(it["units"]), *shown])
    totals = [document["total"]["by_currency"][name] for name in currencies]
    sums = [str(it.get(what, "")) for it in totals for what in ("orders", "units", "revenue")]
    rows.append(["total", "", str(document["total"]["units"]), *sums])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shops = "every shop" if document["cut"] == "all" else document["cut"]
    yield f"{document['month']}, {shops}"
    for row in rows:
        yield "  ".join(
            [row[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
    to = document["rounded_to"]
    yield (
        f"Rounded to {to['orders']} orders, {to['units']} units and {to['revenue']} of the currency. {_HIDDEN}: nothing, fewer than "
        f"{document['least_persons']} persons, or what would give these away."
    )
