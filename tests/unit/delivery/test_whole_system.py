"""Money, labels and mails of many orders through all four doors, whatever the post does: each once, or not at all."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.payments.domain import AUTHORISE, CAPTURE
from services.shipping.domain import BUY_LABEL
from tests.unit.delivery.whole_system import FATES, WholeSystem

MAILS = ["delivery", "order_confirmation", "shipment"]
ACCEPTED = {"billing_entrusted": 1, "recipient_entrusted": 1, "contact_entrusted": 1, "order_accepted": 1}
PACKED = {"payment_authorised": 1, "pick_list_issued": 1, "parcel_packed": 1}
LABELLED = {**PACKED, "label_created": 1}
DELIVERED = {**LABELLED, "payment_captured": 1, "shipment_dispatched": 1, "shipment_delivered": 1, "order_completed": 1}
HELD = {"part_refused": 1, "order_held": 1}

# What is said, taken, bought and mailed where a fate leaves nothing to chance.
ENDS: dict[str, tuple[str, dict[str, int], list[str]]] = {
    "sold": ("completed", {**DELIVERED, "mail_sent": 3}, MAILS),
    "mail not taken": ("completed", DELIVERED, MAILS),
    "declined": ("payment_declined", {"payment_declined": 1}, []),
    "mismatched": ("cancelled", {"payment_declined": 1, "order_cancelled": 1}, []),
    "not captured": ("labelled", {**LABELLED, "payment_capture_failed": 1, "mail_sent": 1}, ["order_confirmation"]),
    "no label": ("held", {**PACKED, **HELD, "mail_sent": 1}, ["order_confirmation"]),
    "unsound recipient": ("held", {"payment_authorised": 1, **HELD, "mail_sent": 1}, ["order_confirmation"]),
    "unsound billing": ("held", HELD, []),
}


def check(system: WholeSystem, number: str, fate: str) -> None:
    said = system.said(number)
    total = system.total(number)
    authorised, captured = system.money(AUTHORISE, number), system.money(CAPTURE, number)
    labels, mails = system.parties.done(BUY_LABEL, number), system.mails(number)
    # Whatever the fate and the order of things:
    assert authorised in ([], [total])
    assert captured in ([], authorised), "no capture without an authorisation, and never another amount"
    assert len(labels) <= 1
    assert len(mails) == len(set(mails))
    assert max(count for kind, count in said.items() if kind != "mail_sent") == 1, "nothing is told twice"
    # And by the fate:
    state, told, written = ENDS[fate]
    assert system.state(number) == state
    assert said == Counter({**ACCEPTED, **told})
    assert mails == written
    assert captured == ([total] if "label_created" in told else [])
    assert len(labels) == ("parcel_packed" in told)


def check_held_contact(system: WholeSystem, number: str) -> None:
    """An order whose contact is unsound is held, and the hold races the label: the end depends on which came first, and must."""
    said = system.said(number)
    label_was_bought, total = "label_created" in said, system.total(number)
    assert system.state(number) == ("completed" if label_was_bought else "held")
    assert system.mails(number) == [], "there is nobody to write to"
    assert system.money(AUTHORISE, number) == [total]
    assert system.money(CAPTURE, number) == ([total] if label_was_bought else [])
    assert len(system.parties.done(BUY_LABEL, number)) == label_was_bought
    assert max(said.values()) == 1
    assert said <= Counter({**ACCEPTED, **DELIVERED, **HELD})
    assert said >= Counter({**ACCEPTED, **HELD, "payment_authorised": 1})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=5))
@example(seed=1, fates=[*FATES, *FATES])
@example(seed=2, fates=[*FATES, *FATES])
@example(seed=3, fates=["unsound contact"] * 20)
@example(seed=4, fates=["sold"] * 20)
def test_every_order_comes_to_its_end_once(seed: int, fates: list[str]) -> None:
    system = WholeSystem(Random(seed), {f"SH-{place}": fate for place, fate in enumerate(fates)})
    system.run()
    for number, fate in system.fates.items():
        if fate == "unsound contact":
            check_held_contact(system, number)
        else:
            check(system, number, fate)


def test_a_hold_both_wins_and_loses_its_race() -> None:
    """Else the property above would hold of a system in which one of the two never happens."""
    ends = set()
    for seed in range(4):
        system = WholeSystem(Random(seed), {f"SH-{place}": "unsound contact" for place in range(10)})
        system.run()
        ends |= {system.state(number) for number in system.fates}
    assert ends == {"held", "completed"}


def test_repeats_and_crashes_really_happen() -> None:
    system = WholeSystem(Random(5), {f"SH-{place}": "sold" for place in range(10)})
    system.run()
    assert max(Counter(system.course).values()) > 1
    assert max(system.parties.calls.values()) > 1
