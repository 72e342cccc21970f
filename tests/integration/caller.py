"""A service that makes calls as it is told over HTTP: `python -m tests.integration.caller`. It stands in for payments.

`POST /begin` takes order numbers and writes an intent for each. What a number begins with decides. While preparing: AWAY (the first time a
statement that the test cuts off), DEFECT (always fails), ONCE (fails the first time), ODD (the first time brings no mapping), BARE (brings
nothing). While calling: HOLD (until `POST /release`), LATER (the first time), PARK, RAISE.
"""

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from eventlet.event import Event as Happening

from shared.contracts.errors import Parked, TryLater
from shared.contracts.events import PaymentCaptured
from shared.contracts.values import OrderKey
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import Door, performs, prepares, settles
from shared.delivery.work import IntentRow, Work
from shared.http_door import Answer, Request, serve
from shared.settings import DeliverySettings
from tests.integration.probe import SECRET, NoShelves

CALL = "capture_payment"


class State:
    """Of the whole process."""

    def __init__(self) -> None:
        self.prepared: list[list[str]] = []
        self.calls: list[tuple[str, int, bool]] = []
        self.released = Happening()


class Caller(Door):
    name = "payments"
    Store = NoShelves
    state = State()

    # ── what the test says and sees ──────────────────────────────────────────────────────────────────────────────────────────

    @serve("POST", "/begin")
    def begin_all(self, request: Request) -> Answer:
        keys = [OrderKey("https://shop.example", number) for number in request.json()]
        return Answer(200, {"endings": [ending.kind for ending in self.asks("begin", [(key, key) for key in keys])]})

    @serve("POST", "/release")
    def release(self, _request: Request) -> Answer:
        held, self.state.released = self.state.released, Happening()
        held.send(None)
        return Answer(200, {})

    @serve("GET", "/state")
    def show_state(self, _request: Request) -> Answer:
        return Answer(200, {"prepared": self.state.prepared, "calls": self.state.calls})

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, about: OrderKey, work: Work[NoShelves]) -> None:
        work.store.recorder.intents.append(IntentRow(uuid4(), CALL, about, about.order_number, {"amount_minor": 100}))

    @prepares(CALL)
    def find(self, intents: Sequence[IntentRow]) -> Mapping[OrderKey, dict[str, str]]:
        self.state.prepared.append([intent.about.order_number for intent in intents])
        brought: Any = {}
        for intent in intents:
            number, is_first = intent.about.order_number, intent.tries == 1
            match number.partition("-")[0]:
                case "AWAY" if is_first:
                    with self.engine.database.single() as connection:
                        connection.execute("select pg_sleep(60)")
                case "DEFECT":
                    raise KeyError(SECRET)
                case "ONCE" if is_first:
                    raise RuntimeError(SECRET)
                case "ODD" if is_first:
                    return None  # type: ignore[return-value]
                case "BARE":
                    continue
            brought[intent.about] = {"of": number, "secret": SECRET}
        return brought  # type: ignore[no-any-return]

    @performs(CALL)
    def call(self, intent: IntentRow) -> str:
        number = intent.about.order_number
        self.state.calls.append((number, intent.tries, intent.in_doubt))
        match number.partition("-")[0]:
            case "HOLD":
                self.state.released.wait()
            case "LATER" if intent.tries == 1:
                raise TryLater("caller_later")
            case "PARK":
                raise Parked("caller_parked")
            case "RAISE":
                raise RuntimeError(f"{intent!r} {intent.brought}")
        return "nothing" if intent.brought is None else str(intent.brought["of"])

    @settles(CALL)
    def answered(self, settlement: Settlement, work: Work[NoShelves]) -> None:
        work.tell(PaymentCaptured(**settlement.intent.about._asdict(), currency="USD", amount=settlement.outcome))


if __name__ == "__main__":
    runtime.run(Caller, DeliverySettings)
