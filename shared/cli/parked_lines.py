"""What `brownpaper parked` prints: plain lines that can be searched and cut, and the same as JSON. Never a body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.contracts.storefront.grammars import read_traceparent
from shared.delivery.parked import Discard, Kept, ParkedThing, Tally

# The personal parts that a message may hold, each sealed for one service.
_PARTS = ("recipient", "contact", "billing", "friend", "request")
_HOLDERS = ("payments", "shipping", "notifications")
_COLUMNS = ("last tried", "service", "kind", "type", "order", "parked for", "tries", "replays", "first tried", "body", "id")
_DISCARD_COLUMNS = ("discarded", "service", "kind", "type", "order", "parked for", "reason", "ticket", "by", "id")


def thing_lines(found: Sequence[tuple[str, ParkedThing]]) -> Iterator[str]:
    """A table of parked things; nothing where there are none."""
    rows = [
        (
            _time(thing.last_at),
            service,
            thing.kind,
            thing.type or "-",
            thing.order_number or "-",
            thing.reason,
            str(thing.tries),
            str(thing.replays),
            _time(thing.first_at),
            "-" if thing.length is None else f"{thing.length} bytes" if thing.is_replayable else "none",
            str(thing.id),
        )
        for service, thing in found
    ]
    return _table(_COLUMNS, rows)


def discard_lines(found: Iterable[Discard]) -> Iterator[str]:
    """A table of discards; nothing where there are none."""
    rows = [
        (
            _time(it.discarded_at),
            it.service,
            it.kind,
            it.type or "-",
            it.order_number or "-",
            it.parked_for,
            it.reason,
            it.ticket or "-",
            it.discarded_by,
            str(it.id),
        )
        for it in found
    ]
    return _table(_DISCARD_COLUMNS, rows)


def tally_lines(counted: Sequence[tuple[str, Tally]]) -> Iterator[str]:
    """A line for each sort, and their sum."""
    for service, tally in counted:
        without = "" if tally.is_replayable else ", without a body"
        yield f"{tally.number:>7}  {service} {tally.kind} {tally.type or 'unknown'}: {tally.reason}{without}"
    yield f"{total(counted):>7}  in all"


def total(counted: Iterable[tuple[str, Tally]]) -> int:
    return sum(tally.number for _, tally in counted)


def members_of(service: str, thing: ParkedThing, whole: Kept) -> dict[str, Any]:
    """All that is kept of a parked thing, its body left out."""
    return {
        "service": service,
        **asdict(thing),
        "faults": whole.faults,
        "headers": whole.headers,
        "details": whole.details,
        **_envelope(whole.body),
    }


def _envelope(body: str | None) -> dict[str, Any]:
    """Of a kept body its time and trace, where they are that, and which parts are in it and sealed for whom."""
    try:
        event = orjson.loads(body or "")
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(event, dict):
        return {}
    data = event["data"] if isinstance(event.get("data"), dict) else {}
    parts = {name: data[name]["sealed_for"] for name in _PARTS if _is_sealed(data.get(name))}
    return {"time": _time_of(event.get("time")), "traceparent": read_traceparent(event.get("traceparent")), "sealed_parts": parts}


def _is_sealed(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("sealed_for") in _HOLDERS


def _time_of(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    for row in (columns, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
