"""Legal holds at the three holders, and a release to an authority by two: real services, the command line, an authority's own key."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared.contracts.values import OrderKey
from shared.retention import note_hold
from tests.component.events import Canary
from tests.component.staff_desk import PASSWORD, Member, command, env_of, hire, openings
from tests.component.test_keeping_component import an_order
from tests.component.test_rights_component import PARTS, Holder
from tests.integration.facts import rows, wait_for
from tests.integration.scene import SHOP, IntakeKey, Scene, Service, seal
from tests.integration.wire import Ear, Event, event


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def orders(scene: Scene) -> Service:
    service = scene.service("orders", TELL_AGAIN_SECONDS="2")
    service.start()
    return service


@pytest.fixture(scope="module")
def holders(scene: Scene, everybody: Ear) -> dict[str, Holder]:
    scene.configuration.set("SMTP_URL", "smtp://127.0.0.1:9")  # nobody answers there
    return {name: Holder(scene, everybody, name) for name in PARTS}


@pytest.fixture(params=PARTS)
def holder(request: pytest.FixtureRequest, holders: dict[str, Holder]) -> Holder:
    return holders[request.param]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory, orders: Service, holders: dict[str, Holder]) -> Path:
    file = env_of(tmp_path_factory.mktemp("officers"), {"orders": orders, **{name: it.service for name, it in holders.items()}})
    for name in ("officer.a", "officer.b"):
        hire(file, name, "privacy_officer")
    code, said = command("staff", "acknowledge", "officer.a", "--password-stdin", env=file, says=f"{PASSWORD}\n")
    assert (code, "orders, payments, shipping, notifications" in said) == (0, True), said
    return file


def by_officer(*words: str, env: Path) -> tuple[int, str]:
    """`brownpaper privacy …` as one of the officers."""
    return command("privacy", *words, "--as", "officer.a", "--password-stdin", env=env, says=f"{PASSWORD}\n")


def held(holder: Holder, told: Event, *, is_held: bool = True) -> None:
    """Have the holder know that an order is on hold, or no more."""
    named = {"shop": SHOP, "order_number": told["data"]["order_number"], "clause": "53"}
    again = rows(holder.service.database_url, "select now() + interval '1 second'")[0][0].isoformat()
    kind = "legal_hold_placed" if is_held else "legal_hold_lifted"
    holder.publish(event("orders", kind, named | {"said_at": again}))
    statement = "select is_held from legal_holds where order_number = %s"
    wait_for(lambda: holder.service.rows(statement, told["data"]["order_number"]) == [(is_held,)], "the word about the hold")


def entrusted(holder: Holder, customer: str) -> Event:
    told = holder.entrusted(customer, Canary())
    holder.publish(told)
    wait_for(lambda: holder.holds(told), "the order to be held")
    return told


def of_person(holder: Holder, customer: str) -> list[str]:
    """The rows that name the person; what a call that is tried again writes down of its tries does not count."""
    lines = [line for line in holder.texts().splitlines() if customer in line]
    return sorted(line for line in lines if not line.startswith(("intents", "held")))


# ── an erasure that meets a hold ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_holder_destroys_nothing_of_a_person_with_an_order_on_hold_and_does_when_it_ends(holder: Holder) -> None:
    customer = f"m-{uuid.uuid4().hex[:10]}"
    kept, beside = entrusted(holder, customer), entrusted(holder, customer)
    held(holder, kept)
    before, keys = of_person(holder, customer), holder.keys()
    request = f"r-{uuid.uuid4().hex[:8]}"
    data = {"shop": SHOP, "customer_id": customer, "kind": "erasure", "request": request}
    holder.publish(event("orders", "erasure_ordered", data))
    wait_for(lambda: '"erasure_held"' in holder.service.log(), "the holder to say that it leaves it alone")
    assert (of_person(holder, customer), holder.keys()) == (before, keys)
    told = [it for it in holder.everybody.all("request_receipted") if it["data"]["request"] == request]
    assert holder.name not in {it["source"] for it in told}
    if holder.name == "notifications":  # nor is it written down for the next start, or for a restored backup
        holder.service.stop()
        holder.service.start()
        assert (of_person(holder, customer), holder.keys()) == (before, keys)
    held(holder, kept, is_held=False)
    _, receipt = holder.order("erasure_ordered", customer)
    assert (receipt["deed"], receipt["keys_destroyed"], receipt["keys_left"]) == ("erased", 2, 0)
    assert of_person(holder, customer) == []
    assert beside["data"]["order_number"] != kept["data"]["order_number"]


@pytest.mark.parametrize("name", ["shipping", "notifications"])
def test_a_correction_leaves_the_part_of_an_order_on_hold_and_says_so(name: str, holders: dict[str, Holder]) -> None:
    holder, customer, canary = holders[name], f"m-{uuid.uuid4().hex[:10]}", Canary()
    kept, beside = entrusted(holder, customer), entrusted(holder, customer)
    held(holder, kept)
    numbers = [told["data"]["order_number"] for told in (kept, beside)]
    table = {"shipping": "recipients", "notifications": "contacts"}[name]
    part = f"select {holder.part} from {table} where order_number = %s"
    before = [holder.service.rows(part, number) for number in numbers]

    def corrected() -> list[dict[str, str]]:
        box = seal(getattr(canary, holder.part), holder.key, bound_to=customer)
        orders = [{"order_number": number, "policy_version": "2013-08-19"} for number in numbers]
        told = {"bound_to": customer, "orders": orders, holder.part: box}
        receipt: dict[str, Any] = holder.order(f"{holder.part}_corrected", customer, **told)[1]
        return sorted(receipt["orders"], key=lambda it: numbers.index(it["order_number"]))

    assert [it["ending"] for it in corrected()] == ["on_legal_hold", "replaced"]
    after = [holder.service.rows(part, number) for number in numbers]
    assert [now == then for now, then in zip(after, before, strict=True)] == [True, False]
    held(holder, kept, is_held=False)
    assert [it["ending"] for it in corrected()] == ["replaced", "replaced"]


def test_a_hold_that_comes_after_the_keys_were_destroyed_keeps_what_is_left(holders: dict[str, Holder]) -> None:
    """The holder died between keys and rows, and heard of the hold before it went on: it stands still until the hold ends."""
    holder = holders["notifications"]
    customer = f"m-{uuid.uuid4().hex[:10]}"
    told = entrusted(holder, customer)
    keyring = holder.service.environment["KEYRING_DATABASE_URL"]
    before = of_person(holder, customer)
    rows(keyring, "delete from part_keys")  # as far as the one that died had come
    held(holder, told)
    seen = holder.service.log().count('"erasure_held"')
    data = {"shop": SHOP, "customer_id": customer, "kind": "erasure", "request": f"r-{uuid.uuid4().hex[:8]}"}
    holder.publish(event("orders", "erasure_ordered", data))
    wait_for(lambda: holder.service.log().count('"erasure_held"') > seen, "the holder to stand still")
    assert of_person(holder, customer) == before
    held(holder, told, is_held=False)
    _, receipt = holder.order("erasure_ordered", customer)
    assert (receipt["keys_destroyed"], receipt["keys_left"]) == (0, 0)
    assert of_person(holder, customer) == []


def test_a_hold_that_is_being_noted_is_waited_for(holder: Holder) -> None:
    """The word about the hold is written and not committed yet when the erasure begins: the erasure waits, and then leaves it alone."""
    customer = f"m-{uuid.uuid4().hex[:10]}"
    told = entrusted(holder, customer)
    before, keys, seen = of_person(holder, customer), holder.keys(), holder.service.log().count('"erasure_held"')
    data = {"shop": SHOP, "customer_id": customer, "kind": "erasure", "request": f"r-{uuid.uuid4().hex[:8]}"}
    with psycopg.connect(holder.service.database_url) as connection:
        note_hold(connection, OrderKey(SHOP, told["data"]["order_number"]), "53", datetime.now(UTC), is_held=True)
        holder.publish(event("orders", "erasure_ordered", data))
        waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
        wait_for(lambda: holder.service.rows(waiting), "the erasure to wait for its turn")
        assert holder.keys() == keys
    wait_for(lambda: holder.service.log().count('"erasure_held"') > seen, "the holder to leave it alone")
    assert (of_person(holder, customer), holder.keys()) == (before, keys)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_erasure_says_what_it_waits_for_and_goes_on_by_itself(
    scene: Scene, orders: Service, holders: dict[str, Holder], everybody: Ear, env: Path
) -> None:
    """The whole way: the storefront asks, every holder freezes, the hold stops it, the command line says so, the hold's end lets it go on."""
    customer, request = f"m-{uuid.uuid4().hex[:10]}", f"r-{uuid.uuid4().hex[:8]}"
    number = an_order(orders)
    orders.rows("update orders set customer_id = %s, state = 'completed' where order_number = %s", customer, number)
    told = {name: holder.entrusted(customer, Canary()) for name, holder in holders.items()}
    for name, holder in holders.items():
        told[name]["data"]["order_number"] = number
        told[name]["data"][holder.part] = _sealed(holder, number)
        holder.publish(told[name])
        wait_for(lambda one=holder, name=name: one.holds(told[name]), "the order to be held")
    assert by_officer("hold", "add", number, "--clause", "53", env=env) == (
        0,
        f"{number} is held by 53.\n",
    )
    event_asked = event(SHOP, "customer_erasure_requested", {"customer_id": customer, "request_id": request})
    scene.wire.publish("storefront.events", "customer_erasure_requested", event_asked)
    find = "select state, legal_holds from requests where request = %s"
    wait_for(lambda: orders.rows(find, request) == [("on_legal_hold", {number: "53"})], "the erasure to meet the hold")
    code, said = by_officer("requests", env=env)
    assert (code, f"erasure {request}: on_legal_hold" in said, f"waits for the legal hold of {number} (53)" in said) == (
        0,
        True,
        True,
    )
    keyring = "select state from persons"
    for holder in holders.values():
        assert ("deactivated",) in rows(holder.service.environment["KEYRING_DATABASE_URL"], keyring), "the person is frozen"
        assert of_person(holder, customer) != []
    assert by_officer("hold", "lift", number, "--clause", "53", env=env)[0] == 0
    everybody.hear("customer_erased", where=lambda it: it["data"]["request_id"] == request)
    for holder in holders.values():
        assert of_person(holder, customer) == []
    late = {"source": SHOP, "order_number": number, "deed": "placed", "clause": "53"}
    reply = Member(orders, "officer.b").ask("POST", "/holds", late)
    assert (reply.status, reply.json()["erased_by"]) == (200, None), "whoever asks for a hold too late is told so"


def _sealed(holder: Holder, number: str) -> Any:
    return seal(getattr(Canary(), holder.part), holder.key, bound_to=number)


# ── a release to an authority ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def authority() -> IntakeKey:
    return IntakeKey("authority")


def asked(number: str, key: str, **more: str) -> dict[str, str]:
    return {"source": SHOP, "order_number": number, "clause": "53", "dossier": "DO-2026/7", "authority_key": key, **more}


def propose(member: Member, number: str, key: str, **more: str) -> Any:
    return member.ask("POST", "/staff/releases", asked(number, key, **more))


def approve(member: Member, release: str, number: str, key: str, part: str, **more: str) -> Any:
    """Approve a release, telling once more what is meant."""
    return member.ask("POST", f"/staff/releases/{release}/approval", asked(number, key, part=part, **more))


def test_one_member_alone_and_the_same_one_twice_release_nothing(holder: Holder, env: Path, authority: IntakeKey) -> None:
    assert env
    number = entrusted(holder, f"m-{uuid.uuid4().hex[:10]}")["data"]["order_number"]
    first, twice = Member(holder.service, "officer.a"), Member(holder.service, "officer.a")
    proposed = propose(first, number, authority.public_key)
    assert proposed.status == 201
    assert set(proposed.json()) == {"release", "part", "order_number", "proposed_by"}
    for member in (first, twice):
        reply = approve(member, proposed.json()["release"], number, authority.public_key, holder.part)
        assert (reply.status, reply.codes) == (403, ["second_person_needed"])
    assert openings(holder.service, first.account) == []
    with pytest.raises(Exception, match="staff_releases_check"):
        holder.service.rows("update staff_releases set approved_by = proposed_by")


def test_two_members_release_a_part_that_only_the_authority_can_read(
    holder: Holder, env: Path, authority: IntakeKey, orders: Service
) -> None:
    assert env
    customer, canary = f"m-{uuid.uuid4().hex[:10]}", Canary()
    told = holder.entrusted(customer, canary)
    holder.publish(told)
    wait_for(lambda: holder.holds(told), "the order to be held")
    holder.order("person_deactivated", customer)  # whoever has left is still the law's
    number = told["data"]["order_number"]
    first, second = Member(holder.service, "officer.a"), Member(holder.service, "officer.b")
    release = propose(first, number, authority.public_key).json()["release"]
    for _ in range(2):  # an answer that got lost is fetched once more
        given = approve(second, release, number, authority.public_key, holder.part)
        assert given.status == 200
        assert given.json()["approved_by"] == [first.account, second.account]
        assert canary.in_text(given.body.decode()) == []
        opened = authority.open(given.json())
        assert (opened["order_number"], opened["dossier"], opened["part"]) == (number, "DO-2026/7", holder.part)
        assert len(canary.in_text(json.dumps(opened["data"], ensure_ascii=False))) > 0
    both = f"{first.account}+{second.account}"
    assert openings(holder.service, both) == [("authorities", holder.part, "opened")] * 2
    record = "select deed, clause, said_by, part, dossier from hold_record where order_number = %s"
    expected = [("released", "53", both, holder.part, "DO-2026/7")] * 2
    wait_for(lambda: orders.rows(record, number) == expected, "orders to have it in its record")


def test_what_is_approved_is_what_was_proposed_to_the_letter(holders: dict[str, Holder], env: Path, authority: IntakeKey) -> None:
    assert env
    holder = holders["notifications"]
    number = entrusted(holder, f"m-{uuid.uuid4().hex[:10]}")["data"]["order_number"]
    first, second = Member(holder.service, "officer.a"), Member(holder.service, "officer.b")
    release = propose(first, number, authority.public_key).json()["release"]
    both = f"{first.account}+{second.account}"
    before = openings(holder.service, both)
    assert second.ask("POST", f"/staff/releases/{release}/approval", {}).status == 422, "nobody approves a number alone"
    for more in (
        {"source": "another shop"},
        {"order_number": f"{number}-1"},
        {"part": "recipient"},
        {"clause": "A-10"},
        {"dossier": "DO-2026/8"},
        {"authority_key": IntakeKey("another").public_key},
    ):
        reply = approve(second, release, number, authority.public_key, **{"part": holder.part, **more})
        assert (reply.status, reply.codes) == (409, ["release_differs"]), more
    assert openings(holder.service, both) == before
    assert holder.service.rows("select approved_by from staff_releases where release = %s", release) == [(None,)]
    assert approve(second, release, number, authority.public_key, holder.part).status == 200


def test_a_wrong_key_clause_or_order_is_refused(holders: dict[str, Holder], env: Path, authority: IntakeKey) -> None:
    assert env
    holder = holders["notifications"]
    number = entrusted(holder, f"m-{uuid.uuid4().hex[:10]}")["data"]["order_number"]
    officer = Member(holder.service, "officer.a")
    for more, status in (
        ({"authority_key": "no key"}, 422),
        ({"clause": "64"}, 422),
        ({"clause": "A-99"}, 422),
        ({"dossier": "somebody's name"}, 422),
        ({"order_number": "nobody-s"}, 404),
    ):
        assert propose(officer, number, authority.public_key, **more).status == status, more


def test_the_command_asks_two_for_their_passwords_and_writes_a_sealed_file(
    holders: dict[str, Holder], env: Path, tmp_path: Path
) -> None:
    holder, key = holders["notifications"], IntakeKey("authority")
    holder.service.rows("delete from staff_reveals")  # the hour of the tests before is over
    number = entrusted(holder, f"m-{uuid.uuid4().hex[:10]}")["data"]["order_number"]
    Member(holder.service, "officer.a")
    Member(holder.service, "officer.b")
    out = tmp_path / "sealed"

    def release(*approvers: str, says: str = f"{PASSWORD}\n{PASSWORD}\n") -> tuple[int, str]:
        words = [word for name in approvers for word in ("--approved-by", name)]
        words += ["--part", "contact", "--reference", "DO-8", "--key", key.public_key, "--out", str(out), "--passwords-stdin"]
        return command("privacy", "release", number, *words, env=env, says=says)

    assert release("officer.a")[0] == 2
    assert release("officer.a", "officer.a")[0] == 2
    code, said = release("officer.a", "officer.b", says=f"{PASSWORD}\nnot the one at all\n")
    assert (code, "wrong" in said, PASSWORD in said) == (1, True, False)
    assert not out.exists()
    code, said = release("officer.a", "officer.b")
    assert code == 0, said
    for shown in (number, SHOP, "contact", "DO-8", key.public_key):
        assert shown in said, "the second member sees what is released"
    assert key.open({"box": out.read_text().strip()})["order_number"] == number
    wait_for(lambda: f"released {number}" in by_officer("hold", "list", env=env)[1], "the record to show it")
