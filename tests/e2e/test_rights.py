"""What a person asks for, through the whole stack: erased among others, corrected, copied, at rest."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey, SealedBox
from typer.testing import CliRunner

from shared.cli.main import app
from shared.custody.certificates import prove
from shared.policy import load, load_versions
from tests.component.events import Canary, envelope, order_placed
from tests.component.staff_desk import PASSWORD, hire_at
from tests.integration.facts import Reply, ask, everything_in, rows, wait_for
from tests.integration.scene import SHOP, seal

SERVICES = ("orders", "payments", "shipping", "notifications")
KEYRINGS = ("payments", "shipping", "notifications")


class Person:
    """A member of the shop with an order, and everything personal of theirs a marker."""

    def __init__(self, shop: Any, customer_id: str | None = None) -> None:
        self.shop, self.canary = shop, Canary()
        self.customer_id = customer_id or f"m-{uuid.uuid4().hex[:12]}"
        self.numbers: list[str] = []

    def order(self, **data: Any) -> str:
        parts = {"recipient": self.canary.recipient, "contact": self.canary.contact}
        event = self.shop.approved(order_placed(customer_id=self.customer_id, **(parts | data)))
        assert self.shop.post(json.dumps(event).encode())[0] == 202
        self.numbers.append(event["data"]["order_number"])
        return self.numbers[-1]

    def says(self, kind: str, **data: Any) -> tuple[dict[str, Any], int]:
        event = envelope(kind, {"customer_id": self.customer_id, **data})
        return event, self.shop.post(json.dumps(event).encode())[0]


def url(shop: Any, service: str, keyring: bool = False) -> str:
    return str(shop.env[f"{service.upper()}_{'KEYRING_' if keyring else ''}DATABASE_URL"])


def staff(shop: Any, path: str, service: str = "orders", role: str = "privacy_officer") -> Reply:
    """What a door shows a member of staff, who has a session there for this one look."""
    door, name = shop.env[f"{service.upper()}_HTTP_URL"], f"a.{role}"
    hire_at(url(shop, service), name, role)
    token = ask("POST", f"{door}/staff/session", {"name": name, "password": PASSWORD}).json()["token"]
    assert ask("POST", f"{door}/staff/acknowledgement", {"policy_version": load().version}, token=token).status == 200
    return ask("GET", f"{door}{path}", token=token)


def request_of(shop: Any, name: str) -> dict[str, Any]:
    items = staff(shop, "/requests?state=all&limit=1000").json()["items"]
    return next(item for item in items if item["request"] == name)


def state_of(shop: Any, number: str) -> str:
    return str(staff(shop, f"/orders/{number}").json()["state"])


def label_of(shop: Any, number: str) -> str:
    ((parcel,),) = rows(url(shop, "shipping"), "select parcel from shipments where order_number = %s", number)
    paper = staff(shop, f"/labels/{parcel}.pdf", "shipping", "warehouse")
    assert paper.status == 200
    return paper.body.decode("latin-1")


def let_go_of_what_is_due(shop: Any) -> None:
    """Have payments do now what it does when it starts and every ten minutes: it is not to come between two looks at the rows."""
    shop.stack.restart("payments")
    due = "select 1 from payments where is_kept and is_answered"
    wait_for(lambda: rows(url(shop, "payments"), due) == [], "payments to have let go of what is due")


def everything(shop: Any) -> dict[str, str]:
    return {service: everything_in(url(shop, service)) for service in SERVICES}


def rows_naming(shop: Any, person: Person) -> dict[str, list[str]]:
    """Every row of every table that names the person or one of their orders."""
    words = (person.customer_id, *person.numbers)
    return {
        service: sorted(line for line in text.splitlines() if any(word in line for word in words))
        for service, text in everything(shop).items()
    }


@pytest.fixture
def people(shop: Any) -> tuple[Person, Person]:
    """Two people whose orders were delivered."""
    both = (Person(shop), Person(shop))
    numbers = [person.order() for person in both]
    for number in numbers:
        shop.completes(number)
    for number in numbers:
        wait_for(lambda number=number: _mails(shop, number) == {"sent"}, "all mails of the order")
    return both


def _mails(shop: Any, number: str) -> set[str]:
    found = rows(url(shop, "notifications"), "select mails from correspondences where order_number = %s", number)
    mails: dict[str, str] = found[0][0] if found else {}
    return set(mails.values()) if len(mails) == 3 else set()


def test_a_person_is_erased_and_the_other_is_untouched_to_the_byte(shop: Any, people: tuple[Person, Person]) -> None:
    leaving, staying = people
    shop.settled()
    let_go_of_what_is_due(shop)
    before = rows_naming(shop, staying)
    assert any(before.values())
    request_id = f"r-{uuid.uuid4().hex[:8]}"
    event, status = leaving.says("customer_erasure_requested", request_id=request_id)
    assert status == 202
    answer = shop.answers.hear("customer_erased", where=lambda it: it["data"]["request_id"] == request_id)["data"]
    assert answer["caused_by"] == {"source": SHOP, "id": event["id"]}
    assert {receipt["service"] for receipt in answer["receipts"]} == set(SERVICES)
    assert leaving.customer_id not in json.dumps(answer)
    assert request_of(shop, request_id)["state"] == "closed"
    certificate = staff(shop, f"/certificates/{request_id}").json()["items"][0]["certificate"]
    proof = prove(certificate, load_versions(), staff(shop, "/receipt_keys").json())
    assert proof.faults == ()
    assert set(proof.holders) == set(SERVICES)
    shop.settled()
    for service, text in everything(shop).items():
        named = [line for line in text.splitlines() if leaving.customer_id in line]
        assert named == [], service
        assert leaving.canary.in_text(text) == []
    assert rows_naming(shop, staying) == before
    (number,) = leaving.numbers
    assert rows(url(shop, "payments"), "select state, amount_minor from payments where order_number = %s", number) == [
        ("captured", 18765)
    ], "the books keep the amount, without a person"
    # A repeat hears the same again, a new order of somebody who is gone is refused, and nobody comes back.
    shop.post(json.dumps(event).encode())
    shop.answers.hear("customer_erased", times=2, where=lambda it: it["data"]["request_id"] == request_id)
    again = shop.approved(order_placed(customer_id=leaving.customer_id))
    status, body = shop.post(json.dumps(again).encode())
    assert (status, json.loads(body)["reasons"]) == (422, [{"code": "customer_erased", "path": "/data/customer_id"}])


def test_an_erasure_waits_for_an_order_that_is_under_way_and_says_so(shop: Any) -> None:
    person = Person(shop)
    number = person.order()
    wait_for(lambda: state_of(shop, number) == "picking", "the order to be under way")
    request_id = f"r-{uuid.uuid4().hex[:8]}"
    assert person.says("customer_erasure_requested", request_id=request_id)[1] == 202
    wait_for(lambda: request_of(shop, request_id)["state"] == "waiting_for_orders", "the erasure to wait")
    shown = request_of(shop, request_id)
    assert shown["waits_for"] == {"orders": [number]}
    assert shown["answered"] == {"deactivated": sorted(KEYRINGS)}, "everybody froze the person first"
    # The frozen person's open order goes on: its label is bought, its mails are sent.
    shop.completes(number)
    shop.answers.hear("customer_erased", where=lambda it: it["data"]["request_id"] == request_id)
    shop.settled()
    assert rows_naming(shop, Person(shop, person.customer_id)) == {service: [] for service in SERVICES}


def test_an_order_that_was_never_paid_is_cancelled_by_an_erasure(shop: Any) -> None:
    person = Person(shop)
    event = order_placed(customer_id=person.customer_id, recipient=person.canary.recipient, contact=person.canary.contact)
    assert shop.post(json.dumps(event).encode())[0] == 202  # its reference is nobody's at the provider
    number = event["data"]["order_number"]
    wait_for(lambda: state_of(shop, number) == "payment_declined", "the payment to be declined")
    request_id = f"r-{uuid.uuid4().hex[:8]}"
    person.says("customer_erasure_requested", request_id=request_id)
    shop.answers.hear("customer_erased", where=lambda it: it["data"]["request_id"] == request_id)
    cancelled = shop.answers.hear("order_cancelled", number)
    assert cancelled["data"]["reasons"] == [{"code": "erasure_requested", "path": ""}]


@pytest.mark.parametrize("part", ["recipient", "contact"])
def test_a_correction_ends_a_hold_and_the_order_goes_to_its_end(part: str, shop: Any) -> None:
    person = Person(shop)
    keys = {key["service"]: key for key in ask("GET", f"{shop.env['ORDERS_HTTP_URL']}/keys").json()}
    service = {"recipient": "shipping", "contact": "notifications"}[part]
    unsound = seal({"name": "only a name"}, keys[service], bound_to="somebody else")
    number = person.order(**{part: unsound})
    held = shop.answers.hear("order_held", number)
    assert f"{part}_invalid" in {reason["code"] for reason in held["data"]["reasons"]}
    wait_for(lambda: state_of(shop, number) == "held", "the order to be held")
    wrong, _ = person.says("customer_corrected", **{part: seal({"name": "x"}, keys[service], bound_to=person.customer_id)})
    refusal = shop.answers.hear("event_refused", where=lambda it: it["data"]["caused_by"]["id"] == wrong["id"])
    assert refusal["data"]["reasons"][0] == {"code": f"{part}_invalid", "path": f"/data/{part}"}
    sound = seal(getattr(person.canary, part), keys[service], bound_to=person.customer_id)
    event, status = person.says("customer_corrected", **{part: sound})
    assert status == 202
    shop.answers.hear("order_released", number)
    wait_for(lambda: request_of(shop, event["id"])["state"] == "closed", "the correction to be closed")
    shop.completes(number)
    assert person.canary.recipient["name"] in label_of(shop, number), "the label shows the sound recipient"


def test_a_corrected_address_before_the_label_is_on_it_and_after_it_the_old_one_stands(shop: Any) -> None:
    person = Person(shop)
    number = person.order()
    wait_for(lambda: state_of(shop, number) == "picking", "the order to be picked")
    moved = Canary()
    recipient = {**moved.recipient, "name": person.canary.recipient["name"]}
    event, _ = person.says("customer_corrected", order_number=number, recipient=recipient)
    wait_for(lambda: request_of(shop, event["id"])["state"] == "closed", "the correction to be closed")
    shop.completes(number)
    label = label_of(shop, number)
    assert moved.recipient["address"]["line1"] in label
    assert person.canary.recipient["address"]["line1"] not in label
    # The order has ended: nothing is open that a correction could be for.
    late, status = person.says("customer_corrected", recipient=person.canary.recipient)
    assert status == 202
    wait_for(lambda: request_of(shop, late["id"])["state"] == "closed", "the late correction to be closed")
    # Of somebody else's order nobody may say where it goes.
    _, status = Person(shop).says("customer_corrected", order_number=number, recipient=person.canary.recipient)
    assert status == 422


def test_a_copy_holds_everything_and_who_opened_it_and_only_its_owner_can_read_it(
    shop: Any, people: tuple[Person, Person]
) -> None:
    person, other = people
    chosen, _ = person.says("preferences_changed", communication="service_only")
    wait_for(lambda: request_of(shop, chosen["id"])["state"] == "closed", "everybody to have noted the choice")
    key = PrivateKey.generate()
    request_id = f"r-{uuid.uuid4().hex[:8]}"
    reply_key = base64.b64encode(bytes(key.public_key)).decode()
    assert person.says("customer_data_requested", request_id=request_id, reply_key=reply_key)[1] == 202
    ready = shop.answers.hear("customer_data_ready", where=lambda it: it["data"]["request_id"] == request_id)
    assert "available_until" in ready["data"]
    address = f"{shop.env['ORDERS_HTTP_URL']}/exports/{request_id}"
    assert ask("GET", address).status == 401
    export = ask("GET", address, token=shop.env["STOREFRONT_TOKEN"])
    assert person.canary.in_text(export.body.decode()) == []
    pieces = {it["service"]: json.loads(SealedBox(key).decrypt(base64.b64decode(it["box"]))) for it in export.json()["pieces"]}
    assert set(pieces) == set(SERVICES)
    assert pieces["shipping"]["parts"][0]["data"]["address"] == person.canary.recipient["address"]
    assert pieces["notifications"]["parts"][0]["data"]["email"] == person.canary.contact["email"]
    assert pieces["payments"]["rows"]["payments"][0]["amount_minor"] == 18765
    assert [row["communication"] for row in pieces["orders"]["rows"]["preference_changes"]] == ["service_only"]
    assert {"fill_order", "rights"} <= {entry["purpose"] for entry in pieces["shipping"]["opened"]}
    assert {"order_news", "rights"} <= {entry["purpose"] for entry in pieces["notifications"]["opened"]}
    assert [row["communication"] for row in pieces["shipping"]["chosen"]] == ["service_only"]
    assert other.canary.in_text(json.dumps(pieces)) == []
    assert other.customer_id not in json.dumps(pieces)
    assert ask("GET", f"{address}x", token=shop.env["STOREFRONT_TOKEN"]).status == 404


def test_preferences_are_written_down_where_the_policy_says(shop: Any) -> None:
    person = Person(shop)
    event, status = person.says("preferences_changed", policy_choice="allow", policy_version="2013-08-19")
    assert status == 202
    wait_for(lambda: request_of(shop, event["id"])["state"] == "closed", "the choice to be noted")
    wanted = [("allow", "2013-08-19", None)]
    for service in ("orders", "notifications"):
        statement = "select policy_choice, policy_version, communication from preference_changes where customer_id = %s"
        assert rows(url(shop, service), statement, person.customer_id) == wanted
    assert request_of(shop, event["id"])["answered"] == {"noted": sorted(SERVICES)}


@pytest.mark.parametrize("service", SERVICES)
def test_an_erasure_goes_on_where_a_killed_service_left_it(service: str, shop: Any, people: tuple[Person, Person]) -> None:
    leaving, staying = people
    shop.settled()
    let_go_of_what_is_due(shop)
    before = rows_naming(shop, staying)
    request_id = f"r-{uuid.uuid4().hex[:8]}"
    leaving.says("customer_erasure_requested", request_id=request_id)
    shop.stack.kill(service)
    shop.stack.restart(service)
    shop.answers.hear("customer_erased", where=lambda it: it["data"]["request_id"] == request_id)
    shop.settled()
    certificate = staff(shop, f"/certificates/{request_id}").json()["items"][0]["certificate"]
    assert prove(certificate, load_versions(), staff(shop, "/receipt_keys").json()).faults == ()
    assert rows_naming(shop, staying) == before
    for name, text in everything(shop).items():
        assert leaving.customer_id not in text, name


def test_what_an_older_release_deferred_is_done_when_it_is_replayed(shop: Any) -> None:
    person = Person(shop)
    event = envelope("preferences_changed", {"customer_id": person.customer_id, "communication": "none"})
    rows(
        url(shop, "orders"),
        "insert into answers (source, event_id, kind, reasons) values (%s, %s, 'event_deferred', '[]')",
        *(SHOP, event["id"]),
    )
    rows(
        url(shop, "orders"),
        """
        insert into held (id, state, queue, source, event_id, type, reason, body, length, headers, tries, first_at, last_at, due_at)
        values (gen_random_uuid(), 'later', 'orders.intake', %s, %s, %s, 'event_deferred', %s, 0, %s, 0, now(), now(), now())
        """,
        *(
            SHOP,
            event["id"],
            event["type"],
            json.dumps(event),
            json.dumps({"exchange": "storefront.events", "routing_key": event["type"]}),
        ),
    )
    wait_for(
        lambda: rows(url(shop, "orders"), "select 1 from held where event_id = %s", event["id"]) == [], "the replay to be done"
    )
    wait_for(lambda: request_of(shop, event["id"])["state"] == "closed", "the choice to be noted")


def test_the_command_proves_an_erasure_offline_and_lists_what_is_open(
    shop: Any, people: tuple[Person, Person], tmp_path: Path
) -> None:
    person = people[0]
    request_id = f"r-{uuid.uuid4().hex[:8]}"
    person.says("customer_erasure_requested", request_id=request_id)
    shop.answers.hear("customer_erased", where=lambda it: it["data"]["request_id"] == request_id)
    env, file = tmp_path / "env", tmp_path / "erasure.json"
    env.write_text("".join(f"{name}={value}\n" for name, value in shop.env.items()))
    run, officer = CliRunner(), ["--as", "a.privacy_officer", "--password-stdin", "--env", str(env)]
    assert staff(shop, "/requests").status == 200, "the officer is hired and has acknowledged the policy"
    shown = run.invoke(app, ["privacy", "prove", request_id, "--save", str(file), *officer], input=f"{PASSWORD}\n")
    assert shown.exit_code == 0, shown.output
    assert "notifications, orders, payments, shipping" in shown.output
    assert "Unreadable by anybody from" in shown.output
    keys = tmp_path / "receipt-keys.json"
    assert run.invoke(app, ["privacy", "receipt-keys", "--save", str(keys), "--env", str(env)]).exit_code == 0
    alone, by_keys = ["privacy", "prove", request_id, "--file", str(file)], ["--keys", str(keys)]
    offline = run.invoke(app, [*alone, *by_keys], env={"HOME": str(tmp_path)})
    assert offline.exit_code == 0
    assert shown.output.startswith(offline.output)
    assert run.invoke(app, alone).exit_code == 2, "its own keys prove nothing"
    file.write_text(file.read_text().replace("rows_after", "rows_later", 1))
    assert run.invoke(app, [*alone, *by_keys]).exit_code == 1
    listed = run.invoke(app, ["privacy", "requests", "--all", "--limit", "1000", *officer], input=f"{PASSWORD}\n")
    assert f"erasure {request_id}: closed" in listed.output
    assert person.customer_id not in listed.output
    assert run.invoke(app, ["privacy", "prove", "r-unknown", *officer], input=f"{PASSWORD}\n").exit_code == 1
    assert run.invoke(app, ["privacy", "prove", request_id, "--env", str(env)]).exit_code == 2, "nobody asks"


def test_somebody_who_leaves_is_noted_everywhere_and_may_still_get_what_was_ordered(shop: Any) -> None:
    person = Person(shop)
    number = person.order()
    event, status = person.says("customer_deactivated")
    assert status == 202
    wait_for(lambda: request_of(shop, event["id"])["state"] == "closed", "everybody to have noted it")
    assert request_of(shop, event["id"])["answered"] == {"deactivated": sorted(SERVICES)}
    shop.completes(number)
    wait_for(lambda: _mails(shop, number) == {"sent"}, "the mails of the open order")
