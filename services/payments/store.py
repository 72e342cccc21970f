"""All SQL of payments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.payments.domain import Payment, State
from shared.contracts.events import BillingEntrusted
from shared.contracts.values import Money, OrderKey
from shared.database import type_of_connection
from shared.delivery.shelf import Row, Shelf
from shared.delivery.work import Delivery, Recorder, Store

_COLUMNS = """shop text, order_number text, state text, customer_id text, provider text, reference text, currency text, amount_minor bigint,
    billing jsonb, is_labelled boolean, authorisation_reference text, capture_reference text, reason text, entrusted_at timestamptz,
    settled_at timestamptz"""

_SELECT = """
    select shop, order_number, state, customer_id, provider, reference, currency, amount_minor, billing, is_labelled,
        authorisation_reference, capture_reference, reason, entrusted_at, settled_at
    from payments
    where (shop, order_number) in (select key ->> 0, key ->> 1 from json_array_elements(%s::json) as keys (key))
    order by shop, order_number for update
"""
_INSERT = f"""
    insert into payments (shop, order_number, state, customer_id, provider, reference, currency, amount_minor, billing, is_labelled,
        authorisation_reference, capture_reference, reason, entrusted_at, settled_at)
    select shop, order_number, state, customer_id, provider, reference, currency, amount_minor, billing, is_labelled,
        authorisation_reference, capture_reference, reason, entrusted_at, settled_at
    from json_to_recordset(%s::json) as rows ({_COLUMNS})
"""  # noqa: S608 - the columns are ours
_UPDATE = f"""
    update payments set state = rows.state, customer_id = rows.customer_id, provider = rows.provider, reference = rows.reference,
        currency = rows.currency, amount_minor = rows.amount_minor, billing = rows.billing, is_labelled = rows.is_labelled,
        authorisation_reference = rows.authorisation_reference, capture_reference = rows.capture_reference, reason = rows.reason,
        entrusted_at = rows.entrusted_at, settled_at = rows.settled_at
    from json_to_recordset(%s::json) as rows ({_COLUMNS})
    where payments.shop = rows.shop and payments.order_number = rows.order_number
"""  # noqa: S608 - the columns are ours

_REFERENCES_SELECT = """
    select provider, reference, shop, order_number
    from payment_references
    where (provider, reference) in (select key ->> 0, key ->> 1 from json_array_elements(%s::json) as keys (key))
"""
_REFERENCES_INSERT = """
    insert into payment_references (provider, reference, shop, order_number)
    select provider, reference, shop, order_number
    from json_to_recordset(%s::json) as rows (provider text, reference text, shop text, order_number text)
"""


@dataclass(frozen=True, slots=True)
class ClaimedReference:
    provider: str
    reference: str
    key: OrderKey


class PaymentsStore(Store):
    def __init__(self, connection: type_of_connection, recorder: Recorder) -> None:
        super().__init__(connection, recorder)
        self._payments: Shelf[OrderKey, Payment] = Shelf(
            connection,
            select=_SELECT,
            insert=_INSERT,
            update=_UPDATE,
            key_of=lambda payment: payment.key,
            to_row=_to_row,
            from_row=_from_row,
            key_from_row=lambda row: OrderKey(row[0], row[1]),
        )
        self._references: Shelf[tuple[str, str], ClaimedReference] = Shelf(
            connection,
            select=_REFERENCES_SELECT,
            insert=_REFERENCES_INSERT,
            update=None,
            key_of=lambda claimed: (claimed.provider, claimed.reference),
            to_row=lambda claimed: {"provider": claimed.provider, "reference": claimed.reference, **claimed.key._asdict()},
            from_row=lambda row: ClaimedReference(row[0], row[1], OrderKey(row[2], row[3])),
            key_from_row=lambda row: (row[0], row[1]),
        )

    def shelves(self) -> Sequence[Shelf[Any, Any]]:
        return (self._payments, self._references)

    def prefetch(self, deliveries: Sequence[Delivery]) -> None:
        self._payments.prefetch(delivery.about for delivery in deliveries if delivery.about)
        entrusted = [delivery.message for delivery in deliveries if isinstance(delivery.message, BillingEntrusted)]
        self._references.prefetch((event.payment.provider, event.payment.reference) for event in entrusted)

    def payment(self, key: OrderKey) -> Payment:
        """The payment of this order; a new, expected one where nothing is known of it yet."""
        return self._payments.get(key) or Payment(key=key)

    def claim_reference(self, provider: str, reference: str, key: OrderKey) -> bool:
        """Whether this reference pays for this order and no other; the first order that names it has it for good."""
        claimed = self._references.get((provider, reference))
        if claimed is None:
            self._references.save(ClaimedReference(provider, reference, key))
            return True
        return claimed.key == key

    def save(self, payment: Payment) -> None:
        """Saving tells: what the payment remembers goes to the outbox and the intents of this transaction."""
        self.recorder.remember(payment, payment.key)
        self._payments.save(payment)


def _to_row(payment: Payment) -> Row:
    return {
        "shop": payment.key.shop,
        "order_number": payment.key.order_number,
        "state": payment.state,
        "customer_id": payment.customer_id,
        "provider": payment.provider,
        "reference": payment.reference,
        "currency": payment.money.currency,
        "amount_minor": payment.money.amount_minor,
        "billing": payment.billing,
        "is_labelled": payment.is_labelled,
        "authorisation_reference": payment.authorisation_reference,
        "capture_reference": payment.capture_reference,
        "reason": payment.reason,
        "entrusted_at": payment.entrusted_at,
        "settled_at": payment.settled_at,
    }


def _from_row(row: tuple[Any, ...]) -> Payment:
    return Payment(
        key=OrderKey(row[0], row[1]),
        state=State(row[2]),
        customer_id=row[3],
        provider=row[4],
        reference=row[5],
        money=Money(row[7], row[6]),
        billing=row[8],
        is_labelled=row[9],
        authorisation_reference=row[10],
        capture_reference=row[11],
        reason=row[12],
        entrusted_at=row[13],
        settled_at=row[14],
    )
