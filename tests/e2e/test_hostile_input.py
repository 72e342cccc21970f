"""Everything that is known to break programs, through both doors: answered or kept with its reason, and nobody falls over."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.component.events import Canary, order_placed
from tests.integration.facts import ask, rows, wait_for
from tests.integration.scene import seal

HOSTILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "hostile"


def _needed(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the collection {path.name} is not beside the clone")
    return path


@pytest.fixture(scope="module")
def canary() -> Canary:
    return Canary()


@pytest.fixture(autouse=True)
def _all_stand_and_a_good_order_goes_through(shop: Any, canary: Canary) -> Any:
    """After each test: the same processes run, nothing personal is in a log, and an order reaches its door."""
    before = shop.pids()
    yield
    assert shop.pids() == before
    event = shop.approved(order_placed(recipient=canary.recipient, contact=canary.contact))
    assert shop.post(json.dumps(event).encode())[0] == 202
    shop.completes(event["data"]["order_number"])
    assert canary.in_text(shop.logs()) == []


def _naughty_orders(strings: list[str], canary: Canary) -> list[dict[str, Any]]:
    events = []
    for text in strings:
        event = order_placed(recipient=json.loads(json.dumps(canary.recipient)), contact=dict(canary.contact), title=text)
        event["data"]["recipient"]["name"] = text
        event["data"]["recipient"]["address"]["line1"] = text
        event["data"]["contact"]["name"] = text
        events.append(event)
    return events


@pytest.mark.parametrize("door", ["https", "amqp"])
def test_naughty_strings_as_name_address_and_title(door: str, shop: Any, canary: Canary) -> None:
    strings = json.loads(_needed(HOSTILE / "blns" / "blns.json").read_text("utf-8"))
    events = _naughty_orders(strings, canary)
    if door == "https":
        for event in events:
            status, body = shop.post(json.dumps(event).encode())
            assert status in (202, 422), status
            assert status == 202 or json.loads(body)["reasons"]
    else:
        shop.wire.publish_all("storefront.events", [("order_placed", json.dumps(event).encode()) for event in events])
    wanted = {event["id"] for event in events}
    kinds = ("order_accepted", "event_refused", "order_rejected")

    def answered() -> bool:
        heard = {it["data"]["caused_by"]["id"] for it in shop.answers.listen() if it["type"] in kinds}
        return wanted <= heard

    wait_for(answered, "an answer to each")
    taken = {it["data"]["caused_by"]["id"] for it in shop.answers.heard if it["type"] == "order_accepted"}
    assert len(wanted & taken) > len(wanted) / 2, "most of them are names that a person may have"


def _bodies() -> dict[str, bytes]:
    folder = _needed(HOSTILE / "JSONTestSuite" / "test_parsing")
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.json"))}


def test_every_json_text_as_a_body_over_https(shop: Any) -> None:
    for name, body in _bodies().items():
        status, answer = shop.post(body)
        assert status == 422, (name, status)
        assert json.loads(answer)["reasons"], name


def test_every_json_text_as_a_body_over_amqp(shop: Any) -> None:
    bodies = _bodies()
    before = len(shop.answers.all("event_refused"))
    shop.wire.publish_all("storefront.events", [("order_placed", body) for body in bodies.values()])
    wait_for(lambda: len(shop.answers.all("event_refused")) >= before + len(bodies), "a refusal of each")
    refused = [it["data"]["caused_by"] for it in shop.answers.all("event_refused")[before:]]
    assert {"source": None, "id": None} in refused


def test_half_of_the_json_texts_in_boxes(shop: Any) -> None:
    keys = {key["service"]: key for key in ask("GET", f"{shop.env['ORDERS_HTTP_URL']}/keys").json()}
    events = []
    for body in list(_bodies().values())[::2]:
        event = order_placed()
        event["id"] = str(uuid.uuid4())
        event["data"]["recipient"] = seal(body, keys["shipping"])
        event["data"]["contact"] = seal(body, keys["notifications"])
        events.append(event)
        assert shop.post(json.dumps(event).encode())[0] == 202
    wanted = {(event["data"]["order_number"], code) for event in events for code in ("recipient_invalid", "contact_invalid")}

    def held() -> bool:
        heard = {
            (it["data"]["order_number"], reason["code"])
            for it in shop.answers.all("order_held")
            for reason in it["data"]["reasons"]
        }
        return wanted <= heard

    wait_for(held, "each order to be held for both of its parts")
    kept = rows(
        shop.env["SHIPPING_DATABASE_URL"],
        """
        select count(*), count(recipient) from shipments join recipients using (shop, order_number) where state = 'refused'
        """,
    )
    assert kept == [(len(events), 0)], (
        "what else the order brought waits for a sound part, and nothing is kept of the unsound one"
    )
