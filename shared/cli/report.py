"""What a run of the demo shows: the table at its end, and the numbers in it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.table import Table

from shared.cli.books import MAILS_OF_AN_ORDER, Disagreement
from shared.cli.tally import Course

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the end of a run says."""

    courses: Sequence[Course]
    ends: Mapping[str, int]
    counts: Mapping[str, int]
    reasons: Mapping[str, Counter[str]]
    crew: Mapping[str, int]
    authorised: int
    captured: int
    labels: int
    mails: Mapping[str, int]
    mails_again: int
    disagreements: Sequence[Disagreement] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()

    @property
    def good(self) -> bool:
        """Every order reached its end and the books agree."""
        return not self.disagreements and not self.missing


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least `share` (above 0, at most 1) of all values do not exceed; None of no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def seconds_to(type_: str, courses: Iterable[Course]) -> list[float]:
    """For each order of which `type_` was heard, the seconds from its publishing to that answer's own time."""
    return [(course.heard[type_] - course.published_at).total_seconds() for course in courses if type_ in course.heard]


def orders_per_second(courses: Sequence[Course]) -> float | None:
    """Orders that ended, over the time from the first publishing to the last end; None where nothing ended."""
    ends = [max(course.heard.values()) for course in courses if course.end and course.heard]
    if not ends:
        return None
    first: datetime = min(course.published_at for course in courses)
    seconds = (max(ends) - first).total_seconds()
    return len(ends) / seconds if seconds > 0 else None


def rows(outcome: Outcome) -> list[Row]:
    """The table's rows, in the order of an order's life."""
    counts, ends = outcome.counts, outcome.ends
    dispatched = seconds_to("shipment_dispatched", outcome.courses)
    rate = orders_per_second(outcome.courses)
    table: list[Row] = [
        ("orders published", str(counts.get("published", 0))),
        ("accepted", str(counts.get("order_accepted", 0))),
        ("refused", str(ends.get("refused", 0))),
        *_reasons(outcome, "event_refused", "order_rejected"),
        ("declined", str(ends.get("declined", 0))),
        *_reasons(outcome, "payment_declined"),
    ]
    for name, type_, end in (("held", "order_held", "held"), ("cancelled", "order_cancelled", "cancelled")):
        number = ends.get(end, 0) if end == "cancelled" else counts.get(type_, 0)
        if number:
            table += [(name, str(number)), *_reasons(outcome, type_)]
    table += [
        ("authorised", str(outcome.authorised)),
        ("picked", str(outcome.crew.get("picked", 0))),
        ("packed", str(outcome.crew.get("packed", 0))),
        ("labelled", str(outcome.labels)),
        ("captured", str(outcome.captured)),
        ("handed over", str(outcome.crew.get("handed_over", 0))),
        ("dispatched", str(counts.get("shipment_dispatched", 0))),
        ("delivered", str(counts.get("shipment_delivered", 0))),
        ("completed", str(ends.get("completed", 0))),
    ]
    kinds = [*MAILS_OF_AN_ORDER, *sorted(set(outcome.mails) - set(MAILS_OF_AN_ORDER))]
    table += [(f"mails: {kind.replace('_', ' ')}", str(outcome.mails.get(kind, 0))) for kind in kinds]
    table += [
        ("mails sent again (same Message-ID)", str(outcome.mails_again)),
        ("placed to dispatched, median", _seconds(percentile(dispatched, 0.5))),
        ("placed to dispatched, 99th perc.", _seconds(percentile(dispatched, 0.99))),
        ("orders per second", f"{rate:.1f}" if rate else "-"),
    ]
    if outcome.left_out:
        table.append(("rows of the set in no order", ", ".join(f"{code} {n}" for code, n in sorted(outcome.left_out.items()))))
    return table


def _reasons(outcome: Outcome, *types: str) -> list[Row]:
    reasons: Counter[str] = sum((outcome.reasons.get(type_, Counter()) for type_ in types), Counter())
    return [(f"  {reason}", str(times)) for reason, times in reasons.most_common(8)]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def as_table(outcome: Outcome) -> Table:
    """The outcome as the table that ends a demo."""
    table = Table(title="Brown Paper, what became of the orders", show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(justify="left", overflow="fold")
    for name, value in rows(outcome):
        table.add_row(name, value)
    return table


def where_to_look(outcome: Outcome) -> list[str]:
    """One line per folder, outside the table: a path that is folded cannot be copied."""
    return [f"{what}: {folder}" for what, folder in outcome.folders.items()]


def verdict(outcome: Outcome) -> list[str]:
    """The last lines: each thing that is missing or disagrees, or that all is well."""
    if outcome.good:
        return ["Every order reached its end, and the sandboxes' books agree."]
    return [*outcome.missing, *(f"The books disagree: {disagreement}." for disagreement in outcome.disagreements)]
