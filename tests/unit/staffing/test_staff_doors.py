"""Every HTTP door of every service is one that we know: anybody's, a machine's, or staff's; a new one is red until it is told here."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from services.notifications.service import NotificationsService
from services.orders.service import OrdersService
from services.payments.service import PaymentsService
from services.shipping.service import ShippingService
from shared.http_door import Answer, Request, Served, StatusError
from shared.staffing.desk import Seat
from shared.staffing.door import reveals, staffed
from shared.staffing.permits import Need

SERVICES = (OrdersService, PaymentsService, ShippingService, NotificationsService)
ANYBODY = {
    "/health",
    "/ready",
    "/metrics",
    "/keys",
    "/receipt_keys",
    "/webhooks/carrier/<secret>",
    "GET /policy",
    "/friends/opt-out",
}
# The storefront's, and the commands of whoever runs the system: none of them shows a person.
MACHINES = {
    *("/events", "/exports/<request>", "/stuck"),
    *("POST /policy", "/announcements", "/incidents", "/incidents/<number>", "/reports/departments"),
}
# They look at the session themselves: it is what they are about, or they ask for more than a need says.
OWN_LOOK = {
    *("/staff/session", "/staff/session/unlock", "/staff/session/lock", "/staff/acknowledgement", "/staff/cases"),
    *("/staff/releases", "/staff/releases/<release>/approval"),
}


def doors_of(service: type[Any]) -> list[tuple[str, Served, Any]]:
    """(path, the entrypoint, the method) of a service's HTTP doors."""
    found = []
    for _, method in inspect.getmembers(service, inspect.isfunction):
        for entrypoint in getattr(method, "nameko_entrypoints", ()):
            if isinstance(entrypoint, Served):
                found.append((entrypoint._path, entrypoint, method))
    return found


def kind_of(path: str, entrypoint: Served, method: Any) -> str:
    """Who is let in here."""
    if not entrypoint._sessions:
        return "machines" if entrypoint._token else "anybody"
    return "staffed" if hasattr(method, "__wrapped__") else "own look"


@pytest.mark.parametrize("service", SERVICES, ids=lambda it: it.name)
def test_every_door_is_known(service: type[Any]) -> None:
    doors = doors_of(service)
    assert len(doors) >= 8
    for path, entrypoint, method in doors:
        names = {path, f"{entrypoint._method} {path}"}
        told = "anybody" if names & ANYBODY else "machines" if names & MACHINES else "own look" if path in OWN_LOOK else "staffed"
        assert kind_of(path, entrypoint, method) == told, path


class _Desk:
    """A desk that lets nobody do anything."""

    def seat(self, _token: str, _at: object, *, is_background: bool = False) -> Seat:
        return Seat("staff-1", "clerk", is_machine=is_background)

    def permit(self, *_: object, **__: object) -> None:
        raise StatusError(403, "not_granted")

    class permits:  # noqa: N801 - as the desk's
        @staticmethod
        def fields(*_: object) -> tuple[str, ...]:
            return ()


class _Door:
    name = "payments"
    staff = _Desk()
    ran = False

    @staffed("GET", "/somewhere", Need("see", "purchase", ("amounts",)))
    def seen(self, _request: Request, _seat: Seat) -> Answer:
        self.ran = True
        return Answer(200, {})

    @reveals("/somewhere/<order_number>", "billing")
    def revealed(self, _revealing: object, _seat: Seat) -> Answer:
        self.ran = True
        return Answer(200, {})


@pytest.mark.parametrize("name", ["seen", "revealed"])
def test_a_method_does_not_run_before_the_desk_has_said_yes(name: str) -> None:
    door = _Door()
    request = Request({"order_number": "A-1"}, {}, b'{"source": "s"}', "application/json", "token")
    with pytest.raises(StatusError):
        getattr(door, name)(request)
    assert not door.ran


def test_a_door_of_staff_that_shows_nothing_in_particular_is_not_made() -> None:
    with pytest.raises(ValueError, match="says what it shows"):
        staffed("GET", "/everything")
