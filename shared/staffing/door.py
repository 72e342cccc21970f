"""The door of a service's staff: sessions, acknowledgement, cases; and `staffed`, through which every other door of theirs is made.

    @staffed("GET", "/work", Need("see", "purchase", ("lines", "placed_at")), token="staff_token")
    def work_waiting(self, request: Request, seat: Seat) -> Answer: ...

A method behind `staffed` does not run before the desk has let the member do all that it names: what nobody granted stays shut by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Literal, TypeVar

from nameko.extensions import DependencyProvider
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery.entrypoints import Door
from shared.delivery.reading import faults_of
from shared.http_door import Answer, Request, StatusError, serve
from shared.policy import load
from shared.staffing.cases import REASONS
from shared.staffing.desk import Rules, Seat, Shown, StaffDesk
from shared.staffing.members import Period
from shared.staffing.permits import Need
from shared.staffing.sessions import Limits

F = TypeVar("F", bound=Callable[..., Any])
BACKGROUND = "background"
"""`?background=1`: nobody sits there, so that the session's lock does not slide."""
_MOST_AT_ONCE = 8  # sessions being begun or unlocked: each costs a password's work
_ID = r"^[A-Za-z0-9._~-]{1,128}$"


class Form(BaseModel):
    """What staff send; what is not named is refused, and no value stands in an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Begin(Form):
    name: str = Field(max_length=200)
    password: SecretStr


class _Unlock(Form):
    password: SecretStr


class _Acknowledge(Form):
    policy_version: str = Field(max_length=40)


class _OpenCase(Form):
    source: str = Field(max_length=500)
    order_number: str = Field(pattern=_ID)
    reason: Literal[REASONS]  # type: ignore[valid-type]
    ticket: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._/-]{1,40}$")


class RevealForm(Form):
    """Which fields of the order's part a member wants to read, under which case; without `fields` all that the role may."""

    source: str = Field(max_length=500)
    case: str | None = Field(default=None, pattern=_ID)
    fields: list[str] | None = Field(default=None, min_length=1, max_length=40)


@dataclass(frozen=True, slots=True)
class Revealing:
    """What a member may read now: fields of one order's part, for a purpose."""

    key: OrderKey
    fields: tuple[str, ...]
    purpose: str
    has_case: bool = True


M = TypeVar("M", bound=BaseModel)


def read_form(form: type[M], request: Request) -> M:
    """The body as this form. Raises 415, 400, or 422 with the first fault's place."""
    body = request.json()
    try:
        return form.model_validate(body)
    except ValidationError as error:
        fault = faults_of(error)[0]
        raise StatusError(422, fault.code, fault.path) from None


def source_of(request: Request) -> str:
    """The shop that `?source=` names. Raises 422 where it is missing."""
    source = request.query.get("source", "")
    if not source:
        raise StatusError(422, "missing", "/source")
    return source


def staffed(method: str, path: str, *needs: Need, token: str | None = None, in_flight: int = 64) -> Callable[[F], F]:
    """The method `(request, seat) -> Answer` answers this route to members who may do all of `needs`.

    `token` names the setting whose bearer token a machine shows here: it is no member, and such a route shows and moves nothing but parcels
    and orders by their numbers.
    """
    if not needs:
        raise ValueError("a door of staff says what it shows")

    def decorate(function: F) -> F:
        @wraps(function)
        def admitted(door: Any, request: Request) -> Answer:
            at = datetime.now(UTC)
            seat = _seat(door, request, at)
            if not seat.is_machine:
                door.staff.permit(seat, needs, at)
            answer: Answer = function(door, request, seat)
            return answer

        return serve(method, path, token=token, sessions=True, in_flight=in_flight)(admitted)  # type: ignore[return-value]

    return decorate


def reveals(path: str, part: str) -> Callable[[F], F]:
    """The method `(revealing, seat) -> Answer` answers `POST <path>`, which names an order: fields of its part, under a case (clause 46)."""

    def decorate(function: F) -> F:
        @wraps(function)
        def admitted(door: Any, request: Request) -> Answer:
            at = datetime.now(UTC)
            seat = _seat(door, request, at)
            form = read_form(RevealForm, request)
            granted = door.staff.permits.fields(seat.role, door.name, part, "reveal")
            chosen = tuple(dict.fromkeys(form.fields)) if form.fields is not None else granted
            key = OrderKey(form.source, request.values["order_number"])
            if not granted:
                raise StatusError(403, "not_granted")
            case = door.staff.case(seat, form.case, key, at) if form.case is not None else None
            door.staff.permit(seat, [Need("reveal", part, chosen)], at, case=case)
            purpose = door.staff.permits.purpose(seat.role, door.name, part, "reveal")
            answer: Answer = function(door, Revealing(key, chosen, purpose, case is not None), seat)
            return answer

        return serve("POST", path, sessions=True, in_flight=32)(admitted)  # type: ignore[return-value]

    return decorate


def _seat(door: Any, request: Request, at: datetime) -> Seat:
    if request.is_machine:
        return Seat(is_machine=True)
    seat: Seat = door.staff.seat(request.bearer, at, is_background=request.query.get(BACKGROUND) == "1")
    return seat


class Desk(DependencyProvider):
    """Injects the service's `StaffDesk`."""

    def setup(self) -> None:
        settings, service = self.container.config["settings"], self.container.service_name
        rules = Rules(
            Limits(timedelta(minutes=settings.staff_idle_minutes), timedelta(hours=settings.staff_session_hours)),
            Period(timedelta(days=settings.staff_acknowledge_days), timedelta(days=settings.staff_acknowledge_grace_days)),
            timedelta(minutes=settings.staff_case_minutes),
            settings.staff_reveals_per_hour,
        )
        database = Database(settings.database_url, name=f"{service}.staff", most_connections=4)
        self._desk = StaffDesk(service, database, load(), rules)

    def get_dependency(self, worker_ctx: Any) -> StaffDesk:
        return self._desk


class StaffDoor(Door):
    """The base of the doors at which staff have sessions."""

    staff = Desk()

    @serve("POST", "/staff/session", sessions=True, in_flight=_MOST_AT_ONCE)
    def begin_session(self, request: Request) -> Answer:
        form = read_form(_Begin, request)
        begun = self.staff.begin(form.name, form.password.get_secret_value(), datetime.now(UTC))
        return Answer(201, {"token": begun.token, **_shown(self.staff, begun)})

    @serve("GET", "/staff/session", sessions=True)
    def session(self, request: Request) -> Answer:
        return Answer(200, _shown(self.staff, self.staff.look(request.bearer, datetime.now(UTC))))

    @serve("POST", "/staff/session/unlock", sessions=True, in_flight=_MOST_AT_ONCE)
    def unlock_session(self, request: Request) -> Answer:
        form = read_form(_Unlock, request)
        shown = self.staff.unlock(request.bearer, form.password.get_secret_value(), datetime.now(UTC))
        return Answer(200, _shown(self.staff, shown))

    @serve("POST", "/staff/session/lock", sessions=True)
    def lock_session(self, request: Request) -> Answer:
        self.staff.lock(request.bearer, datetime.now(UTC))
        return Answer(200, {"state": "locked"})

    @serve("DELETE", "/staff/session", sessions=True)
    def end_session(self, request: Request) -> Answer:
        self.staff.end(request.bearer)
        return Answer(200, {"state": "over"})

    @serve("POST", "/staff/acknowledgement", sessions=True)
    def acknowledge_policy(self, request: Request) -> Answer:
        at = datetime.now(UTC)
        seat, form = self.staff.seat(request.bearer, at), read_form(_Acknowledge, request)
        due = self.staff.acknowledge(seat.account, form.policy_version, at)
        return Answer(200, {"policy_version": form.policy_version, "acknowledged_at": at, "due_at": due})

    @serve("POST", "/staff/cases", sessions=True)
    def open_case(self, request: Request) -> Answer:
        at = datetime.now(UTC)
        seat, form = self.staff.seat(request.bearer, at), read_form(_OpenCase, request)
        case = self.staff.open_case(seat, OrderKey(form.source, form.order_number), form.reason, form.ticket, at)
        return Answer(201, {"case": case.case_id, "order_number": case.key.order_number, "expires_at": case.expires_at})


def _shown(desk: StaffDesk, it: Shown) -> Mapping[str, Any]:
    limits = desk.rules.limits
    return {
        "account": it.member.account,
        "role": it.member.role,
        "state": it.standing,
        "locks_at": it.session.acted_at + limits.idle,
        "ends_at": it.session.ends_at(limits),
        "policy_version": load().version,
        "policy_is": it.known,
        "policy_due_at": it.due_at,
    }


__all__ = ["Form", "Revealing", "StaffDoor", "read_form", "reveals", "source_of", "staffed"]
