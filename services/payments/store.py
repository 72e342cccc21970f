"""All SQL of payments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.payments.domain import Payment, State
from shared.contracts.events import BillingEntrusted
from shared.contracts.values import Money, OrderKey
from shared.database import Database, type_of_connection
from shared.delivery.shelf import Row, Shelf, Table
from shared.delivery.work import Delivery, Recorder, Store

PAYMENTS = Table(
    "payments",
    key=("shop", "order_number"),
    columns={
        "state": "text",
        "customer_id": "text",
        "provider": "text",
        "reference": "text",
        "currency": "text",
        "amount_minor": "bigint",
        "billing": "jsonb",
        "is_labelled": "boolean",
        "authorisation_reference": "text",
        "capture_reference": "text",
        "reason": "text",
        "entrusted_at": "timestamptz",
        "settled_at": "timestamptz",
    },
    changing=(
        *("state", "customer_id", "provider", "reference", "currency", "amount_minor", "billing", "is_labelled"),
        *("authorisation_reference", "capture_reference", "reason", "entrusted_at", "settled_at"),
    ),
)
REFERENCES = Table("payment_references", key=("provider", "reference"), columns={"shop": "text", "order_number": "text"})


@dataclass(frozen=True, slots=True)
class ClaimedReference:
    provider: str
    reference: str
    key: OrderKey


class PaymentsStore(Store):
    def __init__(self, connection: type_of_connection, recorder: Recorder) -> None:
        super().__init__(connection, recorder)
        self._payments: Shelf[OrderKey, Payment] = Shelf(
            connection, PAYMENTS, key_of=lambda payment: payment.key, to_row=_to_row, from_row=_from_row
        )
        self._references: Shelf[tuple[str, str], ClaimedReference] = Shelf(
            connection,
            REFERENCES,
            key_of=lambda claimed: (claimed.provider, claimed.reference),
            to_row=lambda claimed: {"provider": claimed.provider, "reference": claimed.reference, **claimed.key._asdict()},
            from_row=lambda row: ClaimedReference(row["provider"], row["reference"], OrderKey(row["shop"], row["order_number"])),
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


class PaymentsReads:
    """What is read beside the handlers; nothing here locks or writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def billings(self, keys: Sequence[OrderKey]) -> dict[OrderKey, tuple[str, dict[str, Any]]]:
        """(customer_id, billing part in its envelope) of these orders, where it is still held; else no entry."""
        if not keys:
            return {}
        columns = [list(column) for column in zip(*keys, strict=True)]
        with self._database.single() as connection:
            rows = connection.execute(
                """
                select shop, order_number, customer_id, billing
                from unnest(%b::text[], %b::text[]) as wanted (shop, order_number) join payments using (shop, order_number)
                where billing is not null
                """,
                columns,
            ).fetchall()
        return {OrderKey(shop, number): (customer, billing) for shop, number, customer, billing in rows}

    def payment(self, key: OrderKey) -> dict[str, Any] | None:
        """What a billing clerk sees of an order's payment, its billing part in its envelope; None where there is none."""
        with self._database.single() as connection:
            row = connection.execute(
                """
                select order_number, state, provider, reference, currency, amount_minor, authorisation_reference, capture_reference, reason,
                    entrusted_at, settled_at, billing
                from payments where shop = %s and order_number = %s and entrusted_at is not null
                """,
                key,
            ).fetchone()
        if row is None:
            return None
        names = (
            "order_number",
            "state",
            "provider",
            "reference",
            "currency",
            "amount",
            "authorisation_reference",
            "capture_reference",
        )
        shown = dict(zip((*names, "reason", "entrusted_at", "settled_at", "billing"), row, strict=True))
        return {**shown, "amount": str(Money(shown["amount"], shown["currency"]))}


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


def _from_row(row: Row) -> Payment:
    shop, order_number, state = row.pop("shop"), row.pop("order_number"), row.pop("state")
    money = Money(row.pop("amount_minor"), row.pop("currency"))
    return Payment(key=OrderKey(shop, order_number), state=State(state), money=money, **row)
