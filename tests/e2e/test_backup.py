"""A stack is backed up, loses everything, and comes back: with its keys and its record, and without whoever was erased meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.backups import Target
from deploy.local.stack import ROOT, Stack
from tests.component.events import envelope, order_placed
from tests.e2e.conftest import Shop
from tests.integration.custody_bench import AT, Custody
from tests.integration.facts import ask, rows, wait_for
from tests.integration.scene import SHOP

# isort: split
from shared.custody.journal import ErasureJournal
from shared.custody.persons import PersonNames

HOLDERS = ("payments", "shipping", "notifications")
TABLES = {"shipping": "recipients", "notifications": "contacts"}


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack that is taken down and up again."""
    it = Stack(
        tmp_path / "run", sandbox_arguments=("--decline", "0")
    )  # no seed: a sandbox that starts anew must not give a number again
    try:
        it.up()
        yield it
    finally:
        it.remove()


def command(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "shared.cli.main", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def placed(shop: Shop, customer: str) -> str:
    """The number of an order of this customer whose parts have reached their holders."""
    event = order_placed()
    event["data"]["customer_id"] = customer
    status, body = shop.post(json.dumps(shop.approved(event)).encode())
    assert status == 202, body
    number = str(event["data"]["order_number"])
    for service, table in TABLES.items():
        wait_for(lambda at=service, it=table: kept(shop, at, it, number), f"{service} to have the part")  # type: ignore[misc]
    return number


def kept(shop: Shop, service: str, table: str, number: str) -> list[tuple[Any, ...]]:
    return rows(shop.env[f"{service.upper()}_DATABASE_URL"], f"select t::text from {table} t where order_number = %s", number)


def chosen(shop: Shop, service: str, customer: str) -> int:
    statement = "select count(*) from preference_changes where customer_id = %s"
    return int(rows(shop.env[f"{service.upper()}_DATABASE_URL"], statement, customer)[0][0])


def custody_of(shop: Shop, service: str) -> Custody:
    url, file = (shop.env[f"{service.upper()}_KEYRING_{name}"] for name in ("DATABASE_URL", "MASTER_KEY_FILE"))
    return Custody(url, Path(file), service)


def keys_of(url: str, person: str) -> int:
    return int(rows(url, "select count(*) from part_keys where person = %s", person)[0][0])


def test_a_restored_stack_has_everything_but_whoever_was_erased(own_stack: Stack, tmp_path: Path) -> None:
    shop = Shop(own_stack)
    numbers = {customer: placed(shop, customer) for customer in ("c-gone", "c-stays")}
    digests = {service: custody_of(shop, service).vault.person(SHOP, "c-gone") for service in HOLDERS}
    before = {service: kept(shop, service, table, numbers["c-stays"]) for service, table in TABLES.items()}
    assert (
        shop.post(json.dumps(envelope("preferences_changed", {"customer_id": "c-gone", "communication": "all"})).encode())[0]
        == 202
    )
    for service in ("orders", "notifications"):
        wait_for(lambda at=service: chosen(shop, at, "c-gone") == 1, f"{service} to note the choice")  # type: ignore[misc]
    env, place = own_stack.folder / "env", tmp_path / "backups"
    ErasureJournal(Path(shop.env["SHIPPING_ERASURE_JOURNAL"])).append("0" * 32, AT)  # of somebody who was erased long ago

    assert command("backup", str(place), "--env", str(env))[0] == 0
    assert {it.name for it in place.iterdir()} == {"data", "keyring"}, "the clusters apart"

    # Erased afterwards, as the services do it: written down first, then the keys.
    for service in HOLDERS:
        ErasureJournal(Path(shop.env[f"{service.upper()}_ERASURE_JOURNAL"])).append(digests[service], AT)
        rows(shop.env[f"{service.upper()}_KEYRING_DATABASE_URL"], "delete from part_keys where person = %s", digests[service])
    gone_at_orders = PersonNames.read("orders", Path(shop.env["ORDERS_PERSONS_KEY_FILE"])).digest(SHOP, "c-gone")
    ErasureJournal(Path(shop.env["ORDERS_ERASURE_JOURNAL"])).append(gone_at_orders, AT)
    later = placed(shop, "c-late")

    code, said = command("restore", str(place), "--stack", str(own_stack.folder))
    assert (code, "at work" in said) == (1, True)
    shop.answers.close()
    own_stack.down()
    journal = Path(shop.env["SHIPPING_ERASURE_JOURNAL"])
    whole = journal.read_bytes()
    for cut in (b"", whole.splitlines(keepends=True)[1]):
        journal.write_bytes(cut)
        code, said = command("restore", str(place), "--stack", str(own_stack.folder))
        assert (code, "shipping: its erasure journal" in said, "Nothing was restored" in said) == (1, True, True), said
    code, said = command("restore", str(place), "--stack", str(own_stack.folder), "--without-journals")
    assert (code, "Restored." in said) == (0, True), said
    journal.write_bytes(whole)
    code, said = command("restore", str(place), "--stack", str(own_stack.folder))
    assert (code, "Restored." in said) == (0, True), said
    with own_stack.stopped_databases() as targets:
        keyrings = {it.service: it for it in targets if it.cluster == "keyring"}
        assert keys_of(on(keyrings["shipping"]), digests["shipping"]) == 1, "the backup alone would bring the person back"

    own_stack.up()
    again = Shop(own_stack)
    for service in HOLDERS:
        custody = custody_of(again, service)
        assert custody.vault.person(SHOP, "c-gone") == digests[service]
        assert keys_of(custody.url, digests[service]) == 0
        assert rows(custody.url, "select state from persons where person = %s", digests[service]) == [("erased",)]
    for service, table in TABLES.items():
        assert kept(again, service, table, numbers["c-gone"]) == []
        assert kept(again, service, table, numbers["c-stays"]) == before[service], "untouched to the byte"
        assert kept(again, service, table, later) == [], "it came after the backup"
    for service in ("orders", "notifications"):
        assert chosen(again, service, "c-gone") == 0
    named = "select count(*) from orders where customer_id = %s"
    assert [rows(again.env["ORDERS_DATABASE_URL"], named, it) for it in ("c-gone", "c-stays")] == [[(0,)], [(1,)]]
    comes_back = order_placed()
    comes_back["data"]["customer_id"] = "c-gone"
    status, refused = again.post(json.dumps(again.approved(comes_back)).encode())
    assert (status, "customer_erased" in str(refused)) == (422, True)
    code, said = command("privacy", "audit", "verify", "--env", str(own_stack.folder / "env"))
    assert (code, said.count("no breaks")) == (0, 3), said
    # A sandbox that has forgotten gives the same references again, which no real party does.
    for party in ("PAYPAL", "CARRIER"):
        assert ask("PUT", f"{again.env[f'{party}_SANDBOX_URL']}/_sandbox/switches", {"seed": 2}).status == 204
    fresh = order_placed()
    fresh["data"]["customer_id"] = "c-stays"
    status, _ = again.post(json.dumps(again.approved(fresh)).encode())
    assert status == 202
    again.completes(str(fresh["data"]["order_number"]))
    code, said = command("privacy", "retention", "--env", str(own_stack.folder / "env"))
    assert (code, len(said.splitlines())) == (0, 1 + 11), said
    again.answers.close()


def on(target: Target) -> str:
    return target.admin_url.rpartition("/")[0] + "/" + target.name
