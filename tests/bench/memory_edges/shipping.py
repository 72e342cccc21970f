"""`python -m tests.bench.memory_edges.shipping`: shipping, whose carrier is memory and whose staff work inside its process.

The carrier sells labels with a real PDF, which shipping seals for rest. Staff look for work as the door does (`reads.work`) and hand the engine
asks in bulk of 50; the carrier's scans follow in bulk of 50. No HTTP is in any of it.
"""

from __future__ import annotations

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

import hashlib
import time
from typing import Any

import orjson
from nameko.extensions import DependencyProvider
from nameko.timer import timer

from deploy.sandbox.carrier.label_pdf import label_pdf
from deploy.sandbox.carrier.tracking import DELIVERED
from services.shipping.commands import HandOver, Pack, Pick
from services.shipping.gateway import BuyLabel, Label
from services.shipping.service import WEBHOOK, ShippingService
from services.shipping.settings import ShippingSettings
from shared.contracts.errors import BrownPaperError
from shared.delivery.work import Delivery, RawMessage

# isort: on

BULK = 50
_ROUND_SECONDS = 0.05
_INCOMPLETE_BULK_SECONDS = 0.5
_IDLE_AFTER_SECONDS = 1.0
_IDLE_ROUNDS = 10


class MemoryCarrier:
    """Sells every label, always the same paper; the tracking number follows from the parcel's name."""

    def __init__(self) -> None:
        address = ["Bench Buyer", "12 Bench Street", "Denver CO 80202", "US"]
        self._pdf = label_pdf(
            sender=address, recipient=address, service="ups ground", tracking_number="1Z00000000000000", layout="4x6"
        )

    def buy_label(self, ask: BuyLabel, *, in_doubt: bool) -> Label:
        number = "1Z" + hashlib.sha256(ask.parcel.encode()).hexdigest()[:16].upper()
        return Label(f"se-{number}", number, f"https://www.ups.com/track?tracknum={number}", "ups", self._pdf)


class MemoryCarrierAccount(DependencyProvider):
    def setup(self) -> None:
        self._carrier = MemoryCarrier()

    def get_dependency(self, worker_ctx: Any) -> MemoryCarrier:
        return self._carrier


class Bulks:
    """When a station's bulk is due: a whole one at once, an incomplete one after it has stood for a while."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._moved_at = time.monotonic()
        self._rounds = 0

    def is_due(self, state: str, count: int) -> bool:
        now = time.monotonic()
        if count == 0:
            self._since.pop(state, None)
            return False
        since = self._since.setdefault(state, now)
        if count < BULK and now - since < _INCOMPLETE_BULK_SECONDS:
            return False
        del self._since[state]
        self._moved_at = now
        return True

    def looks(self) -> bool:
        """Whether to look for work in this round: seldom when there has been none for a while."""
        self._rounds += 1
        return time.monotonic() - self._moved_at < _IDLE_AFTER_SECONDS or bool(self._since) or self._rounds % _IDLE_ROUNDS == 0


class Staff(DependencyProvider):
    def setup(self) -> None:
        self._bulks = Bulks()

    def get_dependency(self, worker_ctx: Any) -> Bulks:
        return self._bulks


class ShippingAtMemory(ShippingService):
    """Its staff work in its own process."""

    carrier = MemoryCarrierAccount()
    bulks = Staff()

    @timer(interval=_ROUND_SECONDS)  # type: ignore[untyped-decorator]
    def work_through_the_warehouse(self) -> None:
        try:
            while self.bulks.looks() and any([self._hand_over(), self._pack(), self._pick()]):
                pass
        except BrownPaperError:
            return  # it is stopping, or the database is away: what was asked is asked again

    def _pick(self) -> bool:
        items = self._bulk("to_pick")
        keys = self.reads.keys_of("pick_list", [item.pick_list for item in items])
        return self._asked("pick", [(Pick(key), key) for key in keys.values()])

    def _pack(self) -> bool:
        items = self._bulk("to_pack")
        keys = self.reads.keys_of("pick_list", [item.pick_list for item in items])
        return self._asked("pack", [(Pack(key, 420, 200, 150, 60), key) for key in keys.values()])

    def _hand_over(self) -> bool:
        items = self._bulk("to_hand_over")
        keys = self.reads.keys_of("parcel", [item.parcel for item in items])
        if not self._asked("hand_over", [(HandOver(key), key) for key in keys.values()]):
            return False
        scans = [orjson.dumps({"tracking_number": item.tracking_number, "status_code": DELIVERED}) for item in items]
        self.engine.ask([Delivery("", None, _unheard, raw=RawMessage(WEBHOOK, scan)) for scan in scans])
        return True

    def _bulk(self, state: str) -> list[Any]:
        items = self.reads.work(state, BULK)
        return items if self.bulks.is_due(state, len(items)) else []

    def _asked(self, method: str, asks: list[Any]) -> bool:
        return bool(asks) and bool(self.asks(method, asks))


def _unheard(_ending: object) -> None:
    return None


if __name__ == "__main__":
    runtime.run(ShippingAtMemory, ShippingSettings)
