"""What the broker refuses by closing the channel: an exchange that is gone, or that we may not write to (any more).

The broker drops with it all that was written behind it, and keeps to itself what became of what was written before. So the one row that it
refused is found by halving, and what goes the same way is left out for a while: nothing else stands still for it (decision 0058).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import monotonic
from uuid import UUID

from shared.delivery.amqp import Publisher
from shared.delivery.work import OutboxRow

_log = logging.getLogger("brownpaper.delivery")
LEFT_OUT_SECONDS = 5  # shorter than the first delay of an event that failed: its next try is one


class Refusals:
    """Publishes around what the broker refuses. Used by one greenthread only."""

    def __init__(self) -> None:
        self._left_out: dict[tuple[str, str], float] = {}  # (exchange, type) → until when nothing of it is tried

    def publish(self, publisher: Publisher, rows: Sequence[OutboxRow]) -> tuple[set[UUID], set[UUID]]:
        """Publish these in their order, and give the ids that the broker confirmed and those that it refused. Raises nothing.

        A row in neither is in doubt, or was not written because an earlier one of its order was refused. Where none is refused this is
        one write. What was under way when the channel was closed is written again: its hearers know repeats.
        """
        confirmed, failed = set[UUID](), set[UUID]()
        failing = set[str]()  # orders of which nothing more is written
        rest = self._parted(rows, failed, failing) if self._left_out else rows
        most = len(rest)
        while rest:
            part, following = rest[:most], rest[most:]
            said = publisher.publish(part)
            confirmed |= said.confirmed
            failed |= said.failed
            left = [row for row in part if row.id not in confirmed and row.id not in failed]
            if left and not said.is_refused:
                break
            if len(left) > 1:
                failing.update(row.subject for row in part if row.id in failed and row.subject)
                left = self._parted(left, failed, failing)
                rest, most = [*left, *following], max(1, len(left) // 2)
                continue
            if left:
                if said.is_way_shut:
                    self._leave_out(left[0])
                failed.add(left[0].id)
                most = len(following)
            if following:
                failing.update(row.subject for row in part if row.id in failed and row.subject)
                following = self._parted(following, failed, failing)
            rest = following
        return confirmed, failed

    def _parted(self, rows: Sequence[OutboxRow], failed: set[UUID], failing: set[str]) -> list[OutboxRow]:
        """What of these may be written now; what is left out has `failed`, and its order is `failing`."""
        now = monotonic()
        self._left_out = {way: until for way, until in self._left_out.items() if until > now}
        open_rows = []
        for row in rows:
            if row.subject and row.subject in failing:
                continue
            if (row.exchange, row.type) in self._left_out:
                failed.add(row.id)
                failing.update([row.subject] if row.subject else ())
            else:
                open_rows.append(row)
        return open_rows

    def _leave_out(self, row: OutboxRow) -> None:
        self._left_out[row.exchange, row.type] = monotonic() + LEFT_OUT_SECONDS
        _log.error("event_refused", extra={"place": row.exchange, "types": [row.type]})
