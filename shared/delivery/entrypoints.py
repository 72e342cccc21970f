"""What a door is made of: `hears`, `takes_in`, `prepares`, `performs`, `settles`, and the base class `Door`.

class PaymentsService(Door):
    name = "payments"
    Store = PaymentsStore

    @hears(LabelCreated)
    def label_created(self, event, work): handlers.capture(event, work.store, work.at)

    @performs("capture_payment")
    def ask_for_capture(self, intent): return self.provider.capture(...)

    @settles("capture_payment")
    def capture_answered(self, settlement, work): handlers.note_capture(...)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from nameko.extensions import DependencyProvider, Entrypoint

from shared import metrics
from shared.contracts.events import Event
from shared.contracts.values import OrderKey
from shared.delivery.batch import Outcome
from shared.delivery.engine import Engine
from shared.delivery.janitor import Janitor
from shared.delivery.parked_queue import ParkedQueue
from shared.delivery.work import Delivery, Ending, IntentRow, RawMessage, Store
from shared.http_door import Answer, Request, serve

F = TypeVar("F", bound=Callable[..., Any])


class _Registered(Entrypoint):
    """An entrypoint that tells the engine what its method is for."""

    engine = Engine()

    # By keyword only: Nameko takes a lone positional function for the method that is decorated.
    def __init__(self, *, register: Callable[[Engine, str, Entrypoint], None]) -> None:
        super().__init__()
        self._register = register

    def setup(self) -> None:
        self._register(self.engine, self.method_name, self)

    def stop(self) -> None:
        self.engine.take_nothing_new()


def _registered(register: Callable[[Engine, str, Entrypoint], None]) -> Callable[[F], F]:
    decorator: Callable[[F], F] = _Registered.decorator(register=register)
    return decorator


def hears(event: type[Event]) -> Callable[[F], F]:
    """The method `(event, work)` handles this event, in the batch's transaction."""
    return _registered(lambda engine, method, _entrypoint: engine.routes.hear(event, method))


def takes_in(*queues: str) -> Callable[[F], F]:
    """The method `(raw) -> Reading` reads what comes from these queues, outside any transaction."""
    return _registered(lambda engine, method, _entrypoint: engine.routes.take_in(queues, method))


def prepares(kind: str) -> Callable[[F], F]:
    """The method `(intents) -> {about: what its call needs}` reads at once what many calls need beside their intents.

    What it gives for an order stands in `intent.brought` when the call is performed; None where it gave nothing.
    """
    return _registered(lambda engine, method, _entrypoint: engine.routes.prepare(kind, method))


def performs(kind: str, *, party: str = "", party_in: str = "") -> Callable[[F], F]:
    """The method `(intent) -> outcome` asks the outside party, outside any transaction, several at a time.

    Where a service asks more than one, `party` names it, or `party_in` the member of the intent's details that does: so many calls may be
    under way to each, and none waits for another's.
    """
    return _registered(lambda engine, method, _entrypoint: engine.routes.perform(kind, method, party, party_in))


def settles(kind: str) -> Callable[[F], F]:
    """The method `(settlement, work)` handles the outcome of such a call, in a batch's transaction."""
    return _registered(lambda engine, method, _entrypoint: engine.routes.settle(kind, method))


class Asks(DependencyProvider):
    """Lets a door's HTTP methods hand asks to the engine: `self.asks(method, [(message, about), …])` gives their endings in order."""

    engine = Engine()

    def get_dependency(self, worker_ctx: Any) -> Callable[[str, Sequence[tuple[Any, OrderKey | None]]], list[Ending]]:
        return self._ask

    def _ask(self, method: str, asks: Sequence[tuple[Any, OrderKey | None]]) -> list[Ending]:
        return self.engine.ask([Delivery(method, message, _ignore, about=about) for message, about in asks])


class Messages(DependencyProvider):
    """Lets a door's HTTP methods hand over what came to them as a message: `self.messages(raw)` gives its ending."""

    engine = Engine()

    def get_dependency(self, worker_ctx: Any) -> Callable[[RawMessage], Ending]:
        return self._take

    def _take(self, raw: RawMessage) -> Ending:
        return self.engine.ask([Delivery("", None, _ignore, raw=raw)])[0]


class EngineItself(DependencyProvider):
    """The engine, for the doors of every service: batches and readiness."""

    engine = Engine()

    def get_dependency(self, worker_ctx: Any) -> Engine:
        return self.engine


def _ignore(_ending: Ending) -> None:
    return None


class Door:
    """The base of the four services' doors: what all of them answer."""

    name: ClassVar[str]
    Store: ClassVar[type[Store]]
    engine = EngineItself()
    asks = Asks()
    messages = Messages()
    parked_queue = ParkedQueue()
    janitor = Janitor()

    @_registered(lambda engine, _method, entrypoint: engine.routes.run_batches_through(entrypoint))
    def handle_batch(self, deliveries: list[Delivery]) -> list[Outcome]:
        outcomes: list[Outcome] = self.engine.run_batch(self, deliveries)
        return outcomes

    def carries_part(self, delivery: Delivery) -> bool:
        """Whether a message brings a personal part that this service takes in."""
        return False

    def keep_parts(self, deliveries: Sequence[Delivery]) -> None:
        """Take in the parts of these messages, before the transaction: each gets its `kept`. Raises TryLater where that must wait."""

    @_registered(lambda engine, _method, entrypoint: engine.routes.make_calls_through(entrypoint))
    def make_calls(self, kind: str, intents: list[IntentRow]) -> None:
        self.engine.make_calls(self, kind, intents)

    @serve("GET", "/health")
    def health(self, _request: Request) -> Answer:
        return Answer(200, {"status": "alive"})

    @serve("GET", "/ready")
    def ready(self, _request: Request) -> Answer:
        return (
            Answer(200, {"status": "ready"})
            if self.engine.is_ready
            else Answer(503, {"status": "not ready"}, {"Retry-After": "1"})
        )

    @serve("GET", "/metrics")
    def metrics(self, _request: Request) -> Answer:
        return Answer(200, metrics.exposition(), {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


__all__ = ["Door", "hears", "performs", "prepares", "settles", "takes_in"]
