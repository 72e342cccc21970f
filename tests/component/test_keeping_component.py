"""What holders look after by themselves, through real services: incidents, anchors, holds, a master that is rotated under them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from deploy.local.postgres import PrivateCluster
from tests.component.staff_desk import PASSWORD, Member, hire_at
from tests.component.test_shipping_component import SIZE, Parcel, webhook_url
from tests.integration.facts import Reply, rows, wait_for
from tests.integration.logs import Log
from tests.integration.scene import ROOT, SHOP, Sandbox, Scene, Service, new_number
from tests.integration.wire import Ear


@pytest.fixture(scope="module")
def carrier(scene: Scene) -> Sandbox:
    return scene.sandbox("carrier")


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def orders(scene: Scene) -> Service:
    service = scene.service("orders")
    service.start()
    return service


@pytest.fixture(scope="module")
def shipping(scene: Scene, orders: Service, carrier: Sandbox, everybody: Ear) -> Service:
    service = scene.service("shipping", RETENTION_SECONDS="1")
    service.start()
    carrier.control("webhook", {"url": webhook_url(service)}, method="PUT")
    return service


@pytest.fixture(scope="module")
def key(shipping: Service, everybody: Ear) -> dict[str, str]:
    data: dict[str, str] = everybody.hear("intake_key_published", where=lambda it: it["data"]["service"] == "shipping")["data"]
    return data


@pytest.fixture
def parcel(scene: Scene, shipping: Service, everybody: Ear, key: dict[str, str]) -> Parcel:
    return Parcel(scene, shipping, everybody, key)


@pytest.fixture
def env(tmp_path: Path, orders: Service, shipping: Service) -> Path:
    """The settings file that the command line reads."""
    told = {
        "ORDERS_DATABASE_URL": orders.database_url,
        "ORDERS_HTTP_URL": orders.url,
        "STAFF_TOKEN": orders.environment["STAFF_TOKEN"],
        "STOREFRONT_SOURCES": SHOP,
    }
    for name in ("SHIPPING", "PAYMENTS", "NOTIFICATIONS"):
        told[f"{name}_KEYRING_DATABASE_URL"] = shipping.environment["KEYRING_DATABASE_URL"]
        told[f"{name}_KEYRING_MASTER_KEY_FILE"] = str(tmp_path / "nobody's")
    told["SHIPPING_KEYRING_MASTER_KEY_FILE"] = shipping.environment["KEYRING_MASTER_KEY_FILE"]
    file = tmp_path / "env"
    file.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    return file


def command(*words: str, env: Path, says: str = "") -> tuple[int, str]:
    """Exit code and what was said of `brownpaper …`."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "shared.cli.main", *words, "--env", str(env)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        input=says,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def an_order(orders: Service) -> str:
    """The number of an order that orders knows."""
    number = new_number("H")
    orders.rows(
        """
        insert into orders (shop, order_number, event_id, customer_id, policy_version, data_digest, placed_at, state, reasons, facts)
        values (%s, %s, 'e', 'c-1', '2013-08-19', 'd', now(), 'accepted', '[]', '{}')
        """,
        SHOP,
        number,
    )
    return number


@pytest.fixture(scope="module")
def officer(orders: Service) -> Member:
    hire_at(orders.database_url, "officer.1", "privacy_officer")
    return Member(orders, "officer.1")


def say(officer: Member, **told: str) -> Reply:
    return officer.ask("POST", "/holds", {"source": SHOP, **told})


def holds(shipping: Service, number: str) -> list[tuple[bool, str]]:
    found = shipping.rows("select is_held, clause from legal_holds where order_number = %s", number)
    return [(bool(row[0]), str(row[1])) for row in found]


# ── legal holds ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hold_reaches_the_holders_and_so_does_its_end(orders: Service, shipping: Service, env: Path, officer: Member) -> None:
    number = an_order(orders)

    def hold(*words: str) -> tuple[int, str]:
        return command("privacy", "hold", *words, "--as", officer.name, "--password-stdin", env=env, says=f"{PASSWORD}\n")

    assert hold("add", number, "--clause", "A-10") == (
        0,
        f"{number} is held by A-10.\n",
    )
    wait_for(lambda: holds(shipping, number) == [(True, "A-10")], "shipping to know of the hold")
    code, said = hold("add", number, "--clause", "53")
    assert (code, "the same" in said) == (1, True)
    assert hold("lift", number, "--clause", "A-10")[0] == 0
    wait_for(lambda: holds(shipping, number) == [(False, "A-10")], "shipping to know of its end")
    code, said = hold("list")
    lines = [line.split(maxsplit=1)[1] for line in said.splitlines() if number in line]
    assert code == 0
    assert lines == [f"{deed}  {number} by A-10, said by {officer.account}" for deed in ("lifted", "placed")]


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"order_number": "nobody-s"}, 404, "order_unknown"),
        ({"clause": "64"}, 422, "clause_unknown"),
        ({"clause": "A-99"}, 422, "clause_unknown"),
        ({"by": "another.officer"}, 422, None),
        ({"deed": "kept"}, 422, None),
        ({"deed": "lifted"}, 409, "hold_lifted_before"),
    ],
)
def test_a_wrong_word_is_refused_and_nothing_is_written(
    orders: Service, officer: Member, wrong: dict[str, str], status: int, code: str | None
) -> None:
    number = an_order(orders)
    reply = say(officer, **{"order_number": number, "deed": "placed", "clause": "A-10", **wrong})
    assert reply.status == status
    assert code in (None, *reply.codes)
    assert orders.rows("select 1 from hold_record where order_number = %s", number) == []


def test_holds_are_the_officer_s_and_the_record_is_never_changed(orders: Service, officer: Member) -> None:
    for token in (None, orders.environment["STAFF_TOKEN"]):
        assert orders.ask("POST", "/holds", {}, token=token).status == 401
        assert orders.ask("GET", "/holds", token=token).status == 401
    number = an_order(orders)
    assert say(officer, order_number=number, deed="placed", clause="A-10").status == 200
    for statement in ("delete from hold_record", "update hold_record set said_by = 'another'", "truncate hold_record"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            orders.rows(statement)


# ── the record and what is noticed ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_envelope_opens_an_incident_at_orders(parcel: Parcel, orders: Service, shipping: Service, env: Path) -> None:
    parcel.to_pick()
    assert parcel.do("picked").status == 200
    shipping.rows(
        "update recipients set recipient = jsonb_set(recipient, '{policy_version}', '\"2012-01-01\"') where order_number = %s",
        parcel.number,
    )
    other = Parcel(parcel.scene, shipping, parcel.everybody, parcel.key)
    other.to_pick()
    shipping.rows(
        """
        update recipients set recipient = (select recipient from recipients where order_number = %s) || '{"policy_version": "2013-08-19"}'
        where order_number = %s
        """,
        parcel.number,
        other.number,
    )
    assert other.do("picked").status == 200
    assert [parcel.do("packed", **SIZE).status, other.do("packed", **SIZE).status] == [200, 200]
    parked = "select order_number, parked from intents where parked is not null and order_number = any(%s)"
    found = wait_for(
        lambda: len(made := dict(shipping.rows(parked, [parcel.number, other.number]))) == 2 and made, "both calls to be parked"
    )
    assert found == {parcel.number: "policy_version_unknown", other.number: "envelope_broken"}
    shipping.stop()
    log = Log(shipping)
    shipping.start()  # it looks at once when it starts, and every 30 seconds
    incidents = "select service, kind from incidents where kind = 'envelope_broken'"
    wait_for(lambda: orders.rows(incidents) == [("shipping", "envelope_broken")], "the incident to be open")
    wait_for(lambda: '"message":"incident"' in shipping.log(), "it to be told in the log")
    if log.count("incident"):  # else the process before had noticed it, and its metrics are gone with it
        wait_for(lambda: shipping.metric("brownpaper_incidents_total", kind="envelope_broken") == 1, "it to be counted")
    wait_for(lambda: orders.rows("select 1 from record_anchors where service = 'shipping'"), "an anchor")
    assert parcel.canary.in_text(parcel.scene.texts() + shipping.log() + orders.log()) == []
    code, said = command("privacy", "audit", "verify", "shipping", env=env)
    assert (code, "no breaks" in said) == (0, True)
    shipping.stop()
    shipping.start()
    shipping.settled()
    assert orders.rows("select count(*) from incidents where kind = 'envelope_broken'") == [(1,)], "it is noticed once"


def test_a_master_is_rotated_while_the_service_works(parcel: Parcel, shipping: Service, env: Path) -> None:
    parcel.to_pick()
    before = Path(shipping.environment["KEYRING_MASTER_KEY_FILE"]).read_bytes()
    code, said = command("privacy", "rotate-master", "shipping", env=env)
    assert (code, said.startswith("shipping: ")) == (0, True)
    assert before not in Path(shipping.environment["KEYRING_MASTER_KEY_FILE"]).read_bytes()
    assert parcel.do("picked").status == 200
    assert parcel.do("packed", **SIZE).status == 200
    parcel.everybody.hear("label_created", parcel.number)
    # What was sealed to the intake key of before is taken in, under the new master.
    late = Parcel(parcel.scene, shipping, parcel.everybody, parcel.key)
    late.labelled()
    masters = rows(shipping.environment["KEYRING_DATABASE_URL"], "select count(distinct master_id) from part_keys")
    assert masters == [(1,)]


def test_a_record_that_was_edited_or_cut_is_told_and_opens_an_incident(
    parcel: Parcel, orders: Service, shipping: Service, keyring_cluster: PrivateCluster, env: Path
) -> None:
    parcel.labelled()
    shipping.stop()
    shipping.start()
    last = "select max(position) from record_anchors where service = 'shipping'"
    url = shipping.environment["KEYRING_DATABASE_URL"]
    wait_for(lambda: orders.rows(last) == rows(url, "select max(position) from openings"), "the last entry to be anchored")
    with psycopg.connect(keyring_cluster.admin_url.rpartition("/")[0] + "/" + url.rpartition("/")[2], autocommit=True) as hands:
        hands.execute("set session_replication_role = replica")  # the server's administrator can
        hands.execute("update openings set purpose = 'rights' where position = 1")
        code, said = command("privacy", "audit", "verify", "shipping", env=env)
        assert (code, "shipping: entry 1 is changed" in said) == (1, True)
        hands.execute("delete from openings where position = (select max(position) from openings)")
    code, said = command("privacy", "audit", "verify", "shipping", env=env)
    assert (code, "is missing" in said) == (1, True)
    shipping.stop()
    shipping.start()
    broken = "select place from incidents where service = 'shipping' and kind = 'record_broken' order by place"

    def is_told() -> bool:
        return any(place.startswith(("rewritten", "changed 1")) for (place,) in orders.rows(broken))

    wait_for(is_told, "the broken record to be an incident")
