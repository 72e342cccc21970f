"""The compiled files: the same every time, true of the policy, and the ones in the repository are the ones it makes now."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import jsonschema
import pytest

from shared.cli.privacy import committed, file_differences
from shared.delivery import topology
from shared.policy import load
from shared.policy.compilation import DOCUMENTS, canaries, compile_all, may_staff, retention_jobs, staff_permissions

ROOT = Path(__file__).resolve().parents[3]
POLICY = load()
TEXTS = compile_all(POLICY, topology.wiring())
ACTIONS = ("see", "print", "reveal", "reply", "release", "change")


def test_the_compiled_files_in_the_repository_are_current() -> None:
    assert {path.relative_to(ROOT).as_posix() for path in committed(TEXTS)} == {
        *(f"docs/privacy/{name}" for name in DOCUMENTS),
        "shared/contracts/personal.py",
        "shared/contracts/storefront/personal.py",
    }
    assert file_differences(committed(TEXTS)) == []
    assert compile_all(load(), topology.wiring()) == TEXTS


def test_a_file_that_differs_is_named(tmp_path: Path) -> None:
    files = {tmp_path / path.relative_to(ROOT).as_posix().replace("/", "-"): text for path, text in committed(TEXTS).items()}
    for path, text in files.items():
        path.write_text(text.replace("order", "offer", 1))
    assert [it.partition(":")[0] for it in file_differences(files)] == [str(path) for path in files]
    next(iter(files)).unlink()
    assert len(file_differences(files)) == len(files)


def test_the_public_page_tells_every_promise_and_who_has_what() -> None:
    page = TEXTS["what-is-kept.md"]
    for number, clause in POLICY.clauses.items():
        assert f"| {number} | {clause.statement} |" in page
    for addendum in POLICY.addenda.values():
        assert addendum.statement in page
    assert page.count("(to come)") >= len(POLICY.pending)


def test_the_record_tells_every_purpose_and_every_hold() -> None:
    record = TEXTS["processing.md"]
    for purpose in POLICY.purposes.values():
        assert purpose.statement in record
    assert sum(
        line.count("| sealed") + line.count("| pseudonymous") + line.count("| keyed hash") for line in record.splitlines()
    ) == len(POLICY.holds)


def test_every_compiled_file_can_be_read() -> None:
    for name, text in TEXTS.items():
        if name.endswith(".schema.json"):
            jsonschema.Draft202012Validator.check_schema(json.loads(text))
        elif name.endswith(".json"):
            assert json.loads(text)
    rows = json.loads(TEXTS["broker.json"])["topic_permissions"]
    assert {(row["user"], row["exchange"]) for row in rows} == set(itertools.product(POLICY.broker.users, topology.EXCHANGES))


def test_there_is_a_job_for_everything_that_is_held() -> None:
    jobs = retention_jobs(POLICY)
    assert {job["job"] for job in jobs} == set(POLICY.holds)
    for part, its in POLICY.parts.items():
        assert {field for job in jobs if job["part"] == part for field in job["fields"]} == set(its.fields)
    assert all(job["addendum"] in POLICY.addenda and job["after"] for job in jobs)


def test_staff_see_nothing_that_no_grant_names() -> None:
    """Every role, action, field and purpose that there is, against the grants spelt out by hand here."""
    allowed = {
        (role, action, f"{grant['part']}.{field}", grant["purpose"])
        for role, grants in staff_permissions(POLICY).items()
        for grant in grants
        for action in grant["actions"]
        for field in grant["fields"]
    }
    fields = [f"{part}.{field}" for part, its in POLICY.parts.items() for field in its.fields]
    for asked in itertools.product(
        (*POLICY.roles, "visitor"), ACTIONS, (*fields, "recipient.diary", "diary.name"), (*POLICY.purposes, "curiosity")
    ):
        assert may_staff(POLICY, *asked) is (asked in allowed), asked
    assert may_staff(POLICY, "billing_clerk", "reveal", "billing.email", "billing")
    assert not may_staff(POLICY, "customer_service", "reveal", "billing.email", "billing")
    assert not may_staff(POLICY, "warehouse", "see", "contact.phone", "order_difficulty")
    assert not any(
        may_staff(POLICY, "privacy_officer", action, field, "rights")
        for action in ACTIONS
        for field in fields
        if "preferences" not in field
    )


def test_a_canary_must_arrive_exactly_where_it_is_sent() -> None:
    table = canaries(POLICY)
    assert {place for place, it in table["recipient.name"].items() if it == "must"} == {"sent_carrier"}
    assert {place for place, it in table["contact.email"].items() if it == "must"} == {"sent_mailbox"}
    assert {place for place, it in table["billing.tax_id"].items() if it == "must"} == {"sent_twocheckout"}
    for field in ("contact.phone", "recipient.gift_message", "request.text", "never.card"):
        assert set(table[field].values()) == {"never"}, field
    for field, places in table.items():
        assert set(places) == set(POLICY.canaries.places)
        if field.partition(".")[0] in {"recipient", "contact", "billing", "friend", "request"}:
            assert set(places.values()) <= {"must", "never"}, field


def test_the_labels_of_the_shops_own_container_are_the_policy_s() -> None:
    """The configuration of both database containers says the settings that the policy has, as it stands there by hand."""
    text = (ROOT / "deploy" / "postgres" / "brownpaper.conf").read_text()
    said = dict(line.replace("'", "").split(" = ", 1) for line in text.splitlines() if " = " in line)
    assert {name: said.get(name) for name in POLICY.databases.settings} == POLICY.databases.settings


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_says_that_it_is_made(name: str) -> None:
    assert "brownpaper privacy compile" in TEXTS[name].splitlines()[2]
