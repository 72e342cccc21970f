"""A part that is opened for a member of staff: for whom it is asked, and what is shown when it stays closed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from shared.contracts.values import OrderKey
from shared.custody.envelopes import PartName
from shared.custody.vault import Opened, PartClosed
from shared.http_door import StatusError
from shared.policy import load
from shared.policy.uses import Use, to_staff, uses_of
from shared.staffing.desk import Seat
from shared.staffing.door import Revealing
from shared.staffing.opening import show_part
from shared.staffing.permits import StaffPermits

KEY = OrderKey("https://one.example", "N-1")
KEPT: tuple[str, dict[str, Any]] = ("c-1", {})
SEAT = Seat("staff-1", "billing_clerk")


class Door:
    """Payments' door, as far as an opening needs it; its vault answers with `result`, and what was wished stands in `wish`."""

    name, part = "payments", "billing"
    staff = SimpleNamespace(permits=StaffPermits(load().staff.values()))

    def __init__(self, result: Any) -> None:
        self.parts, self._result, self.wish = self, result, dict[str, Any]()

    def open(self, envelopes: dict[OrderKey, Any], **wish: Any) -> dict[OrderKey, Any]:
        self.wish = wish
        return dict.fromkeys(envelopes, self._result)


@pytest.mark.parametrize("has_case", [True, False])
def test_it_is_asked_for_the_role_with_or_without_a_case_and_for_each_field(has_case: bool) -> None:
    name = PartName(*KEY[:1], "c-1", KEY.order_number, "billing")
    door = Door(Opened(orjson.dumps({"given_name": "g", "tax_id": None}), b"", "payments", name, load().version))
    answer = show_part(door, Revealing(KEY, ("given_name",), "billing", has_case), SEAT, KEPT)
    assert answer.status == 200
    to = to_staff("billing_clerk", "reveal", has_case=has_case)
    assert door.wish == {"purpose": "billing", "actor": "staff-1", "to": to, "needs": ("given_name",)}
    assert (Use("payments", "billing", "billing", to) in uses_of(load())) == has_case, "the policy has it under a case alone"


def test_what_the_vault_keeps_closed_is_answered_by_its_code() -> None:
    with pytest.raises(StatusError) as refused:
        show_part(Door(PartClosed("new_use_not_allowed")), Revealing(KEY, ("tax_id",), "billing"), SEAT, KEPT)
    assert (refused.value.status, refused.value.code) == (409, "new_use_not_allowed")
