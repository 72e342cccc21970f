"""Publishing around what the broker refuses: what stays in order, and what is left out with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast
from uuid import UUID, uuid4

import pytest

from shared.delivery.amqp import Published, Publisher
from shared.delivery.refusals import Refusals
from shared.delivery.work import OutboxRow


def row(subject: str, kind: str = "living") -> OutboxRow:
    return OutboxRow(uuid4(), "payments.events", kind, subject, "{}")


class Broker:
    """Returns what no queue takes, closes the channel at what it refuses and drops what was written behind it; keeps what it confirmed."""

    def __init__(
        self, *, unroutable: Callable[[OutboxRow], bool], refused: Callable[[OutboxRow], bool], is_way_shut: bool
    ) -> None:
        self._unroutable, self._refused, self._is_way_shut = unroutable, refused, is_way_shut
        self.confirmed: list[OutboxRow] = []

    def publish(self, rows: Sequence[OutboxRow]) -> Published:
        done: set[UUID] = set()
        failed: set[UUID] = set()
        for one in rows:
            if self._refused(one):
                return Published(done, failed, True, self._is_way_shut)
            if self._unroutable(one):
                failed.add(one.id)
            else:
                done.add(one.id)
                self.confirmed.append(one)
        return Published(done, failed, False, False)


def test_no_later_event_overtakes_one_that_was_returned_before_another_was_refused() -> None:
    first, refused, later = row("A-1"), row("A-2", "gone"), row("A-1")
    broker = Broker(unroutable=lambda it: it is first, refused=lambda it: it.type == "gone", is_way_shut=True)
    others = [row(f"B-{number}") for number in range(5)]
    confirmed, failed = Refusals().publish(cast(Publisher, broker), [first, refused, later, *others])
    assert failed == {first.id, refused.id}
    assert confirmed == {it.id for it in others}


@pytest.mark.parametrize("is_way_shut", [True, False])
def test_its_kind_is_left_out_only_where_the_way_is_shut(is_way_shut: bool) -> None:
    """One that is too large says nothing of the others."""
    rows = [row(f"A-{number}") for number in range(8)]
    broker = Broker(unroutable=lambda _: False, refused=lambda it: it is rows[3], is_way_shut=is_way_shut)
    confirmed, failed = Refusals().publish(cast(Publisher, broker), rows)
    assert rows[3].id in failed
    behind = {it.id for it in rows[4:]}
    assert behind <= (failed if is_way_shut else confirmed)
