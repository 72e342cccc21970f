"""The inside of a sealed part: what the service that opens a box reads, and what a door that seals a part writes."""

from __future__ import annotations

from collections.abc import Collection

import orjson

from shared.contracts.errors import Fault
from shared.contracts.storefront.parts import validate_part
from shared.contracts.storefront.personal import ClearPart
from shared.contracts.storefront.refusals import PartRefused

_SEALED_FOR_MEMBER = "for"


def read_part(part: str, plaintext: bytes, *, sealed_for_key: str, line_numbers: Collection[int] | None = None) -> ClearPart:
    """Read what stood in the box of a part ("recipient", "contact", "billing", "friend" or "request").

    `sealed_for_key` is the order's number (of an event without one, the customer's id), which the member `for` must name;
    `line_numbers` are the order's, where the service knows them. Raises PartRefused with every fault, pointers starting at
    the part. Safe to repeat.
    """
    parsed, malformed = _parse(plaintext)
    if malformed:
        raise PartRefused([Fault("malformed_json")])
    if not isinstance(parsed, dict):
        raise PartRefused([Fault("not_an_object")])
    faults: list[Fault] = []
    if _SEALED_FOR_MEMBER not in parsed:
        faults.append(Fault("missing", f"/{_SEALED_FOR_MEMBER}"))
    else:
        sealed_for = parsed.pop(_SEALED_FOR_MEMBER)
        if not isinstance(sealed_for, str):
            faults.append(Fault("wrong_type", f"/{_SEALED_FOR_MEMBER}"))
        elif sealed_for != sealed_for_key:
            faults.append(Fault("sealed_for_another", f"/{_SEALED_FOR_MEMBER}"))
    model, faults_of_form = validate_part(part, parsed, line_numbers=line_numbers)
    faults += faults_of_form
    if faults or model is None:
        raise PartRefused(faults)
    return model


def part_to_json(part: ClearPart, sealed_for_key: str) -> bytes:
    """The plaintext that is sealed: the part as it came, with the member `for`. `read_part` reads it back."""
    return orjson.dumps({**part.model_dump(exclude_unset=True, exclude_none=True), _SEALED_FOR_MEMBER: sealed_for_key})


def _parse(plaintext: bytes) -> tuple[object, bool]:
    """What the text says, and whether it is malformed; apart, so that no error that holds the text is in the air afterwards."""
    try:
        return orjson.loads(plaintext), False
    except orjson.JSONDecodeError:
        return None, True
