"""Whatever is done to the record of openings after it was written is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.custody.keys import Entry, Head, RecordEnd
from shared.custody.record import FIRST, Break, Seal, breaks, chained, continued, entry_of, fault_of, hash_of

AT = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
TEXTS = ("actor", "purpose", "part", "form", "person", "item", "policy_version", "ending", "salt")


def an_entry(number: int) -> Entry:
    return entry_of(
        AT + timedelta(seconds=number),
        actor="shipping",
        purpose="fill_order",
        part="recipient",
        form="part",
        person="p" * 32,
        item=f"{number:032}",
        policy_version="2013-08-19",
        ending="opened",
    )


def a_record(length: int) -> list[Entry]:
    """Written in two batches, as it comes."""
    first = chained([an_entry(number) for number in range(length // 2)], 0, FIRST)
    last = (first[-1].position, first[-1].hash) if first else (0, FIRST)
    return [*first, *chained([an_entry(number) for number in range(length // 2, length)], *last)]


RECORD = a_record(9)


def found(entries: list[Entry], anchors: dict[int, str] | None = None) -> set[tuple[int, str]]:
    return {(it.position, it.kind) for it in breaks(entries, anchors or {})}


def test_an_untouched_record_holds_against_its_own_anchors() -> None:
    assert found(RECORD, {it.position: it.hash for it in RECORD}) == set()
    assert found([]) == set()


def test_the_middle_holds_too_when_it_is_looked_at_alone() -> None:
    assert list(breaks(RECORD[4:], {}, after=4, before=RECORD[3].hash)) == []
    assert [it.kind for it in breaks(RECORD[4:], {}, after=4, before=RECORD[2].hash)] == ["changed"]


@given(st.data())
def test_any_edit_is_found_where_it_is(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(RECORD) - 1))
    name = data.draw(st.sampled_from((*TEXTS, "at", "hash")))
    entry = RECORD[index]
    if name == "at":
        changed = entry._replace(at=entry.at + timedelta(microseconds=data.draw(st.integers(1, 10**9))))
    else:
        was = getattr(entry, name)
        changed = entry._replace(**{name: data.draw(st.text(max_size=40).filter(lambda it: it != was))})
    edited = [*RECORD[:index], changed, *RECORD[index + 1 :]]
    assert (entry.position, "changed") in found(edited)


@given(st.data())
def test_any_removal_is_found(data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(1, len(RECORD)), min_size=1))
    left = [it for it in RECORD if it.position not in gone]
    # The end of the record alone looks like a shorter record: that is what anchors are for.
    anchors = {RECORD[-1].position: RECORD[-1].hash}
    kinds = {kind for _, kind in found(left, anchors)}
    assert "missing" in kinds


@given(st.permutations(RECORD))
def test_any_other_order_is_found(shuffled: list[Entry]) -> None:
    assert (found(shuffled) == set()) == (shuffled == RECORD)


@given(st.permutations(RECORD))
def test_another_order_with_places_given_anew_is_found(shuffled: list[Entry]) -> None:
    renumbered = [it._replace(position=place) for place, it in enumerate(shuffled, start=1)]
    assert (found(renumbered) == set()) == (shuffled == RECORD)


@given(st.integers(0, len(RECORD) - 1), st.integers(0, len(RECORD) - 1))
def test_a_rewritten_tail_is_found_by_any_anchor_in_it(start: int, anchored: int) -> None:
    before = RECORD[start - 1].hash if start else FIRST
    retold = [it._replace(ending="person_erased") for it in RECORD[start:]]
    rewritten = [*RECORD[:start], *chained(retold, start, before)]
    assert found(rewritten) == set(), "by itself it holds"
    anchor = {RECORD[anchored].position: RECORD[anchored].hash}
    assert found(rewritten, anchor) == ({(anchored + 1, "rewritten")} if anchored >= start else set())


def test_an_entry_that_was_put_in_between_is_found() -> None:
    intruder = RECORD[3]._replace(position=5)
    assert found([*RECORD[:4], intruder, *RECORD[4:]]) != set()


@pytest.mark.parametrize("hours", [-5, 0, 9])
def test_a_hash_does_not_depend_on_the_zone_that_a_time_is_told_in(hours: int) -> None:
    told = RECORD[0]._replace(at=RECORD[0].at.astimezone(timezone(timedelta(hours=hours))))
    assert hash_of(told, FIRST) == RECORD[0].hash


def test_the_same_opening_twice_has_two_hashes() -> None:
    assert chained([an_entry(1)], 0, FIRST)[0].hash != chained([an_entry(1)], 0, FIRST)[0].hash


# ── the end of the record ────────────────────────────────────────────────────────────────────────────────────────────────────

SEAL = Seal("shipping", b"\x01" * 32)
LAST = RECORD[-1]
HEAD = SEAL.head(LAST.position, LAST.hash)


def the_end(record: list[Entry], head: Head | None) -> RecordEnd:
    at_head = next((it.hash for it in record if head is not None and it.position == head.position), None)
    return RecordEnd(head, at_head, record[-1].position if record else 0, record[-1].hash if record else "")


def test_a_whole_record_ends_where_its_head_says() -> None:
    assert fault_of(the_end(RECORD, HEAD), SEAL) is None
    assert continued(the_end(RECORD, HEAD), SEAL, None) == (LAST.position, LAST.hash, True)
    fresh = the_end([], Head(0, "", ""))
    assert fault_of(fresh, None) is None
    assert continued(fresh, SEAL, None) == (0, "", True)


@pytest.mark.parametrize("left", range(len(RECORD)))
def test_an_end_that_was_cut_off_shows_and_what_comes_next_does_not_close_it(left: int) -> None:
    cut = RECORD[:left]
    assert fault_of(the_end(cut, HEAD), SEAL) == Break(LAST.position, "missing")
    position, hash_, is_sealed = continued(the_end(cut, HEAD), SEAL, None)
    assert is_sealed
    grown = [*cut, *chained([an_entry(99)], position, hash_)]
    assert (left + 1, "missing") in found(grown)


@pytest.mark.parametrize("other", [None, Head(0, "", ""), SEAL.head(4, "x"), HEAD._replace(position=3), HEAD._replace(seal="é")])
def test_a_head_that_is_not_the_service_s_own_hides_no_cut_and_is_not_written_over(other: Head | None) -> None:
    cut = RECORD[:3]
    mine = other and SEAL.is_right(other)
    assert fault_of(the_end(cut, other), SEAL) == (Break(4, "missing") if mine else Break(3, "unsealed"))
    if not mine:
        assert continued(the_end(cut, other), SEAL, None) == (3, cut[-1].hash, False)
    stranger = Seal("shipping", b"\x02" * 32).head(3, cut[-1].hash)
    assert fault_of(the_end(cut, stranger), SEAL) == Break(3, "unsealed")
    assert fault_of(the_end(cut, Seal("payments", b"\x01" * 32).head(3, cut[-1].hash)), SEAL) == Break(3, "unsealed")


def test_an_older_head_that_was_put_back_is_known_to_who_wrote_the_newer() -> None:
    cut = RECORD[:3]
    older = SEAL.head(3, cut[-1].hash)
    assert fault_of(the_end(cut, older), SEAL) is None, "by itself it holds: that is what the watch and anchors are for"
    assert continued(the_end(cut, older), SEAL, HEAD) == (LAST.position, LAST.hash, True)


def test_a_last_entry_that_was_written_anew_shows() -> None:
    retold = [*RECORD[:-1], *chained([LAST._replace(ending="refused")], LAST.position - 1, RECORD[-2].hash)]
    assert fault_of(the_end(retold, HEAD), SEAL) == Break(LAST.position, "rewritten")
    position, hash_, _ = continued(the_end(retold, HEAD), SEAL, None)
    assert (LAST.position + 1, "changed") in found([*retold, *chained([an_entry(99)], position, hash_)])


def test_entries_of_an_older_release_behind_the_head_are_no_fault() -> None:
    behind = SEAL.head(3, RECORD[2].hash)
    assert fault_of(the_end(RECORD, behind), SEAL) is None
    assert continued(the_end(RECORD, behind), SEAL, None) == (LAST.position, LAST.hash, True)
