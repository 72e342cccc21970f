"""The envelope of an event: CloudEvents 1.0 in structured JSON, as the storefront's contract narrows it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.contracts.errors import Fault
from shared.contracts.storefront import grammars

CONTENT_TYPES: Final = frozenset({"application/cloudevents+json", "application/json"})
_DATA_CONTENT_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the envelope says; each member is None where it is missing or not of its grammar."""

    id: str | None
    source: str | None
    type: str | None
    time: datetime | None
    traceparent: str | None


def read_envelope(
    event: dict[str, Any], *, routing_key: str | None, sources: Collection[str], types: Collection[str]
) -> tuple[Envelope, list[Fault]]:
    """Read the envelope, with every fault in it. Members that the contract does not name are ignored. Never raises."""
    faults: list[Fault] = []
    version = _text(event, "specversion", faults)
    if version is not None and version != "1.0":
        faults.append(Fault("specversion_unsupported", "/specversion"))
    id_ = _text(event, "id", faults)
    if id_ is not None and not grammars.ID.fullmatch(id_):
        faults.append(Fault(_why_not_an_id(id_), "/id"))
        id_ = None
    source = _text(event, "source", faults)
    if source is not None and source not in sources:
        faults.append(Fault("source_unknown", "/source"))
        source = None
    type_ = _text(event, "type", faults)
    if type_ is not None:
        if routing_key is not None and type_ != routing_key:
            faults.append(Fault("type_mismatch", "/type"))
        if type_ not in types:
            faults.append(Fault("type_unknown", "/type"))
            type_ = None
    time_text = _text(event, "time", faults)
    time = None if time_text is None else grammars.read_time(time_text)
    if time_text is not None and time is None:
        faults.append(Fault("time_malformed", "/time"))
    content_type = _text(event, "datacontenttype", faults)
    if content_type is not None and grammars.media_type(content_type) != _DATA_CONTENT_TYPE:
        faults.append(Fault("datacontenttype_unsupported", "/datacontenttype"))
    return Envelope(id_, source, type_, time, grammars.read_traceparent(event.get("traceparent"))), faults


def _text(event: dict[str, Any], member: str, faults: list[Fault]) -> str | None:
    value = event.get(member)
    if isinstance(value, str):
        return value
    faults.append(Fault("wrong_type" if member in event else "missing", f"/{member}"))
    return None


def _why_not_an_id(text: str) -> str:
    if not text:
        return "too_short"
    return "too_long" if len(text) > 128 else "grammar"
