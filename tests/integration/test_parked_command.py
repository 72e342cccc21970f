"""`brownpaper parked` on real databases: what it lists, shows, has tried again, takes out, and what it never prints."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from shared.cli.main import app
from shared.contracts.errors import Fault
from shared.contracts.values import OrderKey
from shared.delivery import held_messages, tables
from shared.delivery.held_messages import HeldRow
from shared.delivery.work import IntentRow
from tests.fix_servers import DatabaseUrl
from tests.integration.facts import rows

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SECRET = "Quentin Quarterman"
BODY = {
    "id": "e-1",
    "time": "2026-11-22T09:59:00Z",
    "traceparent": "not one",
    "nickname": SECRET,
    "data": {"title": SECRET, "recipient": {"sealed_for": "shipping", "key_id": "k", "box": SECRET}},
}
Urls = dict[str, str]
Run = Callable[..., Result]


@pytest.fixture
def urls(database_url: DatabaseUrl) -> Urls:
    return {service: database_url(service) for service in ("orders", "payments", "shipping", "notifications")}


@pytest.fixture
def run(urls: Urls, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder without a stack, told the databases by the environment."""
    monkeypatch.chdir(tmp_path)
    for service, url in urls.items():
        monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", url)
    monkeypatch.delenv("BROWNPAPER_STAFF_ID", raising=False)

    def invoke(*words: str, says: str = "") -> Result:
        result = CliRunner().invoke(app, ["parked", *words], input=says)
        assert SECRET not in result.output
        assert not any(url in result.output for url in urls.values())
        return result

    return invoke


def message(order_number: str = "A-1", **more: Any) -> HeldRow:
    row = HeldRow(
        uuid.uuid4(), "parked", "shipping.events", "orders", str(uuid.uuid4()), "recipient_entrusted", "unexpected_KeyError",
        (Fault("missing", "/data/x"),), json.dumps(BODY), 321, {"exchange": "orders.parts", "routing_key": "recipient_entrusted"}, 3, AT,
        AT, None, "https://shop.example", order_number,
    )  # fmt: skip
    return replace(row, **more)


def hold(url: str, *held: HeldRow) -> None:
    with psycopg.connect(url) as connection:
        for row in held:
            held_messages.hold(connection, row)


def park_call(url: str, number: str = "A-1") -> uuid.UUID:
    details = {"amount_minor": 5, "billing": {"sealed_for": "payments", "box": SECRET}}
    intent = IntentRow(uuid.uuid4(), "capture_payment", OrderKey("https://shop.example", number), number, details)
    with psycopg.connect(url) as connection:
        tables.write_intents(connection, [intent], AT, AT)
        tables.park_intent(connection, intent.id, AT, "provider_unknown")
    return intent.id


def listed(run: Run, *words: str) -> list[str]:
    """The ids of what a list shows, in its order."""
    result = run("list", "--json", *words)
    assert result.exit_code == 0, result.output
    return [item["id"] for item in json.loads(result.stdout)["items"]]


# ── list and show ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_lists_all_services_the_oldest_first_and_counts(run: Run, urls: Urls) -> None:
    young, old = message(last_at=AT), message(last_at=AT - timedelta(days=1))
    bodiless = message(type=None, reason="malformed_event", body=None, last_at=AT - timedelta(hours=1))
    hold(urls["shipping"], young, bodiless, message(state="later", due_at=AT))
    hold(urls["notifications"], old)
    call = park_call(urls["payments"])
    result = run("list")
    assert result.exit_code == 0
    ids = [line.split()[-1] for line in result.stdout.splitlines()[1:5]]
    assert ids == [str(it) for it in (old.id, bodiless.id, young.id, call)]
    assert "2026-11-21T10:00:00Z  notifications  message  recipient_entrusted" in result.stdout
    counts = [line.strip() for line in result.stdout.splitlines()[5:]]
    assert counts == [
        "1  payments call capture_payment: provider_unknown",
        "1  shipping message recipient_entrusted: unexpected_KeyError",
        "1  shipping message unknown: malformed_event, without a body",
        "1  notifications message recipient_entrusted: unexpected_KeyError",
        "4  in all",
    ]
    told = json.loads(run("list", "--json", "--limit", "1").stdout)
    assert (told["total"], [item["id"] for item in told["items"]]) == (4, [str(old.id)])
    assert sum(count["number"] for count in told["counts"]) == 4


def test_every_filter_leaves_out_what_it_should(run: Run, urls: Urls) -> None:
    base = message("A-1", last_at=AT)
    others = [
        message("A-2", last_at=AT + timedelta(days=1)),
        message("A-3", type="contact_entrusted", last_at=AT + timedelta(days=2)),
        message("A-4", reason="too_old", last_at=AT + timedelta(days=3)),
    ]
    hold(urls["shipping"], base, *others)
    call = park_call(urls["payments"], "A-5")
    names = {str(row.id): row.order_number for row in (base, *others)} | {str(call): "A-5"}

    def numbers(*words: str) -> list[str | None]:
        return [names[identity] for identity in listed(run, *words)]

    assert numbers("--order", "A-2") == ["A-2"]
    assert numbers("--type", "contact_entrusted") == ["A-3"]
    assert numbers("--reason", "too_old") == ["A-4"] == numbers("--parked-for", "too_old")
    assert numbers("--kind", "call") == ["A-5"] == numbers("--service", "payments")
    assert numbers("--kind", "message", "--since", "2026-11-23T10:00:00Z", "--until", "2026-11-25T12:00:00+02:00") == [
        "A-2",
        "A-3",
    ]
    assert numbers("--until", "2026-11-23") == ["A-1"]
    assert numbers("--order", "A-1", "--type", "contact_entrusted") == []


def test_it_shows_all_that_is_kept_but_the_body(run: Run, urls: Urls) -> None:
    row = message()
    hold(urls["shipping"], row)
    call = park_call(urls["payments"])
    told = json.loads(run("show", str(row.id), "--json").stdout)
    assert told["service"] == "shipping"
    assert told["faults"] == [{"code": "missing", "path": "/data/x"}]
    assert told["headers"] == {"exchange": "orders.parts", "routing_key": "recipient_entrusted"}
    assert (told["tries"], told["first_at"], told["last_at"], told["length"]) == (
        3,
        "2026-11-22T10:00:00Z",
        "2026-11-22T10:00:00Z",
        321,
    )
    assert (told["is_replayable"], told["time"], told["traceparent"]) == (True, "2026-11-22T09:59:00Z", None)
    assert told["sealed_parts"] == {"recipient": "shipping"}
    assert json.loads(run("show", str(call), "--json").stdout)["details"] == ["amount_minor", "billing"]
    assert "unexpected_KeyError" in run("show", str(row.id)).stdout
    missing = run("show", str(uuid.uuid4()))
    assert (missing.exit_code, missing.stderr) == (1, "Nothing of this id is parked.\n")


# ── replay ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

STATES = "select order_number, state, tries, replays, due_at <= now() from held order by order_number"


def test_one_a_filter_or_all_are_replayed_after_a_yes(run: Run, urls: Urls) -> None:
    held = [message(f"A-{number}") for number in range(4)]
    hold(urls["shipping"], *held)
    call = park_call(urls["payments"], "A-9")
    assert run("replay", str(held[0].id), says="n\n").exit_code == 1
    assert {row[1] for row in rows(urls["shipping"], STATES)} == {"parked"}
    result = run("replay", str(held[0].id), says="y\n")
    assert result.exit_code == 0
    assert "1  shipping message recipient_entrusted: unexpected_KeyError" in result.stdout
    assert result.stdout.endswith("1 replayed.\n")
    assert run("replay", "--order", "A-1", "--yes").stdout.endswith("1 replayed.\n")
    assert rows(urls["shipping"], STATES) == [("A-0", "later", 0, 1, True), ("A-1", "later", 0, 1, True)] + [
        (f"A-{number}", "parked", 3, 0, None) for number in (2, 3)
    ]
    assert run("replay", "--all", "--yes").stdout.endswith("3 replayed.\n")
    assert {row[1] for row in rows(urls["shipping"], STATES)} == {"later"}
    assert rows(urls["payments"], "select id, parked, tries, replays, leased_until <= now() from intents") == [
        (call, None, 0, 1, True)
    ]
    assert run("replay", "--all", "--yes").stdout.endswith("0 replayed.\n")


def test_what_has_no_body_is_named_and_left(run: Run, urls: Urls) -> None:
    good, bad = message("A-1"), message("A-2", body=None, reason="malformed_event")
    hold(urls["shipping"], good, bad)
    result = run("replay", "--service", "shipping", "-y")
    assert result.exit_code == 1
    assert "1 replayed." in result.stdout
    assert result.stderr.splitlines() == [
        f"{bad.id} of shipping cannot be tried again, for its body was not kept (malformed_event).",
        "1 left as it was.",
    ]
    assert [row[:2] for row in rows(urls["shipping"], STATES)] == [("A-1", "later"), ("A-2", "parked")]


def test_a_filter_that_nothing_fits_says_so_and_is_no_error(run: Run, urls: Urls) -> None:
    row = message()
    hold(urls["shipping"], row)
    for words in (["replay"], ["discard", "--reason", "test_only", "--by", "s.17"]):
        result = run(*words, "--order", "A-77")
        assert (result.exit_code, result.stdout.splitlines()[-2]) == (0, "Nothing that is parked fits.")
    result = run("replay", str(row.id), "--order", "A-77", "--yes")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (1, f"{row.id} is not parked, or does not fit the filters.")


def test_an_id_is_replayed_whatever_the_clock_of_the_service_said(run: Run, urls: Urls) -> None:
    """Its last try lies ahead by the clock of this machine."""
    ahead = message(last_at=datetime.now(UTC) + timedelta(hours=1))
    hold(urls["shipping"], ahead)
    left = run("replay", "--service", "shipping", "--yes")
    assert (left.exit_code, left.stderr) == (1, "1 of these not touched: not parked any more, or tried just now.\n")
    assert run("replay", str(ahead.id), "--yes").stdout.endswith("1 replayed.\n")


def test_what_is_not_parked_any_more_when_it_is_done_is_told(run: Run, urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another person was faster, while this one was asked."""
    row = message()
    hold(urls["shipping"], row)

    def confirm(*_: object, **__: object) -> None:
        rows(urls["shipping"], "update held set state = 'later', due_at = now()")

    monkeypatch.setattr("typer.confirm", confirm)
    result = run("replay", str(row.id))
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "0 replayed.")
    assert result.stderr == "1 of these not touched: not parked any more, or tried just now.\n"


def test_more_than_a_transaction_takes_are_replayed_and_discarded(run: Run, urls: Urls) -> None:
    many = 1203
    with psycopg.connect(urls["shipping"]) as connection:
        connection.execute(
            """
            insert into held (id, state, queue, reason, body, length, tries, first_at, last_at)
            select gen_random_uuid(), 'parked', 'shipping.events', 'much', '{}', 2, 1, now(), now() - interval '1 minute'
            from generate_series(1, %s)
            """,
            (many,),
        )
    assert run("replay", "--reason", "much", "--yes").stdout.endswith(f"{many} replayed.\n")
    assert rows(urls["shipping"], "select state, count(*) from held group by state") == [("later", many)]
    rows(urls["shipping"], "update held set state = 'parked', due_at = null")
    result = run("discard", "--all", "--yes", "--reason", "test_only", "--by", "s.17")
    assert result.stdout.endswith(f"{many} discarded.\n")
    assert rows(urls["shipping"], "select (select count(*) from held), (select count(*) from discards)") == [(0, many)]


# ── discard ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_discard_is_recorded_with_who_and_why(run: Run, urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = message("A-1"), message("A-2", body=None, reason="malformed_event")
    hold(urls["shipping"], first, second)
    call = park_call(urls["payments"])
    assert (
        run("discard", "--parked-for", "malformed_event", "--reason", "sender_will_resend", "--by", "s.17", "-y").exit_code == 0
    )
    monkeypatch.setenv("BROWNPAPER_STAFF_ID", "s.18")
    assert run("discard", str(first.id), str(call), "--reason", "done_by_hand", "--ticket", "OPS-4", says="y\n").exit_code == 0
    assert rows(urls["shipping"], "select 1 from held") == rows(urls["payments"], "select 1 from intents") == []
    told = json.loads(run("discards", "--json").stdout)
    assert [
        (it["id"], it["service"], it["kind"], it["parked_for"], it["reason"], it["ticket"], it["discarded_by"]) for it in told
    ] == [
        (str(second.id), "shipping", "message", "malformed_event", "sender_will_resend", None, "s.17"),
        *sorted(
            [
                (str(first.id), "shipping", "message", "unexpected_KeyError", "done_by_hand", "OPS-4", "s.18"),
                (str(call), "payments", "call", "provider_unknown", "done_by_hand", "OPS-4", "s.18"),
            ],
            key=lambda it: it[1],
        ),
    ]
    assert (told[0]["queue"], told[0]["source"], told[0]["event_id"]) == ("shipping.events", "orders", second.event_id)
    assert len(run("discards", "--service", "shipping").stdout.splitlines()) == 3
    assert run("discards", "--until", "2026-01-01").stdout == ""


def test_the_record_of_discards_is_only_added_to(run: Run, urls: Urls) -> None:
    hold(urls["shipping"], message())
    assert run("discard", "--all", "-y", "--reason", "test_only", "--by", "s.17").exit_code == 0
    for deed in ("update discards set reason = 'other'", "delete from discards", "truncate discards"):
        with pytest.raises(psycopg.errors.RestrictViolation):
            rows(urls["shipping"], deed)
    assert rows(urls["shipping"], "select reason from discards") == [("test_only",)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["discard", "--all", "-y", "--by", "s.17"], "--reason"),
        (["discard", "--all", "-y", "--reason", SECRET, "--by", "s.17"], "--reason wants"),
        (["discard", "--all", "-y", "--reason", "ok", "--by", SECRET], "--by"),
        (["discard", "--all", "-y", "--reason", "ok"], "--by"),
        (["discard", "--all", "-y", "--reason", "ok", "--by", "s.17", "--ticket", SECRET], "--ticket"),
        (["discard", "-y", "--reason", "ok", "--by", "s.17"], "--all"),
        (["replay", "-y"], "--all"),
        (["replay", "no-id", "-y"], "id"),
        (["list", "--service", "billing"], "no such service"),
        (["list", "--kind", "letter"], "--kind"),
        (["list", "--since", "yesterday"], "--since"),
    ],
)
def test_what_is_asked_wrongly_is_told_and_nothing_is_done(words: list[str], said: str, run: Run, urls: Urls) -> None:
    hold(urls["shipping"], message())
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert rows(urls["shipping"], "select state from held") == [("parked",)]


def test_an_id_that_is_not_parked_and_a_database_that_is_away_are_told(
    run: Run, urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = message()
    hold(urls["shipping"], row)
    missing = str(uuid.uuid4())
    result = run("replay", str(row.id), missing, "--yes")
    assert (result.exit_code, result.stderr) == (1, f"{missing} is not parked.\n1 of the ids given is not parked.\n")
    assert result.stdout.endswith("1 replayed.\n")
    result = run("discard", missing, "--service", "orders", "--yes", "--reason", "test_only", "--by", "s.17")
    assert (result.exit_code, result.stderr) == (1, f"{missing} is not parked at orders.\n1 of the ids given is not parked.\n")
    monkeypatch.setenv("SHIPPING_DATABASE_URL", urls["shipping"].rpartition("/")[0] + "/gone")
    away = run("list")
    assert (away.exit_code, away.stderr) == (1, "The database of shipping did not do it (OperationalError).\n")
    assert run("list", "--service", "orders").exit_code == 0
