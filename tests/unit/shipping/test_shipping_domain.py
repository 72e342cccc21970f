"""The life of a shipment: every state and what each verb does in it; asks that do not fit are refused with the state's code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shipping.commands import HandedOverForm, PickedForm
from services.shipping.domain import BUY_LABEL, SCANNED, Shipment, State, pick_list_of
from shared.contracts.errors import Refused
from shared.contracts.events import (
    Event,
    LabelCreated,
    ParcelPacked,
    PartRefused,
    PickListIssued,
    ShipmentDelivered,
    ShipmentDispatched,
)
from shared.contracts.values import OrderKey
from tests.builders import (
    AT,
    CARRIER,
    KEY,
    LATER,
    TRACKING_NUMBER,
    TRACKING_URL,
    a_label,
    a_labelled_shipment,
    a_package,
    a_packed_shipment,
    a_shipment,
    a_shipment_to_pick,
    an_envelope,
    named,
)


def changed(make: Callable[[], Shipment], *verbs: Callable[[Shipment], None]) -> Callable[[], Shipment]:
    def made() -> Shipment:
        shipment = make()
        for verb in verbs:
            verb(shipment)
        shipment.events, shipment.intents = [], []
        return shipment

    return made


def pick(shipment: Shipment) -> None:
    shipment.pick(LATER)


def pack(shipment: Shipment) -> None:
    shipment.pack(a_package(weight_grams=300), LATER)


def hand_over(shipment: Shipment) -> None:
    shipment.hand_over(LATER)


def capture(shipment: Shipment) -> None:
    shipment.note_captured(AT)


IN_STATE: dict[State, Callable[[], Shipment]] = {
    State.WAITING: a_shipment,
    State.REFUSED: changed(lambda: Shipment(key=KEY), lambda shipment: shipment.refuse_recipient(("missing",), AT)),
    State.HELD: changed(a_shipment_to_pick, lambda shipment: shipment.hold(AT)),
    State.CANCELLED: changed(a_shipment, lambda shipment: shipment.cancel(AT)),
    State.TO_PICK: a_shipment_to_pick,
    State.TO_PACK: changed(a_shipment_to_pick, pick),
    State.LABELLING: a_packed_shipment,
    State.LABEL_REFUSED: changed(a_packed_shipment, lambda shipment: shipment.note_no_label(("invalid_address",), AT)),
    State.LABELLED: a_labelled_shipment,
    State.TO_HAND_OVER: changed(a_labelled_shipment, capture),
    State.DISPATCHED: changed(a_labelled_shipment, capture, hand_over),
    State.DELIVERED: changed(a_labelled_shipment, capture, lambda shipment: shipment.note_tracking("DE", AT)),
}
STAFF = {"pick": (pick, State.TO_PICK), "pack": (pack, State.TO_PACK), "hand_over": (hand_over, State.TO_HAND_OVER)}
PAST = {
    "pick": {
        State.TO_PACK,
        State.LABELLING,
        State.LABEL_REFUSED,
        State.LABELLED,
        State.TO_HAND_OVER,
        State.DISPATCHED,
        State.DELIVERED,
    },
    "pack": {State.LABELLING, State.LABEL_REFUSED, State.LABELLED, State.TO_HAND_OVER, State.DISPATCHED, State.DELIVERED},
    "hand_over": {State.DISPATCHED, State.DELIVERED},
}


def test_there_is_an_example_of_every_state() -> None:
    assert {state: make().state for state, make in IN_STATE.items()} == {state: state for state in State}


@pytest.mark.parametrize("verb", STAFF)
@pytest.mark.parametrize("state", State)
def test_each_ask_of_staff_in_each_state(state: State, verb: str) -> None:
    ask, wanted = STAFF[verb]
    shipment = IN_STATE[state]()
    before = replace(shipment)
    if state is wanted:
        ask(shipment)
        assert shipment.state is not state
        return
    if state in PAST[verb]:
        ask(shipment)  # done before: a repeat is harmless
    else:
        with pytest.raises(Refused) as refusal:
            ask(shipment)
        assert [fault.as_dict() for fault in refusal.value.faults] == [{"code": f"shipment_{state}", "path": ""}]
    assert shipment == before
    assert (shipment.events, shipment.intents) == ([], [])


NOTES: dict[str, Callable[[Shipment], None]] = {
    "entrust": lambda shipment: shipment.entrust(
        customer_id="c-2", placed_at=LATER, shipping_service="air", lines=(), recipient={}, at=LATER
    ),
    "refuse_recipient": lambda shipment: shipment.refuse_recipient(("missing",), LATER),
    "note_paid": lambda shipment: shipment.note_paid(LATER),
    "note_captured": lambda shipment: shipment.note_captured(LATER),
    "note_capture_failed": lambda shipment: shipment.note_capture_failed(LATER),
    "hold": lambda shipment: shipment.hold(LATER),
    "cancel": lambda shipment: shipment.cancel(LATER),
    "note_label": lambda shipment: shipment.note_label(a_label(tracking_number="another"), LATER),
    "note_no_label": lambda shipment: shipment.note_no_label(("invalid_address",), LATER),
    "scan": lambda shipment: shipment.note_tracking("IT", LATER),
    "delivery": lambda shipment: shipment.note_tracking("DE", LATER),
}


@pytest.mark.parametrize("verb", NOTES)
@pytest.mark.parametrize("state", [state for state in State if state is not State.WAITING])
def test_a_fact_told_twice_changes_nothing_the_second_time(state: State, verb: str) -> None:
    shipment = IN_STATE[state]()
    NOTES[verb](shipment)
    shipment.events, shipment.intents = [], []
    before = replace(shipment)
    NOTES[verb](shipment)
    assert shipment == before
    assert (shipment.events, shipment.intents) == ([], [])


def test_a_paid_order_with_a_known_recipient_gets_its_pick_list() -> None:
    shipment = a_shipment()
    shipment.note_paid(AT)
    assert shipment.state is State.TO_PICK
    assert shipment.events == [PickListIssued(**named(), pick_list=shipment.pick_list)]
    assert shipment.facts is not None
    assert shipment.facts["pick_list_issued"] == AT


def test_a_parcel_is_found_by_its_pick_list_and_a_word_that_names_none_by_none() -> None:
    shipment = a_shipment()
    assert pick_list_of(shipment.parcel) == shipment.pick_list
    assert pick_list_of("") == pick_list_of(shipment.pick_list) == pick_list_of("1Z") == ""
    assert pick_list_of("PC-") not in (shipment.pick_list, "")


def test_paid_before_the_recipient_is_known_waits_for_it() -> None:
    shipment = Shipment(key=KEY)
    shipment.note_paid(AT)
    assert (shipment.state, shipment.events) == (State.WAITING, [])
    NOTES["entrust"](shipment)
    assert shipment.state is State.TO_PICK


def test_an_entrusted_recipient_is_there_to_be_kept_once() -> None:
    shipment = a_shipment()
    assert shipment.entrusted is not None
    assert shipment.entrusted.recipient == an_envelope()
    read_again = replace(shipment, entrusted=None)
    NOTES["entrust"](read_again)
    assert read_again.entrusted is None, "what is kept already is not taken on again"


def test_a_packed_parcel_s_label_is_asked_for_with_its_size_and_no_part_of_a_person() -> None:
    shipment = IN_STATE[State.TO_PACK]()
    shipment.pack(a_package(), AT)
    assert shipment.state is State.LABELLING
    assert shipment.events == [ParcelPacked(**named(), parcel=shipment.parcel)]
    [intent] = shipment.intents
    assert (intent.kind, intent.key) == (BUY_LABEL, shipment.parcel)
    assert intent.details == {
        "shipping_service": "ground",
        "weight_grams": 250,
        "length_mm": 200,
        "width_mm": 150,
        "height_mm": 40,
    }


def test_packing_again_with_another_weight_buys_no_second_label() -> None:
    shipment = a_packed_shipment()
    shipment.pack(a_package(weight_grams=9999), LATER)
    assert shipment.package == a_package()
    assert shipment.intents == []


LABEL = LabelCreated(**named(), parcel=a_shipment().parcel, carrier=CARRIER, tracking_number=TRACKING_NUMBER)
DISPATCH = ShipmentDispatched(
    **named(), parcel=a_shipment().parcel, carrier=CARRIER, tracking_number=TRACKING_NUMBER, tracking_url=TRACKING_URL
)
DELIVERY = ShipmentDelivered(**named(), parcel=a_shipment().parcel)


@pytest.mark.parametrize(
    ("state", "verb", "events"),
    [
        (State.LABELLING, lambda shipment: shipment.note_label(a_label(), AT), [LABEL]),
        (
            State.LABELLING,
            lambda shipment: shipment.note_no_label(("invalid_address", "out_of_area"), AT),
            [PartRefused(**named(), part="recipient", codes=["carrier_invalid_address", "carrier_out_of_area"])],
        ),
        (State.TO_HAND_OVER, hand_over, [DISPATCH]),
        (State.TO_HAND_OVER, lambda shipment: shipment.note_tracking("AC", AT), [DISPATCH]),
        (State.LABELLED, lambda shipment: shipment.note_tracking("IT", AT), [DISPATCH]),
        (State.DISPATCHED, lambda shipment: shipment.note_tracking("DE", AT), [DELIVERY]),
        (State.TO_HAND_OVER, lambda shipment: shipment.note_tracking("DE", AT), [DISPATCH, DELIVERY]),
        (State.LABELLED, capture, []),
    ],
)
def test_what_each_step_tells(state: State, verb: Callable[[Shipment], None], events: list[Event]) -> None:
    shipment = IN_STATE[state]()
    verb(shipment)
    assert shipment.events == events
    assert shipment.intents == []


@pytest.mark.parametrize("code", ["NY", "UN", "EX", "XX", ""])
def test_a_scan_that_says_nothing_new_changes_nothing(code: str) -> None:
    assert code not in SCANNED
    shipment = IN_STATE[State.TO_HAND_OVER]()
    before = replace(shipment)
    shipment.note_tracking(code, LATER)
    assert shipment == before


def test_a_scan_after_delivery_changes_nothing() -> None:
    shipment = IN_STATE[State.DELIVERED]()
    before = replace(shipment)
    for code in sorted(SCANNED):
        shipment.note_tracking(code, LATER)
    assert shipment == before
    assert shipment.events == []


@pytest.mark.parametrize("state", [State.WAITING, State.TO_PICK, State.TO_PACK])
@pytest.mark.parametrize(("stop", "stopped"), [("hold", State.HELD), ("cancel", State.CANCELLED)])
def test_a_hold_or_a_cancellation_stops_what_is_not_packed(state: State, stop: str, stopped: State) -> None:
    shipment = IN_STATE[state]()
    NOTES[stop](shipment)
    assert shipment.state is stopped
    shipment.note_paid(LATER)
    assert shipment.state is stopped
    assert (shipment.events, shipment.intents) == ([], [])
    with pytest.raises(Refused, match=rf"^shipment_{stopped} at /$"):
        pack(shipment)


@pytest.mark.parametrize("state", [State.LABELLED, State.TO_HAND_OVER, State.DISPATCHED, State.DELIVERED])
@pytest.mark.parametrize("stop", ["hold", "cancel"])
def test_after_the_label_the_parcel_goes_on(state: State, stop: str) -> None:
    shipment = IN_STATE[state]()
    NOTES[stop](shipment)
    assert shipment.state is state


def test_a_cancellation_is_stronger_than_a_hold() -> None:
    for stops in (("hold", "cancel"), ("cancel", "hold")):
        shipment = a_shipment_to_pick()
        for stop in stops:
            NOTES[stop](shipment)
        assert shipment.state is State.CANCELLED


def test_a_label_that_was_bought_all_the_same_is_written_down() -> None:
    """A cancellation that races the purchase: the money is spent, so the parcel and its label are known and told."""
    shipment = a_packed_shipment()
    shipment.cancel(AT)
    assert shipment.state is State.CANCELLED
    shipment.note_label(a_label(), AT)
    assert str(shipment.state) == "labelled"
    assert shipment.events == [LABEL]


def test_a_refused_recipient_is_not_kept_and_nothing_revives_the_shipment() -> None:
    shipment = IN_STATE[State.REFUSED]()
    for verb in ("entrust", "note_paid", "hold", "cancel"):
        NOTES[verb](shipment)
    assert (shipment.state, shipment.events) == (State.REFUSED, [])
    assert shipment.entrusted is None or shipment.entrusted.recipient is None


def test_without_its_money_the_parcel_stays() -> None:
    shipment = a_labelled_shipment()
    shipment.note_capture_failed(AT)
    assert shipment.state is State.LABELLED
    with pytest.raises(Refused, match=r"^shipment_labelled at /$"):
        hand_over(shipment)


# ── names that people read ───────────────────────────────────────────────────────────────────────────────────────────────────

KEYS = st.builds(
    OrderKey,
    st.sampled_from(["https://shop.example", "https://other.example"]),
    st.from_regex(r"[A-Za-z0-9._~-]{1,64}", fullmatch=True),
)


@given(KEYS)
def test_pick_list_and_parcel_have_names_that_staff_s_doors_take(key: OrderKey) -> None:
    shipment = Shipment(key=key)
    assert PickedForm(pick_list=shipment.pick_list).pick_list == Shipment(key=key).pick_list
    assert HandedOverForm(parcel=shipment.parcel).parcel == Shipment(key=key).parcel
    assert len(shipment.parcel) <= 50, "the carrier's limit for our reference"


@given(KEYS, KEYS)
def test_different_orders_have_different_names(one: OrderKey, two: OrderKey) -> None:
    shipments = Shipment(key=one), Shipment(key=two)
    assert (shipments[0].pick_list == shipments[1].pick_list) is (one == two)
    assert (shipments[0].parcel == shipments[1].parcel) is (one == two)
