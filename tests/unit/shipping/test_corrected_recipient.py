"""A sound recipient in the place of an old one: before the label, while it is bought, after it, and where the first could not be used."""

from __future__ import annotations

from typing import Any

import pytest

from services.shipping.domain import BUY_LABEL, BoughtLabel, NoLabel, Shipment, State
from services.shipping.handlers import correct_recipient, note_label, take_recipient
from shared.contracts.errors import TryLater
from shared.contracts.person_events import CorrectedOrder, RecipientCorrected
from shared.contracts.values import KeptPart, OrderKey
from tests.builders import AT, KEY, a_box, a_packed_shipment, a_shipment, a_shipment_to_pick, recipient_entrusted
from tests.fakes import FakeShipments

ENVELOPE = {"box": "", "policy_version": "2025-11-01", "form": "part"}
LABEL = BoughtLabel("se-1", "ups", "1Z1", None, {})


class Shipments(FakeShipments):
    """With the recipients' table."""

    def __init__(self, shipment: Shipment | None = None) -> None:
        super().__init__()
        self.recipients: dict[OrderKey, dict[str, Any]] = {}
        if shipment is not None:
            self.save(shipment)
            self.recipients[shipment.key] = {}

    def replace_recipient(self, key: OrderKey, recipient: dict[str, Any]) -> bool:
        if key not in self.recipients:
            return False
        self.recipients[key] = recipient
        return True


def corrected(store: Shipments) -> str:
    event = RecipientCorrected(
        shop=KEY.shop,
        customer_id="c-1",
        kind="correction",
        request="r-1",
        bound_to="c-1",
        orders=[CorrectedOrder(order_number=KEY.order_number, policy_version="2025-11-01")],
        recipient=a_box("shipping"),
    )
    return correct_recipient(event, {KEY.order_number: ENVELOPE}, store, AT)[KEY.order_number]


@pytest.mark.parametrize("shipment", [a_shipment(), a_shipment_to_pick()], ids=["waiting", "to pick"])
def test_before_the_label_it_takes_the_old_one_s_place(shipment: Shipment) -> None:
    store, state = Shipments(shipment), shipment.state
    assert corrected(store) == "replaced"
    assert store.recipients[KEY] == ENVELOPE
    assert (store.shipment().state, store.kinds_said["part_corrected"]) == (state, 1)


def test_while_the_label_is_bought_it_waits_and_afterwards_the_old_one_stands() -> None:
    store = Shipments(a_packed_shipment())
    with pytest.raises(TryLater, match="label_under_way"):
        corrected(store)
    shipment = store.shipment()
    shipment.note_label(LABEL, AT)
    store.save(shipment)
    assert corrected(store) == "label_stands"
    assert store.recipients[KEY] == {}
    assert store.kinds_said["part_corrected"] == 0


def test_where_the_carrier_sold_no_label_it_is_asked_again() -> None:
    store = Shipments(a_packed_shipment())
    shipment = store.shipment()
    note_label(KEY, NoLabel(("invalid_address",)), store, AT)
    assert store.shipment().state is State.LABEL_REFUSED
    assert corrected(store) == "replaced"
    assert (store.shipment().state, store.shipment().reason) == (State.LABELLING, None)
    assert store.kinds_asked == {BUY_LABEL: 1}
    assert store.asked[0].key == shipment.parcel
    note_label(KEY, NoLabel(("invalid_address",)), store, AT)
    assert store.kinds_said["part_refused"] == 2, "and may be refused again"


def test_in_the_place_of_one_that_could_not_be_used_the_order_goes_on() -> None:
    store = Shipments()
    take_recipient(recipient_entrusted(policy_version="2025-11-01"), KeptPart(None, ("missing",)), store, AT)
    refused = store.shipment()
    assert (refused.state, store.entrusted() is not None) == (State.REFUSED, True), "what else the order brought is kept"
    store.recipients[KEY] = {}
    paid = store.shipment()
    paid.note_paid(AT)
    store.save(paid)
    assert corrected(store) == "replaced"
    assert (store.shipment().state, store.kinds_said["pick_list_issued"]) == (State.TO_PICK, 1)


def test_before_the_order_itself_it_waits_and_after_its_end_nothing_is_replaced() -> None:
    with pytest.raises(TryLater, match="recipient_unknown"):
        corrected(Shipments())
    unwritten = Shipments()
    unwritten.save(a_shipment())  # its row is written by this very batch
    with pytest.raises(TryLater, match="recipient_unknown"):
        corrected(unwritten)
    cancelled = a_shipment()
    cancelled.cancel(AT)
    assert corrected(Shipments(cancelled)) == "order_ended"


def test_a_correction_that_must_wait_for_one_order_has_changed_none() -> None:
    """Else the known one's label goes to the new address, and the next try signs that it went to the old."""
    store, unknown = Shipments(a_shipment()), "A-unknown"
    numbers = (KEY.order_number, unknown)
    event = RecipientCorrected(
        shop=KEY.shop,
        customer_id="c-1",
        kind="correction",
        request="r-1",
        bound_to="c-1",
        orders=[CorrectedOrder(order_number=number, policy_version="2025-11-01") for number in numbers],
        recipient=a_box("shipping"),
    )
    with pytest.raises(TryLater, match="recipient_unknown"):
        correct_recipient(event, dict.fromkeys(numbers, ENVELOPE), store, AT)
    assert (store.recipients[KEY], store.kinds_said["part_corrected"]) == ({}, 0)
