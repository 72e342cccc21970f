"""A service that does what an order's number says, to see the engine at work: `python -m tests.integration.probe`.

It stands in for payments: hears `label_created`, says `payment_captured`. What the number begins with decides: PLAIN, RAISE, PARK,
REFUSE, LATER (twice not yet, then done), TURN (says the label's parcel in the amount's place), CALL (asks an outside party first),
DIE (the same, and the first call kills the process).

Three kinds fail until a release that is mended (PROBE_MENDED=1): MEND (is parked), SQL (the database refuses it), BALK (its call is parked). A
fourth, KILL, kills the process with SIGKILL while it is read.
"""

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

import os
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import eventlet
from pydantic import model_validator

from shared.contracts.errors import Fault, Parked, Refused, TryLater
from shared.contracts.events import LabelCreated, PaymentCaptured
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import Door, hears, performs, settles
from shared.delivery.shelf import Shelf
from shared.delivery.work import Delivery, IntentRow, Store, Work
from shared.http_door import Answer, Request, serve
from shared.settings import DeliverySettings

SECRET = "Quentin Quarterman"
IS_MENDED = os.environ.get("PROBE_MENDED") == "1"


class Label(LabelCreated):
    """A label that may be deadly to read."""

    @model_validator(mode="after")
    def kill(self) -> "Label":
        if self.order_number.startswith("KILL") and not IS_MENDED:
            os.kill(os.getpid(), signal.SIGKILL)
        return self


class NoShelves(Store):
    """A store that keeps nothing of its own."""

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        return ()

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        pass


class Probe(Door):
    name = "payments"
    Store = NoShelves
    tries: Counter[str] = Counter()  # noqa: RUF012 - of the whole process

    @hears(Label)
    def label_created(self, event: Label, work: Work[NoShelves]) -> None:
        number = event.order_number
        captured = PaymentCaptured(shop=event.shop, order_number=number, currency="USD", amount="1.00")
        match number.partition("-")[0]:
            case "RAISE":
                work.tell(captured)
                raise RuntimeError(SECRET)
            case "PARK":
                work.tell(captured)
                raise Parked("probe_parked", [Fault("probe", "/data")])
            case "REFUSE":
                raise Refused([Fault("probe_refused", "/data")])
            case "LATER":
                self.tries[number] += 1
                if self.tries[number] < 3:
                    raise TryLater("probe_later")
                work.tell(captured)
            case "TURN":
                work.tell(PaymentCaptured(shop=event.shop, order_number=number, currency="USD", amount=event.parcel))
            case "MEND" if not IS_MENDED:
                raise Parked("probe_parked")
            case "SQL" if not IS_MENDED:
                work.store.connection.execute("select 1 / 0")
            case "CALL" | "DIE" | "BALK":
                work.store.recorder.intents.append(
                    IntentRow(uuid4(), "capture_payment", event.about(), number, {"amount_minor": 100})
                )
            case _:
                work.tell(captured)

    @performs("capture_payment")
    def call(self, intent: IntentRow) -> str:
        if intent.about.order_number.startswith("DIE") and not intent.in_doubt:
            os._exit(9)
        if intent.about.order_number.startswith("BALK") and not IS_MENDED:
            raise Parked("probe_balked")
        return "in doubt" if intent.in_doubt else "at once"

    @settles("capture_payment")
    def answered(self, settlement: Settlement, work: Work[NoShelves]) -> None:
        work.tell(PaymentCaptured(**settlement.intent.about._asdict(), currency="USD", amount=settlement.outcome))

    @serve("GET", "/ticks")
    def ticks(self, _request: Request) -> Answer:
        """How often another greenthread ran while a query slept in this one."""
        ticks = 0

        def tick() -> None:
            nonlocal ticks
            while True:
                eventlet.sleep(0.01)
                ticks += 1

        ticker = eventlet.spawn(tick)
        try:
            with self.engine.database.begin() as connection:
                connection.execute("select pg_sleep(1)")
        finally:
            ticker.kill()
        return Answer(200, {"ticks": ticks})


if __name__ == "__main__":
    runtime.run(Probe, DeliverySettings)
