"""The shop of the proof: what it sends, by either door, and every byte that it hears back."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import amqp
import kombu
from kombu.exceptions import OperationalError

from shared.cli.approvals import Approvals
from shared.cli.doors import Door
from shared.cli.publisher import WindowedPublisher
from shared.cli.sealed_parts import Keys
from tests.integration.facts import wait_for
from tests.proof.people import Person, envelope
from tests.proof.stage import Stage, in_background

_QUEUE = "storefront.answers"


class Storefront:
    """Sends and listens. `answers` is every answer as it came, of the broker and over HTTPS, with its headers."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.answers: list[bytes] = []
        self._heard: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._keys = Keys(Door("Orders", stage.env["ORDERS_HTTP_URL"], stop=self._stop))
        self._approvals = Approvals(
            Door("PayPal", stage.env["PAYPAL_SANDBOX_URL"]), Door("2Checkout", stage.env["TWOCHECKOUT_SANDBOX_URL"])
        )
        self._listener = in_background(self._listen)

    def close(self) -> None:
        self._stop.set()
        self._listener.join(timeout=30)

    # ── what it sends ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def place(self, person: Person, *, over: str, is_sealed: bool = True, **data: Any) -> dict[str, Any]:
        """An order whose payment is approved, over `amqp` or `https`; gives the event as it was sent."""
        event = person.order(**data)
        [event["data"]] = self._approvals.approve([event["data"]])
        if is_sealed:
            event["data"] = self._keys.seal(event["data"])
        if over == "amqp":
            self.publish(event)
        else:
            status, _ = self.post(json.dumps(event, ensure_ascii=False).encode())
            assert status == 202, (person.name, status)
        return event

    def tell(self, person: Person, kind: str, *, over: str = "https", named: str | None = None, **data: Any) -> str:
        """Another event of this person's, with this id or one of its own; gives the id."""
        event = envelope(kind, {"customer_id": person.customer_id, **data}, **({"id": named} if named else {}))
        if over == "amqp":
            self.publish(event)
        else:
            status, _ = self.post(json.dumps(event, ensure_ascii=False).encode())
            assert status == 202, (person.name, kind, status)
        return str(event["id"])

    def key(self, service: str) -> dict[str, str]:
        """A service's entry of `GET /keys`."""
        _, body = self.ask("GET", "/keys")
        return next(it for it in json.loads(body) if it["service"] == service)

    def publish(self, event: Mapping[str, Any]) -> None:
        with WindowedPublisher(self._stage.env["STOREFRONT_AMQP_URI"]) as publisher:
            publisher.publish(str(event["id"]), str(event["type"]), json.dumps(event, ensure_ascii=False).encode())

    def post(self, body: bytes, *, path: str = "/events", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        return self.ask("POST", path, body, headers=headers)

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request to orders; the whole answer is kept."""
        address = urlsplit(self._stage.env["ORDERS_HTTP_URL"])
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=40)
        told = {"Content-Type": "application/json", "Authorization": f"Bearer {self._stage.env['STOREFRONT_TOKEN']}"}
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has read all of what is too large
                connection.request(method, path, body=body, headers=told | dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            self.answers.append(str(answer.headers).encode() + content)
            return answer.status, content
        finally:
            connection.close()

    # ── what it hears ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, kind: str, where: Callable[[dict[str, Any]], bool], what: str = "") -> dict[str, Any]:
        """Wait for an answer of this kind; gives its data."""

        def found() -> list[dict[str, Any]]:
            return [it["data"] for it in list(self._heard) if it["type"] == kind and where(it["data"])]

        return wait_for(found, f"{kind} {what}")[-1]

    def hear_of(self, kind: str, person: Person) -> dict[str, Any]:
        return self.hear(kind, lambda data: data.get("order_number") == person.order_number, f"of {person.name}")

    def hear_after(self, kind: str, event_id: str) -> dict[str, Any]:
        return self.hear(kind, lambda data: (data.get("caused_by") or {}).get("id") == event_id, "after an event")

    def _listen(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError, OperationalError, amqp.AMQPError):
                self._take_answers()
            self._stop.wait(0.3)

    def _take_answers(self) -> None:
        with kombu.Connection(self._stage.env["STOREFRONT_AMQP_URI"], connect_timeout=5) as connection:
            channel = connection.default_channel
            while not self._stop.is_set():
                message = channel.basic_get(_QUEUE)
                if message is None:
                    self._stop.wait(0.1)
                    continue
                body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
                self.answers.append(repr(message.properties).encode() + body)
                with suppress(ValueError):  # what the self-test planted is no answer
                    told = json.loads(body)
                    if isinstance(told, dict):
                        self._heard.append(told)
                channel.basic_ack(message.delivery_tag)
