"""What the services do at an end is what the policy says, and what it says is what they do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from services.notifications import retention as notifications
from services.notifications.service import NotificationsService
from services.payments import retention as payments
from services.payments.service import PaymentsService
from services.shipping import retention as shipping
from services.shipping.service import ShippingService
from shared.keeping import Keeping
from shared.policy import endings, load
from shared.policy.endings import CLEARED, ENDINGS, WAITING, events_of, unobeyed

POLICY = load()
DECLARED: list[tuple[str, Mapping[str, tuple[str, ...]], Mapping[str, set[str]]]] = [
    ("notifications", notifications.CLEARINGS, notifications.ENDS),
    ("payments", payments.CLEARINGS, payments.ENDS),
    ("shipping", shipping.CLEARINGS, shipping.ENDS),
]


@pytest.mark.parametrize(("service", "clearings", "ends"), DECLARED, ids=[service for service, *_ in DECLARED])
def test_each_clearing_counts_from_what_its_service_declares(
    service: str, clearings: Mapping[str, tuple[str, ...]], ends: Mapping[str, set[str]]
) -> None:
    assert ends.keys() == clearings.keys()
    for name, parts in clearings.items():
        assert [events_of(service, part) for part in parts] == [ends[name]] * len(parts)


def test_times_that_are_read_in_the_policy_are_those_of_the_clearings() -> None:
    read = {(it.service, it.part) for it in ENDINGS if it.days is None and it.form == "as_it_is" and not it.purposes}
    assert read == {(service, part) for service, clearings, _ in DECLARED for parts in clearings.values() for part in parts}


def test_what_goes_together_is_what_the_services_declare() -> None:
    assert set(CLEARED) == {(service, parts) for service, clearings, _ in DECLARED for parts in clearings.values()}
    doors: list[type[Keeping]] = [NotificationsService, PaymentsService, ShippingService]
    assert set(WAITING) == {(door.name, parts) for door in doors for parts in door.waiting.values()}


def test_every_hold_of_the_policy_in_force_is_obeyed_and_every_ending_is_some_hold_s() -> None:
    assert list(unobeyed(POLICY)) == []


@pytest.mark.parametrize("ending", ENDINGS, ids=[f"{it.service} {it.part} {it.action}" for it in ENDINGS])
def test_a_service_that_does_otherwise_is_named(ending: endings.Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the two sides is held against the other: take one ending out of the code, and the policy is refused."""
    monkeypatch.setattr(endings, "ENDINGS", tuple(it for it in ENDINGS if it != ending))
    assert {code for _, code, _ in unobeyed(POLICY)} == {"retention_unobeyed"}
