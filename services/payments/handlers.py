"""One short function per message: load, one verb of the domain, save."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from services.payments.domain import Authorised, Captured, CaptureFailed, Declined, Payment
from shared.contracts.events import BillingEntrusted, LabelCreated
from shared.contracts.person_events import BillingCorrected
from shared.contracts.values import KeptPart, Money, OrderKey


class Payments(Protocol):
    """What the handlers need of the store."""

    def payment(self, key: OrderKey) -> Payment: ...

    def save(self, payment: Payment) -> None: ...

    def claim_reference(self, provider: str, reference: str, key: OrderKey) -> bool: ...


def take_payment(event: BillingEntrusted, kept: KeptPart | None, store: Payments, at: datetime) -> None:
    """An accepted order's payment is authorised, unless its billing part is unsound. `kept` is None where the order has no such part."""
    if kept is not None and kept.is_of_nobody:
        return
    payment = store.payment(event.about())
    if kept is not None and kept.envelope is None:
        payment.refuse_billing(
            kept.codes,
            customer_id=event.customer_id,
            provider=event.payment.provider,
            reference=event.payment.reference,
            money=Money.parse(event.total, event.currency),
        )
    elif not store.claim_reference(event.payment.provider, event.payment.reference, payment.key):
        payment.refuse_reference(at)
    else:
        payment.entrust(
            customer_id=event.customer_id,
            provider=event.payment.provider,
            reference=event.payment.reference,
            money=Money.parse(event.total, event.currency),
            billing=kept.envelope if kept else None,
            at=at,
        )
    store.save(payment)


def correct_billing(
    event: BillingCorrected, envelopes: Mapping[str, dict[str, Any]], store: Payments, at: datetime
) -> dict[str, str]:
    """A sound billing part for these open orders; what became of each."""
    endings = {}
    for order_number, envelope in envelopes.items():
        payment = store.payment(OrderKey(event.shop, order_number))
        is_free = not payment.is_refused or store.claim_reference(payment.provider, payment.reference, payment.key)
        endings[order_number] = payment.correct_billing(envelope, at, reference_is_free=is_free)
        store.save(payment)
    return endings


def note_authorisation(key: OrderKey, outcome: Authorised | Declined, store: Payments, at: datetime) -> None:
    """What the provider said to the authorisation."""
    payment = store.payment(key)
    match outcome:
        case Authorised():
            payment.note_authorised(outcome.authorisation_reference, at)
        case Declined():
            payment.note_declined(outcome.reason, at)
    store.save(payment)


def note_label(event: LabelCreated, store: Payments) -> None:
    """The label is bought: the payment is captured."""
    payment = store.payment(event.about())
    payment.note_label()
    store.save(payment)


def note_capture(key: OrderKey, outcome: Captured | CaptureFailed, store: Payments, at: datetime) -> None:
    """What the provider said to the capture."""
    payment = store.payment(key)
    match outcome:
        case Captured():
            payment.note_captured(outcome.capture_reference, at)
        case CaptureFailed():
            payment.note_capture_failed(outcome.reason, at)
    store.save(payment)
