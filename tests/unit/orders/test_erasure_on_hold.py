"""An erasure while the law keeps one of the person's orders: frozen, nothing destroyed, said why, and on by itself afterwards (clause 53)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from services.orders.requests import Kind, Request, State
from services.orders.rights import _shown
from shared.cli.privacy_requests import waiting
from shared.custody.certificates import prove
from tests.unit.orders.people import AGAIN, HOLDERS, WAITS, Bureau, asks

ERASURE = {"request_id": "r-1"}


@pytest.fixture
def bureau() -> Bureau:
    it = Bureau()
    it.has_order(state="completed")
    return it


def asked(bureau: Bureau) -> Request:
    bureau.take(asks("customer_erasure_requested", **ERASURE))
    return bureau.request(Kind.ERASURE)


def frozen(bureau: Bureau) -> Request:
    asked(bureau)
    for service in HOLDERS:
        bureau.note(bureau.receipt(service, bureau.request(Kind.ERASURE), "deactivated"))
    return bureau.request(Kind.ERASURE)


def looked_at(bureau: Bureau) -> Request:
    bureau.look(bureau.request(Kind.ERASURE))
    return bureau.request(Kind.ERASURE)


def answer(bureau: Bureau, *services: str) -> Request:
    for service in services:
        bureau.note(bureau.receipt(service, bureau.request(Kind.ERASURE), "erased"))
    return bureau.request(Kind.ERASURE)


def test_a_hold_from_before_freezes_the_person_and_destroys_nothing(bureau: Bureau) -> None:
    bureau.store.hold("SH-1", "53")
    request = frozen(bureau)
    assert (request.state, request.legal_holds, request.waits_for) == (State.ON_LEGAL_HOLD, {"SH-1": "53"}, [])
    assert len(bureau.told("person_deactivated")) == 1
    assert bureau.told("erasure_ordered") == []
    bureau.at += max(WAITS, 10 * AGAIN) + timedelta(days=400)
    assert looked_at(bureau).state is State.ON_LEGAL_HOLD, "the law's time is not ours: it is not refused for lasting"
    assert bureau.told("erasure_ordered") == []


def test_it_says_what_it_waits_for_and_by_which_clause(bureau: Bureau) -> None:
    bureau.store.hold("SH-1", "A-10")
    shown = _shown(frozen(bureau))
    assert shown["waits_for"] == {"legal_hold": {"SH-1": "A-10"}}
    assert waiting(shown) == "waits for the legal hold of SH-1 (A-10)"


def test_it_goes_on_by_itself_when_the_last_hold_ends(bureau: Bureau) -> None:
    bureau.has_order("SH-2", state="completed")
    bureau.store.hold("SH-1", "53")
    bureau.store.hold("SH-2", "A-10")
    frozen(bureau)
    bureau.store.hold("SH-1", None)
    assert looked_at(bureau).legal_holds == {"SH-2": "A-10"}
    assert bureau.told("erasure_ordered") == []
    bureau.store.hold("SH-2", None)
    request = looked_at(bureau)
    assert (request.state, request.legal_holds) == (State.UNDER_WAY, {})
    assert len(bureau.told("erasure_ordered")) == 1
    assert answer(bureau, *HOLDERS).state is State.CLOSED


def test_orders_under_way_come_first_and_then_the_hold(bureau: Bureau) -> None:
    order = bureau.has_order("SH-2")
    bureau.store.hold("SH-1", "53")
    assert frozen(bureau).state is State.WAITING_FOR_ORDERS
    order.note("payment_captured", bureau.at)
    order.note("shipment_delivered", bureau.at)
    bureau.store.save(order)
    assert looked_at(bureau).state is State.ON_LEGAL_HOLD


@pytest.mark.parametrize("done", [some for count in range(4) for some in itertools.combinations(HOLDERS, count)])
def test_a_hold_in_the_middle_keeps_what_is_left(done: tuple[str, ...], bureau: Bureau) -> None:
    """Some holders had destroyed their part before the hold came: that stays so. Orders sweeps nothing, also where all others had."""
    frozen(bureau)
    if len(done) == len(HOLDERS):
        *early, last = done
        answer(bureau, *early)
        bureau.store.hold("SH-1", "53")
        answer(bureau, last)
    else:
        answer(bureau, *done)
        bureau.store.hold("SH-1", "53")
    request = looked_at(bureau)
    assert (request.state, set(request.receipts.get("erased", {}))) == (State.ON_LEGAL_HOLD, set(done))
    assert [one.key.order_number for one in bureau.store.orders_of("c-1")] == ["SH-1"], "the order still is the person's"
    bureau.at += 3 * AGAIN
    looked_at(bureau)
    assert len(bureau.told("erasure_ordered")) == 1, "nobody is pressed meanwhile"
    bureau.store.hold("SH-1", None)
    request = looked_at(bureau)
    if len(done) < len(HOLDERS):
        assert (request.state, len(bureau.told("erasure_ordered"))) == (State.UNDER_WAY, 2), "who left it alone is told again"
        request = answer(bureau, *sorted(set(HOLDERS) - set(done)))
    assert request.state is State.CLOSED
    assert bureau.store.orders_of("c-1") == []


def test_a_receipt_that_comes_during_the_hold_counts(bureau: Bureau) -> None:
    frozen(bureau)
    bureau.store.hold("SH-1", "53")
    looked_at(bureau)
    answer(bureau, *HOLDERS)
    assert bureau.request(Kind.ERASURE).state is State.ON_LEGAL_HOLD
    bureau.store.hold("SH-1", None)
    assert looked_at(bureau).state is State.CLOSED
    assert len(bureau.told("erasure_ordered")) == 1, "everybody had done it: nobody is told again"


def test_a_hold_on_somebody_else_s_order_holds_up_nothing(bureau: Bureau) -> None:
    bureau.has_order("SH-9", state="completed", customer_id="c-2")
    bureau.store.hold("SH-9", "53")
    frozen(bureau)
    assert answer(bureau, *HOLDERS).state is State.CLOSED


def destroys_while_held(bureau: Bureau) -> bool:
    """Whether holders are told to destroy keys though the law keeps the person's order."""
    bureau.store.hold("SH-1", "53")
    frozen(bureau)
    looked_at(bureau)
    return bool(bureau.told("erasure_ordered"))


def test_nobody_is_told_to_destroy_what_the_law_keeps(bureau: Bureau) -> None:
    assert not destroys_while_held(bureau)


def test_an_erasure_that_does_not_look_at_holds_is_red(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bureau.store, "legal_holds", lambda _shop, _customer: {})
    assert destroys_while_held(bureau)


def test_its_certificate_names_the_version_that_named_its_holders(bureau: Bureau) -> None:
    bureau.store.hold("SH-1", "53")
    before = bureau.desk.policy
    frozen(bureau)
    holds = {name: hold for name, hold in before.holds.items() if hold.service != "payments"}
    after = before.model_copy(update={"version": "2999-01-01", "holds": holds})
    bureau.desk = replace(bureau.desk, policy=after)  # a release comes while the law keeps the order
    bureau.store.hold("SH-1", None)
    looked_at(bureau)
    certificate = answer(bureau, *HOLDERS).certificate
    assert certificate is not None
    proof = prove(certificate, {it.version: it for it in (before, after)}, bureau.public_keys())
    assert (proof.faults, proof.holders) == ((), tuple(sorted({*HOLDERS, "orders"})))
