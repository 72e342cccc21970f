"""A small sample of orders of a jewellery and tools shop, written for this project: what `make demo` plays by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

from shared.cli.order_sets.wording import UNAPPROVED, Making, order_number

FILE_NAME = "sample_orders.jsonl"


def orders(making: Making, *, lap: int = 0) -> Iterator[dict[str, Any]]:
    """Every order of the sample, in its order, with this run's number, placed now and not yet paid for."""
    text = resources.files(__package__).joinpath(FILE_NAME).read_text(encoding="utf-8")
    for line in text.splitlines():
        data: dict[str, Any] = json.loads(line)
        number = str(data["order_number"])
        data["order_number"] = order_number("AJ", number, making, lap)
        data["placed_at"] = making.clock().isoformat(timespec="seconds").replace("+00:00", "Z")
        data["payment"]["reference"] = UNAPPROVED
        yield data
