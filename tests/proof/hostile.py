"""Data in wrong places: whatever a storefront, a carrier or a stranger may get wrong, with somebody's data in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import amqp
import kombu

from shared.delivery.topology import PARKED_EXCHANGE
from tests.integration.facts import ask
from tests.integration.scene import seal
from tests.proof.cast import Cast
from tests.proof.people import Person, envelope
from tests.proof.stage import Stage
from tests.proof.storefront import Storefront


def send_over_https(stage: Stage, cast: Cast, shop: Storefront) -> Iterator[tuple[str, int]]:
    """Everything that the doors of HTTP may hear; (what, status)."""
    person = cast["broken-json"]
    yield "broken JSON", shop.post(json.dumps(person.order()).encode()[:-3])[0]
    yield "no JSON at all", shop.post(repr(person.parts).encode())[0]
    yield "unknown members", shop.post(_bytes(_with_unknown_members(cast["unknown-members"])))[0]
    yield "wrong types", shop.post(_bytes(_with_wrong_types(cast["wrong-types"])))[0]
    yield "a card number", shop.post(_bytes(_with_a_card(cast["card-number"])))[0]
    person = cast["too-large"]
    yield "too large", shop.post(_bytes(person.order(recipient={**person.parts["recipient"], "gift_message": _long(person)})))[0]
    yield (
        "too long",
        shop.post(_bytes(person.order(recipient={**person.parts["recipient"], "gift_message": _long(person)[:6000]})))[0],
    )
    person = cast["in-the-query"]
    words = "&".join(f"{name}={quote(str(value))}" for name, value in person.parts["contact"].items())
    yield "in the query", shop.post(_bytes(person.order()) + b"x", path=f"/events?{words}")[0]
    yield "in the query of a page", shop.ask("GET", f"/orders?{words}")[0]
    person = cast["in-headers"]
    headers = {"X-Name": person.parts["recipient"]["address"]["line1"], "traceparent": person.parts["contact"]["email"]}
    headers |= {
        "Cookie": f"session={person.never('visitor')}",
        "User-Agent": person.never("visitor"),
        "From": person.parts["contact"]["email"],
    }
    yield (
        "in headers",
        shop.post(b"{}", headers={name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()})[0],
    )
    content_type = f"application/json; name={quote(person.parts['contact']['name'])}"
    yield "in the content type", shop.post(b"{}", headers={"Content-Type": content_type})[0]
    person = cast["in-the-path"]
    path = quote(person.parts["contact"]["email"])
    for method, address in (
        ("GET", f"/orders/{path}"),
        ("GET", f"/exports/{path}"),
        ("POST", f"/events/{path}"),
        ("PUT", f"/{path}"),
    ):
        yield f"in the path of {method}", shop.ask(method, address, b"{}" if method != "GET" else None)[0]
    person = cast["wrong-token"]
    token = {"Authorization": f"Bearer {person.never('password')}"}
    yield "with a wrong token", shop.post(_bytes(person.order()), headers=token)[0]
    yield "in a webhook", _webhook(stage, cast["webhook"])


def send_in_boxes(stage: Stage, cast: Cast, shop: Storefront) -> list[Person]:
    """Orders whose boxes are not what they should be; whose they are. Each is held for it."""
    keys = {service: shop.key(service) for service in ("shipping", "notifications")}
    person = cast["box-for-another-service"]
    # Says shipping, and only notifications could open it.
    wrong = seal(
        person.parts["recipient"],
        {**keys["shipping"], "public_key": keys["notifications"]["public_key"]},
        bound_to=person.order_number,
    )
    shop.place(person, over="amqp", recipient=wrong)
    people = [person]
    person = cast["box-of-another-order"]
    shop.place(
        person, over="amqp", recipient=seal(person.parts["recipient"], keys["shipping"], bound_to=cast["leaving"].order_number)
    )
    people.append(person)
    person = cast["broken-json-in-a-box"]
    shop.place(
        person,
        over="https",
        recipient=seal(_bytes(person.parts["recipient"])[:-1], keys["shipping"]),
        contact=seal(_bytes(person.parts["contact"])[1:], keys["notifications"]),
    )
    people.append(person)
    person = cast["unknown-members-in-a-box"]
    recipient = {**person.parts["recipient"], "age": person.never("about_a_person"), person.parts["friend"]["name"]: 1}
    contact = {**person.parts["contact"], "phone": "no digit: " + person.parts["contact"]["email"]}
    shop.place(
        person,
        over="https",
        recipient=seal(recipient, keys["shipping"], bound_to=person.order_number),
        contact=seal(contact, keys["notifications"], bound_to=person.order_number),
    )
    people.append(person)
    return people


def give_up_on(stage: Stage, person: Person, shop: Storefront) -> None:
    """A message as the broker gives up on it, put where it puts those: it names an order and holds a box."""
    key = shop.key("shipping")
    box = seal(person.parts["recipient"], key, bound_to=person.order_number)
    data = {"shop": "https://www.astrojewelry.com", "order_number": person.order_number, "customer_id": person.customer_id}
    body = _bytes({**envelope("recipient_entrusted", {**data, "recipient": box}), "source": "orders"})
    death = {
        "queue": "shipping.events",
        "reason": "delivery_limit",
        "count": 1,
        "exchange": "orders.parts",
        "routing-keys": ["recipient_entrusted"],
    }
    message = amqp.Message(
        body, delivery_mode=2, content_type="application/cloudevents+json", application_headers={"x-death": [death]}
    )
    with kombu.Connection(stage.env["ADMIN_AMQP_URI"], transport_options={"confirm_publish": True}) as connection:
        connection.default_channel.basic_publish(message, exchange=PARKED_EXCHANGE, routing_key="shipping")


def _webhook(stage: Stage, person: Person) -> int:
    told = {
        "resource_type": "API_TRACK",
        "data": {"tracking_number": "1Z0000000000000000", "status_code": "DE", "signer": person.parts["recipient"]["name"]},
        "ship_to": person.parts["recipient"],
    }
    ask("POST", stage.env["CARRIER_WEBHOOK_URL"] + "x", told)
    return ask("POST", stage.env["CARRIER_WEBHOOK_URL"], told).status


def _with_unknown_members(person: Person) -> dict[str, Any]:
    event = person.order(
        password=person.never("password"), ip=person.never("visitor"), date_of_birth=person.never("about_a_person")
    )
    event["data"]["recipient"] = {**event["data"]["recipient"], person.parts["contact"]["email"]: person.parts["contact"]["name"]}
    event[person.parts["friend"]["email"]] = person.parts["request"]["text"]
    return event


def _with_wrong_types(person: Person) -> dict[str, Any]:
    event = person.order(total=person.parts["contact"]["name"], placed_at=person.parts["contact"]["email"])
    event["data"]["contact"] = {
        **person.parts["contact"],
        "email": person.parts["contact"]["name"],
        "language": person.parts["contact"]["email"],
    }
    event["data"]["recipient"] = [person.parts["recipient"]]
    event["data"]["payment"] = {"provider": person.parts["contact"]["email"], "reference": person.parts["contact"]["name"]}
    return event


def _with_a_card(person: Person) -> dict[str, Any]:
    return person.order(recipient={**person.parts["recipient"], "gift_message": f"charge {person.never('card')} please"})


def _long(person: Person) -> str:
    return (person.parts["recipient"]["gift_message"] + " ") * 20_000


def _bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
