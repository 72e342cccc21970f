"""A stack in which processes are made to die, a shop and a crew that go on all the while, and the books held against each other.

Nothing goes wrong here by chance: the sandboxes lose and decline nothing, so that what differs in the end comes of the fault that was forced.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from deploy.local.configuration import SERVICES
from deploy.local.stack import Stack
from shared.cli.answers import Answer, consume
from shared.cli.approvals import Approvals
from shared.cli.books import MAILS_OF_AN_ORDER, Books, compare
from shared.cli.crew import Crew
from shared.cli.doors import Door
from shared.cli.publisher import WindowedPublisher
from shared.cli.sandboxes import Sandboxes
from shared.cli.sealed_parts import Keys
from shared.cli.settings import Settings
from shared.cli.tally import Tally
from shared.cli.workers import Workers
from tests.component.events import order_placed
from tests.integration.facts import rows, wait_for
from tests.integration.scene import LONG_LADDER, Service, new_number
from tests.integration.wire import Wire

CALM = ("--lose-answers", "0", "--repeat-webhooks", "0", "--decline", "0")
# A successor looks often for what was left behind, and does not wait hours where a test need not.
TUNED = {"SWEEP_SECONDS": "0.3", "LATER_RUNGS_SECONDS": LONG_LADDER}
# What a process that is about to die leaves behind is soon anybody's.
SHORT_LEASES = {"PUBLISH_LEASE_SECONDS": "4", "LEASE_SECONDS": "8", "CALL_SECONDS": "6", "DOUBT_SECONDS": "0.5"}
ANSWERS_OF_A_COMPLETED_ORDER = {"order_accepted", "shipment_dispatched", "shipment_delivered", "order_completed"}
_BILLING = {
    "given_name": "Ana",
    "family_name": "Müller",
    "email": "ana@post.example",
    "address": {"line1": "12 Larimer St", "city": "Denver", "region": "CO", "postal_code": "80202", "country": "US"},
}
_LEFT = """
    select (select count(*) from outbox) + (select count(*) from intents) + (select count(*) from held)
"""
_PARKED = "select reason from held where state = 'parked' union all select parked from intents where parked is not null"


class Run:
    """One stack for many faults. Its crew works until `close`; its orders are kept account of from their publishing on."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.env = stack, stack.env
        self.tally = Tally()
        self._told: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._stop = threading.Event()
        self._workers = Workers(self._stop)
        settings = Settings(stack.env)
        self._crew = Crew(settings, stop=self._stop, pause_seconds=0.2)
        self._sandboxes = Sandboxes(settings, stop=self._stop)
        self._keys = Keys(Door("Orders", stack.env["ORDERS_HTTP_URL"], stop=self._stop))
        self._approvals = Approvals(
            Door("PayPal", stack.env["PAYPAL_SANDBOX_URL"]), Door("2Checkout", stack.env["TWOCHECKOUT_SANDBOX_URL"])
        )
        self._wire = Wire(stack.env["ADMIN_AMQP_URI"])
        self._places = count(1)

    def start(self) -> None:
        self._workers.start("answers", lambda: consume(self.env["STOREFRONT_AMQP_URI"], self._hear, stop=self._stop))
        self._workers.start("crew", lambda: self._crew.work(follow=True))

    def close(self) -> None:
        self._workers.end()

    # ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def service(self, name: str, **settings: str) -> Service:
        """The service as this stack runs it, with these settings besides: `begin` or `start` it where none runs."""
        return Service(name, f"services.{name}", self.stack.folder, {**self._told_at_its_start(name), **settings})

    def another(self, name: str, place: str, address: str) -> Service:
        """One more process of a service, beside the stack's own."""
        environment = {**self._told_at_its_start(name), "HTTP_ADDRESS": address}
        return Service(name, f"services.{name}", self.stack.folder / place, environment)

    def _told_at_its_start(self, name: str) -> dict[str, str]:
        told: dict[str, dict[str, str]] = json.loads((self.stack.folder / "services.json").read_text())
        return told[name]

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, orders: int) -> list[dict[str, Any]]:
        """Sound orders, approved and sealed; every third is paid by 2Checkout."""
        events = []
        for _ in range(orders):
            more: dict[str, Any] = {}
            if next(self._places) % 3 == 0:
                more = {"payment": {"provider": "2checkout", "reference": "token"}, "billing": _BILLING}
            events.append(order_placed(new_number("F"), **more))
        approved = self._approvals.approve([event["data"] for event in events])
        return [{**event, "data": self._keys.seal(data)} for event, data in zip(events, approved, strict=True)]

    def publish(self, events: list[dict[str, Any]]) -> set[str]:
        """Publish these, each confirmed by the broker; gives their numbers."""
        with WindowedPublisher(self.env["STOREFRONT_AMQP_URI"]) as publisher:
            for event in events:
                self.tally.published(event, datetime.now(UTC))
                publisher.publish(event["id"], event["type"], json.dumps(event, ensure_ascii=False).encode())
        return {event["data"]["order_number"] for event in events}

    def _hear(self, answer: Answer) -> None:
        self.tally.heard(answer)
        self._told[answer.order_number or "", answer.type].add(json.dumps(answer.data, sort_keys=True))

    def on_the_way(self, numbers: set[str]) -> set[str]:
        """Which of these orders have not been completed."""
        self._workers.check()
        completed = {course.order_number for course in self.tally.courses() if course.end == "completed"}
        return numbers - completed

    def unfinished(self, numbers: set[str]) -> set[str]:
        """Which of these orders are on their way, or have not had all their mails: a mail never holds an order up."""
        mails = Counter(number for number, _ in {(it.order_number, it.kind) for it in self._sandboxes.books().mails})
        return self.on_the_way(numbers) | {number for number in numbers if mails[number] < len(MAILS_OF_AN_ORDER)}

    # ── the reckoning ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def all_is_well(self, numbers: set[str]) -> None:
        """Wait until these orders are completed and nothing is left to do, and hold all books against each other.

        AssertionError with what differs.
        """
        try:
            wait_for(lambda: not self.on_the_way(numbers), "every order to be completed")
            for service in SERVICES:
                wait_for(lambda it=service: self.left(it) == 0, f"{service} to have nothing left")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self._where_they_stand(numbers)}") from None
        self._books_agree()
        states = self._states(numbers)
        assert states == {"completed": len(numbers)}, states
        told = self._answers_at_fault(numbers)
        assert told == {}, told
        parked = self.parked()
        assert parked == {}, parked

    def _books_agree(self) -> None:
        read: list[Books] = []

        def agree() -> bool:
            read[:] = [self._sandboxes.books()]
            return not compare(self.tally.courses(), read[0])

        try:
            wait_for(agree, "the books to agree")
        except AssertionError:
            raise AssertionError([str(found) for found in compare(self.tally.courses(), read[0])]) from None

    def parked(self) -> dict[str, list[str]]:
        """What waits for a person: the reasons in each service's tables, the number in each queue of what the broker gave up on."""
        found = {it: [str(row[0]) for row in rows(self.env[f"{it.upper()}_DATABASE_URL"], _PARKED)] for it in SERVICES}
        queues = {f"{it}.parked": ["message"] * self._wire.waiting(f"{it}.parked") for it in SERVICES}
        return {name: reasons for name, reasons in (found | queues).items() if reasons}

    def left(self, service: str) -> int:
        """How many events, calls and messages a service has still to do with."""
        return int(rows(self.env[f"{service.upper()}_DATABASE_URL"], _LEFT)[0][0])

    def _states(self, numbers: set[str]) -> dict[str, int]:
        statement = "select state from orders where order_number = any(%s)"
        return Counter(str(state) for (state,) in rows(self.env["ORDERS_DATABASE_URL"], statement, sorted(numbers)))

    def _answers_at_fault(self, numbers: set[str]) -> dict[str, object]:
        """Orders that were not told all, were told what is not so, or were told the same in two ways."""
        told = {key: set(texts) for key, texts in self._told.items()}
        faults: dict[str, object] = {}
        for number in numbers:
            kinds = {kind for of, kind in told if of == number}
            if kinds != ANSWERS_OF_A_COMPLETED_ORDER:
                faults[number] = sorted(kinds ^ ANSWERS_OF_A_COMPLETED_ORDER)
            elif any(len(texts) > 1 for (of, _), texts in told.items() if of == number):
                faults[number] = "contradicted"
        return faults

    def _where_they_stand(self, numbers: set[str]) -> str:
        left = {service: self.left(service) for service in SERVICES}
        running = {name for name, pid, _ in self.stack.status() if pid}
        refused = dict(self._crew.refused)
        return f"states {self._states(numbers)}, left {left}, parked {self.parked()}, running {running}, crew refused {refused}"


@pytest.fixture(scope="session")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("faults") / "run"
    stack = Stack(folder, environ={**os.environ, **TUNED}, fresh=True, sandbox_arguments=CALM)
    try:
        stack.up()
        it = Run(stack)
        it.start()
        yield it
        it.close()
    finally:
        stack.remove()


@pytest.fixture
def run(_run: Run) -> Run:
    """A calm stack, a shop and a crew, the same for all tests that force faults on it; all four services run at the beginning."""
    for name in SERVICES:
        _run.service(name).begin()
    return _run
