"""A month is let out once, when it is over: whatever is asked, in whatever order, no order stands in two tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.sales import EVERY_SHOP, SETTLES, Month, Release, refuse_unless_due
from shared.contracts.errors import Refused

FIRST, LAST = datetime(2025, 1, 1), datetime(2027, 6, 1)  # noqa: DTZ001 - Hypothesis wants them so
SHOPS = ["https://one.example", "https://two.example"]
names = st.builds(lambda year, month: f"{year:04d}-{month:02d}", st.integers(2025, 2026), st.integers(1, 12))
asks = st.tuples(names, st.sampled_from([EVERY_SHOP, *SHOPS]), st.datetimes(FIRST, LAST))


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "2026-1", "2026-10-01", "2026-10/2026-11", "last", "0001-01", "٢٠٢٦-10"]
)
def test_nothing_but_a_month_is_counted(text: str) -> None:
    with pytest.raises(Refused):
        Month.read(text)


@given(names)
def test_months_follow_each_other_without_a_gap(name: str) -> None:
    month = Month.read(name)
    after = Month.read(f"{month.ends:%Y-%m}")
    assert month.begins < month.ends == after.begins
    assert month.begins.strftime("%Y-%m") == name


@given(
    st.lists(asks, max_size=30),
    st.lists(st.tuples(st.datetimes(FIRST, LAST), st.sampled_from(SHOPS))),
)
def test_no_order_is_ever_in_two_tables(asked: list[tuple[str, str, datetime]], orders: list[tuple[datetime, str]]) -> None:
    ledger: dict[str, Release] = {}
    counted: list[tuple[str, set[int]]] = []
    for name, cut, at in asked:
        month, moment = Month.read(name), at.replace(tzinfo=UTC)
        try:
            refuse_unless_due(month, cut, ledger.get(name), moment)
        except Refused:
            continue
        assert moment >= month.ends + SETTLES
        if name in ledger:
            assert ledger[name].cut == cut, "the very same is shown again, from the ledger"
            continue
        ledger[name] = Release(name, cut, 5, {}, moment)
        of = {
            place
            for place, (placed, shop) in enumerate(orders)
            if month.begins <= placed.replace(tzinfo=UTC) < month.ends and cut in (EVERY_SHOP, shop)
        }
        counted.append((name, of))
    for place in range(len(orders)):
        assert sum(place in of for _, of in counted) <= 1


@given(names, st.sampled_from([EVERY_SHOP, *SHOPS]), st.sampled_from([EVERY_SHOP, *SHOPS]))
def test_an_overlapping_release_is_refused(name: str, first: str, second: str) -> None:
    month = Month.read(name)
    at = month.ends + SETTLES + timedelta(days=1)
    before = Release(name, first, 5, {}, at)
    if first == second:
        refuse_unless_due(month, second, before, at)
        return
    with pytest.raises(Refused) as refused:
        refuse_unless_due(month, second, before, at)
    assert refused.value.code == "month_released_before"
