"""What a customer is owed in mails: each kind once, when its fact and the contact are known, whichever comes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.notifications.domain import (
    DELIVERY,
    ORDER_CONFIRMATION,
    OWED,
    REFUSED,
    SEND_MAIL,
    SENDING,
    SENT,
    SHIPMENT,
    Correspondence,
    Entrusted,
    Handed,
    NotTaken,
    Withheld,
)
from shared.contracts.events import MailSent, PartRefused
from tests.builders import AT, CARRIER, KEY, TRACKING_NUMBER, TRACKING_URL, a_correspondence, an_envelope, named

TRACKING = {"carrier": CARRIER, "tracking_number": TRACKING_NUMBER, "tracking_url": TRACKING_URL}
CONTACT = an_envelope()
KINDS: dict[str, tuple[Callable[[Correspondence], None], dict[str, object]]] = {
    ORDER_CONFIRMATION: (lambda c: c.owe_confirmation(), {}),
    SHIPMENT: (
        lambda c: c.owe_shipment(carrier=CARRIER, tracking_number=TRACKING_NUMBER, tracking_url=TRACKING_URL),
        {"tracking": TRACKING},
    ),
    DELIVERY: (lambda c: c.owe_delivery(AT), {}),
}


def entrust(correspondence: Correspondence) -> None:
    correspondence.entrust(customer_id="c-1", order={"currency": "EUR"}, contact=CONTACT)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_owed_to_a_known_contact_is_sent_with_what_it_needs_and_no_part_of_a_person(kind: str) -> None:
    owe, needed = KINDS[kind]
    correspondence = a_correspondence()
    owe(correspondence)
    [intent] = correspondence.intents
    assert (intent.kind, intent.key) == (SEND_MAIL, f"{KEY.shop} {KEY.order_number} {kind}")
    assert intent.details == {"kind": kind, **needed}
    assert correspondence.mails == {kind: SENDING}
    assert correspondence.events == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_owed_before_the_contact_is_known_waits_for_it(kind: str) -> None:
    owe, needed = KINDS[kind]
    correspondence = Correspondence(key=KEY)
    owe(correspondence)
    assert (correspondence.mails, correspondence.intents) == ({kind: OWED}, [])
    entrust(correspondence)
    assert correspondence.mails == {kind: SENDING}
    assert [intent.details for intent in correspondence.intents] == [{"kind": kind, **needed}]


def test_an_entrusted_contact_is_there_to_be_kept_once() -> None:
    correspondence = Correspondence(key=KEY)
    entrust(correspondence)
    assert correspondence.is_entrusted
    assert correspondence.entrusted == Entrusted("c-1", {"currency": "EUR"}, CONTACT)
    read_again = replace(correspondence, entrusted=None)
    entrust(read_again)
    read_again.owe_confirmation()
    assert read_again.entrusted is None, "what is kept already is not taken on again"
    assert [intent.details for intent in read_again.intents] == [{"kind": ORDER_CONFIRMATION}]


def test_all_that_is_owed_goes_out_when_the_contact_comes_last() -> None:
    correspondence = Correspondence(key=KEY)
    for owe, _ in KINDS.values():
        owe(correspondence)
    entrust(correspondence)
    assert sorted(intent.details["kind"] for intent in correspondence.intents) == sorted(KINDS)


@pytest.mark.parametrize("outcome", [Handed, lambda kind: NotTaken(kind, "mailbox_unknown")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fact_told_again_owes_nothing_more(kind: str, outcome: Callable[[str], Handed | NotTaken]) -> None:
    owe, _ = KINDS[kind]
    correspondence = a_correspondence()
    owe(correspondence)
    for is_answered in (False, True):
        if is_answered:
            correspondence.note(outcome(kind))
        correspondence.events, correspondence.intents = [], []
        before = replace(correspondence)
        owe(correspondence)
        assert correspondence == before
        assert (correspondence.events, correspondence.intents) == ([], [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_that_was_taken_is_told_once(kind: str) -> None:
    correspondence = a_correspondence()
    KINDS[kind][0](correspondence)
    for _ in range(2):
        correspondence.note(Handed(kind))
        correspondence.note(NotTaken(kind, "mailbox_unknown"))
    assert correspondence.mails == {kind: SENT}
    assert correspondence.events == [MailSent(**named(), kind=kind)]


def test_a_mail_that_no_server_takes_is_written_down_and_not_told() -> None:
    correspondence = a_correspondence()
    correspondence.owe_delivery(AT)
    for _ in range(2):
        correspondence.note(NotTaken(DELIVERY, "mailbox_unknown"))
        correspondence.note(Handed(DELIVERY))
    assert (correspondence.mails, correspondence.events) == ({DELIVERY: REFUSED}, [])


def test_an_answer_to_a_mail_that_was_never_sent_changes_nothing() -> None:
    correspondence = a_correspondence()
    before = replace(correspondence)
    correspondence.note(Handed(DELIVERY))
    assert correspondence == before
    assert correspondence.events == []


def test_the_first_contact_stays() -> None:
    correspondence = a_correspondence()
    before = replace(correspondence)
    correspondence.entrust(customer_id="c-2", order={}, contact={})
    correspondence.refuse_contact(("missing",))
    assert correspondence == before
    assert correspondence.events == []


def test_a_contact_that_cannot_be_used_is_told_once_and_nothing_is_sent() -> None:
    correspondence = Correspondence(key=KEY)
    correspondence.owe_confirmation()
    for _ in range(2):
        correspondence.refuse_contact(("email_malformed",))
    entrust(correspondence)
    correspondence.owe_delivery(AT)
    assert correspondence.events == [PartRefused(**named(), part="contact", codes=["email_malformed"])]
    assert (correspondence.is_entrusted, correspondence.intents) == (False, [])
    assert correspondence.entrusted is not None
    assert correspondence.entrusted.contact is None


def test_a_cancelled_order_is_owed_nothing_more() -> None:
    correspondence = Correspondence(key=KEY)
    correspondence.owe_confirmation()
    correspondence.cancel(AT)
    entrust(correspondence)
    correspondence.owe_delivery(AT)
    assert (correspondence.intents, correspondence.events) == ([], [])
    assert correspondence.mails == {ORDER_CONFIRMATION: OWED}


def test_a_mail_on_its_way_when_the_order_is_cancelled_is_told_when_it_was_taken() -> None:
    correspondence = a_correspondence()
    correspondence.owe_confirmation()
    correspondence.cancel(AT)
    correspondence.note(Handed(ORDER_CONFIRMATION))
    assert correspondence.events == [MailSent(**named(), kind=ORDER_CONFIRMATION)]


def test_the_first_tracking_number_stays() -> None:
    correspondence = a_correspondence()
    KINDS[SHIPMENT][0](correspondence)
    correspondence.owe_shipment(carrier="other", tracking_number="2", tracking_url=None)
    assert correspondence.tracking == TRACKING


def test_a_mail_that_the_gate_withholds_is_not_told_as_sent() -> None:
    correspondence = Correspondence(key=KEY, is_entrusted=True)
    correspondence.owe_confirmation()
    correspondence.note(Withheld("order_confirmation", "no_communication"))
    correspondence.note(Handed("order_confirmation"))
    assert correspondence.mails == {"order_confirmation": "withheld"}
    assert correspondence.events == []
