"""A marker that is where the policy does not have it, and one that is missing where it must be, are faults with their clauses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.policy import Policy, load
from shared.policy.compilation import canaries
from tests.proof.cast import Cast
from tests.proof.expectations import Row, Seen, judge, places_without_rule
from tests.proof.markers import PERSONAL, PLANTED, PSEUDONYM, Marker, Mint
from tests.proof.people import WITHOUT_MARKER, undecided
from tests.proof.planting import Planter
from tests.proof.report import Verdict
from tests.proof.scanner import Scanner, Sighting

POLICY = load()
TABLE = canaries(POLICY)
PLACES = list(POLICY.canaries.places)


@pytest.fixture(scope="module")
def cast() -> Cast:
    return Cast(Mint())


def arrived(cast: Cast, without: Marker | None = None) -> Seen:
    """Everything where it must be, and nothing else; or all of it without one marker."""
    seen = Seen(PLACES)
    for place in PLACES:
        sightings = [
            Sighting(marker, "utf-8", marker.kind)
            for marker in cast.mint.made
            if TABLE[marker.field][place] == "must"
            and place.removeprefix("sent_") in cast[marker.person].reaches
            and marker.field.partition(".")[0] in cast[marker.person].uses
            and marker != without
        ]
        seen.note(place, "a piece", 100, sightings)
    return seen


def faults(rows: list[Row]) -> list[Any]:
    return [fault for row in rows for fault in row.faults]


def test_what_is_where_the_policy_has_it_is_no_fault(cast: Cast) -> None:
    rows = judge(POLICY, cast.people, arrived(cast))
    assert faults(rows) == []
    expected = {row.place: (row.expected, row.found) for row in rows if row.expected}
    assert set(expected) == {"sent_carrier", "sent_twocheckout", "sent_mailbox"}
    assert all(found == wanted for wanted, found in expected.values())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("field", ["recipient.name", "contact.phone", "billing.tax_id", "friend.email", "never.password"])
def test_a_marker_in_any_place_is_a_fault_that_names_its_clause(place: str, field: str, cast: Cast) -> None:
    person = "amqp-2checkout"
    marker = next(it for it in cast.mint.of(person) if it.field == field)
    if TABLE[field][place] == "must":
        person = "in-headers"  # nothing of theirs may go anywhere
        marker = next(it for it in cast.mint.of(person) if it.field == field)
    seen = arrived(cast)
    seen.note(place, "there", 10, [Sighting(marker, "base64 at 1", marker.kind)])
    [fault] = faults(judge(POLICY, cast.people, seen))
    assert (fault.kind, fault.place, fault.piece, fault.field, fault.person) == ("leak", place, "there", field, person)
    assert fault.clauses
    assert marker.text not in str(fault)


@pytest.mark.parametrize("place", ["sent_carrier", "sent_twocheckout", "sent_mailbox"])
def test_what_did_not_arrive_is_a_fault(place: str, cast: Cast) -> None:
    for marker in cast.mint.of("leaving"):  # who uses every part
        if TABLE[marker.field][place] == "must":
            [fault] = faults(judge(POLICY, cast.people, arrived(cast, without=marker)))
            assert (fault.kind, fault.place, fault.field) == ("missing", place, marker.field)


def test_a_pseudonym_may_be_in_the_data_and_not_in_the_keyring(cast: Cast) -> None:
    marker = next(it for it in cast.mint.of("leaving") if it.field == "references.customer_id")
    for place, wanted in (("data_files", 0), ("keyring_files", 1), ("metrics", 1)):
        seen = arrived(cast)
        seen.note(place, "there", 10, [Sighting(marker, "utf-8", marker.kind)])
        assert len(faults(judge(POLICY, cast.people, seen))) == wanted, place


def test_what_the_shop_wrote_to_the_broker_itself_is_told_elsewhere_and_nowhere_else(cast: Cast) -> None:
    marker = next(it for it in cast.mint.of("clear-over-amqp") if it.field == "recipient.name")
    for place, wanted in (("broker_files", 0), ("logs", 1), ("data_wal", 1)):
        seen = arrived(cast)
        seen.note(place, "there", 10, [Sighting(marker, "utf-8", marker.kind)])
        assert len(faults(judge(POLICY, cast.people, seen))) == wanted, place


@pytest.mark.parametrize(
    ("kind", "place", "wanted"),
    [
        (PERSONAL, "logs", 1),
        (PERSONAL, "data_files", 1),
        (PSEUDONYM, "data_files", 0),
        (PSEUDONYM, "metrics", 1),
        (PLANTED, "metrics", 0),
    ],
)
def test_a_marker_that_is_cut_off_is_a_fault_where_its_kind_may_not_be(kind: str, place: str, wanted: int, cast: Cast) -> None:
    seen = arrived(cast)
    seen.note(place, "there", 10, [Sighting(None, "hex", kind)])
    assert len(faults(judge(POLICY, cast.people, seen))) == wanted


def test_every_field_and_every_place_of_the_policy_is_decided_on(cast: Cast) -> None:
    assert undecided(POLICY, cast.mint) == []
    assert places_without_rule(POLICY) == []
    assert all(WITHOUT_MARKER.values())


def test_a_new_field_and_a_new_place_are_named_until_somebody_decides(cast: Cast) -> None:
    whole = POLICY.model_dump()
    whole["parts"]["contact"]["fields"]["nickname"] = {"category": "user.name"}
    whole["canaries"]["places"]["sent_printer"] = "every byte sent to the printer"
    policy = Policy.model_validate(whole)
    assert undecided(policy, cast.mint) == ["contact.nickname"]
    assert places_without_rule(policy) == ["sent_printer"]


def test_a_planting_that_nobody_saw_spoils_the_verdict(cast: Cast) -> None:
    planter = Planter(mint := Mint(PLANTED))
    scanner = Scanner(mint.made)
    seen = arrived(cast)
    for where in ("data", "keyring", "broker", "metrics", "traces", "terminal", "logs", "answers"):
        for text in planter.texts(where):
            for place in PLACES:
                seen.note(place, "planted", len(text), scanner.search(text))
    unseen = planter.unseen(seen)
    assert {it.partition(":")[0] for it in unseen} == {"sent_carrier", "sent_paypal", "sent_twocheckout", "sent_mailbox"}
    assert not verdict(unseen=unseen).good
    assert verdict().good


def test_the_report_holds_no_value(cast: Cast) -> None:
    seen = arrived(cast)
    seen.note("logs", "there", 10, [Sighting(marker, "utf-8", marker.kind) for marker in cast.mint.made])
    told = verdict(rows=judge(POLICY, cast.people, seen))
    assert not told.good
    text = "\n".join(told.lines()) + json.dumps(told.as_json(), default=str)
    assert Scanner(cast.mint.made).search(text.encode()) == set()


def verdict(**more: Any) -> Verdict:
    return Verdict(
        **(
            {
                "rows": [],
                "planted": 9,
                "unseen": [],
                "scanned_bytes": 1,
                "scan_seconds": 1.0,
                "faults_on_the_way": {},
                "without_marker": {},
            }
            | more
        )
    )
