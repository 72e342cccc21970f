"""The main job with faults on the way: orders by both doors, hostile messages, deaths, refusals, silence, a database that refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import amqp
import kombu
import psycopg

from deploy.local.configuration import SERVICES
from shared.cli.crew import Crew
from shared.cli.doors import Door
from shared.cli.settings import Settings
from shared.cli.terminal import NotDone
from shared.delivery.topology import QUEUES
from tests.integration.facts import rows, wait_for
from tests.proof import hostile, planting
from tests.proof.cast import SOUND_OVER_AMQP, SOUND_OVER_HTTPS, Cast
from tests.proof.keyholes import Keys
from tests.proof.member import Member
from tests.proof.people import Person
from tests.proof.stage import Stage, in_background
from tests.proof.storefront import Storefront

_LEFT_TO_DO = """
    select (select count(*) from outbox) + (select count(*) from intents where parked is null)
        + (select count(*) from held where state = 'later' and reason <> 'tracking_number_unknown')
"""
"""A stranger's scan is of no parcel, and its ladder is longer than the proof."""
DEATHS = {"orders": "committed:3", "shipping": "call_answered:2", "notifications": "outcome_submitted:2"}
"""Who is killed at which step of its work (`shared/delivery/steps.py`), each while orders are on their way."""


_FAILURES = {"paypal": {"503"}, "twocheckout": {"500", "502", "400"}, "carrier": {"500", "400"}}
_SILENT = ("carrier", "mailbox", "twocheckout")


@dataclass
class Played:
    """What was seen while it was played: what stood in queues, and which faults came about, which keys came and went."""

    queued: list[bytes] = field(default_factory=list)
    faults: dict[str, object] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)


class Play:
    """One run of the job. Raises AssertionError where something did not come as it must: then nothing is proved."""

    def __init__(self, stage: Stage, cast: Cast, shop: Storefront, say: Callable[[str], None]) -> None:
        self._stage, self._cast, self._shop, self._say = stage, cast, shop, say
        self.played = Played()
        self._deaths = dict(list(DEATHS.items())[1:2]) if cast.is_small else DEATHS

    def run(self) -> Played:
        with self._crew_at_work():
            self._say("Orders over AMQP, into deaths; a provider that fails, and one that is silent.")
            self._make_parties_fail()
            self._orders_into_deaths()
            self._say("Orders over HTTPS; what the outside parties refuse; a database that refuses.")
            for name in SOUND_OVER_HTTPS:
                self._place_in_the_clear(self._cast[name], billing=name == "dropped-billing")
            # What a party refuses is meant for one order: no other may be on its way.
            self._everything_ends(SOUND_OVER_AMQP + SOUND_OVER_HTTPS)
            self._refused_by_parties()
            self._refused_by_the_database()
            self._say("Hostile messages, by every way in.")
            self._hostile()
            self._requests()
            self._say("Waiting for every order's end.")
            self._everything_ends(("database-error", "refused-by-the-mailbox"))
            self._note_failures()
        return self.played

    # ── what goes well ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _orders_into_deaths(self) -> None:
        """Shipping and notifications are away while orders come; who comes back is killed, and comes back again."""
        stage = self._stage
        stage.end_services("shipping", "notifications")
        if "orders" in self._deaths:
            stage.end_services("orders")
            stage.begin("orders", die_at=self._deaths["orders"])
            stage.await_ready("orders")
        for name in SOUND_OVER_AMQP:
            self._shop.place(self._cast[name], over="amqp")
        if "orders" in self._deaths:
            self._await_death("orders")
        for name in SOUND_OVER_AMQP:
            self._shop.hear_of("order_accepted", self._cast[name])
        hostile.give_up_on(stage, self._cast["dead-letter"], self._shop)
        self.look_into_queues()
        for service in ("shipping", "notifications"):
            stage.begin(service, die_at=self._deaths.get(service, ""))
        for service in ("shipping", "notifications"):
            if service in self._deaths:
                self._await_death(service)

    def _await_death(self, service: str) -> None:
        wait_for(lambda: self._stage.was_killed(service), f"{service} to die at {self._deaths[service]}")
        self.played.faults[f"{service} killed at {self._deaths[service]}"] = True
        self._stage.begin(service)
        self._stage.await_ready(service)

    def _place_in_the_clear(self, person: Person, *, billing: bool = False) -> None:
        more: dict[str, Any] = {"billing": person.parts["billing"]} if billing else {}
        self._shop.place(person, over="https", is_sealed=False, **more)

    def _requests(self) -> None:
        """What a member may ask besides an order: a friend is written to, and a member of staff answers a request."""
        shop, url = self._shop, self._stage.database("notifications")
        people = [person for person in self._cast.people.values() if person.uses >= {"friend", "request"}]
        with self._keys_watched():
            for person in people:
                item = {"title": "A ring", "url": "https://www.astrojewelry.com/ring"}
                shop.tell(person, "friend_referred", named=person.referral, item=item, friend=person.parts["friend"])
            written = "select count(*) from remembered_friends"
            waiting = "select count(*) from invitations"
            wait_for(
                lambda: rows(url, written) == [(len(people),)] and rows(url, waiting) == [(0,)],
                "the friends to be written to",
            )
        member = Member.hired(self._stage, "notifications", "agent", "customer_service")
        for person in people:
            shop.tell(person, "special_request_submitted", request_id=person.request_id, request=person.parts["request"])
            state = "select state from special_requests where request_id = %s"
            wait_for(lambda its=person.request_id, asked=state: rows(url, asked, its) == [("open",)], "a request")  # type: ignore[misc]
            # What staff are shown over HTTP goes to their eyes, and is none of the policy's places.
            shown = member.ask("GET", f"/requests/{person.request_id}")
            assert shown["text"] == person.parts["request"]["text"], "staff were shown something else"
            member.ask("POST", f"/requests/{person.request_id}/answer", {"text": "Yes, in gold too."})
            wait_for(
                lambda its=person.request_id, asked=state: rows(url, asked, its) == [("answered",)],
                "its answer",
            )  # type: ignore[misc]
            shop.tell(person, "preferences_changed", communication="service_only")

    @contextmanager
    def _keys_watched(self) -> Iterator[None]:
        """Note the keys of notifications while they are there: what lies in a copy later may open with no other."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.01):
                self.played.keys.take_part_keys(self._stage, "notifications")

        watcher = in_background(watch)
        try:
            yield
        finally:
            stop.set()
            watcher.join(timeout=30)

    def _everything_ends(self, names: Sequence[str]) -> None:
        for name in names:
            self._shop.hear_of("order_completed", self._cast[name])
        for service in SERVICES:
            url = self._stage.database(service)
            wait_for(lambda at=url: rows(at, _LEFT_TO_DO) == [(0,)], f"{service} to have nothing left to do")  # type: ignore[misc]

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make_parties_fail(self) -> None:
        """Failures that pass: what is refused for now says back what it was told, as APIs do."""
        person = self._cast["amqp-2checkout"]
        echo = {"message": json.dumps(person.parts, ensure_ascii=False), "details": person.parts}
        self._fault("PAYPAL", "POST", "/v2/checkout/orders", 503, echo)
        self._fault("TWOCHECKOUT", "POST", "/rest/6.0/orders/", 500, echo)
        self._fault("TWOCHECKOUT", "POST", "/order/idn.php", 502, echo)
        self._fault(
            "CARRIER", "POST", "/v1/labels", 500, {"errors": [{"error_type": "system", "error_code": "unspecified", **echo}]}
        )
        for party in _SILENT:
            self._stage.recorders[party].stall(1)

    def _note_failures(self) -> None:
        """That every failure of an outside party came about."""
        for party, statuses in _FAILURES.items():
            recorder = self._stage.recorders[party]
            assert statuses <= recorder.statuses.keys(), f"{party} did not fail as it was told"
            self.played.faults |= {f"{party} answered {status}": recorder.statuses[status] for status in sorted(statuses)}
        for party in _SILENT:
            assert self._stage.recorders[party].stalled, f"{party} was never silent"
            self.played.faults[f"{party} was silent"] = self._stage.recorders[party].stalled

    def _refused_by_parties(self) -> None:
        person = self._cast["refused-by-2checkout"]
        code = {"error_code": "CARD_DECLINED", "message": json.dumps(person.parts["billing"], ensure_ascii=False)}
        self._fault("TWOCHECKOUT", "POST", "/rest/6.0/orders/", 400, code)
        self._place_in_the_clear(person)
        self._shop.hear_of("payment_declined", person)
        person = self._cast["refused-by-the-carrier"]
        told = {"error_type": "validation", "error_code": "invalid_address", "message": str(person.parts["recipient"])}
        self._fault("CARRIER", "POST", "/v1/labels", 400, {"errors": [told]})
        self._place_in_the_clear(person)
        self._await_state("shipping", "shipments", "label_refused", person)
        self._place_in_the_clear(self._cast["refused-by-the-mailbox"])
        self.played.faults["refused by 2Checkout, the carrier, the mailbox"] = True

    def _refused_by_the_database(self) -> None:
        """A constraint that one person's rows offend: PostgreSQL's message would show the whole row."""
        person = self._cast["database-error"]
        tables = {"shipping": "recipients", "notifications": "contacts"}
        for service, table in tables.items():
            with psycopg.connect(self._stage.as_admin(service), autocommit=True) as connection:
                connection.execute(
                    f"alter table {table} add constraint proof check (customer_id <> '{person.customer_id}') not valid".encode()
                )
        self._place_in_the_clear(person)
        parked = "select count(*) from held where state = 'parked' and order_number = %s"
        for service, table in tables.items():
            url = self._stage.database(service)
            wait_for(
                lambda at=url: rows(at, parked, person.order_number) == [(1,)],
                f"{service} to park what its database refuses",
            )  # type: ignore[misc]
            with psycopg.connect(self._stage.as_admin(service), autocommit=True) as connection:
                connection.execute(f"alter table {table} drop constraint proof".encode())
        code, _ = self._stage.command("parked", "replay", "--order", person.order_number, "--yes")
        assert code == 0, "the parked messages were not replayed"
        self.played.faults["refused by the database"] = True

    def _hostile(self) -> None:
        for person in hostile.send_in_boxes(self._stage, self._cast, self._shop):
            self._shop.hear_of("order_held", person)
        for what, status in hostile.send_over_https(self._stage, self._cast, self._shop):
            assert 400 <= status < 500 or what in ("in a webhook", "in the content type"), (what, status)
            self.played.faults[f"refused over HTTPS, {what}"] = status

    def clear_over_amqp(self) -> None:
        """An order in the clear over AMQP, which a shop must not send: refused, and written nowhere by us."""
        person = self._cast["clear-over-amqp"]
        event = self._shop.place(person, over="amqp", is_sealed=False)
        refused = self._shop.hear_after("event_refused", event["id"])
        assert {reason["code"] for reason in refused["reasons"]} == {"part_in_clear"}, refused
        self.played.faults["refused over AMQP, in the clear"] = True

    def look_into_queues(self) -> None:
        """Read every message of every queue and leave it there."""
        with kombu.Connection(self._stage.env["ADMIN_AMQP_URI"]) as connection:
            for queue in [*(it.name for it in QUEUES), planting.QUEUE]:
                channel = connection.channel()
                while (message := channel.basic_get(queue)) is not None:
                    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
                    told = {**message.properties, **message.delivery_info}
                    self.played.queued.append(f"{queue} {told!r}".encode() + body)
                channel.close()  # all that was not acknowledged goes back

    # ── helpers of the scene ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _fault(self, party: str, method: str, prefix: str, status: int, body: object) -> None:
        door = Door(party, self._stage.env[f"{party}_SANDBOX_URL"])
        with suppress(NotDone):  # it answers 204, which is no JSON
            door.post_json(
                "/_sandbox/faults", {"method": method, "path_prefix": prefix, "times": 1, "status": status, "body": body}
            )

    def _await_state(self, service: str, table: str, state: str, person: Person) -> None:
        statement = f"select 1 from {table} where order_number = %s and state = %s"
        url = self._stage.database(service)
        wait_for(lambda: rows(url, statement, person.order_number, state), f"{person.name}: {state}")

    @contextmanager
    def _crew_at_work(self) -> Iterator[None]:
        stop = threading.Event()
        crew = Crew(Settings(self._stage.env), stop=stop, pause_seconds=0.2)
        worker = in_background(lambda: crew.work(follow=True))
        try:
            yield
        finally:
            stop.set()
            worker.join(timeout=30)


__all__ = ["DEATHS", "Play", "Played", "amqp"]
