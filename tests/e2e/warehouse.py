"""A warehouse in a hurry: its crew, a driver who takes parcels along too soon, and a colleague who says things twice or too early."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from random import Random

from services.shipping.domain import Shipment
from shared.cli.crew import Crew
from shared.cli.doors import Door
from shared.cli.settings import Settings
from tests.e2e.many_orders import Placed
from tests.integration.facts import rows

SCANNED_EARLY, SAID_TWICE = 0.1, 0.3
_ON_THE_DOCK = "select tracking_number from shipments where state = 'dispatched'"


class Warehouse:
    """The crew, a driver who collects some parcels before they are handed over, and a colleague who says everything twice or too soon."""

    def __init__(self, env: Mapping[str, str], random: Random, placed: Sequence[Placed], stop: threading.Event) -> None:
        self._random, self._placed, self._stop = random, placed, stop
        self._crew = Crew(Settings(env), stop=stop, pause_seconds=0.1)
        self._shipping = Door("Shipping", env["SHIPPING_HTTP_URL"], token=env["STAFF_TOKEN"], stop=stop)
        self._carrier = Door("The carrier", env["CARRIER_SANDBOX_URL"], stop=stop)
        self._database_url = env["SHIPPING_DATABASE_URL"]
        self._early: list[str] = []

    def labelled(self, tracking_number: str) -> None:
        """A label is bought; now and then the driver takes the parcel along at once."""
        if self._random.random() < SCANNED_EARLY:
            self._early.append(tracking_number)

    def work(self) -> None:
        while not self._stop.is_set():
            done = self._crew.round()
            early, self._early = self._early, []
            self._collect(early)
            self._say_twice_or_too_soon()
            if not done:
                # What the colleague handed over, nobody told the driver.
                self._collect([number for (number,) in rows(self._database_url, _ON_THE_DOCK)])
                self._stop.wait(0.1)

    def _collect(self, tracking_numbers: list[str]) -> None:
        if tracking_numbers:
            self._carrier.post_json("/_sandbox/collect", {"tracking_numbers": tracking_numbers})

    @property
    def done(self) -> int:
        return self._crew.done.total()

    def _say_twice_or_too_soon(self) -> None:
        shipments = [Shipment(key=order.key) for order in self._random.sample(self._placed, min(3, len(self._placed)))]
        if self._random.random() < SAID_TWICE:
            self._shipping.post_json("/handed_over", {"items": [{"parcel": shipment.parcel} for shipment in shipments]})
        items = self._shipping.get_json("/work", state="to_hand_over", limit=3)["items"]
        if items and self._random.random() < SAID_TWICE:
            size = {"weight_grams": 999, "length_mm": 99, "width_mm": 99, "height_mm": 99}
            self._shipping.post_json("/picked", {"items": [{"pick_list": item["pick_list"]} for item in items]})
            self._shipping.post_json("/packed", {"items": [{"pick_list": item["pick_list"], **size} for item in items]})
