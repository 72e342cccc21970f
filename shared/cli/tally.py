"""What became of each order that was published, as the storefront's answers tell it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.cli.answers import Answer

END_OF_ANSWER = {
    "event_refused": "refused",
    "order_rejected": "refused",
    "payment_declined": "declined",
    "order_cancelled": "cancelled",
    "order_completed": "completed",
}
"""Answers after which an order moves no further by itself."""


@dataclass(slots=True)
class Course:
    """One published order. `heard` has, per type of answer, the time of the first; `trackings` one entry per parcel sent."""

    order_number: str
    event_id: str
    total: str
    currency: str
    provider: str
    reference: str
    published_at: datetime
    heard: dict[str, datetime] = field(default_factory=dict)
    trackings: set[str] = field(default_factory=set)
    reasons: tuple[str, ...] = ()

    @property
    def end(self) -> str | None:
        """How it ended: refused, cancelled, declined, completed; None while it is on its way."""
        ends = {END_OF_ANSWER[type_] for type_ in self.heard if type_ in END_OF_ANSWER}
        return next((end for end in ("refused", "completed", "cancelled", "declined") if end in ends), None)


class Tally:
    """Every order of a run. Safe for several threads; what is told twice counts once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_event: dict[str, Course] = {}
        self._by_number: dict[str, Course] = {}
        self._counts: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        self._reasons: dict[str, Counter[str]] = {}

    def published(self, event: Mapping[str, Any], at: datetime) -> None:
        """Note that this event goes out now; of a repeat the first time stands."""
        data = event["data"]
        payment = data.get("payment") if isinstance(data.get("payment"), Mapping) else {}
        course = Course(
            order_number=str(data.get("order_number", "")),
            event_id=str(event["id"]),
            total=str(data.get("total", "")),
            currency=str(data.get("currency", "")),
            provider=str(payment.get("provider", "")),
            reference=str(payment.get("reference", "")),
            published_at=at,
        )
        with self._lock:
            if course.event_id not in self._by_event:
                self._by_event[course.event_id] = course
                self._by_number.setdefault(course.order_number, course)
                self._counts["published"] += 1

    def heard(self, answer: Answer) -> None:
        """Note an answer. Answers about orders that this run did not publish are left alone."""
        with self._lock:
            # A refused event may carry the number of an order that stands: its own id decides.
            by_event = self._by_event.get(answer.caused_by or "")
            course = by_event if answer.type == "event_refused" else self._by_number.get(answer.order_number or "") or by_event
            if course is None:
                return
            tracking = answer.data.get("tracking_number")
            if answer.type == "shipment_dispatched" and tracking:
                course.trackings.add(str(tracking))
            if answer.type in course.heard:
                return
            before = course.end
            course.heard[answer.type] = answer.time or course.published_at
            self._counts[answer.type] += 1
            if answer.reasons:
                course.reasons = answer.reasons
                self._reasons.setdefault(answer.type, Counter()).update(answer.reasons)
            if course.end != before:
                self._ends.update({str(course.end): 1})
                if before is not None:
                    self._ends.subtract({before: 1})

    def counts(self) -> Counter[str]:
        """How many orders were published, and for how many each type of answer was heard."""
        with self._lock:
            return Counter(self._counts)

    def ends(self) -> Counter[str]:
        """How many orders ended in which way."""
        with self._lock:
            return +self._ends

    def reasons(self) -> dict[str, Counter[str]]:
        """Type of answer to its reasons and how often each was given."""
        with self._lock:
            return {type_: Counter(reasons) for type_, reasons in self._reasons.items()}

    def courses(self) -> list[Course]:
        with self._lock:
            return list(self._by_event.values())

    def on_the_way(self) -> int:
        """How many orders have no end yet."""
        with self._lock:
            return self._counts["published"] - (+self._ends).total()
