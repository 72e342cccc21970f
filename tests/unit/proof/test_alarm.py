"""What the proof tells of a leak: its place and its fields, once for a place, and no value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.cli.settings import Settings
from shared.policy import load
from tests.proof.alarm import raise_alarm
from tests.proof.cast import Cast
from tests.proof.expectations import Fault, Row, Seen, judge
from tests.proof.markers import Mint
from tests.proof.scanner import Scanner, Sighting

POLICY = load()


def told_of(rows: list[Row]) -> list[Mapping[str, Any]]:
    told: list[Mapping[str, Any]] = []

    def tell(_: Settings, body: Mapping[str, Any]) -> Any:
        told.append(body)
        return {"number": len(told)}

    assert raise_alarm(Settings({}), POLICY, rows, tell) == list(range(1, len(told) + 1))
    return told


def test_a_leak_is_told_by_place_and_fields_and_never_by_value() -> None:
    cast = Cast(Mint())
    seen = Seen(list(POLICY.canaries.places))
    markers = [it for it in cast.mint.of("in-headers") if it.field in ("contact.email", "recipient.name", "never.password")]
    seen.note("logs", f"a file of {markers[0].text}", 10, [Sighting(it, "utf-8", it.kind) for it in markers])
    told = told_of(judge(POLICY, cast.people, seen))
    assert told == [{"kind": "canary_hit", "place": "logs", "fields": ["contact.email", "recipient.name"]}]
    assert Scanner(cast.mint.made).search(json.dumps(told).encode()) == set()


def test_what_did_not_arrive_is_no_incident() -> None:
    missing = Fault("missing", "sent_mailbox", "", "contact.email", "", "leaving", (11,))
    assert told_of([Row("sent_mailbox", faults=[missing]), Row("logs")]) == []
