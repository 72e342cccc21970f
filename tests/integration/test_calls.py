"""Calls and what they bring: prepared many at once, tried again when that fails, under a lease of their own until the outcome is written."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.local.postgres import PrivateCluster
from tests.integration.facts import wait_for
from tests.integration.scene import Scene, Service, new_number
from tests.integration.wire import Ear

SECRET = "Quentin Quarterman"  # as in probe.py, which cannot be imported here: it patches its process
MOST_UNEXPECTED = 5


@pytest.fixture(scope="module")
def caller(scene: Scene) -> Service:
    """Its leases run out soon, so that what nobody settles is taken up again."""
    it = scene.service("payments", module="tests.integration.caller", LEASE_SECONDS="6", CALL_SECONDS="5")
    it.start()
    return it


def without_haste(scene: Scene, place: str, **settings: str) -> Service:
    """No lease of it runs out in a test and no call takes too long; a lease must be renewed that is three seconds old (`become_short`)."""
    it = scene.service("payments", module="tests.integration.caller", LEASE_SECONDS="903", CALL_SECONDS="900", **settings)
    it.program = type(it.program)(scene.folder / place, "caller")
    scene._ends.callback(it.kill)
    it.start()
    return it


@pytest.fixture(scope="module")
def patient(scene: Scene) -> Service:
    """It makes one call at a time."""
    return without_haste(scene, "patient", CALLS_IN_FLIGHT="1")


@pytest.fixture(scope="module")
def ear(scene: Scene) -> Ear:
    return scene.ear("payments.events")


def begin(service: Service, *numbers: str) -> None:
    assert service.ask("POST", "/begin", numbers).json() == {"endings": ["done"] * len(numbers)}


def calls(service: Service, number: str) -> list[tuple[int, bool]]:
    """(tries, in doubt) of this order's calls."""
    return [(tries, in_doubt) for of, tries, in_doubt in service.ask("GET", "/state").json()["calls"] if of == number]


def was_made_in_doubt(service: Service, number: str) -> bool:
    """Whether it was made at a further try, and each time in doubt: once, unless its lease ran out before its outcome was written."""
    made = calls(service, number)
    return bool(made) and all(tries > 1 and in_doubt for tries, in_doubt in made)


def prepared(service: Service) -> list[list[str]]:
    groups: list[list[str]] = service.ask("GET", "/state").json()["prepared"]
    return groups


def outcomes(ear: Ear, number: str) -> list[Any]:
    return [said["data"]["amount"] for said in ear.all("payment_captured", number)]


# ── preparing ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_many_calls_need_is_read_at_once_and_each_gets_its_own(caller: Service, ear: Ear) -> None:
    numbers = [new_number(f"PLAIN-{place}") for place in range(60)]
    begin(caller, *numbers)
    for number in numbers:
        assert ear.hear("payment_captured", number)["data"]["amount"] == number
    groups = [group for group in prepared(caller) if set(group) & set(numbers)]
    assert sorted(number for group in groups for number in group) == sorted(numbers)
    assert len(groups) < len(numbers) / 2
    caller.settled()


def test_a_call_for_which_nothing_was_found_is_made_without(caller: Service, ear: Ear) -> None:
    number, other = new_number("BARE"), new_number("PLAIN")
    begin(caller, number, other)
    assert ear.hear("payment_captured", number)["data"]["amount"] == "nothing"
    assert ear.hear("payment_captured", other)["data"]["amount"] == other


def test_while_the_database_is_away_nothing_is_called_and_the_sweep_takes_it_up_again(
    caller: Service, ear: Ear, data_cluster: PrivateCluster
) -> None:
    number, other = new_number("AWAY"), new_number("PLAIN")
    begin(caller, number, other)
    preparing = (
        "select 1 from pg_stat_activity where datname = current_database() and state = 'active' and query = 'select pg_sleep(60)'"
    )
    wait_for(lambda: caller.rows(preparing), "the preparing to be under way")
    data_cluster.kill()
    data_cluster.start()
    for one in (number, other):
        assert ear.hear("payment_captured", one)["data"]["amount"] == one
    caller.settled()
    assert caller.rows("select 1 from intents where order_number = any(%s)", [number, other]) == [], "it was not parked"
    assert was_made_in_doubt(caller, number), "by then nobody knew whether it had been made before"
    assert '"call_failed"' not in caller.log().rpartition(number)[2], "no defect of ours"


@pytest.mark.parametrize("kind", ["ONCE", "ODD"])
def test_a_defect_in_preparing_is_tried_again(kind: str, caller: Service, ear: Ear) -> None:
    number = new_number(kind)
    begin(caller, number)
    assert ear.hear("payment_captured", number)["data"]["amount"] == number
    caller.settled()
    assert was_made_in_doubt(caller, number)


def test_a_defect_in_preparing_that_stays_is_parked_and_holds_up_no_later_call(caller: Service, ear: Ear) -> None:
    number, later = new_number("DEFECT"), new_number("PLAIN")
    begin(caller, number)
    begin(caller, later)
    assert ear.hear("payment_captured", later)["data"]["amount"] == later
    statement = "select parked, tries from intents where order_number = %s and parked is not null"
    assert wait_for(lambda: caller.rows(statement, number), "the call to be parked") == [("unexpected_KeyError", MOST_UNEXPECTED)]
    assert (calls(caller, number), outcomes(ear, number)) == ([], []), "nothing was called"
    assert sum(number in group for group in prepared(caller)) == MOST_UNEXPECTED


def test_a_call_that_cannot_be_prepared_neither_spoils_nor_holds_up_those_prepared_with_it(scene: Scene, ear: Ear) -> None:
    service = without_haste(scene, "beside")
    bad, slow, good = new_number("DEFECT"), new_number("HOLD"), [new_number(f"PLAIN-{place}") for place in range(4)]
    begin(service, slow, *good[:2], bad, *good[2:])
    for number in good:
        assert ear.hear("payment_captured", number)["data"]["amount"] == number
        assert calls(service, number) == [(1, False)]
    parked = "select order_number from intents where parked is not null"
    assert wait_for(lambda: service.rows(parked), "the call to be parked") == [(bad,)]
    assert any({bad, slow, *good} <= set(group) for group in prepared(service)), "they were prepared together at first"
    assert outcomes(ear, slow) == []
    release(service)
    ear.hear("payment_captured", slow)
    service.kill()


def test_what_was_brought_is_written_nowhere(caller: Service, scene: Scene, ear: Ear) -> None:
    kinds = ("PLAIN", "LATER", "PARK", "RAISE", "DEFECT", "ONCE")
    numbers = {kind: new_number(f"{kind}-SECRET") for kind in kinds}
    for number in numbers.values():
        begin(caller, number)
    for kind in ("PLAIN", "LATER", "ONCE"):
        ear.hear("payment_captured", numbers[kind])
    parked = "select order_number from intents where parked is not null and order_number like '%%-SECRET-%%'"
    wait_for(lambda: len(caller.rows(parked)) == 3, "the others to be parked")
    assert SECRET not in caller.log() + scene.texts() + str(ear.heard)


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def lease(service: Service, number: str) -> Any:
    return service.rows("select leased_until from intents where order_number = %s", number)


def become_short(service: Service, number: str) -> Any:
    """The lease of this order's intent, when it barely covers a call any more."""
    short = "select leased_until from intents where order_number = %s and leased_until < now() + interval '900 seconds'"
    [(until,)] = wait_for(lambda: service.rows(short, number), f"the lease of {number} to become short")
    return until


def under_way(service: Service, number: str) -> None:
    wait_for(lambda: calls(service, number), f"{number} to be called")


@pytest.fixture
def blocked(patient: Service, ear: Ear) -> str:
    """A call under way, behind which all others wait."""
    number = new_number("HOLD-FIRST")
    begin(patient, number)
    under_way(patient, number)
    return number


def release(service: Service) -> None:
    assert service.ask("POST", "/release", {}).status == 200


def test_a_lease_that_became_short_while_waiting_is_renewed_and_the_outcome_lands(
    patient: Service, ear: Ear, blocked: str
) -> None:
    number = new_number("HOLD")
    begin(patient, number)
    before = become_short(patient, number)
    release(patient)
    under_way(patient, number)
    [(after,)] = lease(patient, number)
    assert after > before
    release(patient)
    assert ear.hear("payment_captured", number)["data"]["amount"] == number
    patient.settled()
    assert calls(patient, number) == [(1, False)]
    assert outcomes(ear, number) == [number]
    assert outcomes(ear, blocked) == [blocked]


def test_under_a_renewed_lease_a_call_is_put_off_and_made_again(patient: Service, ear: Ear, blocked: str) -> None:
    """Under the lease that it first had it would stand until that one runs out, which no test sees."""
    number = new_number("LATER")
    begin(patient, number)
    become_short(patient, number)
    release(patient)
    assert ear.hear("payment_captured", number)["data"]["amount"] == number
    patient.settled()
    assert calls(patient, number) == [(1, False), (2, True)]


def test_under_a_renewed_lease_a_call_is_parked(patient: Service, blocked: str) -> None:
    number = new_number("PARK")
    begin(patient, number)
    become_short(patient, number)
    release(patient)
    parked = "select parked from intents where order_number = %s and parked is not null"
    assert wait_for(lambda: patient.rows(parked, number), "the call to be parked") == [("caller_parked",)]


def test_a_call_that_another_process_has_taken_over_is_not_made(patient: Service, ear: Ear, blocked: str) -> None:
    taken, following = new_number("PLAIN-TAKEN"), new_number("PLAIN")
    begin(patient, taken)
    become_short(patient, taken)
    patient.rows("update intents set leased_until = now() + interval '1 hour' where order_number = %s", taken)
    begin(patient, following)
    release(patient)
    ear.hear("payment_captured", following)
    assert (calls(patient, taken), outcomes(ear, taken)) == ([], [])
    patient.rows("delete from intents where order_number = %s", taken)
