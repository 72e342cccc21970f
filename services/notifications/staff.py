"""Customer service at the door of notifications: under a case, how to reach the buyer of an order that is in trouble (clause 11)."""

from __future__ import annotations

from typing import Any

from shared.contracts.values import OrderKey
from shared.http_door import Answer, Request, StatusError
from shared.staffing.desk import Seat
from shared.staffing.door import Revealing, reveals, source_of, staffed
from shared.staffing.masking import unopened
from shared.staffing.opening import show_part
from shared.staffing.permits import MASKED, Need
from shared.staffing.releases import Releasing


class ContactDesk(Releasing):
    """See the module; and the release of a contact to an authority."""

    reads: Any

    @staffed("GET", "/staff/contacts/<order_number>", Need(MASKED, "contact"))
    def contact_of_order(self, request: Request, seat: Seat) -> Answer:
        key = OrderKey(source_of(request), request.values["order_number"])
        if self.kept_part(key) is None:
            raise StatusError(404, "part_not_kept")
        fields = self.staff.permits.fields(seat.role, self.name, "contact", "reveal")
        return Answer(200, {"order_number": key.order_number, "part": "contact", "fields": unopened(fields)})

    @reveals("/staff/contacts/<order_number>", "contact")
    def reveal_contact(self, revealing: Revealing, seat: Seat) -> Answer:
        return show_part(self, revealing, seat, self.kept_part(revealing.key))

    def kept_part(self, key: OrderKey) -> tuple[str, dict[str, Any]] | None:
        kept = self.reads.contacts([key]).get(key)
        return (kept.customer_id, kept.contact) if kept is not None else None
