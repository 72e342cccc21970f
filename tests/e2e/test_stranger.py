"""A storefront of somebody else's, written from the contract alone, with the addresses of `.run/env`."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import Any

import kombu
from nacl.public import PublicKey, SealedBox

from tests.component.events import order_placed
from tests.integration.facts import PATIENCE_SECONDS


def test_an_order_in_the_clear_over_https_reaches_its_door(shop: Any) -> None:
    event = shop.approved()
    status, body = shop.post(json.dumps(event).encode())
    assert status == 202
    told = json.loads(body)
    assert told["accepted"] is True
    assert told["caused_by"] == {"source": event["source"], "id": event["id"]}
    shop.completes(event["data"]["order_number"])


def test_a_sealed_order_over_amqp_reaches_its_door(shop: Any) -> None:
    with urllib.request.urlopen(f"{shop.env['ORDERS_HTTP_URL']}/keys", timeout=PATIENCE_SECONDS) as response:
        keys = {key["service"]: key for key in json.load(response)}
    event = shop.approved(order_placed())
    data = event["data"]
    for part, service in (("recipient", "shipping"), ("contact", "notifications")):
        clear = json.dumps({**data[part], "for": data["order_number"]}).encode()
        box = SealedBox(PublicKey(base64.b64decode(keys[service]["public_key"]))).encrypt(clear)
        data[part] = {"sealed_for": service, "key_id": keys[service]["key_id"], "box": base64.urlsafe_b64encode(box).decode()}
    with kombu.Connection(shop.env["STOREFRONT_AMQP_URI"], transport_options={"confirm_publish": True}) as connection:
        connection.Producer(auto_declare=False).publish(
            json.dumps(event),
            exchange="storefront.events",
            routing_key="order_placed",
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            mandatory=True,
        )
    shop.completes(data["order_number"])
