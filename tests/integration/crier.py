"""A service that says what it is told over HTTP: `python -m tests.integration.crier`. It stands in for payments, and keeps nothing of its own.

`POST /say` takes `[[order number, event, amount], …]`, each an ask of its own; an event of no order has no number. The answer comes after
the commit, whether or not the broker is there.
"""

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from datetime import UTC, datetime

from shared.contracts.events import Event, IntakeKeyPublished, PaymentAuthorised, PaymentCaptured
from shared.contracts.values import OrderKey
from shared.delivery.entrypoints import Door
from shared.delivery.work import Work
from shared.http_door import Answer, Request, serve
from shared.settings import DeliverySettings
from tests.integration.probe import NoShelves

SHOP = "https://shop.example"
KINDS = {event.type: event for event in (PaymentAuthorised, PaymentCaptured)}


class Crier(Door):
    name = "payments"
    Store = NoShelves

    @serve("POST", "/say")
    def say_all(self, request: Request) -> Answer:
        asks = [(_event(*told), OrderKey(SHOP, told[0]) if told[0] else None) for told in request.json()]
        return Answer(200, {"endings": [ending.kind for ending in self.asks("say", asks)]})

    def say(self, event: Event, work: Work[NoShelves]) -> None:
        work.tell(event)


def _event(number: str | None, kind: str, amount: str) -> Event:
    if number is None:
        return IntakeKeyPublished(service="payments", key_id=amount, public_key="k", expires_at=datetime(2030, 1, 1, tzinfo=UTC))
    event: Event = KINDS[kind](shop=SHOP, order_number=number, currency="USD", amount=amount)
    return event


if __name__ == "__main__":
    runtime.run(Crier, DeliverySettings)
