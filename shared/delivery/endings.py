"""How deliveries end, and what is written down of it: done, later on the ladder, parked with its reason, refused."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from shared.contracts.errors import Parked, Refused, TryLater
from shared.contracts.values import new_id
from shared.database import type_of_connection
from shared.delivery import held_messages, tables, topology
from shared.delivery.ladder import Ladder
from shared.delivery.work import Delivery, Ending, RawMessage

_log = logging.getLogger("brownpaper.delivery")


class Endings:
    """Writes the endings of a batch in its transaction."""

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder

    def write(self, connection: type_of_connection, endings: list[tuple[Delivery, Ending]], at: datetime) -> None:
        """Write them down; what the ladder or the broker's word makes of one is put in its place in the list."""
        settled, released = [], []
        for place, (delivery, ending) in enumerate(endings):
            if ending.kind == "repeated":
                continue  # its row, if it has one, is the business of the delivery that came first
            if delivery.intent_id is not None:
                if ending.kind == "done":
                    settled.append(delivery.intent_id)
                elif ending.kind == "later":
                    tables.put_off_intent(
                        connection, delivery.intent_id, delivery.lease, at + self._delay(delivery.tries, ending)
                    )
                else:
                    tables.park_intent(connection, delivery.intent_id, delivery.lease, ending.code)
            elif delivery.raw is not None:
                if ending.kind != "done":
                    endings[place] = (delivery, self._hold(connection, delivery, delivery.raw, ending, at))
                elif delivery.held_id is not None:
                    released.append(delivery.held_id)
        if settled:
            tables.settle_intents(connection, settled)
        if released:
            held_messages.release_held(connection, released)

    def _delay(self, tries: int, ending: Ending) -> timedelta:
        """As the ladder says, and no sooner than the party asked for."""
        return max(self._ladder.delay(tries), timedelta(seconds=ending.after_seconds or 0))

    def _hold(self, connection: type_of_connection, delivery: Delivery, raw: RawMessage, ending: Ending, at: datetime) -> Ending:
        tries, about = delivery.tries + 1, raw.about or ending.awaits
        if ending.kind != "later" or self._ladder.is_over(tries) or not raw.sealed:
            state, due_at = "parked", None
            ending = ending._replace(kind="parked") if ending.kind == "later" else ending
        else:
            state, due_at = "later", at + self._delay(tries, ending)
        held_messages.hold(
            connection,
            held_messages.HeldRow(
                id=delivery.held_id or new_id(),
                state=state,
                queue=raw.queue,
                source=raw.source,
                event_id=raw.id,
                type=raw.type,
                reason=ending.code,
                faults=ending.faults,
                body=raw.body.decode() if raw.sealed else None,
                length=len(raw.body),
                headers=_headers(raw),
                tries=tries,
                first_at=delivery.first_at or at,
                last_at=at,
                due_at=due_at,
                shop=about.shop if about else None,
                order_number=about.order_number if about else None,
            ),
        )
        return ending


def _headers(raw: RawMessage) -> dict[str, Any]:
    """What is kept of how it came. Of what was not read in full only words of ours: a stranger may write any routing key."""
    is_ours = raw.sealed or raw.routing_key in topology.words_on(raw.exchange)
    kept: dict[str, Any] = {"exchange": raw.exchange, "routing_key": raw.routing_key} if is_ours else {}
    return {**kept, "death": dict(raw.death)} if raw.death else kept


def ending_of(error: Exception, delivery: Delivery) -> Ending:
    """What an error of a handler makes of its delivery: the three endings by the type of the exception; anything else is a defect of ours."""
    match error:
        case TryLater():
            return Ending("later", error.code, after_seconds=error.after_seconds, awaits=error.awaits)
        case Parked():
            return Ending("parked", error.code, error.faults)
        case Refused():
            return Ending("refused", error.code, error.faults)
        case _:
            # The class and the place of the error only: its text may hold a value.
            _log.error(
                "handler_failed", extra={"method": delivery.method, "error": type(error).__name__, "place": place_of(error)}
            )
            return Ending("parked", f"unexpected_{type(error).__name__}")


def place_of(error: BaseException) -> str:
    """Where an error was raised, file and line of our own innermost frame: no text of it."""
    place, frame = "", error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_globals.get("__name__", "")
        if name.startswith(("services.", "shared.")):
            place = f"{name}:{frame.tb_lineno}"
        frame = frame.tb_next
    return place
