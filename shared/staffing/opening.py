"""A part opened for a member of staff: in the record under their account, and shown field by field."""

from __future__ import annotations

from typing import Any

import orjson

from shared.custody.vault import Opened
from shared.http_door import Answer, StatusError
from shared.policy.uses import to_staff
from shared.staffing.desk import Seat
from shared.staffing.door import Revealing
from shared.staffing.masking import shown


def show_part(door: Any, revealing: Revealing, seat: Seat, kept: tuple[str, dict[str, Any]] | None) -> Answer:
    """The order's part as the member may see it: what was asked for, and the first letter of the rest.

    `kept` is (customer_id, envelope). Raises 404 where nothing is kept, 409 with the vault's code where it stays closed: also where the
    policy under which the part came does not show the role a field that was asked for.
    """
    if kept is None:
        raise StatusError(404, "part_not_kept")
    to = to_staff(seat.role, "reveal", has_case=revealing.has_case)
    opened = door.parts.open({revealing.key: kept}, purpose=revealing.purpose, actor=seat.account, to=to, needs=revealing.fields)
    result = opened[revealing.key]
    if not isinstance(result, Opened):
        raise StatusError(409, getattr(result, "code", "part_closed"))
    granted = door.staff.permits.fields(seat.role, door.name, door.part, "reveal")
    part = shown(orjson.loads(result.plaintext), granted, revealing.fields)
    return Answer(200, {"order_number": revealing.key.order_number, "part": door.part, "fields": part})
