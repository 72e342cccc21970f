"""Special requests and complaints through the doors: revealed to who answers, answered once by mail, gone in their time."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey, SealedBox

from tests.component.events import CARD, Canary, envelope
from tests.component.staff_desk import PASSWORD, Member, command, env_of, hire
from tests.integration.facts import Reply, ask, rows, wait_for
from tests.integration.scene import SHOP, UNHURRIED, Sandbox, Scene, Service, seal
from tests.integration.wire import Ear

ROLES = {"agent": "customer_service", "officer": "privacy_officer", "newcomer": "customer_service"}
ANSWER = "Yes, in gold too.\n\nIt takes two weeks more."


@pytest.fixture(scope="module")
def mailbox(scene: Scene) -> Sandbox:
    return scene.sandbox("mailbox")


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def orders(scene: Scene, everybody: Ear) -> Service:
    service = scene.service("orders")
    service.start()
    return service


@pytest.fixture(scope="module")
def notifications(scene: Scene, mailbox: Sandbox, everybody: Ear) -> Service:
    service = scene.service("notifications", SMTP_TIMEOUT_SECONDS="15", **UNHURRIED, RETENTION_SECONDS="0.1")
    service.start()
    return service


@pytest.fixture(scope="module")
def env(orders: Service, notifications: Service, scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    away = {name: scene.service(name) for name in ("payments", "shipping")}  # an officer has an account there too
    for service in away.values():
        service.begin()
    file = env_of(tmp_path_factory.mktemp("desk"), {"orders": orders, "notifications": notifications, **away})
    for name, role in ROLES.items():
        hire(file, name, role)
    return file


@pytest.fixture(scope="module")
def staff(notifications: Service, env: Path) -> dict[str, Member]:
    assert env
    return {name: Member(notifications, name, acknowledges=name != "newcomer") for name in ROLES}


@pytest.fixture(scope="module")
def key(orders: Service, notifications: Service) -> dict[str, str]:
    def found() -> list[dict[str, str]]:
        return [it for it in orders.ask("GET", "/keys").json() if it["service"] == "notifications"]

    wait_for(found, "the sealing key of notifications")
    return found()[0]


class Asker:
    """Somebody who asks the staff for something."""

    def __init__(
        self,
        scene: Scene,
        mailbox: Sandbox,
        orders: Service,
        notifications: Service,
        key: dict[str, str],
        staff: dict[str, Member],
    ) -> None:
        self.scene, self.mailbox, self.orders, self.notifications, self.key = scene, mailbox, orders, notifications, key
        self.staff = staff
        self.canary = Canary()
        self.customer_id, self.request_id = f"m-{secrets.token_hex(4)}", f"r-{secrets.token_hex(4)}"
        text, name = self.canary.words[2:4]
        self.part = {"text": f"Could you make it {text}?", "name": name, "email": self.canary.contact["email"]}
        self.mails_before = set(mailbox.books()["mails"])

    def submit(self) -> None:
        part = seal(self.part, self.key, bound_to=self.customer_id)
        data = {"customer_id": self.customer_id, "request_id": self.request_id, "request": part}
        event = envelope("special_request_submitted", data)
        for _ in range(2):
            self.scene.wire.publish("storefront.events", event["type"], event)
        wait_for(lambda: self.row("state") is not None, "the request")

    def row(self, column: str) -> Any:
        found = self.notifications.rows(f"select {column} from special_requests where request_id = %s", self.request_id)
        return found[0][0] if found else None

    def as_staff(self, method: str, path: str = "", body: object = None, who: str = "agent") -> Reply:
        return self.staff[who].ask(method, f"/requests/{self.request_id}{path}", body)

    def listed(self, state: str = "open") -> dict[str, Any] | None:
        items = self.staff["agent"].ask("GET", f"/requests?state={state}&limit=1000").json()["items"]
        return next((it for it in items if it["request_id"] == self.request_id), None)

    def cases(self, state: str = "open") -> list[dict[str, Any]]:
        items = self.staff["officer"].ask("GET", f"/complaints?state={state}&limit=1000").json()["items"]
        return [it for it in items if it["request_id"] == self.request_id]

    def mails(self, kind: str) -> list[str]:
        found = self.mailbox.books()["mails"].items()
        mine = [mail for it, mail in found if it not in self.mails_before and mail["kind"] == kind]
        return [ask("GET", f"{self.mailbox.url}/_sandbox/mails/{mail['number']}").body.decode() for mail in mine]

    def openings(self) -> list[tuple[Any, ...]]:
        keyring = self.notifications.environment["KEYRING_DATABASE_URL"]
        return rows(keyring, "select actor, ending from openings where purpose = 'reply' order by position")

    def keys(self) -> int:
        keyring = self.notifications.environment["KEYRING_DATABASE_URL"]
        [(number,)] = rows(keyring, "select count(*) from part_keys where part = 'request'")
        return int(number)

    def stands_in_the_clear(self) -> list[str]:
        return self.canary.in_text(self.scene.texts() + self.notifications.log() + self.orders.log())


@pytest.fixture
def asker(
    scene: Scene, mailbox: Sandbox, orders: Service, notifications: Service, key: dict[str, str], staff: dict[str, Member]
) -> Iterator[Asker]:
    it = Asker(scene, mailbox, orders, notifications, key, staff)
    yield it
    for table in ("special_requests", "complaints"):
        notifications.rows(f"delete from {table}")


def test_a_request_is_revealed_to_staff_answered_once_and_goes_in_its_time(asker: Asker, everybody: Ear) -> None:
    asker.submit()
    listed = asker.listed()
    assert listed is not None
    assert (listed["state"], listed["is_complaint"], listed["source"]) == ("open", False, SHOP)
    assert asker.canary.in_text(json.dumps(listed)) == []
    before = asker.openings()
    shown = asker.as_staff("GET").json()
    assert {member: shown[member] for member in asker.part} == asker.part
    assert asker.openings() == [*before, (asker.staff["agent"].account, "opened")]
    assert asker.as_staff("POST", "/answer", {"text": ANSWER}).status == 202
    said = everybody.hear("special_request_answered", where=lambda it: it["data"]["request_id"] == asker.request_id)
    assert said["data"] == {"shop": SHOP, "request_id": asker.request_id}
    again = asker.as_staff("POST", "/answer", {"text": "No."})
    assert (again.status, again.json()["title"]) == (409, "request_answered")
    asker.notifications.settled()
    [page] = asker.mails("request_reply")
    for words in (asker.part["name"], "Yes, in gold too.", "It takes two weeks more."):
        assert words in page
    assert asker.part["text"] not in page
    assert asker.stands_in_the_clear() == []
    assert "two weeks" not in asker.scene.texts()
    assert (asker.listed(), asker.row("state")) == (None, "answered")
    assert asker.listed("all") is not None
    # 60 days later text, answer and key are gone; a day before they are not.
    keys = asker.keys()
    asker.notifications.rows("update special_requests set ended_at = now() - interval '59 days'")
    cleared = "select looked_at from retention_clearings where clearing = 'requests'"
    looked = asker.notifications.rows(cleared)
    wait_for(lambda: asker.notifications.rows(cleared) != looked, "another look at what has its time")
    assert (asker.row("state"), asker.keys()) == ("answered", keys)
    asker.notifications.rows("update special_requests set ended_at = now() - interval '61 days'")
    wait_for(lambda: asker.row("state") is None, "the request to go")
    wait_for(lambda: asker.keys() == keys - 1, "its key to go")


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        ("nobody", 401, "token_wrong"),
        ("newcomer", 403, "policy_not_acknowledged"),
        ("officer", 403, "not_granted"),
    ],
)
def test_a_look_at_a_request_by_another_role_or_without_an_acknowledgement_is_refused(
    who: str, status: int, code: str, asker: Asker
) -> None:
    asker.submit()
    before = asker.openings()
    token = asker.staff[who].token if who in asker.staff else "w" * 43
    asks: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("POST", "/answer", {"text": "x"}),
        ("POST", "/complaint", None),
    ]
    for method, path, body in asks:
        reply = asker.notifications.ask(method, f"/requests/{asker.request_id}{path}", body, token=token)
        assert (reply.status, reply.json()["title"]) == (status, code), (method, path)
        assert asker.canary.in_text(reply.body.decode()) == []
    if who != "officer":  # who sees ids, and nobody
        assert asker.notifications.ask("GET", "/requests", token=token).status == status
    assert asker.openings() == before
    assert asker.row("state") == "open"


def test_whoever_has_opened_too_many_opens_no_request_either(asker: Asker) -> None:
    asker.submit()
    account = asker.staff["agent"].account
    fill = "insert into staff_reveals (account, at) select %s, now() from generate_series(1, 1000)"
    asker.notifications.rows(fill, account)
    try:
        for method, path, body in (("GET", "", None), ("POST", "/answer", {"text": "x"})):
            reply = asker.as_staff(method, path, body)
            assert (reply.status, reply.json()["title"]) == (429, "too_many_reveals")
        assert asker.row("state") == "open"
    finally:
        asker.notifications.rows("delete from staff_reveals where account = %s", account)
    assert asker.as_staff("GET").status == 200


def test_the_commands_work_by_a_member_s_name_and_password(asker: Asker, env: Path) -> None:
    def complaints(*words: str, password: str = PASSWORD, says: str = "") -> tuple[int, str]:
        return command("privacy", "complaints", *words, "--password-stdin", env=env, says=f"{password}\n{says}")

    asker.submit()
    assert complaints("open", asker.request_id, "--as", "officer")[0] == 1, "it is customer service that reads requests"
    code, said = complaints("open", asker.request_id, "--as", "agent")
    assert (code, "privacy officer" in said) == (0, True), said
    [case] = asker.cases()
    assert complaints("list", "--as", "officer", password="not the password at all")[0] == 1
    asker.notifications.rows("delete from staff_tries")
    assert complaints("list", "--as", "agent")[0] == 1, "only the owner follows cases"
    code, said = complaints("list", "--as", "officer")
    assert (code, case["case_id"] in said) == (0, True), said
    assert complaints("answer", asker.request_id, "--as", "agent", says=ANSWER)[0] == 0
    asker.notifications.settled()
    [page] = asker.mails("request_reply")
    assert "two weeks" in page
    assert PASSWORD not in page
    assert complaints("close", case["case_id"], "--as", "officer")[0] == 0
    assert complaints("close", "C-none", "--as", "officer")[0] == 1


def test_a_complaint_is_a_case_with_a_clock_an_owner_and_a_word_to_its_person(asker: Asker, everybody: Ear) -> None:
    asker.submit()
    opened = asker.as_staff("POST", "/complaint").json()
    assert asker.as_staff("POST", "/complaint").json() == opened, "a repeat is the same case"
    asker.notifications.settled()
    [case] = asker.cases()
    assert (case["case_id"], case["owner"], case["is_overdue"]) == (opened["case_id"], "privacy_officer", False)
    assert case["acknowledged_at"] is not None
    [page] = asker.mails("complaint_acknowledgement")
    assert opened["case_id"] in page
    assert opened["due_at"][:10] in page
    columns = asker.notifications.rows("select * from complaints where case_id = %s", opened["case_id"])
    assert asker.customer_id not in str(columns)
    # Its time goes by: it is overdue in the list and in the metric until it is answered.
    asker.notifications.rows("update complaints set due_at = now() - interval '1 day'")
    [case] = asker.cases()
    assert case["is_overdue"]
    wait_for(lambda: asker.notifications.metric("brownpaper_complaints", state="overdue") == 1, "the metric")
    asker.as_staff("POST", "/answer", {"text": ANSWER})
    everybody.hear("special_request_answered", where=lambda it: it["data"]["request_id"] == asker.request_id)
    assert asker.cases() == []
    [case] = asker.cases("all")
    assert case["closed_at"] is not None
    assert not case["is_overdue"]
    assert asker.stands_in_the_clear() == []


def test_a_case_can_be_closed_by_its_owner_alone(asker: Asker) -> None:
    asker.submit()
    case = asker.as_staff("POST", "/complaint").json()["case_id"]
    officer, agent = asker.staff["officer"], asker.staff["agent"]
    assert agent.ask("POST", f"/complaints/{case}/close").status == 403
    assert agent.ask("GET", "/complaints").status == 403
    assert officer.ask("POST", "/complaints/C-none/close").status == 404
    for _ in range(2):
        assert officer.ask("POST", f"/complaints/{case}/close").status == 200
    assert asker.cases() == []


def is_of_notifications(it: dict[str, Any], request: str) -> bool:
    return bool(it["data"]["request"] == request and it["source"] == "notifications")


def test_whoever_is_erased_is_gone_with_request_answer_and_case_s_name(asker: Asker, everybody: Ear) -> None:
    asker.submit()
    case = asker.as_staff("POST", "/complaint").json()["case_id"]
    keys = asker.keys()
    erasure = {"shop": SHOP, "customer_id": asker.customer_id, "kind": "erasure", "request": f"e-{asker.request_id}"}
    asker.scene.wire.say("orders", "erasure_ordered", erasure)
    receipt = everybody.hear("request_receipted", where=lambda it: is_of_notifications(it, erasure["request"]))
    told = json.loads(receipt["data"]["signed"]["receipt"])
    assert (told["rows_before"]["special_requests"], told["rows_after"]["special_requests"]) == (1, 0)
    assert (asker.row("state"), asker.keys()) == (None, keys - 1)
    assert asker.as_staff("GET").status == 404
    assert asker.notifications.rows("select request_id from complaints where case_id = %s", case) == [(None,)]
    asker.scene.wire.say(
        "orders",
        "request_entrusted",
        {
            "shop": SHOP,
            "customer_id": asker.customer_id,
            "request_id": "r-again",
            "policy_version": "2013-08-19",
            "request": seal(asker.part, asker.key, bound_to=asker.customer_id),
        },
        exchange="orders.parts",
    )
    asker.notifications.settled()
    assert asker.notifications.rows("select 1 from special_requests where request_id = 'r-again'") == []


def test_a_copy_holds_the_request_its_answer_and_who_looked(asker: Asker, everybody: Ear) -> None:
    asker.submit()
    asker.as_staff("GET")
    asker.as_staff("POST", "/answer", {"text": ANSWER})
    everybody.hear("special_request_answered", where=lambda it: it["data"]["request_id"] == asker.request_id)
    own = PrivateKey.generate()
    reply_key = base64.b64encode(bytes(own.public_key)).decode()
    asked = {"shop": SHOP, "customer_id": asker.customer_id, "kind": "copy", "request": f"c-{asker.request_id}"}
    asker.scene.wire.say("orders", "data_copy_ordered", {**asked, "reply_key": reply_key})
    sealed = everybody.hear("data_piece_sealed", where=lambda it: is_of_notifications(it, asked["request"]))["data"]["piece"]
    piece = json.loads(SealedBox(own).decrypt(base64.b64decode(sealed)))
    shown = [it["data"] for it in piece["parts"] if it["part"] == "request"]
    assert {"for": asker.customer_id, **asker.part} in shown
    assert {"text": ANSWER} in shown
    [row] = piece["rows"]["special_requests"]
    assert (row["request_id"], row["state"]) == (asker.request_id, "answered")
    assert asker.staff["agent"].account in {it["actor"] for it in piece["opened"] if it["purpose"] == "reply"}


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "missing"), ({"text": "  "}, "out_of_range"), ({"text": CARD}, "card_number"), ({"text": "x", "to": "y"}, "missing")],
)
def test_an_answer_that_is_none_is_refused(body: dict[str, Any], code: str, asker: Asker) -> None:
    asker.submit()
    reply = asker.as_staff("POST", "/answer", body)
    assert (reply.status, reply.json()["title"]) == (422, code)
    assert asker.row("state") == "open"


def test_an_id_that_another_person_has_used_is_left_to_a_person(asker: Asker, notifications: Service) -> None:
    asker.submit()
    asker.customer_id = f"m-{secrets.token_hex(4)}"
    asker.submit()
    taken = "select count(*) from held where reason = 'request_id_taken'"
    wait_for(lambda: notifications.rows(taken) == [(1,)], "it to be parked")
    assert len(notifications.rows("select 1 from special_requests where request_id = %s", asker.request_id)) == 1
