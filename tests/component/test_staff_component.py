"""Staff at the doors of the four services: sessions, acknowledgement, cases and reveals, each by the policy's grants and no other."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from shared.staffing.masking import MASK
from tests.component.events import Canary, order_placed
from tests.component.staff_desk import PASSWORD, SERVICES, VERSION, Member, command, env_of, hire, openings
from tests.component.test_shipping_component import SIZE, Parcel
from tests.integration.facts import Reply, everything_in, wait_for
from tests.integration.scene import SHOP, Scene, Service, new_number, seal
from tests.integration.wire import Ear

ROLES = {"warehouse": "packer", "billing_clerk": "clerk", "customer_service": "agent", "privacy_officer": "officer"}
AT = {
    "warehouse": ("shipping",),
    "billing_clerk": ("payments",),
    "customer_service": ("notifications", "orders"),
    "privacy_officer": SERVICES,
}


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def services(scene: Scene, everybody: Ear) -> dict[str, Service]:
    scene.sandbox("carrier")
    scene.configuration.set("SMTP_URL", "smtp://127.0.0.1:9")
    found = {name: scene.service(name, LOG_LEVEL="DEBUG", STAFF_REVEALS_PER_HOUR=_LIMITS) for name in SERVICES}
    for service in found.values():
        service.begin()
    for service in found.values():
        service.start()
    return found


_LIMITS = "billing_clerk=1000,customer_service=1000,warehouse=1000,privacy_officer=1000"


@pytest.fixture(scope="module")
def env(services: dict[str, Service], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = env_of(tmp_path_factory.mktemp("staff"), services)
    for role, name in ROLES.items():
        hire(file, name, role)
    return file


@pytest.fixture(scope="module")
def keys(services: dict[str, Service], everybody: Ear) -> dict[str, dict[str, str]]:
    return {
        name: everybody.hear("intake_key_published", where=lambda it, name=name: it["data"]["service"] == name)["data"]
        for name in ("payments", "shipping", "notifications")
    }


@pytest.fixture
def payments(services: dict[str, Service], env: Path) -> Service:
    assert env
    return services["payments"]


@pytest.fixture
def notifications(services: dict[str, Service], env: Path) -> Service:
    assert env
    return services["notifications"]


@pytest.fixture
def clerk(payments: Service) -> Member:
    return Member(payments, "clerk")


@pytest.fixture
def agent(notifications: Service) -> Member:
    return Member(notifications, "agent")


class Buyer:
    """An order whose billing part stands at payments, for its provider does not answer, and whose contact stands at notifications."""

    def __init__(self, scene: Scene, services: dict[str, Service], keys: dict[str, dict[str, str]]) -> None:
        self.canary, self.number = Canary(), new_number("W")
        data = order_placed(self.number)["data"]
        said = {
            name: data[name] for name in ("placed_at", "currency", "discount", "shipping_price", "tax", "total", "policy_version")
        }
        said |= {"shop": SHOP, "order_number": self.number, "customer_id": f"m-{self.number}", "lines": data["lines"]}
        payment = {"provider": "2checkout", "reference": f"T-{self.number}"}
        contact = seal(self.canary.contact, keys["notifications"], bound_to=self.number)
        billing = seal(self.canary.billing, keys["payments"], bound_to=self.number)
        scene.wire.say("orders", "contact_entrusted", said | {"contact": contact}, exchange="orders.parts")
        scene.wire.say("orders", "billing_entrusted", said | {"payment": payment, "billing": billing}, exchange="orders.parts")
        for service, table in (("payments", "payments"), ("notifications", "contacts")):
            statement = f"select 1 from {table} where order_number = %s"
            wait_for(lambda service=service, statement=statement: services[service].rows(statement, self.number), "the part")


@pytest.fixture
def buyer(scene: Scene, services: dict[str, Service], keys: dict[str, dict[str, str]]) -> Buyer:
    return Buyer(scene, services, keys)


@pytest.fixture
def other(scene: Scene, services: dict[str, Service], keys: dict[str, dict[str, str]]) -> Buyer:
    return Buyer(scene, services, keys)


def reveal(member: Member, number: str, case: str | None, fields: list[str] | None = None) -> Reply:
    path = f"/staff/payments/{number}/billing" if member.service.name == "payments" else f"/staff/contacts/{number}"
    body = {"source": SHOP, "case": case, "fields": fields}
    return member.ask("POST", path, {name: value for name, value in body.items() if value is not None})


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_account_stands_where_the_policy_grants_its_role_something(services: dict[str, Service], env: Path) -> None:
    for role, name in ROLES.items():
        found = {it for it, service in services.items() if service.rows("select 1 from staff_accounts where name = %s", name)}
        assert found == set(AT[role]), role
    code, said = command("staff", "add", "clerk", "--role", "billing_clerk", "--password-stdin", env=env, says=f"{PASSWORD}\n")
    assert (code, "already" in said) == (1, True)
    code, said = command("staff", "add", "someone", "--role", "visitor", "--password-stdin", env=env, says=f"{PASSWORD}\n")
    assert code == 2
    code, said = command("staff", "add", "someone", "--role", "warehouse", "--password-stdin", env=env, says="short\n")
    assert (code, "short" in said) == (2, False)
    assert services["shipping"].rows("select 1 from staff_accounts where name = 'someone'") == []


def test_the_list_and_what_is_due(services: dict[str, Service], env: Path) -> None:
    hire(env, "late.one", "billing_clerk")
    code, said = command("staff", "due", env=env)
    assert (code, "late.one" in said) == (1, True)
    late = Member(services["payments"], "late.one")
    code, said = command("staff", "list", env=env)
    (line,) = [line.split() for line in said.splitlines() if line.startswith("late.one")]
    assert (line[1], line[2:6], code) == (late.account, ["billing_clerk", "payments", "active", "good"], 0)
    assert "argon2" not in said
    code, said = command("staff", "disable", "late.one", env=env)
    assert code == 0
    assert late.ask("GET", "/staff/session").status == 401, "its sessions end"
    again = services["payments"].ask("POST", "/staff/session", {"name": "late.one", "password": PASSWORD})
    assert (again.status, again.codes) == (401, ["name_or_password_wrong"])
    code, said = command("staff", "reset", "late.one", "--password-stdin", env=env, says="another long sentence\n")
    assert code == 0
    assert services["payments"].ask("POST", "/staff/session", {"name": "late.one", "password": PASSWORD}).status == 401
    begun = services["payments"].ask("POST", "/staff/session", {"name": "late.one", "password": "another long sentence"})
    assert begun.status == 201


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_password_and_an_unknown_name_get_one_answer_and_one_pace(services: dict[str, Service], env: Path) -> None:
    hire(env, "slow.one", "billing_clerk")
    payments = services["payments"]
    answers = {}
    for name in ("slow.one", f"nobody.{new_number()}".lower()):
        wrong = {"name": name, "password": "not the one at all"}
        replies = [payments.ask("POST", "/staff/session", wrong) for _ in range(3)]
        # The first wait is a second; the steps of a busy machine are longer.
        payments.rows("update staff_tries set last_at = last_at + interval '1 hour'")
        replies.append(payments.ask("POST", "/staff/session", wrong))
        answers[name] = [(reply.status, reply.body) for reply in replies]
        assert replies[3].headers["Retry-After"]
    known, unknown = answers.values()
    assert known == unknown
    assert [status for status, _ in known] == [401, 401, 401, 429]
    reply = payments.ask("POST", "/staff/session", {"name": "slow.one", "password": PASSWORD})
    assert reply.status == 429, "nobody is heard under that name for a while, whoever they are"
    payments.rows("update staff_tries set last_at = last_at - interval '3 hours'")
    Member(payments, "slow.one")
    assert payments.rows("select 1 from staff_tries") == [(1,)], "a success clears its own name, and no other"


def test_a_session_that_rests_locks_itself_and_wants_the_password(clerk: Member, buyer: Buyer) -> None:
    case = clerk.case(buyer.number)
    clerk.rests(14)
    assert reveal(clerk, buyer.number, case).status == 200
    clerk.rests(14)
    assert clerk.ask("GET", f"/staff/payments/{buyer.number}?source={SHOP}&background=1").status == 200, "it is open still"
    clerk.rests(1)
    for _ in range(2):
        reply = reveal(clerk, buyer.number, case)
        assert (reply.status, reply.codes) == (401, ["session_locked"]), "what ran in the background did not slide it"
    assert clerk.ask("GET", "/staff/session").json()["state"] == "locked"
    wrong = clerk.ask("POST", "/staff/session/unlock", {"password": "not the one at all"})
    assert (wrong.status, wrong.codes) == (401, ["name_or_password_wrong"])
    assert reveal(clerk, buyer.number, case).status == 401
    assert clerk.ask("POST", "/staff/session/unlock", {"password": PASSWORD}).json()["state"] == "open"
    assert reveal(clerk, buyer.number, case).status == 200


def test_a_session_is_locked_by_hand_ends_by_hand_and_ends_by_itself(payments: Service) -> None:
    member = Member(payments, "clerk")
    assert member.ask("POST", "/staff/session/lock").status == 200
    assert member.ask("POST", "/staff/cases", {}).codes == ["session_locked"]
    assert member.ask("POST", "/staff/session/unlock", {"password": PASSWORD}).status == 200
    assert member.ask("DELETE", "/staff/session").status == 200
    assert member.ask("GET", "/staff/session").codes == ["token_wrong"]
    old = Member(payments, "clerk")
    payments.rows("update staff_sessions set begun_at = begun_at - interval '12 hours' where account = %s", old.account)
    assert old.ask("GET", "/staff/session").codes == ["token_wrong"]
    assert old.ask("POST", "/staff/session/unlock", {"password": PASSWORD}).status == 401


# ── acknowledgement ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_is_seen_before_the_policy_in_force_is_acknowledged(payments: Service, env: Path, buyer: Buyer) -> None:
    name = f"new.{new_number()}".lower()
    hire(env, name, "billing_clerk")
    fresh = Member(payments, name, acknowledges=False)
    for reply in (
        fresh.ask("GET", f"/staff/payments/{buyer.number}?source={SHOP}"),
        fresh.ask("POST", "/staff/cases", {"source": SHOP, "order_number": buyer.number, "reason": "refund"}),
    ):
        assert (reply.status, reply.codes) == (403, ["policy_not_acknowledged"])
    other_version = fresh.ask("POST", "/staff/acknowledgement", {"policy_version": "2012-01-01"})
    assert (other_version.status, other_version.codes) == (409, ["policy_version_not_in_force"])
    assert fresh.ask("POST", "/staff/acknowledgement", {"policy_version": VERSION}).status == 200
    case = fresh.case(buyer.number)
    assert reveal(fresh, buyer.number, case).status == 200
    with pytest.raises(Exception, match="never changed"):
        payments.rows("update staff_acknowledgements set acknowledged_at = now()")
    # As if it had been long ago: due is still good, overdue is not; a later version asks everybody anew.
    payments.rows("alter table staff_acknowledgements disable trigger user")
    try:
        for days, status in ((180, 200), (194, 403)):
            payments.rows(
                "update staff_acknowledgements set acknowledged_at = now() - make_interval(days => %s) where account = %s",
                days,
                fresh.account,
            )
            assert reveal(fresh, buyer.number, case).status == status
        assert fresh.ask("GET", "/staff/session").json()["policy_is"] == "overdue"
        payments.rows(
            "update staff_acknowledgements set acknowledged_at = now(), policy_version = '2012-01-01' where account = %s",
            fresh.account,
        )
        assert reveal(fresh, buyer.number, case).codes == ["policy_not_acknowledged"]
    finally:
        payments.rows("alter table staff_acknowledgements enable trigger user")


# ── reveals ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_clerk_sees_amounts_and_under_a_case_who_pays(clerk: Member, buyer: Buyer, other: Buyer) -> None:
    seen = clerk.ask("GET", f"/staff/payments/{buyer.number}?source={SHOP}")
    assert (seen.json()["amount"], seen.json()["currency"], seen.json()["reference"]) == ("187.65", "USD", f"T-{buyer.number}")
    assert set(seen.json()["billing"].values()) == {MASK}
    assert buyer.canary.in_text(seen.body.decode()) == []
    before = openings(clerk.service, clerk.account)
    for case, code in (
        (None, "case_needed"),
        ("case-of-nobody", "case_unknown"),
        (clerk.case(other.number), "case_of_another_order"),
    ):
        refused = reveal(clerk, buyer.number, case)
        assert (refused.status, refused.codes) == (403, [code])
    assert openings(clerk.service, clerk.account) == before, "nothing was opened"
    case = clerk.case(buyer.number, "payment_trouble")
    shown = reveal(clerk, buyer.number, case, ["family_name", "address.city"]).json()["fields"]
    assert shown["family_name"] == buyer.canary.billing["family_name"]
    assert shown["email"] == f"Q{MASK}"
    assert len(buyer.canary.in_text(json.dumps(shown))) == 2
    assert openings(clerk.service, clerk.account) == [*before, ("billing", "billing", "opened")]
    assert reveal(clerk, buyer.number, case).json()["fields"]["email"] == buyer.canary.billing["email"]
    assert reveal(clerk, buyer.number, case, ["family_name", "diary"]).codes == ["not_granted"]
    clerk.service.rows(
        "update staff_cases set opened_at = opened_at - interval '1 hour', expires_at = expires_at - interval '1 hour'"
    )
    assert reveal(clerk, buyer.number, case).codes == ["case_over"]


def test_a_case_is_its_member_s_alone(payments: Service, clerk: Member, env: Path, buyer: Buyer) -> None:
    hire(env, name := f"other.{new_number()}".lower(), "billing_clerk")
    assert reveal(Member(payments, name), buyer.number, clerk.case(buyer.number)).codes == ["case_of_another"]


def test_customer_service_reaches_the_buyer_under_a_case_and_sees_no_bill(agent: Member, buyer: Buyer, payments: Service) -> None:
    masked = agent.ask("GET", f"/staff/contacts/{buyer.number}?source={SHOP}")
    assert set(masked.json()["fields"].values()) == {MASK}
    assert reveal(agent, buyer.number, None).codes == ["case_needed"]
    shown = reveal(agent, buyer.number, agent.case(buyer.number), ["phone"]).json()["fields"]
    assert shown["phone"] == buyer.canary.contact["phone"]
    assert buyer.canary.in_text(json.dumps(shown)) == []
    assert openings(agent.service, agent.account)[-1] == ("order_difficulty", "contact", "opened")
    wrong = payments.ask("POST", "/staff/session", {"name": "agent", "password": PASSWORD})
    assert wrong.status == 401, "no grant names the role there, so it has no account"


def test_what_was_let_go_of_is_not_there_any_more(agent: Member) -> None:
    number = new_number("gone")
    reply = reveal(agent, number, agent.case(number))
    assert (reply.status, reply.codes) == (404, ["part_not_kept"])


def test_a_role_that_nobody_granted_it_is_refused_at_every_door(services: dict[str, Service], env: Path, buyer: Buyer) -> None:
    for role, (service, door) in itertools.product(ROLES, DOORS):
        if service not in AT[role]:
            continue
        method, path, body, roles = DOORS[service, door]
        reply = Member(services[service], ROLES[role]).ask(method, path.format(number=buyer.number, shop=SHOP), body)
        assert (reply.codes == ["not_granted"] if reply.status >= 400 else False) is (role not in roles), (
            role,
            door,
            reply.status,
        )


DOORS: dict[tuple[str, str], tuple[str, str, object, set[str]]] = {
    ("orders", "order"): ("GET", "/orders/{number}?source={shop}", None, {"customer_service", "privacy_officer"}),
    ("orders", "requests"): ("GET", "/requests", None, {"privacy_officer"}),
    ("orders", "certificate"): ("GET", "/certificates/r-1", None, {"privacy_officer"}),
    ("orders", "hold"): ("POST", "/holds", {}, {"privacy_officer"}),
    ("orders", "holds"): ("GET", "/holds", None, {"privacy_officer"}),
    ("orders", "preferences"): ("POST", "/staff/preferences", {"source": SHOP, "customer_id": "c"}, {"privacy_officer"}),
    ("payments", "payment"): ("GET", "/staff/payments/{number}?source={shop}", None, {"billing_clerk"}),
    ("payments", "billing"): ("POST", "/staff/payments/{number}/billing", {"source": SHOP, "case": "case-x"}, {"billing_clerk"}),
    ("notifications", "reveal"): ("POST", "/staff/contacts/{number}", {"source": SHOP, "case": "case-x"}, {"customer_service"}),
    ("notifications", "contact"): (
        "GET",
        "/staff/contacts/{number}?source={shop}",
        None,
        {"customer_service", "privacy_officer"},
    ),
    ("notifications", "case"): (
        "POST",
        "/staff/cases",
        {"source": SHOP, "order_number": "x", "reason": "refund"},
        {"customer_service"},
    ),
    ("shipping", "work"): ("GET", "/work?state=to_pick", None, {"warehouse"}),
    ("shipping", "picked"): ("POST", "/picked", {"pick_list": "PL-AAAAAAAAAAAA"}, {"warehouse"}),
    ("shipping", "packed"): ("POST", "/packed", {"pick_list": "PL-AAAAAAAAAAAA"}, {"warehouse"}),
    ("shipping", "handed over"): ("POST", "/handed_over", {"parcel": "PC-AAAAAAAAAAAA-1"}, {"warehouse"}),
    ("shipping", "pick list"): ("GET", "/pick_lists/PL-AAAAAAAAAAAA.pdf", None, {"warehouse"}),
    ("shipping", "texts"): ("GET", "/pick_lists/PL-AAAAAAAAAAAA/texts", None, {"warehouse"}),
    ("shipping", "label"): ("GET", "/labels/PC-AAAAAAAAAAAA-1.pdf", None, {"warehouse"}),
    ("shipping", "release"): ("POST", "/staff/releases/release-x/approval", {}, {"privacy_officer"}),
}


@pytest.mark.parametrize(("service", "door"), DOORS)
def test_nobody_without_a_session_is_let_in(services: dict[str, Service], service: str, door: str) -> None:
    method, path, body, _ = DOORS[service, door]
    for token in (None, "", "x" * 43, services["shipping"].environment["STAFF_TOKEN"] + "x"):
        reply = services[service].ask(method, path.format(number="A-1", shop=SHOP), body, token=token)
        assert (reply.status, reply.codes, reply.headers["Cache-Control"]) == (401, ["token_wrong"], "no-store")


BY_NAME_ONLY = [
    ("orders", "requests"),
    ("orders", "certificate"),
    ("orders", "hold"),
    ("orders", "holds"),
    ("shipping", "label"),
    ("shipping", "texts"),
]


@pytest.mark.parametrize(("service", "door"), BY_NAME_ONLY)
def test_no_shared_token_opens_what_shows_a_person_or_acts_on_one(services: dict[str, Service], service: str, door: str) -> None:
    method, path, body, _ = DOORS[service, door]
    reply = services[service].ask(method, path, body, token=services[service].environment["STAFF_TOKEN"])
    assert (reply.status, reply.codes) == (401, ["token_wrong"])


# ── the warehouse, the limit, and what is written down ───────────────────────────────────────────────────────────────────────


def test_a_packer_prints_a_label_under_their_own_account(
    scene: Scene, services: dict[str, Service], everybody: Ear, keys: dict[str, dict[str, str]], env: Path
) -> None:
    assert env
    parcel = Parcel(scene, services["shipping"], everybody, keys["shipping"])
    parcel.labelled()
    packer = Member(services["shipping"], ROLES["warehouse"])
    assert packer.ask("GET", f"/pick_lists/{parcel.pick_list}.pdf").body.startswith(b"%PDF")
    assert packer.ask("GET", f"/labels/{parcel.parcel}.pdf").body.startswith(b"%PDF")
    assert openings(services["shipping"], packer.account) == [("fill_order", "recipient", "opened")]
    assert parcel.staff("GET", f"/labels/{parcel.parcel}.pdf").status == 401, "the machine is nobody of the staff"
    assert openings(services["shipping"], "warehouse") == []
    assert parcel.staff("GET", f"/pick_lists/{parcel.pick_list}.pdf").status == 200, "what names nobody it may print"
    for unknown in ("PC-AAAAAAAAAAAA-1", "%00"):
        assert packer.ask("GET", f"/labels/{unknown}.pdf").status == 404


def test_a_packer_reads_what_is_engraved_while_packing_and_nothing_else_of_the_recipient(
    scene: Scene, services: dict[str, Service], everybody: Ear, keys: dict[str, dict[str, str]], env: Path
) -> None:
    assert env
    hire(env, name := f"packer.{new_number()}".lower(), "warehouse")
    packer = Member(services["shipping"], name)
    parcel = Parcel(scene, services["shipping"], everybody, keys["shipping"])
    parcel.to_pick()
    path = f"/pick_lists/{parcel.pick_list}/texts"
    assert packer.ask("GET", path).codes == ["pick_list_not_to_pack"], "it is sealed until packing"
    assert parcel.do("picked").status == 200
    shown = packer.ask("GET", path)
    assert shown.status == 200
    assert shown.json() == {
        "pick_list": parcel.pick_list,
        "personalisation": [{"line": 1, "text": parcel.canary.recipient["personalisation"][0]["text"]}],
        "gift_message": parcel.canary.recipient["gift_message"],
    }
    assert openings(services["shipping"], packer.account) == [("fill_order", "recipient", "opened")]
    assert parcel.do("packed", **SIZE).status == 200
    assert packer.ask("GET", path).status == 404, "it is packed"
    assert len(openings(services["shipping"], packer.account)) == 1


def test_the_officer_sees_what_a_person_chose_and_asked_for(services: dict[str, Service], env: Path) -> None:
    assert env
    customer = f"m-{new_number()}"
    services["orders"].rows(
        "insert into preference_changes values (%s, %s, 'r', now(), %s, 'service_only', null)", SHOP, customer, VERSION
    )
    officer = Member(services["orders"], ROLES["privacy_officer"])
    chosen = officer.ask("POST", "/staff/preferences", {"source": SHOP, "customer_id": customer}).json()["items"]
    assert [(it["communication"], it["policy_version"]) for it in chosen] == [("service_only", VERSION)]
    assert officer.ask("GET", "/requests").status == 200


def test_a_member_has_only_so_much_opened_in_an_hour(scene: Scene, services: dict[str, Service], env: Path, buyer: Buyer) -> None:
    """The same database under a tighter limit: what others had opened does not count, and an hour later it is open again."""
    hire(env, name := f"busy.{new_number()}".lower(), "customer_service")
    services["notifications"].stop()
    services["notifications"].environment["STAFF_REVEALS_PER_HOUR"] = "customer_service=2"
    services["notifications"].start()
    try:
        member = Member(services["notifications"], name)
        case = member.case(buyer.number)
        assert [reveal(member, buyer.number, case).status for _ in range(3)] == [200, 200, 429]
        refused = reveal(member, buyer.number, case)
        assert (refused.codes, int(refused.headers["Retry-After"]) > 0) == (["too_many_reveals"], True)
        assert len(openings(services["notifications"], member.account)) == 2
        other = Member(services["notifications"], ROLES["customer_service"])
        services["notifications"].rows("update staff_reveals set at = at - interval '1 hour' where account = %s", other.account)
        assert reveal(other, buyer.number, other.case(buyer.number)).status == 200
        services["notifications"].rows("update staff_reveals set at = at - interval '1 hour' where account = %s", member.account)
        assert reveal(member, buyer.number, case).status == 200
    finally:
        services["notifications"].stop()
        services["notifications"].environment["STAFF_REVEALS_PER_HOUR"] = _LIMITS
        services["notifications"].start()


def test_no_password_no_token_and_nobody_s_datum_is_written_anywhere(
    services: dict[str, Service], clerk: Member, agent: Member, buyer: Buyer
) -> None:
    for member in (clerk, agent):
        assert reveal(member, buyer.number, member.case(buyer.number)).status == 200
        member.service.ask("POST", "/staff/session", {"name": member.name, "password": "a wrong one, said aloud"})
        member.service.ask("POST", "/staff/session", {"name": member.name, "password": [PASSWORD], "more": member.token})
    texts = {name: service.log() for name, service in services.items()}
    texts |= {f"{name}'s tables": everything_in(service.database_url) for name, service in services.items()}
    for where, text in texts.items():
        for secret in (PASSWORD, "a wrong one, said aloud", clerk.token, agent.token):
            assert secret not in text, where
        assert buyer.canary.in_text(text) == [], where
    for member in (clerk, agent):
        record = everything_in(member.service.environment["KEYRING_DATABASE_URL"])
        assert member.account in record
        assert member.name not in record
