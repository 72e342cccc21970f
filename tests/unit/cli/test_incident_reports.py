"""The report of an incident and the drafts of its notices: the same for the same facts, to the letter; nobody is in them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.incidents import Incident, People, State, Window, due_at, report_of, windows_of
from shared.cli.incident_notices import PEOPLE_ARE_TOLD_BY, drafts, lines
from shared.cli.incidents import list_lines
from shared.contracts.errors import Refused
from shared.delivery.topology import wiring
from shared.policy import load
from shared.policy.exposure import INCIDENT_CLAUSES, Exposed, PlaceUnknown, exposure, found_in_the_clear, places

POLICY, WIRING = load(), wiring()
SINCE, UNTIL = datetime(2026, 11, 20, 6, 0, tzinfo=UTC), datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
NOTICED = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden_incidents"
SOMEBODY = People(12, 3)
PLACES = places(POLICY, WIRING)


def a_report(
    place: str, *fields: str, people: People = SOMEBODY, with_keyring: bool = False, with_master: bool = False
) -> dict[str, Any]:
    got_out, found = exposure(POLICY, WIRING, place), found_in_the_clear(POLICY, fields)
    windows = windows_of(POLICY, (it.part for it in (*got_out.exposed, *found)))
    by_part = {window.part: people for window in windows}
    return report_of(
        POLICY, got_out, found, by_part, people, since=SINCE, until=UNTIL, with_keyring=with_keyring, with_master=with_master
    )


def an_incident(report: dict[str, Any] | None, kind: str = "exposure", place: str = "somewhere") -> dict[str, Any]:
    return {
        "number": 4,
        "service": "orders",
        "kind": kind,
        "place": report["place"] if report else place,
        "state": "open",
        "noticed_at": NOTICED.isoformat(),
        "due_at": due_at(NOTICED, timedelta(hours=72)).isoformat(),
        "told": report["told"] if report else None,
        "report": report,
        "words": [{"deed": "open", "by": "orders", "reason": kind, "at": NOTICED.isoformat()}],
    }


CASES = {
    "sealed_backup": a_report("backup:keyring"),
    "data_dump": a_report("data_dump"),
    "shipping_with_its_keys": a_report("database:shipping", with_keyring=True, with_master=True),
    "canary_in_a_log": a_report("logs", "recipient.name", "recipient.address.line1", "contact.email"),
    "a_service": a_report("service:notifications"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_report_and_its_drafts_are_these_to_the_letter(name: str) -> None:
    """`BROWNPAPER_GOLDEN=write` writes them anew: then read what changed."""
    incident = an_incident(CASES[name], "canary_hit" if name.startswith("canary") else "exposure")
    told = "\n".join([*lines(incident), *(f"\n── {whom}\n{text}" for whom, text in drafts(incident, POLICY).items())]) + "\n"
    document = json.dumps(incident["report"], indent=1, sort_keys=True) + "\n"
    for file, text in ((GOLDEN / f"{name}.txt", told), (GOLDEN / f"{name}.json", document)):
        if os.environ.get("BROWNPAPER_GOLDEN") == "write":
            file.write_text(text, "utf-8")
        assert file.read_text("utf-8") == text


# ── who is told: A-09 ────────────────────────────────────────────────────────────────────────────────────────────────────────


def told(report: dict[str, Any]) -> tuple[bool, bool, str]:
    return report["told"]["authority"], report["told"]["people"], report["told"]["why"]


SEALED = (True, False, "sealed_under_keys_that_did_not_get_out")
READABLE = (True, True, "can_be_read")


@pytest.mark.parametrize(
    ("place", "keys", "expected"),
    [
        ("backup:keyring", {}, SEALED),
        ("backup:keyring", {"with_keyring": True}, SEALED),  # its keys are wrapped under a master key that stands elsewhere
        ("backup:keyring", {"with_master": True}, READABLE),
        ("database:shipping_keyring", {}, SEALED),
        ("data_dump", {}, READABLE),  # numbers and purchases stand there unsealed
        ("queue:shipping.events", {}, READABLE),
        ("service:shipping", {}, READABLE),
        ("sent_carrier", {}, READABLE),
        ("metrics", {}, (False, False, "nothing_stands_there")),
    ],
)
def test_people_are_told_unless_all_is_sealed_under_keys_that_did_not_get_out(
    place: str, keys: dict[str, bool], expected: tuple[bool, bool, str]
) -> None:
    assert told(a_report(place, **keys)) == expected
    assert a_report(place, **keys)["told"]["staff"]


def test_a_marker_that_was_found_is_in_the_clear_wherever_it_was() -> None:
    assert told(a_report("metrics", "recipient.name")) == READABLE
    assert told(a_report("keyring_wal", "contact.email")) == READABLE


@pytest.mark.parametrize("place", PLACES)
def test_nobody_is_told_of_where_nobody_was(place: str) -> None:
    assert told(a_report(place, people=People(0, 0)))[:2] == (False, False)


@pytest.mark.parametrize("keys", [{}, {"with_keyring": True}, {"with_master": True}, {"with_keyring": True, "with_master": True}])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_sealed_can_be_read_only_with_both(place: str, keys: dict[str, bool]) -> None:
    got_out = exposure(POLICY, WIRING, place)
    for it in a_report(place, **keys)["exposed"]:
        has_wrapped = bool(keys.get("with_keyring")) or set(it["guarded_by"]) & set(got_out.keyrings)
        has_master = bool(keys.get("with_master")) or set(it["guarded_by"]) & set(got_out.masters)
        assert it["can_be_read"] == (not it["guarded_by"] or bool(has_wrapped and has_master))


@pytest.mark.parametrize("place", PLACES)
def test_every_place_names_its_clauses_and_only_fields_of_the_policy(place: str) -> None:
    got_out = exposure(POLICY, WIRING, place)
    assert set(INCIDENT_CLAUSES) < set(got_out.clauses)
    for it in got_out.exposed:
        assert it.fields
        assert set(it.fields) <= set(POLICY.parts[it.part].fields)
        assert bool(it.guarded_by) == (it.form in ("sealed", "digest"))


def test_a_sealed_part_stands_in_the_clear_only_where_the_policy_lets_it() -> None:
    """In a service that opens it, and in what goes out to a party that gets it: nowhere else."""
    clear = {place for place in PLACES if any(it.form == "clear" for it in exposure(POLICY, WIRING, place).exposed)}
    assert clear == {
        *("service:payments", "service:shipping", "service:notifications"),
        *("sent_carrier", "sent_twocheckout", "sent_mailbox"),
    }


def test_what_is_not_of_the_policy_is_refused() -> None:
    for place in ("", "nowhere", "service:nobody", "queue:", "backup:all", "database:postgres"):
        with pytest.raises(PlaceUnknown):
            exposure(POLICY, WIRING, place)
    for field in ("recipient", "recipient.", "recipient.password", "nobody.name"):
        with pytest.raises(PlaceUnknown):
            found_in_the_clear(POLICY, [field])
    assert found_in_the_clear(POLICY, ["contact.phone", "contact.name", "contact.name"]) == (
        Exposed("contact", ("name", "phone"), "clear"),
    )


# ── how long something stands ────────────────────────────────────────────────────────────────────────────────────────────────


def test_how_long_a_part_stands_is_the_policys_word() -> None:
    assert windows_of(POLICY, ["recipient", "billing", "references", "friend", "request"]) == [
        Window("billing", ("accepted",), 1),
        Window("billing", ("payment_authorised", "payment_declined"), 0),
        Window("recipient", ("accepted",), 1),
        Window("recipient", ("order_cancelled", "shipment_delivered"), 60),
        Window("references", (), None),
    ]


# ── the case ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_case(report: dict[str, Any] | None, state: State = State.OPEN) -> Incident:
    return Incident(4, "orders", "exposure", "somewhere", NOTICED, state, report)


def test_a_case_goes_from_open_to_closed_and_skips_nothing() -> None:
    case = a_case(CASES["data_dump"])
    for early in (State.REPORTED, State.CLOSED):
        with pytest.raises(Refused):
            case.move(early)
    case.move(State.INVESTIGATED)
    with pytest.raises(Refused) as refused:
        case.move(State.CLOSED)
    assert refused.value.code == "incident_not_reported"
    case.move(State.REPORTED)
    case.move(State.CLOSED)
    with pytest.raises(Refused) as refused:
        case.move(State.INVESTIGATED)
    assert refused.value.code == "incident_closed"


@pytest.mark.parametrize("report", [None, a_report("metrics"), a_report("data_dump", people=People(0, 0))])
def test_of_which_nobody_is_to_be_told_is_closed_once_it_was_looked_into(report: dict[str, Any] | None) -> None:
    case = a_case(report, State.INVESTIGATED)
    case.move(State.CLOSED)
    assert case.state is State.CLOSED


@given(st.lists(st.sampled_from([State.INVESTIGATED, State.REPORTED, State.CLOSED]), max_size=8), st.sampled_from([None, *CASES]))
def test_what_is_to_be_told_is_reported_before_it_is_closed(deeds: list[State], name: str | None) -> None:
    report = CASES[name] if name else None
    case, done = a_case(report), []
    for deed in deeds:
        try:
            case.move(deed)
        except Refused:
            continue
        done.append(deed)
    assert done == sorted(set(done), key=[State.INVESTIGATED, State.REPORTED, State.CLOSED].index)
    if State.CLOSED in done and report is not None:
        assert State.REPORTED in done or not (report["told"]["authority"] or report["told"]["people"])
    if State.REPORTED in done:
        assert report is not None
        assert State.INVESTIGATED in done


# ── the words ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_people_are_written_to_by_a_class_of_mail_that_reaches_whoever_opted_out() -> None:
    mails = POLICY.mails[PEOPLE_ARE_TOLD_BY]
    assert (mails.promotional, mails.needs_consent) == (False, False)
    assert "no_mailings" not in mails.stopped_by
    assert f"people, by a mail of the class {PEOPLE_ARE_TOLD_BY}" in drafts(an_incident(CASES["data_dump"]), POLICY)
    assert set(drafts(an_incident(CASES["sealed_backup"]), POLICY)) == {"staff", "authority"}
    assert drafts(an_incident(None), POLICY) == {}


def test_a_list_shows_the_clock() -> None:
    one = an_incident(CASES["data_dump"])
    assert list_lines([one], NOTICED + timedelta(hours=70)) == [
        "4 open exposure at data_dump (orders), noticed 2026-11-22T10:00, 2 h left"
    ]
    assert "3 h overdue" in list_lines([one], NOTICED + timedelta(hours=75))[0]
    assert "h " not in list_lines([{**one, "state": "reported"}], NOTICED)[0]
    assert list_lines([], NOTICED) == ["No incident is open."]


# ── seen red ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_report_that_calls_everything_sealed_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    check = test_people_are_told_unless_all_is_sealed_under_keys_that_did_not_get_out
    check("data_dump", {}, READABLE)
    monkeypatch.setattr(Exposed, "is_readable", lambda *_: False)
    for place in ("data_dump", "service:shipping", "sent_carrier"):
        with pytest.raises(AssertionError):
            check(place, {}, READABLE)


def test_a_report_that_believes_any_key_is_enough_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exposed, "is_readable", lambda *_: True)
    with pytest.raises(AssertionError):
        test_people_are_told_unless_all_is_sealed_under_keys_that_did_not_get_out("backup:keyring", {}, SEALED)
