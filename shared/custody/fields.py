"""A part without some of its fields: what is taken out before anybody reads it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson


def without(part: bytes, fields: Collection[str]) -> bytes:
    """The part, as JSON, without these fields. `address.city` stands in a group, of which there may be several.

    What is not a field of the part stays as it is. Raises ValueError where the part is no JSON.
    """
    value = orjson.loads(part)
    for field in fields:
        _take_out(value, field.split("."))
    return orjson.dumps(value)


def _take_out(value: Any, names: list[str]) -> None:
    for group in value if isinstance(value, list) else (value,):
        if not isinstance(group, dict):
            continue
        if len(names) == 1:
            group.pop(names[0], None)
        else:
            _take_out(group.get(names[0]), names[1:])
