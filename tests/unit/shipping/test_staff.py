"""Staff's verbs over HTTP: one item or many, each with its own ending in the order asked; what is wrong is named by place."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

import pytest

from services.shipping.commands import PackedForm, PickedForm, TrackingForm
from shared.contracts.errors import Fault, Refused
from shared.contracts.values import OrderKey
from tests.builders import KEY

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says on import that it is maintained, but no more
    from services.shipping import staff
    from shared.delivery.work import Ending
    from shared.http_door import Answer, Request, StatusError

CANARY = "canary-1be7"
ONE, TWO, UNKNOWN = "PL-AAAAAAAAAAAA", "PL-BBBBBBBBBBBB", "PL-CCCCCCCCCCCC"
KEYS = {ONE: KEY, TWO: OrderKey(KEY.shop, "SH-2")}


def ask(body: object, endings: dict[str, Ending] | None = None, form: Any = PickedForm) -> Answer:
    """Have these done: every known item ends as `endings` says, `done` where it does not."""

    def keys_of(column: str, names: Sequence[str]) -> dict[str, OrderKey]:
        assert column == "pick_list"
        return {name: KEYS[name] for name in names if name in KEYS}

    def do(known: list[tuple[Any, OrderKey]]) -> list[Ending]:
        assert all(KEYS[item.pick_list] == key for item, key in known)
        return [(endings or {}).get(item.pick_list, Ending("done")) for item, _ in known]

    return staff.each(Request({}, {}, json.dumps(body).encode(), "application/json"), form, "pick_list", keys_of, do)


def items(*names: str) -> dict[str, Any]:
    return {"items": [{"pick_list": name} for name in names]}


def test_one_bare_item_is_done() -> None:
    answer = ask({"pick_list": ONE})
    assert (answer.status, answer.body) == (200, {"results": [{"pick_list": ONE, "ending": "done", "reasons": []}]})


def test_many_items_end_each_in_its_own_way_and_in_the_order_asked() -> None:
    endings = {TWO: Ending("refused", "shipment_held", (Fault("shipment_held"),))}
    answer = ask(items(TWO, UNKNOWN, ONE), endings)
    assert answer.status == 200
    assert answer.body["results"] == [
        {"pick_list": TWO, "ending": "refused", "reasons": [{"code": "shipment_held", "path": ""}]},
        {"pick_list": UNKNOWN, "ending": "refused", "reasons": [{"code": "pick_list_unknown", "path": ""}]},
        {"pick_list": ONE, "ending": "done", "reasons": []},
    ]


@pytest.mark.parametrize(
    ("ending", "shown"),
    [("done", "done"), ("repeated", "done"), ("later", "later"), ("refused", "refused"), ("parked", "refused")],
)
def test_each_ending_is_shown_in_one_of_three_words(ending: str, shown: str) -> None:
    [result] = ask(items(ONE), {ONE: Ending(ending, "" if shown == "done" else "code")}).body["results"]
    assert result["ending"] == shown


@pytest.mark.parametrize(("name", "status", "code"), [(UNKNOWN, 404, "pick_list_unknown"), (ONE, 409, "shipment_held")])
def test_one_bare_item_that_is_refused_is_a_problem(name: str, status: int, code: str) -> None:
    with pytest.raises(StatusError) as caught:
        ask({"pick_list": name}, {ONE: Ending("refused", "shipment_held", (Fault("shipment_held"),))})
    assert (caught.value.status, caught.value.code) == (status, code)


def test_an_empty_list_is_done_at_once() -> None:
    assert ask(items()).body == {"results": []}


def refused(body: object, form: Any = PickedForm) -> set[tuple[str, str]]:
    with pytest.raises(Refused) as caught:
        ask(body, form=form)
    assert CANARY not in f"{caught.value!s} {caught.value.faults!r}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return {(fault.code, fault.path) for fault in caught.value.faults}


@pytest.mark.parametrize("many", [CANARY, {CANARY: 1}, 3, None])
def test_items_that_are_no_list_are_refused(many: object) -> None:
    assert refused({"items": many}) == {("wrong_type", "/items")}


def test_too_many_items_are_refused() -> None:
    assert refused(items(*[ONE] * (staff.MOST_ITEMS + 1))) == {("too_long", "/items")}
    assert len(ask(items(*[ONE] * staff.MOST_ITEMS)).body["results"]) == staff.MOST_ITEMS


def test_an_item_that_is_none_has_its_own_ending_and_the_others_are_done() -> None:
    body = {"items": [{"pick_list": ONE}, {"pick_list": CANARY}, {}, CANARY, {"pick_list": ONE, "Name": 1}]}
    results = ask(body).body["results"]
    assert CANARY not in str(results)
    assert [(result["pick_list"], result["ending"]) for result in results] == [(ONE, "done"), *[(None, "refused")] * 4]
    assert [[(reason["code"], reason["path"]) for reason in result["reasons"]] for result in results[1:]] == [
        [("grammar", "/pick_list")],
        [("missing", "/pick_list")],
        [("wrong_type", "")],
        [("unknown_member", "/*")],
    ]


@pytest.mark.parametrize("body", [CANARY, [], None, 3, {}, {"pick_list": CANARY}])
def test_a_bare_item_that_is_unsound_is_refused(body: object) -> None:
    assert refused(body)


SIZES = {"weight_grams": 250, "length_mm": 200, "width_mm": 150, "height_mm": 40}


@pytest.mark.parametrize("member", SIZES)
@pytest.mark.parametrize("value", [0, -1, 10_000_000, 1.5, "250", None, True])
def test_a_weight_and_a_size_are_whole_numbers_within_reason(member: str, value: object) -> None:
    found = refused({"pick_list": ONE, **SIZES, member: value}, PackedForm)
    assert {path for _, path in found} == {f"/{member}"}


def test_of_a_scan_only_number_and_status_are_read() -> None:
    scan = {"resource_type": "API_TRACK", "data": {"tracking_number": "1Z", "status_code": "IT", "carrier_detail": CANARY}}
    assert CANARY not in repr(TrackingForm.model_validate(scan))
