"""One short function per message: load, one verb of the domain, save."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from services.payments.domain import Authorised, Captured, CaptureFailed, Declined, Payment
from shared.contracts.events import BillingEntrusted, LabelCreated
from shared.contracts.values import Money, OrderKey


class Payments(Protocol):
    """What the handlers need of the store."""

    def payment(self, key: OrderKey) -> Payment: ...

    def save(self, payment: Payment) -> None: ...

    def claim_reference(self, provider: str, reference: str, key: OrderKey) -> bool: ...


def take_payment(event: BillingEntrusted, billing_faults: tuple[str, ...], store: Payments, at: datetime) -> None:
    """An accepted order's payment is authorised, unless its billing part is unsound."""
    payment = store.payment(event.about())
    if billing_faults:
        payment.refuse_billing(billing_faults)
    elif not store.claim_reference(event.payment.provider, event.payment.reference, payment.key):
        payment.refuse_reference(at)
    else:
        payment.entrust(
            customer_id=event.customer_id,
            provider=event.payment.provider,
            reference=event.payment.reference,
            money=Money.parse(event.total, event.currency),
            billing=event.billing.model_dump() if event.billing else None,
            at=at,
        )
    store.save(payment)


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
