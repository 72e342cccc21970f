"""What persons ask for: recorded, told to the holders, closed by all of their receipts and by nothing less."""

from __future__ import annotations

import json
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orders.handlers import defer
from services.orders.intake import NOTED
from services.orders.request_handlers import refuse_the_gone
from services.orders.requests import Kind, Request, State
from shared.contracts.errors import Parked, TryLater
from shared.contracts.values import OrderKey
from shared.custody.certificates import prove
from shared.custody.receipts import ReceiptUnsigned, Signer
from shared.policy.holders import answering
from tests.builders import AT, an_order, order_placed
from tests.unit.contracts.storefront_samples import SOURCE, sealed
from tests.unit.orders.people import AGAIN, CUSTOMER, HOLDERS, POLICY, REFUSED_KEY, REPLY_KEY, WAITS, Bureau, asks

EVERYBODY = {"orders", *HOLDERS}
ERASURE = {"request_id": "r-1"}


@pytest.fixture
def bureau() -> Bureau:
    return Bureau()


def frozen(bureau: Bureau) -> Request:
    """An erasure whose person every holder has frozen."""
    bureau.take(asks("customer_erasure_requested", **ERASURE))
    for service in HOLDERS:
        bureau.note(bureau.receipt(service, bureau.request(Kind.ERASURE), "deactivated"))
    return bureau.request(Kind.ERASURE)


def erased(bureau: Bureau) -> Request:
    request = frozen(bureau)
    for service in HOLDERS:
        bureau.note(bureau.receipt(service, request))
    return bureau.request(Kind.ERASURE)


# ── who must answer ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_holders_are_those_of_the_policy_whoever_listens() -> None:
    assert set(answering(POLICY, Kind.ERASURE)) == EVERYBODY
    assert set(answering(POLICY, Kind.COPY)) == EVERYBODY
    assert set(answering(POLICY, Kind.DEACTIVATION)) == EVERYBODY
    assert set(answering(POLICY, Kind.PREFERENCES)) == EVERYBODY
    assert answering(POLICY, Kind.CORRECTION, ["recipient", "contact"]) == {
        "shipping": ["recipient"],
        "notifications": ["contact"],
    }
    fewer = POLICY.model_copy(update={"holds": {name: it for name, it in POLICY.holds.items() if it.service != "payments"}})
    assert "payments" not in answering(fewer, Kind.ERASURE), "it follows the policy and nothing else"


# ── erasure ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_erasure_is_recorded_then_freezes_then_erases(bureau: Bureau) -> None:
    bureau.has_order(state="completed")
    assert bureau.take(asks("customer_erasure_requested", **ERASURE)) == NOTED
    request = bureau.request(Kind.ERASURE)
    assert (request.state, request.waits_for) == (State.RECEIVED, sorted(HOLDERS))
    assert [told["customer_id"] for told in bureau.told("person_deactivated")] == [CUSTOMER]
    assert bureau.told("erasure_ordered") == [], "nothing is destroyed before everybody has frozen the person"
    for service in HOLDERS:
        bureau.note(bureau.receipt(service, request, "deactivated"))
    request = bureau.request(Kind.ERASURE)
    assert (request.state, request.waits_for) == (State.UNDER_WAY, sorted(EVERYBODY))
    assert len(bureau.told("erasure_ordered")) == 1
    for service in HOLDERS:
        assert bureau.told("customer_erased") == []
        bureau.note(bureau.receipt(service, request))
    request = bureau.request(Kind.ERASURE)
    assert (request.state, request.customer_id, request.waits_for) == (State.CLOSED, None, [])
    assert bureau.store.orders_of(CUSTOMER) == [], "the order stands on, as nobody's"
    (told,) = bureau.told("customer_erased")
    assert {receipt["service"] for receipt in told["receipts"]} == EVERYBODY
    assert CUSTOMER not in json.dumps(told)
    assert CUSTOMER not in json.dumps(request.certificate)
    proof = prove(request.certificate or {}, {POLICY.version: POLICY}, bureau.public_keys())
    assert proof.faults == ()
    assert proof.unreadable_by_us_since == AT
    assert proof.unreadable_by_anybody_from == AT + timedelta(days=14)


@pytest.mark.parametrize("missing", HOLDERS)
def test_an_erasure_does_not_close_without_one_holder_and_names_it(missing: str, bureau: Bureau) -> None:
    request = frozen(bureau)
    for service in HOLDERS:
        if service != missing:
            bureau.note(bureau.receipt(service, request))
    bureau.at += timedelta(days=300)
    bureau.look(request)
    request = bureau.request(Kind.ERASURE)
    assert request.state is State.UNDER_WAY
    assert request.waits_for == sorted({missing, "orders"})
    with pytest.raises(ValueError, match="all its holders"):
        request.close(bureau.at)


def test_an_erasure_waits_for_open_orders_and_names_them(bureau: Bureau) -> None:
    order = bureau.has_order()
    request = frozen(bureau)
    assert (request.state, request.orders, request.waits_for) == (State.WAITING_FOR_ORDERS, ("SH-1",), [])
    bureau.look(request)
    assert bureau.told("erasure_ordered") == []
    bureau.at += timedelta(days=3)
    order.note("payment_captured", bureau.at)
    order.note("shipment_delivered", bureau.at)
    bureau.store.save(order)
    bureau.look(request)
    assert bureau.request(Kind.ERASURE).state is State.UNDER_WAY
    assert len(bureau.told("erasure_ordered")) == 1


def test_an_order_that_does_not_end_in_time_refuses_the_erasure_with_its_reason(bureau: Bureau) -> None:
    bureau.has_order()
    request = frozen(bureau)
    bureau.at += WAITS
    bureau.look(request)
    request = bureau.request(Kind.ERASURE)
    assert request.state is State.REFUSED
    (told,) = bureau.told("event_refused")
    assert told["reasons"] == [{"code": "order_under_way", "path": "/data/customer_id"}]
    assert bureau.told("erasure_ordered") == []
    assert refuse_the_gone(order_placed("SH-2", "e-2", customer_id=CUSTOMER), bureau.store, bureau.desk) is None, (
        "and the person may order again"
    )


def test_what_was_never_paid_is_cancelled(bureau: Bureau) -> None:
    order = bureau.has_order()
    order.note_declined("declined", AT)
    bureau.store.save(order)
    request = frozen(bureau)
    assert request.state is State.UNDER_WAY
    assert bureau.store.the_order(OrderKey(SOURCE, "SH-1")).state == "cancelled"
    assert [told["reasons"][0]["code"] for told in bureau.told("order_cancelled") if "caused_by" in told] == ["erasure_requested"]


def test_another_person_and_the_same_id_at_another_shop_are_not_touched(bureau: Bureau) -> None:
    bureau.has_order("SH-1")
    bureau.has_order("SH-2", customer_id="c-2")
    elsewhere = OrderKey("https://elsewhere.example", "SH-3")
    bureau.store.save(an_order(elsewhere, customer_id=CUSTOMER))
    untouched = (OrderKey(SOURCE, "SH-2"), elsewhere)
    before = [vars(bureau.store.the_order(key)) for key in untouched]
    request = frozen(bureau)
    assert request.orders == ("SH-1",)
    order = bureau.store.the_order(OrderKey(SOURCE, "SH-1"))
    order.note("payment_captured", AT)
    order.note("shipment_delivered", AT)
    bureau.store.save(order)
    bureau.look(request)
    for service in HOLDERS:
        bureau.note(bureau.receipt(service, bureau.request(Kind.ERASURE)))
    assert bureau.request(Kind.ERASURE).state is State.CLOSED
    assert [vars(bureau.store.the_order(key)) for key in untouched] == before
    assert bureau.desk.names.digest(SOURCE, CUSTOMER) != bureau.desk.names.digest("https://elsewhere.example", CUSTOMER)
    assert bureau.store.person_state(bureau.desk.names.digest("https://elsewhere.example", CUSTOMER)) == "active"


@pytest.mark.parametrize("when", ["leaving", "erased"])
def test_a_new_order_of_somebody_who_is_gone_is_refused_and_a_repeat_is_not(when: str, bureau: Bureau) -> None:
    first = order_placed("SH-9", "e-9", customer_id=CUSTOMER)
    assert refuse_the_gone(first, bureau.store, bureau.desk) is None
    frozen(bureau) if when == "leaving" else erased(bureau)
    refused = refuse_the_gone(first, bureau.store, bureau.desk)
    assert refused is not None
    assert [(reason.code, reason.path) for reason in refused.reasons] == [("customer_erased", "/data/customer_id")]


@pytest.mark.parametrize("kind", ["customer_deactivated", "preferences_changed", "customer_data_requested", "customer_corrected"])
def test_nothing_else_is_taken_from_somebody_who_was_erased(kind: str, bureau: Bureau) -> None:
    erased(bureau)
    more: dict[str, Any] = {
        "preferences_changed": {"communication": "none"},
        "customer_data_requested": {"request_id": "r-2", "reply_key": REPLY_KEY},
        "customer_corrected": {"contact": sealed("contact")},
    }.get(kind, {})
    assert bureau.take(asks(kind, **more)) == "event_refused"
    assert bureau.told("event_refused")[-1]["reasons"] == [{"code": "customer_erased", "path": "/data/customer_id"}]


def test_a_second_erasure_of_the_same_person_is_done_again_and_certified_too(bureau: Bureau) -> None:
    erased(bureau)
    bureau.take(asks("customer_erasure_requested", request_id="r-2"))
    for deed in ("deactivated", "erased"):
        for service in HOLDERS:
            bureau.note(bureau.receipt(service, bureau.request(Kind.ERASURE, "r-2"), deed))
    assert (
        prove(bureau.request(Kind.ERASURE, "r-2").certificate or {}, {POLICY.version: POLICY}, bureau.public_keys()).faults == ()
    )


def test_a_request_s_name_is_one_person_s(bureau: Bureau) -> None:
    bureau.take(asks("customer_erasure_requested", **ERASURE))
    other = asks("customer_erasure_requested", request_id="r-1", customer_id="c-2")
    assert bureau.take(other) == "event_refused"
    assert bureau.told("event_refused")[-1]["reasons"] == [{"code": "request_id_taken", "path": "/data/request_id"}]
    assert len(bureau.told("person_deactivated")) == 1


def test_a_repeat_changes_nothing_and_hears_the_same_again(bureau: Bureau) -> None:
    event = asks("customer_erasure_requested", **ERASURE)
    bureau.take(event)
    bureau.take(event)
    assert len(bureau.told("person_deactivated")) == 1
    assert erased(bureau).state is State.CLOSED
    bureau.take(event)
    assert bureau.told("customer_erased")[0] == bureau.told("customer_erased")[1]


def test_what_was_deferred_by_an_older_release_is_done_when_it_is_replayed(bureau: Bureau) -> None:
    event = asks("customer_erasure_requested", **ERASURE)
    defer(event, bureau.store)
    assert bureau.take(event) == NOTED
    assert bureau.request(Kind.ERASURE).state is State.RECEIVED


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_receipt_counts_by_its_signature_alone(bureau: Bureau) -> None:
    bureau.take(asks("customer_erasure_requested", **ERASURE))
    request = bureau.request(Kind.ERASURE)
    good = bureau.receipt("shipping", request)
    changed = good.model_copy(
        update={"signed": good.signed.model_copy(update={"receipt": good.signed.receipt.replace("r-1", "r-7")})}
    )
    anothers = bureau.receipt("payments", request).signed.model_copy(update={"service": "shipping"})
    for wrong in (changed, good.model_copy(update={"signed": anothers})):
        with pytest.raises((ReceiptUnsigned, TryLater)):
            bureau.note(wrong)
    with pytest.raises(Parked, match="receipt_unexpected"):
        bureau.note(bureau.receipt("shipping", request, "copied"))
    stranger = Signer("shipping", b"\x07" * 32)
    with pytest.raises(TryLater, match="receipt_key_unknown"):
        bureau.note(good.model_copy(update={"signed": stranger.sign(json.loads(good.signed.receipt))}))
    with pytest.raises(Parked, match="request_unknown"):
        bureau.note(good.model_copy(update={"request": "r-8"}))
    assert bureau.request(Kind.ERASURE).receipts == {}


def test_a_holder_that_does_not_answer_is_told_again_after_a_while(bureau: Bureau) -> None:
    request = frozen(bureau)
    bureau.at += AGAIN - timedelta(seconds=1)
    bureau.look(request)
    assert len(bureau.told("erasure_ordered")) == 1
    bureau.at += timedelta(seconds=1)
    bureau.look(request)
    bureau.look(request)
    assert len(bureau.told("erasure_ordered")) == 2


# ── the others ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rest_closes_when_everybody_has_noted_it(bureau: Bureau) -> None:
    bureau.take(asks("customer_deactivated", "e-1"))
    request = bureau.request(Kind.DEACTIVATION, "e-1")
    assert (request.waits_for, list(request.receipts["deactivated"])) == (sorted(HOLDERS), ["orders"])
    for service in HOLDERS:
        bureau.note(bureau.receipt(service, request))
    assert bureau.request(Kind.DEACTIVATION, "e-1").state is State.CLOSED
    assert bureau.store.person_state(request.person) == "deactivated"
    assert refuse_the_gone(order_placed("SH-2", "e-2", customer_id=CUSTOMER), bureau.store, bureau.desk) is None, (
        "who rests may order"
    )


def test_a_choice_is_noted_with_its_time_and_version(bureau: Bureau) -> None:
    bureau.take(asks("preferences_changed", "e-1", communication="none"))
    (told,) = bureau.told("preferences_noted")
    assert (told["communication"], told["policy_choice"], told["policy_version"]) == ("none", None, POLICY.version)
    assert told["chosen_at"] == "2026-03-06T08:59:00Z"
    for service in HOLDERS:  # whoever may open something must know the choice
        assert bureau.request(Kind.PREFERENCES, "e-1").state is State.UNDER_WAY
        bureau.note(bureau.receipt(service, bureau.request(Kind.PREFERENCES, "e-1")))
    assert bureau.request(Kind.PREFERENCES, "e-1").state is State.CLOSED


def test_a_copy_is_ready_when_every_piece_is_there(bureau: Bureau) -> None:
    bureau.take(asks("customer_data_requested", request_id="r-1", reply_key=REPLY_KEY))
    for service in HOLDERS:
        assert bureau.told("customer_data_ready") == []
        request = bureau.request(Kind.COPY)
        bureau.note(bureau.piece(service, request))
    assert bureau.store.pieces() == EVERYBODY
    (told,) = bureau.told("customer_data_ready")
    assert told["available_until"] == (AT + timedelta(days=7)).isoformat()


def test_a_piece_that_is_not_what_was_signed_for_is_not_kept(bureau: Bureau) -> None:
    bureau.take(asks("customer_data_requested", request_id="r-1", reply_key=REPLY_KEY))
    piece = bureau.piece("shipping", bureau.request(Kind.COPY))
    with pytest.raises(Parked, match="receipt_unexpected"):
        bureau.note(piece.model_copy(update={"piece": "b3RoZXI="}))
    assert bureau.store.pieces() == {"orders"}


def test_a_key_that_nothing_can_be_sealed_to_is_refused_at_once(bureau: Bureau) -> None:
    assert bureau.take(asks("customer_data_requested", request_id="r-1", reply_key=REFUSED_KEY)) == "event_refused"
    assert bureau.told("event_refused")[-1]["reasons"] == [{"code": "reply_key_malformed", "path": "/data/reply_key"}]
    assert bureau.told("data_copy_ordered") == []


def test_a_correction_goes_to_the_open_orders_of_that_person(bureau: Bureau) -> None:
    bureau.has_order("SH-1")
    bureau.has_order("SH-2", state="completed")
    bureau.has_order("SH-3", customer_id="c-2")
    bureau.take(asks("customer_corrected", "e-1", contact=sealed("contact"), recipient=sealed("recipient")))
    (told,) = bureau.told("contact_corrected")
    assert [order["order_number"] for order in told["orders"]] == ["SH-1"]
    assert told["bound_to"] == CUSTOMER
    request = bureau.request(Kind.CORRECTION, "e-1")
    assert request.waits_for == ["notifications", "shipping"]
    for service in request.waits_for:
        bureau.note(bureau.receipt(service, request))
    assert bureau.request(Kind.CORRECTION, "e-1").state is State.CLOSED


def test_a_part_that_a_holder_cannot_use_refuses_the_correction(bureau: Bureau) -> None:
    bureau.has_order("SH-1")
    bureau.take(asks("customer_corrected", "e-1", contact=sealed("contact")))
    bureau.note(bureau.receipt("notifications", bureau.request(Kind.CORRECTION, "e-1"), codes=["email_malformed"]))
    assert bureau.request(Kind.CORRECTION, "e-1").state is State.REFUSED
    assert bureau.told("event_refused")[-1]["reasons"] == [
        {"code": "contact_invalid", "path": "/data/contact"},
        {"code": "email_malformed", "path": "/data/contact"},
    ]


def test_a_correction_of_nothing_open_is_closed_at_once_and_of_another_s_order_refused(bureau: Bureau) -> None:
    bureau.has_order("SH-2", state="completed")
    bureau.has_order("SH-3", customer_id="c-2")
    bureau.take(asks("customer_corrected", "e-1", contact=sealed("contact")))
    assert bureau.request(Kind.CORRECTION, "e-1").state is State.CLOSED
    for number in ("SH-3", "SH-4"):
        assert bureau.take(asks("customer_corrected", order_number=number, contact=sealed("contact"))) == "event_refused"
        assert bureau.told("event_refused")[-1]["reasons"] == [{"code": "order_unknown", "path": "/data/order_number"}]
    assert bureau.told("contact_corrected") == []


# ── whatever the post does ───────────────────────────────────────────────────────────────────────────────────────────────────


class _CrashError(Exception):
    """The process ended before the commit."""


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(list(Kind)))
def test_receipts_in_any_order_twice_lost_and_resent_close_it_once(seed: int, kind: Kind) -> None:
    """Every holder answers what it is told; answers are lost, doubled and shuffled, orders crashes before commits: it closes once, by all."""
    random, bureau = Random(seed), Bureau()
    bureau.has_order(state="completed" if kind is Kind.ERASURE else "accepted")
    event, name = {
        Kind.ERASURE: (asks("customer_erasure_requested", "e-1", **ERASURE), "r-1"),
        Kind.COPY: (asks("customer_data_requested", "e-1", request_id="r-1", reply_key=REPLY_KEY), "r-1"),
        Kind.DEACTIVATION: (asks("customer_deactivated", "e-1"), "e-1"),
        Kind.PREFERENCES: (asks("preferences_changed", "e-1", communication="all"), "e-1"),
        Kind.CORRECTION: (asks("customer_corrected", "e-1", contact=sealed("contact"), recipient=sealed("recipient")), "e-1"),
    }[kind]
    for _ in range(random.randint(1, 3)):
        bureau.take(event)
    heard, under_way, rounds = 0, [], 0
    while bureau.request(kind, name).state is not State.CLOSED:
        rounds += 1
        assert rounds < 400, "it comes to its end"
        request = bureau.request(kind, name)
        assert request.waits_for, "one that cannot close says what it waits for"
        for said, _data in bureau.store.said[heard:]:
            deed = {"person_deactivated": "deactivated", "erasure_ordered": "erased", "data_copy_ordered": "copied"}.get(said)
            deed = deed or {"preferences_noted": "noted"}.get(said) or ("corrected" if said.endswith("_corrected") else None)
            for service in (set(request.holders) - {"orders"}) if deed else ():
                answer = bureau.piece(service, request) if deed == "copied" else bureau.receipt(service, request, deed)
                under_way += [answer] * random.choice((0, 1, 1, 2))
        heard = len(bureau.store.said)
        if not under_way and kind is Kind.CORRECTION:  # a person replays what was parked
            under_way += [bureau.receipt(service, request) for service in request.waits_for]
        if not under_way:
            bureau.at += AGAIN
            bureau.look(request)
            continue
        answer = under_way.pop(random.randrange(len(under_way)))
        try:
            with bureau.store.handling():
                bureau.note(answer)
                if not random.randrange(4):
                    raise _CrashError
        except _CrashError:
            heard = min(heard, len(bureau.store.said))
            under_way.append(answer)
    done = bureau.request(kind, name)
    assert set(done.receipts[done.deed]) == set(done.holders)
    endings = {Kind.ERASURE: "customer_erased", Kind.COPY: "customer_data_ready"}
    if kind in endings:
        assert len(bureau.told(endings[kind])) == 1
    if kind is Kind.ERASURE:
        assert prove(done.certificate or {}, {POLICY.version: POLICY}, bureau.public_keys()).faults == ()
