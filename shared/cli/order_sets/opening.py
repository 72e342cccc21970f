"""Which orders to publish: a set by its name, or a file; as many as are asked for."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from shared.cli.order_sets import events_file, marketplace, sample, uk_gift_shop
from shared.cli.order_sets.buyers import Buyers
from shared.cli.order_sets.wording import Making, new_run, now
from shared.cli.terminal import Misused

NAMES = ("sample", "uk", "marketplace")
_SETS_FOLDER = Path("shared") / "data" / "orders"


def sets_folder(root: Path | None = None) -> Path | None:
    """The folder of the order sets beside the clone, or None where there is none."""
    folder = (root or Path(__file__).resolve().parents[3]).parent / _SETS_FOLDER
    return folder if folder.is_dir() else None


def default_name() -> str:
    """The gift shop's orders where they lie beside the clone, else the sample."""
    folder = sets_folder()
    return "uk" if folder and (folder / "uci-online-retail" / uk_gift_shop.FILE_NAME).is_file() else "sample"


@dataclass(slots=True)
class OrderSet:
    """Orders to publish. `events` is consumed once; `left_out` fills while it is, with rows that became part of no order."""

    name: str
    events: Iterator[dict[str, Any]]
    left_out: Counter[str] = field(default_factory=Counter)
    product_sizes: dict[str, marketplace.ProductSize] = field(default_factory=dict)


def open_set(name: str, *, source: str, orders: int | None = None, seed: int = 1, run: str | None = None) -> OrderSet:
    """The events of the set `name` (one of NAMES, or the path of a file), in their order.

    `orders` limits how many; where a set has fewer, it is gone through again under new numbers, a file is not. Without it,
    each is taken once. Raises Misused where there is no such set or file.
    """
    making = Making(Buyers(seed), run or new_run())
    left_out: Counter[str] = Counter()
    if name == "sample":
        return OrderSet(name, _laps(lambda lap: sample.orders(making, lap=lap), source, orders), left_out)
    if name == "uk":
        path = _needed("uci-online-retail", uk_gift_shop.FILE_NAME)
        laps = _laps(lambda lap: uk_gift_shop.orders(path, making, lap=lap, left_out=left_out), source, orders)
        return OrderSet(name, laps, left_out)
    if name == "marketplace":
        folder = _needed("olist", marketplace.ORDERS_FILE_NAME).parent
        laps = _laps(lambda lap: marketplace.orders(folder, making, lap=lap), source, orders)
        return OrderSet(name, laps, left_out, marketplace.product_sizes(folder))
    if not Path(name).is_file():
        raise Misused(f"There is no order set and no file called {name} (the sets are {', '.join(NAMES)}).")
    whole = (enveloped(event, source) for event in events_file.events(Path(name)))
    return OrderSet(name, islice(whole, orders), left_out)


def _needed(folder: str, file_name: str) -> Path:
    root = sets_folder()
    if root is None or not (root / folder / file_name).is_file():
        raise Misused(f"The order set needs {_SETS_FOLDER / folder / file_name} beside the clone; try --from sample.")
    return root / folder / file_name


def _laps(one_lap: Callable[[int], Iterator[dict[str, Any]]], source: str, orders: int | None) -> Iterator[dict[str, Any]]:
    laps = (one_lap(lap) for lap in (count() if orders is not None else range(1)))
    return islice((enveloped({"data": data}, source) for lap in laps for data in lap), orders)


def enveloped(event: dict[str, Any], source: str) -> dict[str, Any]:
    """The event with every member of its envelope; what it brings itself stands."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": source,
        "type": "order_placed",
        "time": now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        **event,
    }
