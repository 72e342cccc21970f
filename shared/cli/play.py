"""One run of the demo: a storefront, a warehouse crew and a listener against a stack that is up, watched to its end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from shared.cli.answers import consume
from shared.cli.books import Books, Disagreement, compare, mails_sent_again
from shared.cli.crew import Crew
from shared.cli.order_sets.opening import OrderSet
from shared.cli.order_sets.wording import now
from shared.cli.progress import Picture
from shared.cli.report import Outcome
from shared.cli.sandboxes import SETTINGS as SANDBOX_SETTINGS
from shared.cli.sandboxes import Sandboxes
from shared.cli.settings import Settings
from shared.cli.storefront import Storefront
from shared.cli.tally import Tally
from shared.cli.workers import Stillness, Workers

_NOTHING_MOVES_SECONDS = 120.0
_SETTLED_SECONDS = 45.0  # a killed service leaves calls behind, and they are taken up when their lease of 30 seconds is over
_LOOK_EVERY_SECONDS = 0.5
_DOWN_SECONDS = 2.0


class StackLike(Protocol):
    """What the demo needs of a private stack."""

    @property
    def env(self) -> Mapping[str, str]: ...
    def up(self, progress: Callable[[str], None]) -> object: ...
    def down(self) -> object: ...
    def kill(self, service: str) -> object: ...
    def restart(self, service: str) -> object: ...


class Demo:
    """One run against a stack that is up. `play` gives the outcome; nothing it started runs on afterwards."""

    def __init__(
        self,
        stack: StackLike,
        order_set: OrderSet,
        *,
        papers: Path,
        token: str | None = None,
        picture: Picture,
        kill: Sequence[str] = (),
        nothing_moves_seconds: float = _NOTHING_MOVES_SECONDS,
        settled_seconds: float = _SETTLED_SECONDS,
    ) -> None:
        self._stack = stack
        self._order_set = order_set
        self._picture = picture
        self._kill = list(kill)
        self._killed = 0
        self._nothing_moves_seconds = nothing_moves_seconds
        self._settled_seconds = settled_seconds
        self._stop = threading.Event()
        self._settings = Settings(stack.env)
        self._settings.require(
            "STOREFRONT_AMQP_URI", "ORDERS_HTTP_URL", "SHIPPING_HTTP_URL", "STAFF_TOKEN", *SANDBOX_SETTINGS.values()
        )
        self._tally = Tally()
        self._sandboxes = Sandboxes(self._settings, stop=self._stop)
        self._crew = Crew(
            self._settings,
            papers=papers,
            token=token,
            sizes=order_set.product_sizes,
            stop=self._stop,
            on_trouble=picture.note,
            pause_seconds=0.2,
        )
        self._storefront = Storefront(
            self._settings,
            stop=self._stop,
            on_published=lambda event: self._tally.published(event, now()),
            on_trouble=picture.note,
        )

    def play(self, orders: int | None) -> Outcome:
        """Publish everything, work until every order has its end and the books agree, or until nothing moves any more."""
        workers = Workers(self._stop)
        try:
            workers.start("answers", self._listen)
            publishing = workers.start("storefront", lambda: self._storefront.publish(self._order_set.events))
            workers.start("crew", lambda: self._crew.work(follow=True))
            missing = self._watch(workers, publishing, orders)
            # Of orders on their way the books cannot agree yet: then only what is missing is told.
            books, disagreements = (self._sandboxes.books(), []) if missing else self._settle(workers)
            return self._outcome(books, disagreements, missing)
        finally:
            workers.end()

    def _listen(self) -> None:
        consume(self._settings["STOREFRONT_AMQP_URI"], self._tally.heard, stop=self._stop, on_trouble=self._picture.note)

    def _watch(self, workers: Workers, publishing: threading.Thread, orders: int | None) -> list[str]:
        """Wait for every order's end; what is missing when nothing moves any more."""
        still = Stillness()
        while True:
            workers.check()
            counts = self._show(orders)
            self._kill_in_mid_run(workers, counts, orders)
            if not publishing.is_alive() and not self._tally.on_the_way():
                workers.check()
                return []
            if still.seconds(tuple(sorted(counts.items()))) > self._nothing_moves_seconds:
                return self._missing(publishing.is_alive())
            self._stop.wait(_LOOK_EVERY_SECONDS)

    def _settle(self, workers: Workers) -> tuple[Books, list[Disagreement]]:
        """The last mails come after an order's end: read the books until they agree, or stay as they are for a while."""
        still = Stillness()
        while True:
            workers.check()
            books = self._sandboxes.books()
            disagreements = compare(self._tally.courses(), books)
            self._show(None)
            if not disagreements or still.seconds(tuple(map(str, disagreements))) > self._settled_seconds:
                return books, disagreements
            self._stop.wait(1.0)

    def _show(self, orders: int | None) -> Counter[str]:
        heard, ends = self._tally.counts(), self._tally.ends()
        counts = Counter(
            {
                "published": heard["published"],
                "accepted": heard["order_accepted"],
                "refused": ends["refused"],
                "declined": ends["declined"],
                "cancelled": ends["cancelled"],
                "picked": self._crew.done["picked"],
                "packed": self._crew.done["packed"],
                "handed over": self._crew.done["handed_over"],
                "dispatched": heard["shipment_dispatched"],
                "delivered": heard["shipment_delivered"],
                "completed": ends["completed"],
                **self._sandboxes.counts(),
            }
        )
        self._picture.show(counts, expected(counts, orders))
        return counts

    def _kill_in_mid_run(self, workers: Workers, counts: Mapping[str, int], orders: int | None) -> None:
        """Kill the next service on the list when the run is far enough; it comes back after a moment."""
        total = orders or counts["published"]
        done = (counts["accepted"] + counts["dispatched"] + 2 * counts["refused"]) / (2 * total) if total else 0.0
        killed = self._killed
        if killed < len(self._kill) and done >= (killed + 1) / (len(self._kill) + 2):
            service = self._kill[killed]
            self._killed += 1
            self._picture.note(f"Killing {service} (SIGKILL) in mid-run.")
            self._stack.kill(service)

            def bring_back() -> None:
                self._stop.wait(_DOWN_SECONDS)
                self._stack.restart(service)
                self._picture.note(f"{service} is back.")

            workers.start(f"restart of {service}", bring_back)

    def _missing(self, still_publishing: bool) -> list[str]:
        waiting = [course for course in self._tally.courses() if course.end is None]
        missing = [f"Nothing has moved for {self._nothing_moves_seconds:.0f} s."]
        if still_publishing:
            missing.append("The storefront has not published everything.")
        stages: dict[str, list[str]] = {}
        for course in waiting:
            last = max(course.heard, key=lambda type_: course.heard[type_], default="nothing")
            stages.setdefault(last, []).append(course.order_number)
        for last, numbers in sorted(stages.items()):
            more = f" and {len(numbers) - 10} more" if len(numbers) > 10 else ""
            missing.append(f"{len(numbers)} order(s) have no end; the last answer was {last}: {', '.join(numbers[:10])}{more}.")
        return missing

    def _outcome(self, books: Books, disagreements: Sequence[Disagreement], missing: Sequence[str]) -> Outcome:
        ends = self._tally.ends()
        if self._crew.refused:
            missing = [
                *missing,
                *(f"The crew was refused {times} time(s), {what}." for what, times in self._crew.refused.items()),
            ]
        return Outcome(
            courses=self._tally.courses(),
            ends=ends,
            counts=self._tally.counts(),
            reasons=self._tally.reasons(),
            crew=self._crew.done,
            authorised=sum(len(payment.authorised) for payment in books.payments),
            captured=sum(len(payment.captured) for payment in books.payments),
            labels=sum(not label.voided for label in books.labels),
            mails=Counter(kind for kind, _ in {(mail.kind, mail.message_id) for mail in books.mails}),
            mails_again=mails_sent_again(books),
            disagreements=disagreements,
            left_out=self._order_set.left_out,
            missing=missing,
        )


def expected(counts: Mapping[str, int], orders: int | None) -> dict[str, int]:
    """How far each bar has to go, as far as it can be known: what was refused or declined goes no further. Of a decline one mail tells."""
    total = orders if orders is not None else counts["published"]
    accepted = total - counts["refused"]
    paid = accepted - counts["declined"] - counts["cancelled"]
    later = ("authorised", "picked", "packed", "labelled", "captured", "handed over", "dispatched", "delivered", "completed")
    return {"published": total, "accepted": accepted, **dict.fromkeys(later, paid), "mails": 3 * paid + accepted - paid}
