"""The policy file is sound, and whatever could be wrong with it is refused at its place: one seeded fault for each refusal."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from shared.policy import POLICY_FILE, Policy, PolicyRefused, load
from shared.policy.loading import load_text
from shared.policy.soundness import CLAUSES, DECLINABLE, unsoundness

TEXT = POLICY_FILE.read_text("utf-8")
SOUND: dict[str, Any] = yaml.load(TEXT, Loader=yaml.CSafeLoader)
SOURCES = [POLICY_FILE.with_name(name) for name in ("soundness.py", "fitness.py", "plainness.py", "endings.py", "loading.py")]
Seed = Callable[[dict[str, Any]], object]

HOLD, CALL, GRANT = "recipient-to-ship", "carrier-buy-label", "crew-prints-labels"


def at(data: dict[str, Any], path: str) -> Any:
    """What stands at a dotted path; the names of holds, calls and the like hold no dot."""
    for step in path.split("/"):
        data = data[int(step) if step.isdecimal() else step]
    return data


def put(path: str, value: object) -> Seed:
    """A seed that puts a value in a place (`holds/recipient-to-ship/purpose`)."""
    above, _, last = path.rpartition("/")

    def plant(data: dict[str, Any]) -> None:
        at(data, above)[int(last) if last.isdecimal() else last] = value

    return plant


def out(path: str) -> Seed:
    """A seed that takes a place out."""
    above, _, last = path.rpartition("/")
    return lambda data: (at(data, above) if above else data).pop(int(last) if last.isdecimal() else last)


def rename(path: str, name: str) -> Seed:
    above, _, last = path.rpartition("/")

    def plant(data: dict[str, Any]) -> None:
        at(data, above)[name] = at(data, above).pop(last)

    return plant


def all_of(*seeds: Seed) -> Seed:
    return lambda data: [seed(data) for seed in seeds]


CHECKED = {"clauses": [3], "checks": ["outgoing-keys"]}
SEEDS: list[tuple[str, str, Seed]] = [
    # clauses
    ("clause_missing", "clauses", out("clauses/2")),
    ("clause_unknown", "clauses.64", put("clauses/64", {"statement": "One more."})),
    ("clause_unknown", "holds.recipient-to-ship.clauses", put(f"holds/{HOLD}/clauses", [99])),
    ("clause_without_rule", "clauses.22", put("promises/departments-report/clauses", [21])),
    ("clause_without_rule", "clauses.17", out("clauses/17/declined")),
    ("clause_undeclinable", "clauses.9", put("clauses/9/declined", "No wish to.")),
    ("clause_declined_and_ruled", "clauses.40", put("clauses/40/declined", "No links.")),
    # rules and their checks
    ("rule_without_check", "promises.told", put("promises/told/checks", [])),
    ("rule_without_check", "holds.recipient-to-ship", out(f"holds/{HOLD}/checks")),
    ("rule_without_clause", "never.password", put("never/password/clauses", [])),
    ("check_unknown", "promises.told.checks", put("promises/told/checks", ["hearsay"])),
    ("check_twice", "checks.outgoing-keys", put("pending/outgoing-keys", {"awaits": "nothing"})),
    ("check_unclear", "checks.outgoing-keys", put("checks/outgoing-keys/live", "broker")),
    ("check_unclear", "checks.outgoing-keys", out("checks/outgoing-keys/test")),
    ("check_unused", "checks.idle", put("checks/idle", {"compiled": "documents", "red": "tests/x.py::test_y"})),
    ("check_unused", "pending.idle", put("pending/idle", {"awaits": "nothing"})),
    # purposes and addenda
    ("use_unknown", "purposes.billing.use", put("purposes/billing/use", "essential.magic")),
    ("purpose_without_clause", "purposes.billing", put("purposes/billing/clauses", [])),
    ("purpose_unknown", "holds.recipient-to-ship.purpose", put(f"holds/{HOLD}/purpose", "curiosity")),
    ("purpose_unknown", "disclosures.carrier-buy-label.purpose", put(f"disclosures/{CALL}/purpose", "curiosity")),
    ("purpose_unknown", "staff.crew-prints-labels.purpose", put(f"staff/{GRANT}/purpose", "curiosity")),
    ("purpose_unknown", "mails.order.purpose", put("mails/order/purpose", "curiosity")),
    ("addendum_unknown", "promises.copies.addenda", put("promises/copies/addenda", ["A-99"])),
    ("addendum_unknown", "holds.recipient-to-ship.retention.addendum", put(f"holds/{HOLD}/retention/addendum", "A-99")),
    (
        "addendum_unknown",
        "holds.recipient-to-ship.retention.waits.addendum",
        put(f"holds/{HOLD}/retention/waits", {"days": 60, "addendum": "A-99"}),
    ),
    # parts and their fields
    ("field_without_rule", "parts.recipient.fields.nickname", put("parts/recipient/fields/nickname", {"category": "user.name"})),
    ("category_unknown", "parts.recipient.fields.name", put("parts/recipient/fields/name", {"category": "user.soul"})),
    ("category_unknown", "never.card.category", put("never/card/category", "user.soul")),
    ("event_unknown", "parts.recipient.events", put("parts/recipient/events", ["recipient_dreamt"])),
    # holds
    ("service_unknown", "holds.recipient-to-ship.service", put(f"holds/{HOLD}/service", "marketing")),
    ("part_unknown", "holds.recipient-to-ship.part", put(f"holds/{HOLD}/part", "diary")),
    ("field_unknown", "holds.contact-for-news.fields", put("holds/contact-for-news/fields", ["name", "shoe_size"])),
    ("hold_without_retention", "holds.recipient-to-ship", out(f"holds/{HOLD}/retention")),
    ("event_unknown", "holds.recipient-to-ship.retention.after", put(f"holds/{HOLD}/retention/after", ["doomsday"])),
    ("retention_unclear", "holds.recipient-to-ship.retention", out(f"holds/{HOLD}/retention/days")),
    (
        "retention_without_end",
        "holds.recipient-to-ship.retention",
        all_of(out(f"holds/{HOLD}/retention/days"), put(f"holds/{HOLD}/retention/action", "keep")),
    ),
    # disclosures
    ("service_unknown", "disclosures.carrier-buy-label.by", put(f"disclosures/{CALL}/by", "marketing")),
    ("party_unknown", "disclosures.carrier-buy-label.to", put(f"disclosures/{CALL}/to", "advertiser")),
    (
        "disclosed_outside_part",
        "disclosures.carrier-buy-label.personal.note",
        put(f"disclosures/{CALL}/personal/note", ["recipient.diary"]),
    ),
    (
        "disclosed_outside_part",
        "disclosures.carrier-find-label.path",
        put("disclosures/carrier-find-label/path", "/v1/{recipient.diary}"),
    ),
    ("part_unknown", "disclosures.carrier-buy-label.personal.note", put(f"disclosures/{CALL}/personal/note", ["diary.secret"])),
    (
        "disclosed_unheld",
        "disclosures.carrier-buy-label.personal.note",
        put(f"disclosures/{CALL}/personal/note", ["contact.phone"]),
    ),
    ("place_twice", "disclosures.carrier-buy-label.plain", put(f"disclosures/{CALL}/plain", ["shipment.ship_to.name"])),
    (
        "party_without_disclosure",
        "parties.broker",
        put("parties/broker", {"statement": "Sells lists.", "secondary_use": "forbidden", "reached_by": "https", **CHECKED}),
    ),
    # staff and mails
    ("role_unknown", "staff.crew-prints-labels.role", put(f"staff/{GRANT}/role", "visitor")),
    ("role_without_grant", "roles.visitor", put("roles/visitor", {"statement": "Looks around."})),
    ("seen_unheld", "staff.crew-prints-labels.fields", put(f"staff/{GRANT}/purpose", "billing")),
    ("part_unknown", "mails.order.part", put("mails/order/part", "diary")),
    ("field_unknown", "mails.order.fields", put("mails/order/fields", ["shoe_size"])),
    ("promotion_unasked", "mails.order", put("mails/order/promotional", True)),
    ("promotion_unasked", "mails.newsletter", put("mails/newsletter/carries_way_out", False)),
    # servers and what is observed
    ("user_unclear", "broker.users.orders", put("broker/users/orders", {})),
    ("service_unknown", "broker.users.orders", put("broker/users/orders", {"service": "marketing"})),
    ("party_unknown", "broker.users.storefront", put("broker/users/storefront", {"party": "advertiser"})),
    ("service_unknown", "databases.databases.orders.service", put("databases/databases/orders/service", "marketing")),
    ("tables_unknown", "databases.databases.orders.tables", put("databases/databases/orders/tables", "diaries")),
    ("part_unknown", "databases.tables.shipping.labels.box", put("databases/tables/shipping/labels/sealed", {"box": "diary"})),
    ("stored_unheld", "databases.tables.shipping.labels.box", put("databases/tables/shipping/labels/sealed", {"box": "contact"})),
    (
        "stored_in_another_form",
        "databases.tables.shipping.labels.box",
        put("databases/tables/shipping/labels", {"pseudonymous": {"box": "recipient"}}),
    ),
    ("column_unknown", "databases.tables.orders.answers.with_boxes", put("databases/tables/orders/answers/with_boxes", ["kind"])),
    # what the models are made of
    ("group_unknown", "parts.recipient.fields.address.city", out("parts/recipient/groups/address")),
    ("group_unclear", "parts.billing.groups.address", put("parts/billing/fields/address.city/grammar", "name")),
    ("group_unclear", "parts.billing.groups.address", put("parts/billing/groups/address", {"statement": "Another."})),
    ("grammar_missing", "parts.contact.fields.email", out("parts/contact/fields/email/grammar")),
    ("grammar_unknown", "parts.contact.fields.email", put("parts/contact/fields/email/grammar", "e_mail")),
    ("default_unclear", "parts.contact.fields.language", put("parts/contact/fields/language/grammar", "language")),
    ("event_unknown", "parts.contact.may_lack_in", put("parts/contact/may_lack_in", ["order_cancelled"])),
    ("part_unknown", "messages.internal.PersonEvent.diary", put("messages/internal/PersonEvent/diary", {"shop": "text"})),
    (
        "grammar_unknown",
        "messages.internal.PersonEvent.references.shop",
        put("messages/internal/PersonEvent/references/shop", "song"),
    ),
    (
        "grammar_unknown",
        "messages.storefront.Payment.references.reference",
        put("messages/storefront/Payment/references/reference", "song"),
    ),
    ("place_unknown", "canaries.pseudonymous_places", put("canaries/pseudonymous_places", ["moon"])),
    # what would allow more than anybody reads in it
    ("retention_without_start", "holds.recipient-to-ship.retention.after", put(f"holds/{HOLD}/retention/after", [])),
    ("release_alone", "staff.officer-releases-the-bill.people", put("staff/officer-releases-the-bill/people", 1)),
    ("release_alone", "staff.officer-releases-the-bill.people", out("staff/officer-releases-the-bill/people")),
    ("release_alone", "staff.clerk-reads-the-bill.people", put("staff/clerk-reads-the-bill/actions", ["reveal", "release"])),
    ("retention_untimed", "holds.friend-to-invite.retention.waits", out("holds/friend-to-invite/retention/waits")),
    (
        "retention_of_two_times",
        "holds.request-to-answer.retention.waits",
        put("holds/request-to-answer/retention/waits", {"days": 9, "addendum": "A-13"}),
    ),
    (
        "retention_of_two_times",
        "holds.contact-for-trouble.retention.days",
        put("holds/contact-for-trouble/retention/days", 61),
    ),
    ("mailed_unheld", "mails.order.fields", put("mails/order/fields", ["name", "email", "phone"])),
    ("mail_unstoppable", "mails.newsletter.stopped_by", put("mails/newsletter/stopped_by", [])),
    ("mail_unstoppable", "mails.order.stopped_by", put("mails/order/stopped_by", [])),
    ("mail_unstoppable", "mails.reply.stopped_by", put("mails/reply/stopped_by", ["erased"])),
    ("mail_unstoppable", "mails.invitation.stopped_by", put("mails/invitation/stopped_by", ["erased"])),
    ("mail_unstoppable", "mails.notice.stopped_by", put("mails/notice/stopped_by", ["erased", "deactivated"])),
    ("setting_missing", "databases.settings", put("databases/settings", {})),
    ("setting_missing", "databases.settings", out("databases/settings/log_statement")),
    ("service_without_user", "broker.users", out("broker/users/payments")),
    # what nobody would do
    (
        "retention_unobeyed",
        "holds.recipient-to-ship.retention.after",
        put(f"holds/{HOLD}/retention/after", ["shipment_delivered"]),
    ),
    (
        "retention_unobeyed",
        "holds.payment-in-the-books.retention.after",
        put("holds/payment-in-the-books/retention/after", ["customer_erased"]),
    ),
    ("retention_unobeyed", "holds.recipient-to-ship.retention.action", put(f"holds/{HOLD}/retention/action", "clear")),
    ("retention_unobeyed", "holds.friend-to-invite.retention.days", put("holds/friend-to-invite/retention/days", 9)),
    (
        "retention_unobeyed",
        "holds.friend-followed.retention",
        put("holds/friend-followed/purpose", "improve"),
    ),
    ("ending_without_hold", "holds", out("holds/friend-remembered")),
    # what is plain
    ("column_twice", "databases.tables.payments.payments.billing", put("databases/tables/payments/payments/plain", ["billing"])),
    (
        "column_twice",
        "databases.tables.shipping.labels.labelled_at",
        put("databases/tables/shipping/labels/plain", ["labelled_at"] * 2),
    ),
    ("personal_as_plain", "databases.tables.orders.persons.plain", put("databases/tables/orders/persons/plain", ["email"])),
    ("personal_as_plain", "databases.tables.orders.persons.plain", put("databases/tables/orders/persons/plain", ["customer_id"])),
    ("personal_as_plain", "databases.tables.orders.persons.plain", put("databases/tables/orders/persons/plain", ["ip_address"])),
    (
        "personal_as_plain",
        "databases.tables.plumbing.staff_accounts.plain",
        out("databases/called_alike/plumbing.staff_accounts.name"),
    ),
    ("column_unknown", "databases.called_alike.orders.orders.mood", put("databases/called_alike/orders.orders.mood", "None.")),
    ("personal_as_plain", "disclosures.carrier-buy-label.query", put(f"disclosures/{CALL}/query", ["Postal_Code"])),
    ("personal_as_plain", "disclosures.carrier-buy-label.headers", put(f"disclosures/{CALL}/headers", ["gift-message"])),
    ("personal_as_plain", "observed.log_fields", put("observed/log_fields", ["type", "phone"])),
    ("personal_as_plain", "observed.log_fields", put("observed/log_fields", ["address_line1"])),
    (
        "personal_as_plain",
        "observed.metric_labels.brownpaper_held",
        put("observed/metric_labels/brownpaper_held", ["order_number"]),
    ),
    # the shape
    ("string_pattern_mismatch", "clauses.17.declined", put("clauses/17/declined", "")),
    ("string_pattern_mismatch", "clauses.17.declined", put("clauses/17/declined", " \n ")),
    ("string_pattern_mismatch", "clauses.3.statement", put("clauses/3/statement", "  ")),
    ("string_pattern_mismatch", "promises.told.statement", put("promises/told/statement", "")),
    ("string_pattern_mismatch", "parts.recipient.groups.address.statement", put("parts/recipient/groups/address/statement", "")),
    ("string_pattern_mismatch", "checks.outgoing-keys.red", put("checks/outgoing-keys/red", "")),
    ("string_pattern_mismatch", "checks.outgoing-keys.test", put("checks/outgoing-keys/test", " ")),
    ("string_pattern_mismatch", "checks.outgoing-keys.test", put("checks/outgoing-keys/test", "hearsay")),
    ("string_pattern_mismatch", "pending.idle.awaits", put("pending/idle", {"awaits": ""})),
    ("literal_error", "checks.documents-current.compiled", put("checks/documents-current/compiled", "horoscope")),
    ("literal_error", "checks.live-broker.live", put("checks/live-broker/live", "horoscope")),
    ("value_error", "promises.told.clauses.0", put("promises/told/clauses", [True])),
    ("value_error", "holds.recipient-to-ship.retention.days", put(f"holds/{HOLD}/retention/days", True)),
    ("value_error", "staff.crew-prints-labels.people", put(f"staff/{GRANT}/people", True)),
    ("extra_forbidden", "holds.recipient-to-ship.wishes", put(f"holds/{HOLD}/wishes", "many")),
    ("missing", "holds.recipient-to-ship.purpose", out(f"holds/{HOLD}/purpose")),
    ("literal_error", "parts.recipient.subject", put("parts/recipient/subject", "passer-by")),
]


SHAPES = {"extra_forbidden", "missing", "literal_error", "string_pattern_mismatch", "value_error"}


def as_text(data: dict[str, Any]) -> str:
    text: str = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text


def refused(data: dict[str, Any] | str, *, strict: bool = False) -> PolicyRefused:
    with pytest.raises(PolicyRefused) as caught:
        load_text(data if isinstance(data, str) else as_text(data), strict=strict)
    return caught.value


def seeded(*seeds: Seed) -> dict[str, Any]:
    data = copy.deepcopy(SOUND)
    for seed in seeds:
        seed(data)
    return data


def test_the_file_is_sound() -> None:
    policy = load()
    assert policy.version == policy.text.last_modified == "2013-08-19"
    assert set(policy.clauses) == set(CLAUSES)
    assert {number for number, clause in policy.clauses.items() if clause.declined} <= DECLINABLE


@pytest.mark.parametrize(("code", "path", "seed"), SEEDS, ids=[f"{code} at {path}" for code, path, _ in SEEDS])
def test_each_fault_is_refused_at_its_place(code: str, path: str, seed: Seed) -> None:
    found = {(fault.code, fault.path) for fault in refused(seeded(seed)).faults}
    assert (code, path) in found


def test_all_faults_are_named_at_once_with_their_lines() -> None:
    seeds = [
        seed
        for code, _, seed in SEEDS
        if code in {"rule_without_check", "clause_undeclinable", "place_unknown", "role_without_grant"}
    ]
    faults = refused(seeded(*seeds)).faults
    assert {"rule_without_check", "clause_undeclinable", "place_unknown", "role_without_grant"} <= {
        fault.code for fault in faults
    }
    assert [fault.line for fault in faults] == sorted(fault.line for fault in faults)
    text = TEXT.replace(
        "purpose: fill_order, opens: true, clauses: [8, 10, 42]", "purpose: idle, opens: true, clauses: [8, 10, 42]"
    )
    [line] = [number for number, it in enumerate(text.splitlines(), 1) if "purpose: idle" in it]
    error = refused(text)
    [fault] = [it for it in error.faults if it.code == "purpose_unknown"]
    assert (fault.path, fault.line) == ("holds.recipient-to-ship.purpose", line)
    assert f"line {line}, holds.recipient-to-ship.purpose: there is no purpose `idle`" in str(error)


def test_a_name_that_stands_twice_is_refused() -> None:
    text = TEXT.replace("\nroles:\n", "\nroles:\n  warehouse: {statement: Twice.}\n", 1)
    [fault] = refused(text).faults
    assert (fault.code, fault.path) == ("named_twice", "roles.warehouse")


@pytest.mark.parametrize(
    ("also", "path"),
    [
        ("""  "3": {statement: "Twice."}""", "clauses.3"),
        ("  03: {statement: Twice.}", "clauses.3"),
        ("  3: {statement: Twice.}", "clauses.3"),
    ],
)
def test_a_number_that_stands_twice_is_refused_however_it_is_written(also: str, path: str) -> None:
    faults = refused(TEXT.replace("\nclauses:\n", f"\nclauses:\n{also}\n", 1)).faults
    assert [(fault.code, fault.path) for fault in faults] == [("named_twice", path)]


@pytest.mark.parametrize("text", ["a: [", "", "- a list", "nothing"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    assert refused(text).faults


def test_every_refusal_of_the_code_has_its_seed() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in SOURCES)
    codes = set(re.findall(r'yield [^\n]*?"([a-z]+(?:_[a-z]+)+)", f?"', sources))
    codes |= {f"{what}_unknown" for what in re.findall(r'_unknown\("([a-z]+)"', sources)}
    elsewhere = {"named_twice", "not_yaml", "check_pending"}  # seeded in tests of their own
    assert codes - elsewhere == {code for code, _, _ in SEEDS} - SHAPES
    assert len(codes) > 30


def test_the_strict_reading_refuses_a_pending_check_by_its_place_and_nothing_else() -> None:
    data = copy.deepcopy(SOUND)
    data["pending"] = {"canary-proof": {"awaits": "the scan of bytes"}}
    del data["checks"]["canary-proof"]
    policy = load_text(as_text(data))
    assert policy.pending_checks()["canary-proof"]
    assert policy.clauses_in_part() or policy.clauses_awaiting()
    faults = refused(data, strict=True).faults
    assert [(fault.code, fault.path) for fault in faults] == [("check_pending", "pending.canary-proof")]


def test_without_pending_checks_the_strict_reading_agrees() -> None:
    data = copy.deepcopy(SOUND)
    for name in data.pop("pending"):
        data["checks"][name] = {"compiled": "documents", "red": "tests/unit/policy/test_soundness.py::test_the_file_is_sound"}
    data["pending"] = {}
    assert load_text(as_text(data), strict=True).pending == {}


def test_a_policy_is_frozen() -> None:
    policy = load()
    with pytest.raises(ValidationError):
        policy.version = "2026-01-01"
    with pytest.raises(ValidationError):
        policy.holds["recipient-to-ship"].purpose = "curiosity"
    assert isinstance(policy, Policy)


def test_only_six_clauses_may_be_declined() -> None:
    policy = load()
    for number in CLAUSES:
        clauses = {**policy.clauses, number: policy.clauses[number].model_copy(update={"declined": "No."})}
        found = {(code, path) for path, code, _ in unsoundness(policy.model_copy(update={"clauses": clauses}))}
        assert (("clause_undeclinable", ("clauses", number)) in found) is (number not in DECLINABLE)


def test_no_statement_is_taken_from_the_published_text() -> None:
    source = Path(__file__).parents[4] / "shared" / "policy" / "source.txt"
    if not source.is_file():
        pytest.skip("the published text (../shared) is not here")
    published = words(source.read_text("utf-8"))
    for number, clause in load().clauses.items():
        ours = words(clause.statement)
        runs = [ours[start : start + 7] for start in range(len(ours) - 6)]
        assert not [run for run in runs if " ".join(run) in " ".join(published)], f"clause {number}"


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
