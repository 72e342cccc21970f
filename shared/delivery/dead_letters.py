"""What the broker gave up on: what it was, as far as that can be told without danger.

Such a message has crashed its consumer, or stood beside one that did, until the broker's limit was reached. It is read once more, only to know
what it is. Where even that has killed the process before, it is parked unread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.contracts.errors import Fault, Parked, TryLater
from shared.delivery import topology
from shared.delivery.batch import Reading
from shared.delivery.work import RawMessage

DELIVERY_LIMIT_REACHED = "delivery_limit_reached"
MOST_READINGS = 2  # by processes that did not live to acknowledge it; the broker counts its deliveries
_REASONS = frozenset({"delivery_limit", "rejected", "expired", "maxlen"})


def read_dead_letter(raw: RawMessage, service: str, read: Callable[[RawMessage], Reading]) -> Reading:
    """What to park of a dead letter: it is read as it was when it came first, and ends as `delivery_limit_reached` whatever it is.

    `raw` names then the queue that it came from, so that a replay is read as such. It takes its claim like any delivery: what was handled
    after all, before it came here, is a repeat. Raises Parked where the broker does not say where it is from, TryLater where it
    cannot be read yet.
    """
    death = _death(raw, service)
    if death is None:
        raise Parked("origin_unknown")
    first = replace(raw, queue=death["queue"], exchange=death["exchange"], routing_key=death["routing_key"])
    if death["first_at"] is not None:
        first.received_at = datetime.fromisoformat(death["first_at"])  # what was good then, a sealing key for one, counts as good
    reading = _named(first) if _deliveries(raw) >= MOST_READINGS else _read(first, read)
    raw.queue, raw.exchange, raw.routing_key, raw.death = first.queue, first.exchange, first.routing_key, death
    return reading


def _read(raw: RawMessage, read: Callable[[RawMessage], Reading]) -> Reading:
    try:
        reading = read(raw)
    except TryLater:
        raise
    except Exception as error:
        named = _named(raw)
        faults = [Fault(getattr(error, "code", f"unexpected_{type(error).__name__}")), *getattr(error, "faults", ())]
        # What cannot be read is not known to be sealed.
        return named._replace(message=Parked(DELIVERY_LIMIT_REACHED, faults), sealed=False)
    faults = list(getattr(reading.message, "faults", ()))
    return reading._replace(message=Parked(DELIVERY_LIMIT_REACHED, faults))


def _named(raw: RawMessage) -> Reading:
    """What is known without reading: by whom and under which id it was published, and that colleagues send parts sealed only."""
    speaker = topology.speaker_on(raw.exchange)
    identity = _key(raw.properties.get("message_id"))
    is_ours = speaker is not None and identity is not None
    return Reading(
        "",
        Parked(DELIVERY_LIMIT_REACHED, [Fault("not_read")]),
        claim=(speaker, identity) if speaker and identity else None,
        source=speaker,
        id=identity if is_ours else None,
        type=_key(raw.routing_key),
        sealed=is_ours and _can_be_kept(raw.body),
    )


def _key(name: object) -> str | None:
    """A name of whoever published it, where it can stand in a table of ours."""
    return name if isinstance(name, str) and name and "\0" not in name else None


def _can_be_kept(body: bytes) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


def _deliveries(raw: RawMessage) -> int:
    """How often it was handed to a process that did not acknowledge it."""
    count = _headers(raw).get("x-delivery-count")
    return count if isinstance(count, int) else 0


def _headers(raw: RawMessage) -> Mapping[str, Any]:
    headers = raw.properties.get("application_headers")
    return headers if isinstance(headers, Mapping) else {}


def _death(raw: RawMessage, service: str) -> dict[str, Any] | None:
    """The broker's own words on the last death, as far as they are words of ours: a stranger may write headers too. None without them."""
    deaths = _headers(raw).get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(death, Mapping):
        return None
    queue, exchange, reason, at = (death.get(name) for name in ("queue", "exchange", "reason", "time"))
    if not isinstance(exchange, str) or exchange not in _exchanges_into(queue, service):
        return None
    keys = death.get("routing-keys")
    key = keys[0] if isinstance(keys, list) and keys else ""
    count = death.get("count")
    return {
        "queue": queue,
        "exchange": exchange,
        "routing_key": key if key in topology.words_on(exchange) else "",
        "reason": reason if reason in _REASONS else "",
        "count": count if isinstance(count, int) else 0,
        "first_at": at.replace(tzinfo=UTC).isoformat() if isinstance(at, datetime) else None,
    }


def _exchanges_into(queue: object, service: str) -> Collection[str]:
    """From where this queue of the service is filled; from nowhere where it is not one of its own."""
    if queue == topology.events_queue(service):
        return topology.HEARERS
    return (topology.INTAKE_EXCHANGE,) if queue == topology.INTAKE_QUEUE and queue in topology.queues_of(service) else ()
