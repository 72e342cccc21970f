"""A new policy version through the real services: who is told, once; what is used before a yes and after it; letters to many."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.policy import POLICY_FILE, load
from tests.component.events import Canary, envelope, order_placed
from tests.integration.facts import ask, rows, wait_for
from tests.integration.scene import ROOT, SHOP, UNHURRIED, Sandbox, Scene, Service, new_number, seal
from tests.integration.wire import Ear, event

NEXT = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
TEXT = POLICY_FILE.read_text("utf-8").replace('version: "2013-08-19"', f'version: "{NEXT}"')
HOLD = """
  contact-to-improve:
    {service: notifications, part: contact, fields: [name, email, language], purpose: improve, opens: true, clauses: [21], checks: [new-use],
     retention: {after: [shipment_delivered, order_cancelled], days: 60, action: destroy_keys_and_rows, addendum: A-01}}"""
WIDER = TEXT.replace("\nholds:", f"\nholds:{HOLD}")


class Shop:
    """Orders and notifications with a mailbox; the test plays the storefront's and orders' words about persons."""

    def __init__(self, scene: Scene, folder: Path, env: Path) -> None:
        self.scene, self.folder, self.env = scene, folder, env
        self.mailbox: Sandbox = scene.sandbox("mailbox")
        self.everybody: Ear = scene.ear()
        self.orders: Service = scene.service("orders", ANNOUNCEMENTS_PER_30_DAYS="1")
        links = {"POLICY_CHOICE_URL": "https://shop.example/choice", "MAIL_PREFERENCES_URL": "https://shop.example/mail"}
        self.notifications: Service = scene.service(
            "notifications",
            POLICY_FOLDER=str(folder),
            CAMPAIGN_BATCH="2",
            CAMPAIGN_SECONDS="0",
            SMTP_TIMEOUT_SECONDS="15",
            **UNHURRIED,
            **links,
        )
        self.orders.start()
        self.notifications.start()
        heard = self.everybody.hear("intake_key_published", where=lambda it: it["source"] == "notifications")
        self.key: dict[str, str] = heard["data"]
        told = {
            "ORDERS_HTTP_URL": self.orders.url,
            "STAFF_TOKEN": self.orders.environment["STAFF_TOKEN"],
            "ORDERS_DATABASE_URL": self.orders.database_url,
            "NOTIFICATIONS_DATABASE_URL": self.notifications.database_url,
        }
        env.write_text("".join(f"{name}={value}\n" for name, value in told.items()))

    def command(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "shared.cli.main", *words, "--env", str(self.env)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def mails(self, kind: str) -> list[tuple[str, str]]:
        """(Message-ID, page) of the mails of this kind."""
        found = self.mailbox.books()["mails"]
        return [
            (name, ask("GET", f"{self.mailbox.url}/_sandbox/mails/{it['number']}").body.decode())
            for name, it in found.items()
            if it["kind"] == kind
        ]

    def letters(self, campaign: str) -> dict[str, tuple[str, str | None]]:
        statement = "select customer_id, state, reason from campaign_letters where campaign = %s"
        return {customer: (state, reason) for customer, state, reason in self.notifications.rows(statement, campaign)}

    def until_ended(self, campaign: str, number: int) -> dict[str, tuple[str, str | None]]:
        """The letters of a campaign when nothing is on its way any more."""
        return wait_for(
            lambda: (
                (it := self.letters(campaign))
                and len(it) >= number
                and all(state != "sending" for state, _ in it.values())
                and it
            ),
            f"{number} letters of {campaign} to have an end",
        )


class Person:
    """Somebody with one order, whose contact notifications keeps."""

    def __init__(self, shop: Shop, collected_under: str = load().version) -> None:
        self.shop, self.customer_id, self.canary = shop, f"m-{uuid.uuid4().hex[:10]}", Canary()
        self.number = new_number("P")
        data = order_placed(self.number)["data"]
        lines = [{name: line[name] for name in ("line", "title", "quantity", "unit_price")} for line in data["lines"]]
        told = {name: data[name] for name in ("placed_at", "currency", "discount", "shipping_price", "tax", "total")}
        contact = seal(self.canary.contact, shop.key, bound_to=self.number)
        about = {"shop": SHOP, "order_number": self.number, "customer_id": self.customer_id, "policy_version": collected_under}
        self._say("contact_entrusted", {**about, **told, "lines": lines, "contact": contact}, exchange="orders.parts")
        _order(shop.orders, self.number, self.customer_id, collected_under)
        wait_for(lambda: shop.notifications.rows("select 1 from contacts where order_number = %s", self.number), "the contact")

    def _say(self, kind: str, data: dict[str, Any], exchange: str = "orders.events") -> None:
        self.shop.scene.wire.publish(exchange, kind, event("orders", kind, data))

    def _asks(self, kind: str, request_kind: str, **more: Any) -> None:
        request = f"r-{uuid.uuid4().hex[:8]}"
        named = {"shop": SHOP, "customer_id": self.customer_id, "kind": request_kind, "request": request}
        self._say(kind, {**named, **more})
        self.shop.everybody.hear("request_receipted", where=lambda it: it["data"]["request"] == request)

    def leaves(self) -> None:
        self._asks("person_deactivated", "deactivation")

    def says(self, **chosen: str) -> None:
        """A choice, known to the service and its keyring when this returns."""
        told = {"chosen_at": datetime.now(UTC).isoformat(), "policy_version": load().version, **chosen}
        self._asks("preferences_noted", "preferences", **told)


def _order(orders: Service, number: str, customer_id: str, policy_version: str) -> None:
    """An order that orders knows."""
    orders.rows(
        """
        insert into orders (shop, order_number, event_id, customer_id, policy_version, data_digest, placed_at, state, reasons, facts)
        values (%s, %s, %s, %s, %s, 'd', now(), 'completed', '[]', '{}')
        """,
        *(SHOP, number, number, customer_id, policy_version),
    )


@pytest.fixture(scope="module")
def shop(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("versions")
    (folder / f"{NEXT}.yaml").write_text(WIDER, "utf-8")
    return Shop(scene, folder, tmp_path_factory.mktemp("env") / "env")


@pytest.fixture(scope="module")
def people(shop: Shop) -> dict[str, Person]:
    """Persons who have said what their names say; most have said nothing."""
    found = {name: Person(shop) for name in ("silent", "deactivated", "none", "service_only", "all", "late")}
    found["newcomer"] = Person(shop, NEXT)
    for customer in ("m-gone-1", "m-gone-2"):  # of them no contact is kept any more
        _order(shop.orders, new_number("G"), customer, load().version)
    found["deactivated"].leaves()
    for name in ("none", "service_only", "all"):
        found[name].says(communication=name)
    return found


def opening(shop: Shop, person: Person, purpose: str) -> str:
    """How notifications' own vault ends a wish to open the person's contact once the version counts: a program like it, on its keyring."""
    told = shop.notifications.environment
    row = shop.notifications.rows("select contact::text from contacts where order_number = %s", person.number)[0][0]
    code = """
import os, sys, json
os.environ["PSYCOPG_WAIT_FUNC"] = "wait_selector"
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shared.custody.envelopes import Envelope, PartName
from shared.custody.master import FileMaster
from shared.custody.permits import PolicyPermits
from shared.custody.vault import Opened, Opening, Vault
from shared.database import Database
from shared.policy import load_versions
url, master, folder, shop, customer, number, purpose = sys.argv[1:]
permits = PolicyPermits(load_versions(Path(folder)))
vault = Vault("notifications", Database(url, name="test"), FileMaster.read(Path(master)), permits)
wish = Opening(PartName(shop, customer, number, "contact"), Envelope.of_json(json.loads(sys.stdin.read())))
result = vault.open([wish], purpose=purpose, at=datetime.now(UTC) + timedelta(days=3))[0]
print("opened" if isinstance(result, Opened) else result.code)
"""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c", code, told["KEYRING_DATABASE_URL"], told["KEYRING_MASTER_KEY_FILE"]),
            *(str(shop.folder), SHOP, person.customer_id, person.number, purpose),
        ],
        cwd=ROOT,
        input=row,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_a_widening_is_told_once_to_whoever_may_be_told_and_waits_for_a_yes(
    shop: Shop, people: dict[str, Person], tmp_path: Path
) -> None:
    file = tmp_path / f"{NEXT}.yaml"
    file.write_text(WIDER, "utf-8")
    # It dies while letters are on their way: handed over and not written down.
    shop.notifications.stop()
    shop.notifications.environment["DIE_AT"] = "call_answered"
    shop.notifications.begin()
    code, said = shop.command("privacy", "publish", str(file), "--by", "officer.1")
    assert (code, "they are asked by mail:" in said) == (0, True), said
    wait_for(lambda: shop.notifications.program.pid is None, "the service to die in the middle")
    del shop.notifications.environment["DIE_AT"]
    shop.notifications.start()
    assert shop.command("privacy", "publish", str(file), "--by", "officer.1")[0] == 0, "again is the same"
    ended = shop.until_ended(f"policy_change {NEXT}", len(people) - 1)
    assert {name: ended.get(person.customer_id) for name, person in people.items()} == {
        "newcomer": None,  # all of theirs came under the new version
        "silent": ("sent", None),
        "late": ("sent", None),
        "all": ("sent", None),
        "service_only": ("sent", None),
        "none": ("withheld", "no_communication"),
        "deactivated": ("withheld", "person_deactivated"),
    }
    mails = shop.mails("policy_change")
    assert len(mails) == 4, "one for each who may be told, though it died in between"
    for name, person in people.items():
        assert sum(person.canary.contact["name"] in page for _, page in mails) == (
            name in ("silent", "late", "all", "service_only")
        ), name
    assert all("Count what sells, by department and month." in page for _, page in mails)
    assert all("https://shop.example/choice" in page and "that is a no" in page for _, page in mails)
    # The new use: nobody who was silent, said no, left or refuses all; whoever said yes, until the no.
    assert opening(shop, people["silent"], "improve") == "new_use_not_allowed"
    assert opening(shop, people["deactivated"], "improve") == "person_deactivated"
    people["all"].says(policy_choice="disallow", policy_version=NEXT)
    assert opening(shop, people["all"], "improve") == "new_use_not_allowed"
    people["all"].says(policy_choice="allow", policy_version=NEXT)
    assert opening(shop, people["all"], "improve") == "opened"
    assert opening(shop, people["all"], "order_news") == "opened"
    people["none"].says(policy_choice="allow", policy_version=NEXT)
    assert opening(shop, people["none"], "improve") == "new_use_not_allowed", "whoever refuses all mail is not used either"
    people["deactivated"].says(policy_choice="allow", policy_version=NEXT)
    assert opening(shop, people["deactivated"], "improve") == "person_deactivated"
    people["all"].says(communication="none")
    assert opening(shop, people["all"], "improve") == "new_use_not_allowed"
    people["all"].says(communication="all")
    assert opening(shop, people["all"], "improve") == "new_use_not_allowed", "and says yes anew"
    code, said = shop.command("privacy", "campaigns")
    assert code == 0
    assert f"policy_change {NEXT}: begun" in said
    assert "  sent: 4\n  withheld (no_communication): 1\n  withheld (person_deactivated): 1\n" in said
    assert "could not be asked (no contact is kept): 2" in said
    endings = "select count(*) from openings where purpose = 'policy_news' and ending = 'opened'"
    assert rows(shop.notifications.environment["KEYRING_DATABASE_URL"], endings)[0][0] >= 4
    shop.notifications.settled()
    texts = shop.scene.texts() + shop.notifications.log() + shop.orders.log()
    assert [word for person in people.values() for word in person.canary.in_text(texts)] == []


def test_the_storefront_may_answer_for_a_published_version_and_no_other(shop: Shop, people: dict[str, Person]) -> None:
    """Through orders' own door: the choice reaches the keyring of whoever may open something."""
    person = people["service_only"]
    for version, status in ((NEXT, 202), ("2997-01-01", 422)):
        data = {"customer_id": person.customer_id, "policy_choice": "allow", "policy_version": version}
        reply = shop.orders.ask(
            "POST", "/events", envelope("preferences_changed", data), token=shop.orders.environment["STOREFRONT_TOKEN"]
        )
        assert reply.status == status, reply.body
    wait_for(lambda: opening(shop, person, "improve") == "opened", "the answer to count")


def test_what_was_not_published_soundly_is_refused_and_shown_to_nobody(
    shop: Shop, people: dict[str, Person], tmp_path: Path
) -> None:
    before = shop.orders.ask("GET", "/policy").json()
    file = tmp_path / "next.yaml"
    for text, exit_code, words in [
        (TEXT.replace(NEXT, "2012-01-01"), 1, "must come after"),
        (TEXT.replace(NEXT, "next"), 1, "must be a day"),
        (WIDER.replace(NEXT, "2999-01-01"), 1, "Nothing but the date differs"),
        (TEXT.replace(NEXT, "2999-01-01").replace("purpose: route_order", "purpose: nothing_known"), 2, "policy_unsound"),
    ]:
        file.write_text(text, "utf-8")
        code, said = shop.command("privacy", "publish", str(file), "--by", "officer.1")
        assert (code, words in said) == (exit_code, True), said
    assert shop.orders.ask("POST", "/policy", {"policy": TEXT, "by": "officer.1"}).status == 401
    assert shop.orders.ask("GET", "/policy").json() == before


def test_an_opt_out_between_taking_up_and_sending_stops_the_letter(shop: Shop, people: dict[str, Person]) -> None:
    late = people["late"]
    paused = "update campaigns set due_at = now() + interval '1 hour' where done_at is null"
    shop.notifications.rows(paused)
    campaign, letter = f"newsletter {uuid.uuid4().hex}", uuid.uuid4()
    late.says(communication="all")
    shop.notifications.stop()
    shop.notifications.rows(
        """
        with begun as (
            insert into campaigns (campaign, kind, told, until, begun_at, pass_begun_at, due_at, done_at)
            values (%s, 'newsletter', '{"subject": "S", "text": "T"}', now(), now(), now(), now(), now())
        ) select 1
        """,
        campaign,
    )
    shop.notifications.rows(
        """
        insert into campaign_letters (campaign, shop, customer_id, order_number, letter, state, changed_at)
        values (%s, %s, %s, %s, %s, 'sending', now())
        """,
        *(campaign, SHOP, late.customer_id, late.number, letter),
    )
    shop.notifications.rows(
        """
        insert into intents (id, kind, shop, order_number, key, details, tries, leased_until, created_at)
        values (gen_random_uuid(), 'send_letter', %s, %s, %s,
            jsonb_build_object('kind', 'newsletter', 'campaign', %s::text, 'customer_id', %s::text, 'letter', %s::text), 0,
            now() + interval '3 seconds', now())
        """,
        *(SHOP, late.number, campaign, campaign, late.customer_id, str(letter)),
    )
    shop.notifications.rows(
        """
        insert into preference_changes (shop, customer_id, request, chosen_at, policy_version, communication)
        values (%s, %s, 'between', now(), '2013-08-19', 'service_only')
        """,
        *(SHOP, late.customer_id),
    )
    shop.notifications.start()
    assert shop.until_ended(campaign, 1) == {late.customer_id: ("withheld", "no_mailings")}
    assert shop.mails("newsletter") == []


def test_a_newsletter_reaches_whoever_asked_and_shows_the_way_out(shop: Shop, people: dict[str, Person], tmp_path: Path) -> None:
    file = tmp_path / "letter"
    file.write_text("Subject: New rings\n\nThere are new rings.\n", "utf-8")
    code, said = shop.command("announce", str(file), "--kind", "newsletter", "--by", "crew.1")
    assert code == 0, said
    ended = shop.until_ended(f"newsletter {said.split()[2]}", len(people))
    assert [name for name, person in people.items() if ended[person.customer_id][0] == "sent"] == ["all"]
    assert {ended[people[name].customer_id][1] for name in ("silent",)} == {"not_asked_for"}
    (mail,) = shop.mails("newsletter")
    assert people["all"].canary.contact["name"] in mail[1]
    assert "https://shop.example/mail" in mail[1]
    assert shop.command("announce", str(file), "--kind", "newsletter", "--by", "crew.2")[0] == 0, "the same letter again is none"
    shop.notifications.settled()
    assert len(shop.mails("newsletter")) == 1


def test_an_announcement_reaches_members_who_opted_out_of_mailings_and_is_rare(
    shop: Shop, people: dict[str, Person], tmp_path: Path
) -> None:
    file = tmp_path / "letter"
    file.write_text("Subject: The shop moves\n\nFrom Monday on.\n", "utf-8")
    code, said = shop.command("announce", str(file), "--kind", "announcement", "--by", "crew.1")
    assert code == 0, said
    ended = shop.until_ended(f"announcement {said.split()[2]}", len(people))
    told = [name for name, person in people.items() if ended[person.customer_id][0] == "sent"]
    assert told == ["silent", "service_only", "all", "late", "newcomer"]
    file.write_text("Subject: The shop moves again\n\nFrom Tuesday on.\n", "utf-8")
    code, said = shop.command("announce", str(file), "--kind", "announcement", "--by", "crew.1")
    assert (code, "a second one of the staff" in said) == (1, True)
    assert shop.command("announce", str(file), "--kind", "announcement", "--by", "crew.1", "--by", "crew.1")[0] == 1
    assert shop.command("announce", str(file), "--kind", "announcement", "--by", "crew.1", "--by", "crew.2")[0] == 0
    file.write_text("No subject\n", "utf-8")
    assert shop.command("announce", str(file), "--kind", "newsletter", "--by", "crew.1")[0] == 2


def test_a_material_change_is_shown_to_everybody_and_mailed_to_whoever_wants_mail(
    shop: Shop, people: dict[str, Person], tmp_path: Path
) -> None:
    file = tmp_path / "worded.yaml"
    file.write_text(WIDER.replace(NEXT, "2998-01-01").replace("Data is encrypted.", "All data is encrypted."), "utf-8")
    code, said = shop.command("privacy", "publish", str(file), "--by", "officer.1", "--mail-notice")
    assert (code, "Nobody need be asked" in said) == (0, True), said
    shown = shop.orders.ask("GET", "/policy").json()
    assert shown["version"] == load().version, "those that are coming are not in force"
    assert [it["version"] for it in shown["published"]] == ["2998-01-01", NEXT]
    notice = shown["notices"][0]
    assert (notice["version"], notice["widened"]) == ("2998-01-01", [])
    assert datetime.fromisoformat(notice["published_at"]) <= datetime.now(UTC)
    assert "Said in other words (clauses 42): All data is encrypted." in notice["noticed"]
    ended = shop.until_ended("policy_notice 2998-01-01", len(people))
    assert [name for name, person in people.items() if ended[person.customer_id][0] == "sent"] == ["all"]
    assert len(shop.mails("policy_notice")) == 1
    assert shop.letters("policy_change 2998-01-01") == {}


def test_an_order_s_mails_pass_the_gate_too(shop: Shop) -> None:
    """Whoever refuses everything gets what an open order needs, its end, and nothing about it afterwards."""
    person = Person(shop)
    person.says(communication="none")
    about = {"shop": SHOP, "order_number": person.number}
    states = "select mails from correspondences where order_number = %s"

    def becomes(mails: dict[str, str]) -> None:
        wait_for(lambda: shop.notifications.rows(states, person.number) == [(mails,)], f"the mails to be {mails}")

    parcel = {"parcel": "PC-1", "carrier": "ups", "tracking_number": "1Z9", "tracking_url": "https://ups.example/1Z9"}
    shop.scene.wire.say("shipping", "shipment_dispatched", {**about, **parcel})
    becomes({"shipment": "sent"})
    shop.scene.wire.say("shipping", "shipment_delivered", {**about, "parcel": "PC-1"})
    becomes({"shipment": "sent", "delivery": "sent"})
    shop.scene.wire.say("payments", "payment_authorised", {**about, "currency": "USD", "amount": "187.65"})
    becomes({"shipment": "sent", "delivery": "sent", "order_confirmation": "withheld"})
    assert [it["kind"] for it in shop.mailbox.books()["mails"].values() if it["order"] == person.number] == [
        "shipment",
        "delivery",
    ]


def test_who_was_erased_is_in_no_campaign(shop: Shop, people: dict[str, Person]) -> None:
    person, keyring = people["service_only"], shop.notifications.environment["KEYRING_DATABASE_URL"]
    before = rows(keyring, "select count(*) from choices")[0][0]
    shop.notifications.rows(
        "update campaigns set cursor_shop = %s, cursor_customer = %s, due_at = now() + interval '1 hour' where done_at is null",
        *(SHOP, person.customer_id),
    )
    person._asks("erasure_ordered", "erasure")
    statement = "select count(*) from campaign_letters where customer_id = %s"
    assert shop.notifications.rows(statement, person.customer_id) == [(0,)]
    assert person.customer_id not in str(shop.notifications.rows("select * from campaigns"))
    assert rows(keyring, "select count(*) from choices") == [(before - 2,)], "both of theirs are gone, the others' stay"
