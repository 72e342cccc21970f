"""Place one order over AMQP, its personal parts sealed. In the clone's folder: .venv/bin/python docs/examples/place_order.py"""

import base64
import json
import sys
import time
from pathlib import Path

import kombu
import requests
from nacl.public import PublicKey, SealedBox

SERVICE_OF = {"recipient": "shipping", "contact": "notifications", "billing": "payments"}
env = dict(line.split("=", 1) for line in Path(".run/env").read_text().splitlines())
number = f"AJ-{time.time_ns()}"

# The buyer's part: a PayPal order over the total, created and approved. Here the sandbox plays it.
wish = {"reference_id": number, "amount": "187.65", "currency": "USD", "decline": False}
made = requests.post(f"{env['PAYPAL_SANDBOX_URL']}/_sandbox/orders", json=[wish], timeout=10).json()
event = json.loads(Path("docs/examples/order_placed.json").read_text().replace("NUMBER", number))
event["data"]["payment"]["reference"] = made["orders"][0]["id"]

# The shop's part: each personal part is sealed to the one service that may open it, and bound to this order by `for`.
keys = {key["service"]: key for key in requests.get(f"{env['ORDERS_HTTP_URL']}/keys", timeout=10).json()}
for part, service in SERVICE_OF.items():
    if part in event["data"]:
        plain = json.dumps({**event["data"][part], "for": number}).encode()
        box = SealedBox(PublicKey(base64.b64decode(keys[service]["public_key"]))).encrypt(plain)
        event["data"][part] = {
            "sealed_for": service,
            "key_id": keys[service]["key_id"],
            "box": base64.b64encode(box).decode(),
        }


def not_taken(*_: object) -> None:
    sys.exit("No queue took the event.")


with kombu.Connection(env["STOREFRONT_AMQP_URI"], transport_options={"confirm_publish": True}) as connection:
    connection.Producer(on_return=not_taken).publish(
        json.dumps(event),
        exchange="storefront.events",
        routing_key=event["type"],
        content_type="application/cloudevents+json",
        content_encoding="utf-8",
        delivery_mode="persistent",
        mandatory=True,
        retry=False,
    )
sys.stdout.write(f"{number}\n")
