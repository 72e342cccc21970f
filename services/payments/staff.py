"""The billing clerk at the door of payments: an order's amounts and references, and under a case who pays for it."""

from __future__ import annotations

from typing import Any

from services.payments.store import PaymentsReads
from shared.contracts.values import OrderKey
from shared.http_door import Answer, Request, StatusError
from shared.staffing.desk import Seat
from shared.staffing.door import Revealing, reveals, source_of, staffed
from shared.staffing.masking import unopened
from shared.staffing.opening import show_part
from shared.staffing.permits import MASKED, Need
from shared.staffing.releases import Releasing


class BillingDesk(Releasing):
    """See the module; and the release of a billing part to an authority."""

    reads: PaymentsReads

    @staffed(
        "GET",
        "/staff/payments/<order_number>",
        Need("see", "purchase", ("amounts", "placed_at")),
        Need("see", "references", ("order_number", "payment_reference")),
        Need(MASKED, "billing"),
    )
    def payment_of_order(self, request: Request, seat: Seat) -> Answer:
        key = OrderKey(source_of(request), request.values["order_number"])
        payment = self.reads.payment(key)
        if payment is None:
            raise StatusError(404, "order_unknown")
        fields = self.staff.permits.fields(seat.role, self.name, "billing", "reveal")
        kept = payment.pop("billing") is not None
        return Answer(200, {**payment, "billing": unopened(fields) if kept else None})

    @reveals("/staff/payments/<order_number>/billing", "billing")
    def reveal_billing(self, revealing: Revealing, seat: Seat) -> Answer:
        return show_part(self, revealing, seat, self.kept_part(revealing.key))

    def kept_part(self, key: OrderKey) -> tuple[str, dict[str, Any]] | None:
        return self.reads.billings([key]).get(key)
