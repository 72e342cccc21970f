"""A shop's day against a running stack, that a test can hold up: orders, a crew with a limit, the answers, and the books of all sides."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from deploy.local.configuration import SERVICES
from deploy.local.stack import Stack
from shared.cli.answers import consume
from shared.cli.books import Books, Disagreement, compare
from shared.cli.crew import Crew
from shared.cli.doors import Unreachable
from shared.cli.order_sets.wording import now
from shared.cli.sandboxes import Sandboxes
from shared.cli.settings import Settings
from shared.cli.storefront import Storefront
from shared.cli.tally import Tally
from shared.cli.workers import Workers
from tests.component.events import order_placed
from tests.integration.facts import rows, wait_for

CALM = ("--lose-answers", "0", "--repeat-webhooks", "0", "--decline", "0")
_LEFT_TO_DO = """
    select (select count(*) from outbox) + (select count(*) from intents) + (select count(*) from held)
"""


class Day:
    """Every order that a test places on a stack, to its end. A context manager: the threads end with it.

    The crew works only while fewer than `most_handed_over` parcels left the house, so that a test can keep orders in flight.
    """

    def __init__(self, stack: Stack) -> None:
        self.env = Settings(stack.env)
        self.most_handed_over = 0
        self.confirmed = 0
        self._placed = 0
        self._stop = threading.Event()
        self._workers = Workers(self._stop)
        self._tally = Tally()
        self._crew = Crew(self.env, stop=self._stop, pause_seconds=0.1)
        self._storefront = Storefront(
            self.env,
            stop=self._stop,
            on_published=lambda event: self._tally.published(event, now()),
            on_confirmed=self._note_confirmed,
        )

    def __enter__(self) -> Self:
        self._workers.start("answers", self._listen)
        self._workers.start("crew", self._work)
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._workers.end()

    def place(self, orders: int) -> None:
        """Begin to publish so many orders; each is in once the broker has confirmed it."""
        events = [order_placed() for _ in range(orders)]
        self._placed += orders
        self._workers.start("storefront", lambda: self._storefront.publish(events))

    @property
    def handed_over(self) -> int:
        return self._crew.done["handed_over"]

    @property
    def in_flight(self) -> int:
        """How many orders the broker has confirmed and nobody has heard the end of."""
        self._workers.check()
        return self.confirmed - self._tally.ends().total()

    def reaches(self, *, in_flight: int, handed_over: int = 0) -> None:
        """Wait until so many orders are in flight, and so many parcels have left the house."""
        wanted = f"{in_flight} in flight and {handed_over} handed over"
        wait_for(lambda: self.in_flight >= in_flight and self.handed_over >= handed_over, wanted)

    def heard_accepted(self) -> set[str]:
        """The orders that the storefront has been told are accepted: whatever happens, orders knows them."""
        return {course.order_number for course in self._tally.courses() if "order_accepted" in course.heard}

    def known(self) -> set[str]:
        """The orders in the database of orders."""
        return {number for (number,) in self._rows("orders", "select order_number from orders")}

    def ends(self) -> None:
        """Have the crew work until every order has its end and nobody has anything left to do; then everything must agree."""
        orders = self.most_handed_over = self._placed
        try:
            wait_for(lambda: self.in_flight == 0 and self.confirmed == orders, "every order's end")
        except AssertionError:
            raise AssertionError(f"orders without an end: {self._unfinished()}") from None
        assert self._tally.ends() == {"completed": orders}
        for service in SERVICES:
            wait_for(lambda name=service: self._rows(name, _LEFT_TO_DO) == [(0,)], f"{service} to have nothing left to do")
        assert self._rows("orders", "select state, count(*) from orders group by state") == [("completed", orders)]
        disagreements = self._disagreements()
        assert disagreements == [], [str(it) for it in disagreements]

    def _disagreements(self) -> list[Disagreement]:
        """Where the books differ from what was placed; what is left of it after the last mails are in."""
        sandboxes = Sandboxes(self.env, stop=self._stop)
        left: list[Disagreement] = []

        def agree() -> bool:
            books: Books = sandboxes.books()
            left[:] = compare(self._tally.courses(), books)
            return not left

        try:
            wait_for(agree, "the books to agree")
        except AssertionError:
            return left
        return []

    def _unfinished(self) -> str:
        waiting = [course for course in self._tally.courses() if course.end is None]
        last = Counter(max(it.heard, key=lambda type_: it.heard[type_], default="nothing") for it in waiting)
        left = {service: self._rows(service, _LEFT_TO_DO)[0][0] for service in SERVICES}
        return f"{len(waiting)}, by the last answer heard: {dict(last)}; left to do: {left}; crew: {dict(self._crew.done)}"

    def _rows(self, service: str, statement: str) -> list[tuple[Any, ...]]:
        return rows(self.env[f"{service.upper()}_DATABASE_URL"], statement)

    def _listen(self) -> None:
        consume(self.env["STOREFRONT_AMQP_URI"], self._tally.heard, stop=self._stop)

    def _work(self) -> None:
        while not self._stop.is_set():
            done = 0
            if self.handed_over < self.most_handed_over:
                with suppress(Unreachable):  # a service without its database answers 503; the crew asks again
                    done = self._crew.round()
            if not done:
                self._stop.wait(0.1)

    def _note_confirmed(self, _event_id: str) -> None:
        self.confirmed += 1
