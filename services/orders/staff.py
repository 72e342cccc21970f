"""Staff at the door of orders: customer service follows an order, the privacy officer sees what persons chose and asked for."""

from __future__ import annotations

from pydantic import Field

from services.orders.request_store import RequestReads
from shared.http_door import Answer, Request
from shared.staffing.desk import Seat
from shared.staffing.door import Form, StaffDoor, read_form, staffed
from shared.staffing.permits import Need

FOLLOW_ORDER = Need("see", "references", ("order_number",))
FOLLOW_RIGHTS = Need("see", "references", ("customer_id", "order_number"))
PREFERENCES = Need("see", "preferences", ("communication", "policy_choice", "policy_version"))


class _Whose(Form):
    source: str = Field(max_length=500)
    customer_id: str = Field(pattern=r"^[A-Za-z0-9._~-]{1,128}$")


class OrdersDesk(StaffDoor):
    """See the module. The doors of an order, of requests and of certificates stand with what they show."""

    request_reads: RequestReads

    @staffed("POST", "/staff/preferences", PREFERENCES)
    def preferences_of_person(self, request: Request, _seat: Seat) -> Answer:
        """By POST: a person's id stands in no address that somebody might write down."""
        whose = read_form(_Whose, request)
        return Answer(200, {"items": self.request_reads.preferences(whose.source, whose.customer_id)})
