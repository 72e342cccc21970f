"""What is acknowledged, in which frames: all up to the first that is open, and what is done behind it once that is much."""

from __future__ import annotations

from amqp.exceptions import PreconditionFailed
from hypothesis import given
from hypothesis import strategies as st

from shared.delivery.amqp import MOST_BEHIND, _Acknowledger


class Channel:
    """Counts as the broker does: a tag may be named once, also where it stands for those below it."""

    def __init__(self, tags: int) -> None:
        self.unacknowledged = set(range(1, tags + 1))
        self.frames = 0

    def basic_ack(self, tag: int, *, multiple: bool = False) -> None:
        self.frames += 1
        if tag not in self.unacknowledged:
            raise PreconditionFailed(f"unknown delivery tag {tag}")
        self.unacknowledged -= {it for it in self.unacknowledged if it <= tag} if multiple else {tag}


def handed_out(tags: int) -> tuple[Channel, _Acknowledger]:
    channel = Channel(tags)
    acks = _Acknowledger(channel)
    for tag in range(1, tags + 1):
        acks.receive(tag)
    return channel, acks


def test_a_batch_is_one_frame() -> None:
    channel, acks = handed_out(200)
    for tag in range(1, 201):
        acks.done(tag)
    acks.flush()
    acks.flush()
    assert (channel.unacknowledged, channel.frames) == (set(), 1)


def test_one_that_waits_long_holds_no_more_than_its_own_place() -> None:
    channel, acks = handed_out(600)
    for tag in range(2, 601):
        acks.done(tag)
        acks.flush()
        assert len(channel.unacknowledged) <= 1 + MOST_BEHIND + 600 - tag
    acks.done(1)
    acks.flush()
    assert channel.unacknowledged == set()


@given(st.data())
def test_in_any_order_nothing_is_acknowledged_twice_or_before_it_is_done(data: st.DataObject) -> None:
    channel, acks = handed_out(2 * MOST_BEHIND)
    order = data.draw(st.permutations(range(1, 2 * MOST_BEHIND + 1)))
    flushed = data.draw(st.sets(st.integers(0, len(order))))
    done: set[int] = set()
    for place, tag in enumerate(order):
        acks.done(tag)
        done.add(tag)
        if place in flushed:
            acks.flush()
            assert not set(range(1, 2 * MOST_BEHIND + 1)) - channel.unacknowledged - done
    acks.flush()
    assert channel.unacknowledged == set()
