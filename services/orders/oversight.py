"""The part of orders' door that looks after the others: anchors of their records, incidents, and legal holds by staff."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from services.orders import oversight_store
from services.orders.oversight_store import HoldRecord, HoldWord
from services.orders.staff import FOLLOW_RIGHTS
from shared.contracts.errors import Fault, Refused
from shared.contracts.events import DataReleased, IncidentNoticed, LegalHoldLifted, LegalHoldPlaced, RecordAnchored
from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery.entrypoints import hears
from shared.delivery.reading import faults_of
from shared.delivery.work import Ending, Work
from shared.dependencies import Made
from shared.http_door import Answer, Request, StatusError
from shared.policy import load
from shared.staffing.desk import Seat
from shared.staffing.door import StaffDoor, staffed

PLACED, LIFTED, RELEASED = "placed", "lifted", "released"
MOST_SHOWN = 1000
_ADDENDUM = re.compile(r"A-[0-9]{2}")


class HoldForm(BaseModel):
    """What staff send: which order, what is done, and by which clause or addendum of the policy."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    source: str
    order_number: str
    deed: Literal["placed", "lifted"]
    clause: str


def _holds(settings: Any) -> HoldRecord:
    return HoldRecord(Database(settings.database_url, name="orders.holds", most_connections=1))


class Oversight(StaffDoor):
    """See the module."""

    holds = Made(_holds)

    @hears(RecordAnchored)
    def record_anchored(self, event: RecordAnchored, work: Work[Any]) -> None:
        oversight_store.keep_anchor(work.store.connection, event, work.at)

    @hears(IncidentNoticed)
    def incident_noticed(self, event: IncidentNoticed, work: Work[Any]) -> None:
        oversight_store.open_incident(work.store.connection, event)

    @staffed("POST", "/holds", FOLLOW_RIGHTS)
    def change_hold(self, request: Request, seat: Seat) -> Answer:
        try:
            form = HoldForm.model_validate_json(request.body)
        except ValidationError as error:
            fault = faults_of(error)[0]
            raise StatusError(422, fault.code, fault.path) from None
        if not _is_of_policy(form.clause):
            raise StatusError(422, "clause_unknown", "/clause")
        key = OrderKey(form.source, form.order_number)
        word = HoldWord(key, form.deed, form.clause, seat.account, datetime.now(UTC))
        ending = self.asks("note_hold", [(word, key)])[0]
        if ending.kind == "refused":
            raise StatusError(409 if ending.code == f"hold_{form.deed}_before" else 404, ending.code)
        shown = {"order_number": form.order_number, "deed": form.deed, "erased_by": ending.result}
        return Answer(200 if ending.kind == "done" else 503, shown)

    def note_hold(self, word: HoldWord, work: Work[Any]) -> Ending:
        """Write the word down and tell the holders. Refused where there is no such order, or where it says what was said last.

        The ending's result are the services that erased what they had before this word; null where all have, and the order is nobody's.
        """
        connection = work.store.connection
        oversight_store.take_turns(connection)
        if not oversight_store.is_known(connection, word.key):
            raise Refused([Fault("order_unknown")])
        if (oversight_store.last_deed(connection, word.key) or LIFTED) == word.deed:
            raise Refused([Fault(f"hold_{word.deed}_before")])
        oversight_store.add_word(connection, word)
        named = {**word.key._asdict(), "clause": word.clause}
        work.tell(LegalHoldPlaced(**named, said_at=word.at) if word.deed == PLACED else LegalHoldLifted(**named, said_at=word.at))
        return Ending("done", result=oversight_store.erased_by(connection, word.key))

    @hears(DataReleased)
    def data_released(self, event: DataReleased, work: Work[Any]) -> None:
        """What two members of staff gave to an authority stands beside the words about holds, for good (addendum A-10)."""
        said_by = "+".join(event.approved_by)
        word = HoldWord(event.about(), RELEASED, event.clause, said_by, event.given_at, event.part, event.dossier)
        oversight_store.add_word(work.store.connection, word)

    @staffed("GET", "/holds", FOLLOW_RIGHTS)
    def show_holds(self, _request: Request, _seat: Seat) -> Answer:
        shown = [
            {
                "source": word.key.shop,
                "order_number": word.key.order_number,
                "deed": word.deed,
                "clause": word.clause,
                "by": word.said_by,
                "part": word.part,
                "dossier": word.dossier,
                "at": word.at,
            }
            for word in self.holds.words(MOST_SHOWN)
        ]
        return Answer(200, {"items": shown})


def _is_of_policy(clause: str) -> bool:
    policy = load()
    return clause in policy.addenda if _ADDENDUM.fullmatch(clause) else clause.isdecimal() and int(clause) in policy.clauses
