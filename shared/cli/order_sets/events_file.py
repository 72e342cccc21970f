"""A file of `order_placed` events: JSON lines or one JSON array; parts in the clear or already sealed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.cli.terminal import Misused


def events(path: Path) -> Iterator[dict[str, Any]]:
    """Every event of the file as it stands, in its order. An object without an envelope is taken for an event's `data`.

    Raises Misused where the file cannot be read or an entry is no object or another type of event; only its place is named.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.read(1)
            while first.isspace():
                first = file.read(1)
            file.seek(0)
            yield from _array(path, file.read()) if first == "[" else _lines(path, file)
    except (OSError, UnicodeDecodeError):
        raise Misused(f"The file {path} cannot be read as UTF-8 text.") from None


def _array(path: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        entries = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        raise Misused(f"The file {path} is not a JSON array.") from None
    for place, entry in enumerate(entries, start=1):
        yield _checked(path, f"entry {place}", entry)


def _lines(path: Path, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise Misused(f"Line {number} of {path} is not JSON.") from None
        yield _checked(path, f"line {number}", entry)


def _checked(path: Path, place: str, entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise Misused(f"In {path}, {place} is not an object.")
    if "specversion" not in entry:
        return {"data": entry}
    if entry.get("type") != "order_placed" or not isinstance(entry.get("data"), dict):
        raise Misused(f"In {path}, {place} is not an order_placed event.")
    return entry
