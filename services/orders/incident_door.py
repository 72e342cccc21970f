"""The door of orders for incidents: whoever notices one says so here, staff ask for its report, and see it through."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from services.orders import incident_store
from services.orders.incident_store import IncidentReads, IncidentWord
from services.orders.incidents import LIVE_DIFFERENCE, Incident, State, due_at, report_of, windows_of
from services.orders.settings import OrdersSettings
from shared import metrics
from shared.contracts.errors import Fault, Refused
from shared.database import Database
from shared.delivery.entrypoints import Door
from shared.delivery.reading import faults_of
from shared.delivery.topology import wiring
from shared.delivery.work import Ending, Work
from shared.dependencies import Made, settings_themselves
from shared.http_door import Answer, Request, StatusError, serve
from shared.policy import load
from shared.policy.exposure import PlaceUnknown, exposure, found_in_the_clear

_log = logging.getLogger("brownpaper.orders")
MOST_SHOWN = 1000
NOTICED_BY = "orders"  # what comes in through this door is told as orders' own
_LONGEST = timedelta(days=3660)
Form = TypeVar("Form", bound=BaseModel)


class NoticeForm(BaseModel):
    """What was noticed: for a leak its place, the window, what was found, and whether keys got out with it; for a difference its rule."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: Literal["canary_hit", "live_difference", "exposure"]
    place: str = Field(pattern=r"^[\x20-\x7e]{1,300}$")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    fields: tuple[str, ...] = ()
    with_keyring: bool = False
    with_master: bool = False
    of: int | None = Field(default=None, ge=1)


class WordForm(BaseModel):
    """What was done about an incident: a state, why (a code; nothing about a person), and who of the staff says so (a name, no e-mail)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    deed: Literal["investigated", "reported", "closed"]
    by: str = Field(pattern=r"^[A-Za-z0-9._-]{2,40}$")
    reason: str = Field(pattern=r"^[a-z0-9_]{2,64}$")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be written down: a new report of a known incident (`of`), or an incident of this kind and place."""

    kind: str
    place: str
    report: dict[str, Any] | None
    of: int | None


def _reads(settings: OrdersSettings) -> IncidentReads:
    return IncidentReads(Database(settings.database_url, name="orders.incidents", most_connections=2))


class IncidentDoor(Door):
    """See the module."""

    incident_reads = Made(_reads)
    settings = Made(settings_themselves)

    @serve("POST", "/incidents", token="staff_token")
    def notice(self, request: Request) -> Answer:
        form = _read(NoticeForm, request)
        report = None if form.kind == LIVE_DIFFERENCE else report_for(form, self.incident_reads, datetime.now(UTC))
        ending = self.asks("note_incident", [(Notice(form.kind, form.place, report, form.of), None)])[0]
        if ending.kind == "refused":
            raise StatusError(404, ending.code)
        if ending.kind != "done":
            return Answer(503, {"title": ending.code})
        return self._shown(ending.result)

    def note_incident(self, notice: Notice, work: Work[Any]) -> Ending:
        connection = work.store.connection
        if notice.of is not None:
            if not incident_store.attach(connection, notice.of, notice.report):
                raise Refused([Fault("incident_unknown")])
            return Ending("done", result=notice.of)
        number, is_new = incident_store.note(connection, NOTICED_BY, notice.kind, notice.place, work.at, notice.report)
        if is_new:
            incident_store.add_word(connection, IncidentWord(number, State.OPEN, NOTICED_BY, notice.kind, work.at))
            metrics.incidents.labels(NOTICED_BY, notice.kind).inc()
            _log.error("incident", extra={"kind": notice.kind})
        return Ending("done", result=number)

    @serve("GET", "/incidents", token="staff_token")
    def show_incidents(self, request: Request) -> Answer:
        state = request.query.get("state", "open")
        if state not in ("open", "all"):
            raise StatusError(422, "choice_unknown", "/state")
        found = self.incident_reads.incidents(also_closed=state == "all", limit=MOST_SHOWN)
        return Answer(200, {"items": [_document(it, self.settings) for it in found]}, {"Cache-Control": "no-store"})

    @serve("GET", "/incidents/<number>", token="staff_token")
    def show_incident(self, request: Request) -> Answer:
        return self._shown(_number(request))

    @serve("POST", "/incidents/<number>", token="staff_token")
    def change_incident(self, request: Request) -> Answer:
        form, number = _read(WordForm, request), _number(request)
        word = IncidentWord(number, form.deed, form.by, form.reason, datetime.now(UTC))
        ending = self.asks("move_incident", [(word, None)])[0]
        if ending.kind == "refused":
            raise StatusError(404 if ending.code == "incident_unknown" else 409, ending.code)
        return self._shown(number) if ending.kind == "done" else Answer(503, {"title": ending.code})

    def move_incident(self, word: IncidentWord, work: Work[Any]) -> None:
        incident = incident_store.find(work.store.connection, word.incident)
        if incident is None:
            raise Refused([Fault("incident_unknown")])
        incident.move(State(word.deed))
        incident_store.save(work.store.connection, incident, word)

    def _shown(self, number: int) -> Answer:
        found = self.incident_reads.incident(number)
        if found is None:
            raise StatusError(404, "incident_unknown")
        incident, words = found
        said = [{"deed": it.deed, "by": it.said_by, "reason": it.reason, "at": it.at} for it in words]
        shown = {**_document(incident, self.settings), "report": incident.report, "words": said}
        return Answer(200, shown, {"Cache-Control": "no-store"})


def report_for(form: NoticeForm, reads: IncidentReads, now: datetime) -> dict[str, Any]:
    """The report of what got out, by the policy and by the orders that were alive. Raises a refusal with 422."""
    policy, until = load(), form.until or now
    since = form.since or until - timedelta(days=1)
    if not since <= until or until - since > _LONGEST:
        raise StatusError(422, "window_malformed", "/since")
    try:
        place, found = exposure(policy, wiring(), form.place), found_in_the_clear(policy, form.fields)
    except PlaceUnknown as error:
        raise StatusError(422, str(error), "/place" if str(error) == "place_unknown" else "/fields") from None
    windows = windows_of(policy, (it.part for it in (*place.exposed, *found)))
    people, everybody = reads.people(windows, since, until)
    return report_of(
        policy,
        place,
        found,
        people,
        everybody,
        since=since,
        until=until,
        with_keyring=form.with_keyring,
        with_master=form.with_master,
    )


def _document(incident: Incident, settings: Any) -> dict[str, Any]:
    due = due_at(incident.noticed_at, timedelta(hours=settings.incident_report_hours))
    return {
        "number": incident.number,
        "service": incident.service,
        "kind": incident.kind,
        "place": incident.place,
        "state": incident.state,
        "noticed_at": incident.noticed_at,
        "due_at": due,
        "told": incident.report["told"] if incident.report else None,
    }


def _read(form: type[Form], request: Request) -> Form:
    try:
        return form.model_validate_json(request.body)
    except ValidationError as error:
        fault = faults_of(error)[0]
        raise StatusError(422, fault.code, fault.path) from None


def _number(request: Request) -> int:
    text = request.values["number"]
    if not text.isdecimal() or len(text) > 18:
        raise StatusError(404, "incident_unknown")
    return int(text)
