"""Shipping through its doors: the test plays orders, payments and the staff; the carrier is the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.events import CARD, Canary, order_placed
from tests.integration.facts import Reply, wait_for
from tests.integration.scene import SHOP, UNHURRIED, Sandbox, Scene, Service, new_number, seal
from tests.integration.wire import Ear

SIZE = {"weight_grams": 420, "length_mm": 200, "width_mm": 150, "height_mm": 60}
UNKNOWN = {"pick_list": "PL-AAAAAAAAAAAA", "parcel": "PC-AAAAAAAAAAAA-1"}


@pytest.fixture(scope="module")
def carrier(scene: Scene) -> Sandbox:
    return scene.sandbox("carrier")


@pytest.fixture(scope="module")
def everybody(scene: Scene) -> Ear:
    return scene.ear()


@pytest.fixture(scope="module")
def shipping(scene: Scene, carrier: Sandbox, everybody: Ear) -> Service:
    service = scene.service("shipping", **UNHURRIED)
    service.start()
    carrier.control("webhook", {"url": webhook_url(service)}, method="PUT")
    return service


@pytest.fixture(scope="module")
def key(shipping: Service, everybody: Ear) -> dict[str, str]:
    data: dict[str, str] = everybody.hear("intake_key_published")["data"]
    return data


def webhook_url(service: Service, secret: str | None = None) -> str:
    return f"{service.url}/webhooks/carrier/{secret or service.environment['CARRIER_WEBHOOK_SECRET']}"


class Parcel:
    """One order on its way through shipping."""

    def __init__(self, scene: Scene, shipping: Service, everybody: Ear, key: dict[str, str]) -> None:
        self.scene, self.shipping, self.everybody, self.key = scene, shipping, everybody, key
        self.number = new_number("S")
        self.named = {"shop": SHOP, "order_number": self.number}
        self.canary = Canary()
        self.pick_list = self.parcel = ""

    def entrust(self, box: dict[str, str] | None = None) -> None:
        data = order_placed(self.number)["data"]
        lines = [{name: line[name] for name in ("line", "sku", "title", "department", "quantity")} for line in data["lines"]]
        said = {
            **self.named,
            "customer_id": data["customer_id"],
            "policy_version": data["policy_version"],
            "placed_at": data["placed_at"],
            "shipping_service": "ground",
            "lines": lines,
            "recipient": box or seal(self.canary.recipient, self.key, bound_to=self.number),
        }
        self.scene.wire.say("orders", "recipient_entrusted", said, exchange="orders.parts")

    def paid(self) -> None:
        self.scene.wire.say("payments", "payment_authorised", {**self.named, "currency": "USD", "amount": "187.65"})

    def captured(self) -> None:
        self.scene.wire.say("payments", "payment_captured", {**self.named, "currency": "USD", "amount": "187.65"})

    def to_pick(self) -> None:
        self.entrust()
        self.paid()
        self.pick_list = self.everybody.hear("pick_list_issued", self.number)["data"]["pick_list"]

    def labelled(self) -> str:
        """Picked, packed and labelled; gives the tracking number."""
        self.to_pick()
        assert self.do("picked").status == 200
        assert self.do("packed", **SIZE).status == 200
        self.parcel = self.everybody.hear("parcel_packed", self.number)["data"]["parcel"]
        return str(self.everybody.hear("label_created", self.number)["data"]["tracking_number"])

    def do(self, verb: str, **more: object) -> Reply:
        name = "parcel" if verb == "handed_over" else "pick_list"
        return self.staff("POST", f"/{verb}", {name: getattr(self, name), **more})

    def staff(self, method: str, path: str, body: object = None) -> Reply:
        return self.shipping.ask(method, path, body, token=self.shipping.environment["STAFF_TOKEN"])

    def on_list(self, state: str) -> dict[str, Any] | None:
        items = self.staff("GET", f"/work?state={state}&limit=1000").json()["items"]
        return next((item for item in items if item["order_number"] == self.number), None)


@pytest.fixture
def parcel(scene: Scene, shipping: Service, everybody: Ear, key: dict[str, str]) -> Parcel:
    return Parcel(scene, shipping, everybody, key)


@pytest.fixture
def parcels(scene: Scene, shipping: Service, everybody: Ear, key: dict[str, str]) -> list[Parcel]:
    return [Parcel(scene, shipping, everybody, key) for _ in range(3)]


# ── the warehouse ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_parcel_goes_its_whole_way(parcel: Parcel, carrier: Sandbox, everybody: Ear) -> None:
    parcel.to_pick()
    item = parcel.on_list("to_pick")
    assert item is not None
    assert (item["pick_list"], item["parcel"]) == (parcel.pick_list, None)
    assert [set(line) for line in item["lines"]] == [{"line", "sku", "title", "quantity"}] * 2 or all(
        "unit_price" not in line for line in item["lines"]
    )
    assert parcel.do("picked").json() == {"results": [{"pick_list": parcel.pick_list, "ending": "done", "reasons": []}]}
    assert parcel.on_list("to_pack") is not None
    assert parcel.do("packed", **SIZE).status == 200
    tracking_number = everybody.hear("label_created", parcel.number)["data"]["tracking_number"]
    parcel.parcel = everybody.hear("parcel_packed", parcel.number)["data"]["parcel"]
    assert parcel.on_list("to_hand_over") is None, "before its payment is captured"
    assert (parcel.do("handed_over").status, parcel.do("handed_over").codes) == (409, ["shipment_labelled"])
    parcel.captured()
    item = wait_for(lambda: parcel.on_list("to_hand_over"), "the parcel on the dock")
    assert item is not None
    assert (item["parcel"], item["tracking_number"]) == (parcel.parcel, tracking_number)
    assert parcel.do("handed_over").status == 200
    everybody.hear("shipment_dispatched", parcel.number)
    assert carrier.control("collect", {"tracking_numbers": [tracking_number]}) == {"accepted": 1, "refused": []}
    everybody.hear("shipment_delivered", parcel.number)
    parcel.shipping.settled()
    assert len(everybody.all("shipment_dispatched", parcel.number)) == 1
    assert len([it for it in carrier.books()["labels"].values() if it["tracking_number"] == tracking_number]) == 1
    assert parcel.canary.in_text(parcel.scene.texts() + parcel.shipping.log()) == []


def test_every_verb_may_be_said_again(parcel: Parcel, everybody: Ear, carrier: Sandbox) -> None:
    parcel.to_pick()
    assert [parcel.do("picked").status for _ in range(3)] == [200] * 3
    assert [parcel.do("packed", **SIZE).status for _ in range(3)] == [200] * 3
    everybody.hear("label_created", parcel.number)
    parcel.parcel = everybody.hear("parcel_packed", parcel.number)["data"]["parcel"]
    parcel.captured()
    wait_for(lambda: parcel.on_list("to_hand_over"), "the parcel on the dock")
    assert [parcel.do("handed_over").status for _ in range(3)] == [200] * 3
    assert parcel.do("picked").status == 200
    parcel.shipping.settled()
    counts = [
        len(everybody.all(kind, parcel.number))
        for kind in ("pick_list_issued", "parcel_packed", "label_created", "shipment_dispatched")
    ]
    assert counts == [1, 1, 1, 1]
    assert [it["external_shipment_id"] for it in carrier.books()["labels"].values()].count(parcel.parcel) == 1


def test_many_at_once_get_each_an_ending_in_the_order_asked(parcels: list[Parcel]) -> None:
    for it in parcels:
        it.to_pick()
    asked = [parcels[2].pick_list, UNKNOWN["pick_list"], parcels[0].pick_list, parcels[2].pick_list]
    reply = parcels[0].staff("POST", "/picked", {"items": [{"pick_list": name} for name in asked]})
    assert reply.status == 200
    results = reply.json()["results"]
    assert [result["pick_list"] for result in results] == asked
    assert [result["ending"] for result in results] == ["done", "refused", "done", "done"]
    assert results[1]["reasons"][0]["code"] == "pick_list_unknown"
    packed = parcels[0].staff("POST", "/packed", {"items": [{"pick_list": it.pick_list, **SIZE} for it in parcels]})
    assert [result["ending"] for result in packed.json()["results"]] == ["done", "refused", "done"]
    assert packed.json()["results"][1]["reasons"][0]["code"] == "shipment_to_pick"
    assert parcels[0].staff("POST", "/handed_over", {"items": []}).json() == {"results": []}


def test_what_comes_too_early_is_refused_with_its_state(parcel: Parcel) -> None:
    parcel.to_pick()
    reply = parcel.do("packed", **SIZE)
    assert (reply.status, reply.codes) == (409, ["shipment_to_pick"])


@pytest.mark.parametrize("verb", ["picked", "packed", "handed_over"])
def test_what_nobody_knows_is_not_found(verb: str, parcel: Parcel) -> None:
    name = "parcel" if verb == "handed_over" else "pick_list"
    size = SIZE if verb == "packed" else {}
    reply = parcel.staff("POST", f"/{verb}", {name: UNKNOWN[name], **size})
    assert (reply.status, reply.codes) == (404, [f"{name}_unknown"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/picked", {}, 422),
        ("/picked", {"pick_list": "nonsense"}, 422),
        ("/picked", {"pick_list": UNKNOWN["pick_list"], "more": 1}, 422),
        ("/picked", [], 422),
        ("/picked", {"items": {}}, 422),
        ("/picked", {"items": [{"pick_list": UNKNOWN["pick_list"]}] * 501}, 422),
        ("/packed", {"pick_list": UNKNOWN["pick_list"], **SIZE, "weight_grams": 0}, 422),
        ("/packed", {"pick_list": UNKNOWN["pick_list"], **SIZE, "weight_grams": "420"}, 422),
        ("/picked", b"\xff", 400),
    ],
)
def test_a_form_that_is_not_right_is_refused(path: str, body: object, status: int, parcel: Parcel) -> None:
    assert parcel.staff("POST", path, body).status == status


@pytest.mark.parametrize(
    "query", ["", "?state=nothing", "?state=to_pick&limit=0", "?state=to_pick&limit=1001", "?state=to_pick&limit=" + "9" * 5000]
)
def test_a_work_list_that_there_is_not(query: str, parcel: Parcel) -> None:
    assert parcel.staff("GET", f"/work{query}").status == 422


def test_staff_need_their_token(shipping: Service) -> None:
    for method, path in (
        ("GET", "/work?state=to_pick"),
        ("POST", "/picked"),
        ("GET", "/labels/x.pdf"),
        ("GET", "/pick_lists/x.pdf"),
    ):
        assert shipping.ask(method, path).status == 401
        assert shipping.ask(method, path, token="wrong").status == 401


def test_papers_are_drawn_for_staff(parcel: Parcel) -> None:
    parcel.labelled()
    reply = parcel.staff("GET", f"/pick_lists/{parcel.pick_list}.pdf")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/pdf")
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.body.startswith(b"%PDF-")
    assert parcel.staff("GET", "/pick_lists/PL-AAAAAAAAAAAA.pdf").status == 404


# ── the carrier ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def scan(tracking_number: str, code: str) -> dict[str, Any]:
    return {"resource_type": "API_TRACK", "data": {"tracking_number": tracking_number, "status_code": code, "events": []}}


def test_a_webhook_under_a_wrong_secret_is_not_found(shipping: Service) -> None:
    assert shipping.ask("POST", "/webhooks/carrier/wrong", scan("1Z", "IT")).status == 404
    assert shipping.ask("POST", webhook_url(shipping).removeprefix(shipping.url), {"data": {}}).status == 422


def test_a_scan_of_a_parcel_that_nobody_knows_yet_waits_for_it(parcel: Parcel, everybody: Ear, carrier: Sandbox) -> None:
    """The carrier's numbers follow each other, so that the next parcel's can be known before it is."""
    parcel.to_pick()
    labels = carrier.books()["labels"].values()
    from deploy.sandbox.carrier.tracking import tracking_number

    known = {label["tracking_number"] for label in labels}
    following = next(number for serial in range(1, 10_000) if (number := tracking_number(serial)) not in known)
    path = webhook_url(parcel.shipping).removeprefix(parcel.shipping.url)
    assert parcel.shipping.ask("POST", path, scan(following, "DE")).status == 200
    waiting = parcel.shipping.rows("select state, reason, body from held where type = 'scanned'")
    assert waiting[0][:2] == ("later", "tracking_number_unknown")
    parcel.do("picked")
    parcel.do("packed", **SIZE)
    assert everybody.hear("label_created", parcel.number)["data"]["tracking_number"] == following
    everybody.hear("shipment_delivered", parcel.number)
    everybody.hear("shipment_dispatched", parcel.number)


def test_a_scan_that_comes_twice_is_noted_once(parcel: Parcel, everybody: Ear) -> None:
    number = parcel.labelled()
    path = webhook_url(parcel.shipping).removeprefix(parcel.shipping.url)
    for code in ("AC", "IT", "IT", "DE", "DE", "IT", "UN"):
        assert parcel.shipping.ask("POST", path, scan(number, code)).status == 200
    everybody.hear("shipment_delivered", parcel.number)
    parcel.shipping.settled()
    assert len(everybody.all("shipment_dispatched", parcel.number)) == 1
    assert len(everybody.all("shipment_delivered", parcel.number)) == 1


def test_an_answer_of_the_carrier_that_is_lost_buys_no_second_label(parcel: Parcel, carrier: Sandbox) -> None:
    carrier.lose("POST", "/v1/labels", 1)
    parcel.labelled()
    parcel.shipping.settled()
    assert [it["external_shipment_id"] for it in carrier.books()["labels"].values()].count(parcel.parcel) == 1


# ── parts that cannot be used, orders that stop ──────────────────────────────────────────────────────────────────────────────


def spoilt_boxes(parcel: Parcel) -> dict[str, tuple[dict[str, str], str]]:
    card = {**parcel.canary.recipient, "gift_message": f"{parcel.canary.words[4]} {CARD}"}
    good = seal(parcel.canary.recipient, parcel.key, bound_to=parcel.number)
    return {
        "for another order": (seal(parcel.canary.recipient, parcel.key, bound_to="another"), "sealed_for_another"),
        "with a card number": (seal(card, parcel.key, bound_to=parcel.number), "card_number"),
        "of no JSON": (seal(b"\xff", parcel.key), "malformed_json"),
        "of nothing that a box is": ({**good, "box": "AAAA" * 40}, "box_unopenable"),
        "under an unknown key": ({**good, "key_id": "shipping-none"}, "box_unopenable"),
        "without an address": (seal({"name": "N"}, parcel.key, bound_to=parcel.number), "missing"),
    }


@pytest.mark.parametrize(
    "what",
    [
        "for another order",
        "with a card number",
        "of no JSON",
        "of nothing that a box is",
        "under an unknown key",
        "without an address",
    ],
)
def test_a_box_that_cannot_be_used_is_told_and_destroyed(what: str, parcel: Parcel, everybody: Ear) -> None:
    box, code = spoilt_boxes(parcel)[what]
    parcel.entrust(box)
    parcel.paid()
    refused = everybody.hear("part_refused", parcel.number)["data"]
    assert refused["part"] == "recipient"
    assert code in refused["codes"]
    parcel.shipping.settled()
    assert everybody.all("pick_list_issued", parcel.number) == []
    kept = parcel.shipping.rows("select recipient from recipients where order_number = %s", parcel.number)
    assert kept == [(None,)], "whose it is stays, for a corrected part to take its place"
    texts = parcel.scene.texts()
    assert box["box"] not in texts
    assert CARD not in texts + parcel.shipping.log()
    assert parcel.canary.in_text(texts + parcel.shipping.log()) == []


@pytest.mark.parametrize(("kind", "state"), [("order_held", "held"), ("order_cancelled", "cancelled")])
def test_an_order_that_stops_leaves_the_list(kind: str, state: str, parcel: Parcel, scene: Scene) -> None:
    parcel.to_pick()
    scene.wire.say("orders", kind, {**parcel.named, "reasons": [{"code": "x", "path": ""}]})
    wait_for(lambda: parcel.on_list("to_pick") is None, "the pick list to be withdrawn")
    reply = parcel.do("picked")
    assert (reply.status, reply.codes) == (409, [f"shipment_{state}"])
