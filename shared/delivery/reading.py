"""Reading the events that the services tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError

from shared.contracts.errors import Fault, Parked
from shared.contracts.events import Event
from shared.contracts.storefront.grammars import read_traceparent
from shared.delivery.batch import Reading
from shared.delivery.horizon import Horizon
from shared.delivery.topology import own_exchanges
from shared.delivery.work import RawMessage


def read_event(raw: RawMessage, heard: Mapping[str, tuple[type[Event], str]], horizon: Horizon | None = None) -> Reading:
    """A colleague's event and the method that hears it. Raises `Parked` with codes and places, never a value.

    What lies behind the `horizon`, or ahead of all clocks, reads as that error with its name, its claim and its body, so that a person
    can have it done. Without a horizon its time does not matter: it has its claim already.
    """
    try:
        envelope = orjson.loads(raw.body)
        speaker, identity, kind, data = envelope["source"], envelope["id"], envelope["type"], envelope["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise Parked("malformed_event") from None
    if not all(_can_be_kept(word) for word in (speaker, identity, kind)):
        raise Parked("malformed_event")
    if kind not in heard:
        raise Parked("event_unheard")
    if raw.exchange and raw.exchange not in own_exchanges(speaker):
        raise Parked("speaker_unexpected")  # the broker's permissions keep others from it; this is the second lock
    model, method = heard[kind]
    try:
        event = model.model_validate(data)
    except ValidationError as error:
        raise Parked("malformed_event", faults_of(error)) from None
    if getattr(event, "service", speaker) != speaker:
        raise Parked("speaker_unexpected")  # what a service tells of itself, its keys above all, nobody else tells
    about = event.about()
    if about is not None and not all(_can_be_kept(word) for word in about):
        raise Parked("malformed_event")
    return Reading(
        method,
        event if horizon is None else _in_time(envelope.get("time"), horizon) or event,
        about,
        (speaker, identity),
        read_traceparent(envelope.get("traceparent")),
        source=speaker,
        id=identity,
        type=kind,
        sealed=True,  # every personal part of an internal event is a SealedBox, and no other member is personal
    )


def _in_time(written: object, horizon: Horizon) -> Parked | None:
    """What keeps an event of this time from being taken up; None where nothing does."""
    try:
        written_at = datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:
        written_at = None
    if written_at is None or written_at.tzinfo is None:
        raise Parked("malformed_event", [Fault("time_malformed", "/time")])
    code = horizon.code_of(written_at, datetime.now(UTC))
    return None if code is None else Parked(code, [Fault(code, "/time")])


def _can_be_kept(word: object) -> bool:
    """Whether this can be a key in our tables: PostgreSQL's text holds no U+0000."""
    return isinstance(word, str) and "\0" not in word


def faults_of(error: ValidationError) -> list[Fault]:
    """What a ValidationError says, without what was sent."""
    details: list[Any] = error.errors(include_url=False, include_context=False, include_input=False)
    return [Fault(detail["type"], "/data/" + "/".join(str(step) for step in detail["loc"])) for detail in details]
