"""A part as staff see it: every field behind a mask, but for those that were asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

MASK = "•••"


def unopened(fields: Sequence[str]) -> dict[str, str]:
    """Field → mask, for a part that nobody opened: not even which fields it has is told."""
    return dict.fromkeys(fields, MASK)


def shown(part: Mapping[str, Any], fields: Sequence[str], revealed: Collection[str]) -> dict[str, Any]:
    """Dotted field → its value where it is revealed, its first letter and a mask of always the same length elsewhere; null where it is empty.

    `fields` are those that may be shown at all: every other one of the part is left out.
    """
    return {
        field: _value(part, field.split(".")) if field in revealed else masked(_value(part, field.split("."))) for field in fields
    }


def masked(value: Any) -> Any:
    """The first letter and a mask."""
    if value is None or value in ("", []):
        return None
    return [masked(it) for it in value] if isinstance(value, list) else f"{str(value)[0]}{MASK}"


def _value(part: Any, names: Sequence[str]) -> Any:
    if isinstance(part, list):
        return [_value(it, names) for it in part]
    if not names or part is None:
        return part
    return _value(part.get(names[0]), names[1:]) if isinstance(part, Mapping) else None
