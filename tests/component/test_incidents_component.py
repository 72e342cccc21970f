"""Incidents and the month's statistics through the real door of orders and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from shared.cli import incidents as command_line
from shared.cli import privacy
from shared.cli import settings as cli_settings
from shared.policy.server_rules import Difference
from tests.integration.facts import Reply
from tests.integration.scene import ROOT, SHOP, Scene, Service, new_number


@pytest.fixture(scope="module")
def orders(scene: Scene) -> Service:
    service = scene.service("orders")
    service.start()
    return service


@pytest.fixture
def env(tmp_path: Path, orders: Service) -> Path:
    """The settings file that the command line reads."""
    file = tmp_path / "env"
    file.write_text(f"ORDERS_HTTP_URL={orders.url}\nSTAFF_TOKEN={orders.environment['STAFF_TOKEN']}\nSTOREFRONT_SOURCES={SHOP}\n")
    return file


def command(*words: str, env: Path) -> tuple[int, str]:
    """Exit code and what was said of `brownpaper …`."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "shared.cli.main", *words, "--env", str(env)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def ask(orders: Service, method: str, path: str, body: Any = None) -> Reply:
    return orders.ask(method, path, body, token=orders.environment["STAFF_TOKEN"])


def an_order(orders: Service, customer: str, placed_at: datetime, facts: dict[str, str] | None = None, sales: Any = None) -> str:
    number = new_number("I")
    orders.rows(
        """
        insert into orders (shop, order_number, event_id, customer_id, policy_version, data_digest, placed_at, state, reasons, facts, sales)
        values (%s, %s, 'e', %s, '2013-08-19', 'd', %s, 'accepted', '[]', %s, %s)
        """,
        *(
            SHOP,
            number,
            customer,
            placed_at,
            Jsonb({"accepted": placed_at.isoformat(), **(facts or {})}),
            Jsonb(sales) if sales else None,
        ),
    )
    return number


def test_a_leak_is_an_incident_from_its_report_to_its_end(orders: Service, env: Path) -> None:
    long_ago = datetime(2020, 1, 10, tzinfo=UTC)
    for customer in ("m-leak-1", "m-leak-2", "m-leak-2"):
        an_order(orders, customer, long_ago)
    words = ("privacy", "incident", "data_dump", "--since", "2020-01-09", "--until", "2020-01-12T12:00:00+00:00")
    code, said = command(*words, "--drafts", "--json", env=env)
    assert code == 0, said
    found = json.loads(said)
    assert (found["state"], found["kind"], found["place"]) == ("open", "exposure", "data_dump")
    noticed_at = datetime.fromisoformat(found["noticed_at"])
    assert datetime.fromisoformat(found["due_at"]) == noticed_at + timedelta(hours=72), "the clock runs from when it was noticed"
    assert found["report"]["people"] == {"persons": 2, "orders_of_the_erased": 0}
    assert found["report"]["told"] == {"staff": True, "authority": True, "people": True, "why": "can_be_read"}
    assert set(found["drafts"]) == {"staff", "authority", "people, by a mail of the class announcement"}
    assert "m-leak" not in said, "people are counted, not read"
    assert command(*words, "--json", env=env)[1].count(f'"number": {found["number"]},') == 1, "told again it is the same incident"

    number = str(found["number"])
    why = ("--by", "officer.1", "--reason")
    assert "not investigated" in command("privacy", "incidents", "close", number, *why, "too_early", env=env)[1]
    assert command("privacy", "incidents", "investigated", number, *why, "a_lost_disk", env=env) == (
        0,
        f"Incident {number} is investigated.\n",
    )
    code, said = command("privacy", "incidents", "close", number, *why, "too_early", env=env)
    assert (code, "not reported" in said) == (1, True)
    assert command("privacy", "incidents", "reported", number, *why, "letter_sent", env=env)[0] == 0
    an_order(orders, "m-leak-3", long_ago)
    code, said = command("privacy", "incident", "data_dump", "--of", number, *words[3:], "--json", env=env)
    again = json.loads(said)
    assert (again["state"], again["report"]["people"]["persons"]) == ("investigated", 3), "what was reported was another report"
    assert command("privacy", "incidents", "close", number, *why, "too_early", env=env)[0] == 1
    assert command("privacy", "incidents", "reported", number, *why, "second_letter", env=env)[0] == 0
    assert command("privacy", "incident", "data_dump", "--of", number, *words[3:], env=env)[0] == 0, (
        "the same report changes nothing"
    )
    assert command("privacy", "incidents", "close", number, *why, "answered", env=env)[0] == 0
    code, said = command("privacy", "incidents", "show", number, env=env)
    assert [line.split(" UTC ")[1] for line in said.splitlines()[-5:]] == [
        "open by orders: exposure",
        "investigated by officer.1: a_lost_disk",
        "reported by officer.1: letter_sent",
        "reported by officer.1: second_letter",
        "closed by officer.1: answered",
    ]
    assert f"{number} " not in command("privacy", "incidents", "list", env=env)[1]
    assert f"{number} closed exposure at data_dump" in command("privacy", "incidents", "list", "--all", env=env)[1]


def test_a_canary_that_was_found_opens_one_with_its_fields_and_is_counted(orders: Service, env: Path) -> None:
    before = orders.metric("brownpaper_incidents_total", service="orders", kind="canary_hit") or 0
    code, said = command(
        "privacy", "incident", "logs", "--canary", "--field", "recipient.name", "--field", "contact.email", env=env
    )
    assert code == 0, said
    assert "canary hit at logs" in said
    assert "found: recipient of the recipient (name), in the clear: can be read" in said
    assert orders.metric("brownpaper_incidents_total", service="orders", kind="canary_hit") == before + 1
    assert '"message":"incident"' in orders.log()
    assert command("privacy", "incident", "logs", "--canary", "--field", "recipient.name", env=env)[0] == 0
    assert orders.rows("select times from incidents where kind = 'canary_hit' and place = 'logs'") == [(2,)]
    assert orders.metric("brownpaper_incidents_total", service="orders", kind="canary_hit") == before + 1


def test_each_live_difference_opens_one_and_again_when_it_comes_back(orders: Service, env: Path) -> None:
    settings = cli_settings.load(env)
    found = [
        Difference(("topic", "shipping", "orders.parts"), "it is missing", (3, 12)),
        Difference(("role", "somebödy"), "it should not be: can log in", (50,)),
    ]
    privacy._open_incidents(settings, found)
    opened = "select number, place, state from incidents where kind = 'live_difference' order by number"
    first = orders.rows(opened)
    assert [(place, state) for _, place, state in first] == [("topic shipping orders.parts", "open"), ("role someb?dy", "open")]
    number = str(first[0][0])
    for deed in ("investigated", "closed"):
        assert ask(orders, "POST", f"/incidents/{number}", {"deed": deed, "by": "officer.1", "reason": "put_right"}).status == 200
    assert command_line.notice_differences(settings, ["topic shipping orders.parts"]) == [int(number)]
    assert [state for _, _, state in orders.rows(opened)] == ["open", "open"]
    deeds = orders.rows("select deed from incident_words where incident = %s order by position", first[0][0])
    assert [deed for (deed,) in deeds] == ["open", "investigated", "closed", "open"]


def test_an_incident_that_a_service_noticed_gets_its_report(orders: Service, env: Path) -> None:
    orders.rows(
        "insert into incidents (service, kind, place, noticed_at) values ('shipping', 'record_broken', 'changed 7', now())"
    )
    [(number,)] = orders.rows("select number from incidents where place = 'changed 7'")
    why = {"by": "officer.1", "reason": "looked"}
    assert ask(orders, "POST", f"/incidents/{number}", {"deed": "investigated", **why}).status == 200
    reply = ask(orders, "POST", f"/incidents/{number}", {"deed": "reported", **why})
    assert (reply.status, reply.codes) == (409, ["incident_without_report"])
    code, said = command("privacy", "incident", "database:shipping_keyring", "--of", str(number), env=env)
    assert (code, f"Incident {number}: record broken at changed 7 (shipping), investigated" in said) == (0, True)
    assert ask(orders, "POST", f"/incidents/{number}", {"deed": "reported", **why}).status == 200


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"place": "nowhere"}, 422),
        ({"place": "logs\n"}, 422),
        ({"kind": "rumour"}, 422),
        ({"fields": ["recipient.password"]}, 422),
        ({"since": "2026-11-22T00:00:00Z", "until": "2026-11-21T00:00:00Z"}, 422),
        ({"since": "1990-01-01T00:00:00Z"}, 422),
        ({"since": "2026-11-22T00:00:00"}, 422),
        ({"of": 999999}, 404),
        ({"more": 1}, 422),
    ],
)
def test_what_is_no_notice_is_refused_and_opens_nothing(orders: Service, wrong: dict[str, Any], status: int) -> None:
    before = orders.rows("select count(*) from incidents")
    assert ask(orders, "POST", "/incidents", {"kind": "exposure", "place": "traces", **wrong}).status == status
    assert orders.rows("select count(*) from incidents") == before


def test_incidents_are_the_staff_s_and_words_about_them_stand(orders: Service) -> None:
    number = ask(orders, "POST", "/incidents", {"kind": "exposure", "place": "metrics"}).json()["number"]
    for method, path in (
        ("POST", "/incidents"),
        ("GET", "/incidents"),
        ("GET", f"/incidents/{number}"),
        ("POST", f"/incidents/{number}"),
    ):
        assert orders.ask(method, path, {} if method == "POST" else None).status == 401
    for wrong in ({"by": "somebody@post.example"}, {"reason": "For Ana Müller"}, {"deed": "open"}):
        said = {"deed": "investigated", "by": "officer.1", "reason": "looked", **wrong}
        assert ask(orders, "POST", f"/incidents/{number}", said).status == 422
    assert ask(orders, "GET", "/incidents/none").status == 404
    assert ask(orders, "POST", "/incidents/999999", {"deed": "closed", "by": "officer.1", "reason": "looked"}).status == 404
    for statement in ("delete from incident_words", "update incident_words set said_by = 'another'", "truncate incident_words"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            orders.rows(statement)


def test_a_month_of_departments_is_let_out_by_a_command_and_another_cut_is_not(orders: Service, env: Path) -> None:
    at = datetime(2021, 5, 5, tzinfo=UTC)
    for place in range(12):
        sales = {"currency": "USD", "departments": {"Elvish" if place < 7 else "Pliers": [10, 12900]}}
        an_order(orders, f"m-{place}", at, sales=sales)
    an_order(orders, "m-alone", at, sales={"currency": "USD", "departments": {"Wax": [3, 999]}})
    code, said = command("report", "departments", "--month", "2021-05", env=env)
    assert code == 0, said
    assert [line.split()[:3] for line in said.splitlines()[1:5]] == [
        ["DEPARTMENT", "ORDERS", "UNITS"],
        ["Elvish", "5", "70"],
        ["other", "5", "55"],
        ["total", "125", "125"],
    ]
    assert "m-" not in said
    assert command("report", "departments", "--month", "2021-05", env=env) == (0, said), "the same to the letter"
    code, said = command("report", "departments", "--month", "2021-05", "--source", SHOP, env=env)
    assert (code, "in another cut" in said) == (1, True)
    code, said = command("report", "departments", "--month", (datetime.now(UTC) + timedelta(days=40)).strftime("%Y-%m"), env=env)
    assert (code, "not over" in said) == (1, True)
    for wrong in ("2021", "2021-05-01", "may"):
        assert command("report", "departments", "--month", wrong, env=env)[0] == 2
    assert orders.ask("POST", "/reports/departments", {"month": "2021-05"}).status == 401
