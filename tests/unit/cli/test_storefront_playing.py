"""The storefront's side: parts sealed for one service, payments approved, events confirmed, answers read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nacl.public import PrivateKey, SealedBox

from shared.cli import publisher as publishing
from shared.cli.answers import read_answer
from shared.cli.approvals import Approvals
from shared.cli.doors import Door
from shared.cli.order_sets.wording import UNAPPROVED
from shared.cli.publisher import NotPublished, WindowedPublisher
from shared.cli.sealed_parts import Keys, read_keys
from shared.cli.terminal import Misused, NotDone


class FakeDoor:
    """Answers by path and remembers what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    def get_json(self, path: str, **params: Any) -> Any:
        return self._answer(path, params)

    def post_json(self, path: str, body: Any) -> Any:
        return self._answer(path, body)

    def _answer(self, path: str, what: Any) -> Any:
        self.asked.append((path, what))
        answer = self.answers[path.strip("/").replace("/", "_")]
        return answer(what) if callable(answer) else answer


def as_door(fake: FakeDoor) -> Door:
    return cast(Door, fake)


def key_entry(private: PrivateKey, service: str = "shipping", *, days: int = 7, key_id: str = "k-1") -> dict[str, str]:
    return {
        "service": service,
        "key_id": key_id,
        "public_key": base64.b64encode(bytes(private.public_key)).decode(),
        "expires_at": (datetime.now(UTC) + timedelta(days=days)).isoformat().replace("+00:00", "Z"),
    }


def test_a_sealed_part_opens_again_and_is_bound_to_its_order() -> None:
    private = {service: PrivateKey.generate() for service in ("shipping", "notifications", "payments")}
    keys = Keys(as_door(FakeDoor(keys=[key_entry(key, service) for service, key in private.items()])))
    data = {
        "order_number": "A-1",
        "recipient": {"name": "Ωmega"},
        "contact": {"name": "x"},
        "billing": {"tax_id": "1"},
        "total": "1",
    }
    sealed = keys.seal(data)
    for part, service in (("recipient", "shipping"), ("contact", "notifications"), ("billing", "payments")):
        assert (sealed[part]["sealed_for"], sealed[part]["key_id"]) == (service, "k-1")
        box = base64.b64decode(sealed[part]["box"], validate=True)
        assert json.loads(SealedBox(private[service]).decrypt(box)) == {**cast(dict[str, Any], data[part]), "for": "A-1"}
    assert "Ωmega" not in json.dumps(sealed, ensure_ascii=False)
    assert data["recipient"] == {"name": "Ωmega"}


def test_keys_are_fetched_once_and_a_sealed_part_stands() -> None:
    door = FakeDoor(keys=[key_entry(PrivateKey.generate())])
    keys = Keys(as_door(door))
    keys.seal({"order_number": "A", "recipient": {"name": "x"}})
    before = {"sealed_for": "shipping", "key_id": "old", "box": "AA=="}
    assert keys.seal({"order_number": "B", "recipient": before})["recipient"] == before
    keys.seal({"order_number": "C", "recipient": {"name": "y"}})
    assert len(door.asked) == 1


@pytest.mark.parametrize("entries", [[], [key_entry(PrivateKey.generate(), days=-1)]])
def test_without_a_current_key_nothing_is_sealed(entries: list[dict[str, str]]) -> None:
    with pytest.raises(NotDone, match="no current sealing key of shipping"):
        Keys(as_door(FakeDoor(keys=entries))).seal({"order_number": "A", "recipient": {"name": "x"}})


def test_of_two_keys_the_longer_lived_is_used() -> None:
    entries = [key_entry(PrivateKey.generate(), days=days, key_id=f"k-{days}") for days in (3, 9, 6)]
    assert read_keys(entries)["shipping"].key_id == "k-9"


@pytest.mark.parametrize(
    "entry", [{}, {"service": "shipping", "key_id": "k", "public_key": "short", "expires_at": "2026-01-01T00:00:00Z"}, 3]
)
def test_keys_that_are_none_are_told_without_their_text(entry: object) -> None:
    with pytest.raises(NotDone, match="GET /keys") as refusal:
        read_keys([entry])
    assert refusal.value.__cause__ is None


def order(number: str, provider: str = "paypal", total: str = "5.00", reference: str = UNAPPROVED) -> dict[str, Any]:
    return {"order_number": number, "total": total, "currency": "GBP", "payment": {"provider": provider, "reference": reference}}


def test_payments_are_approved_in_one_request_per_provider_and_kept_apart() -> None:
    paypal = FakeDoor(_sandbox_orders=lambda wishes: {"orders": [{"id": f"P-{wish['reference_id']}"} for wish in wishes]})
    twocheckout = FakeDoor(_sandbox_tokens=lambda wish: {"tokens": [f"T-{n}" for n in range(wish["count"])]})
    approvals = Approvals(as_door(paypal), as_door(twocheckout))
    made = approvals.approve([order("1"), order("2", "2checkout"), order("3"), order("4", total="0.00")])
    assert [entry["payment"]["reference"] for entry in made] == ["P-1", "T-0", "P-3", UNAPPROVED]
    assert paypal.asked == [
        ("/_sandbox/orders", [{"reference_id": n, "amount": "5.00", "currency": "GBP"} for n in ("1", "3")]),
    ]
    assert twocheckout.asked == [("/_sandbox/tokens", {"count": 1})]


def test_where_no_sandbox_is_ours_a_payment_of_its_own_stands_and_none_is_refused() -> None:
    own = order("1", reference="5O190127TN364715T")
    assert Approvals(None, None).approve([own]) == [own]
    with pytest.raises(Misused, match="PAYPAL_SANDBOX_URL"):
        Approvals(None, None).approve([order("1")])


def test_a_sandbox_that_gives_too_few_payments_is_told() -> None:
    with pytest.raises(NotDone, match="another number"):
        Approvals(as_door(FakeDoor(_sandbox_orders={"orders": []})), None).approve([order("1")])


# -- publishing ------------------------------------------------------------------------------------------------------------------


class FakeBroker:
    """Connection and channel in one: settles what was published when it is drained, as the script says, else acknowledges."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.bodies: list[str] = []
        self.most_open = 0
        self.connections = 0
        self._open: list[tuple[int, str]] = []
        self._tag = 0
        self.events: dict[str, set[Any]] = {}

    # the connection
    def ensure_connection(self, **_options: Any) -> None:
        self.connections += 1
        self._tag = 0
        self._open.clear()

    def channel(self) -> FakeBroker:
        self.events = {"basic_ack": set(), "basic_nack": set(), "basic_return": set()}
        return self

    def release(self) -> None:
        self._open.clear()

    def drain_events(self, timeout: float) -> None:  # noqa: ARG002 - as the connection names it
        action = self.script.pop(0) if self.script else "ack all"
        if action == "lose":
            raise ConnectionResetError
        last, message_id = self._open[-1]
        if action == "return":
            self._tell("basic_return", None, "", "order_placed", SimpleNamespace(properties={"message_id": message_id}))
        if action == "nack":
            self._tell("basic_nack", last, True)
        else:
            self._tell("basic_ack", last, True)
        self._open.clear()

    def _tell(self, event: str, *values: Any) -> None:
        for callback in self.events[event]:
            callback(*values)

    # the channel
    def confirm_select(self) -> None:
        pass

    def prepare_message(self, body: bytes, **options: Any) -> Any:
        return SimpleNamespace(body=body, options=options)

    def basic_publish(self, message: Any, *, exchange: str, routing_key: str, mandatory: bool) -> None:
        assert (exchange, routing_key, mandatory) == ("storefront.events", "order_placed", True)
        assert message.options["properties"]["delivery_mode"] == 2
        assert message.options["content_type"] == "application/cloudevents+json"
        self._tag += 1
        self._open.append((self._tag, message.options["properties"]["message_id"]))
        self.bodies.append(message.body.decode())
        self.most_open = max(self.most_open, len(self._open))


def publish(monkeypatch: pytest.MonkeyPatch, broker: FakeBroker, count: int, window: int = 10) -> tuple[list[str], list[str]]:
    monkeypatch.setattr(publishing, "connection_to", lambda *_args, **_options: broker)
    monkeypatch.setattr("shared.cli.publisher.time.sleep", lambda _seconds: None)
    confirmed: list[str] = []
    troubles: list[str] = []
    with WindowedPublisher("amqp://x", window=window, on_confirmed=confirmed.append, on_trouble=troubles.append) as publisher:
        for number in range(count):
            publisher.publish(f"id-{number}", "order_placed", str(number).encode())
    return confirmed, troubles


def test_many_messages_are_open_at_once_and_each_is_confirmed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FakeBroker()
    confirmed, troubles = publish(monkeypatch, broker, 25)
    assert confirmed == [f"id-{number}" for number in range(25)]
    assert (broker.most_open, troubles, broker.connections) == (10, [], 1)


@pytest.mark.parametrize(("trouble", "again"), [("nack", 3), ("return", 1), ("lose", 3)])
def test_what_the_broker_did_not_take_is_told_and_offered_again(
    monkeypatch: pytest.MonkeyPatch, trouble: str, again: int
) -> None:
    broker = FakeBroker(trouble)
    confirmed, troubles = publish(monkeypatch, broker, 3)
    assert sorted(confirmed) == ["id-0", "id-1", "id-2"]
    assert len(broker.bodies) == 3 + again
    assert len(troubles) == 1


def test_what_the_broker_never_takes_ends_with_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FakeBroker(*["return"] * 10)
    with pytest.raises(NotPublished, match="after 5 attempts"):
        publish(monkeypatch, broker, 1)
    assert len(broker.bodies) == 5


# -- answers ---------------------------------------------------------------------------------------------------------------------


def test_an_answer_is_read() -> None:
    event = {
        "type": "order_rejected",
        "time": "2026-11-22T10:15:01Z",
        "data": {
            "caused_by": {"source": "https://shop.example", "id": "e-1"},
            "order_number": "A-1",
            "reasons": [{"code": "lines_missing", "path": "/data/lines"}, {"code": "other"}],
        },
    }
    answer = read_answer(json.dumps(event))
    assert answer is not None
    assert (answer.type, answer.order_number, answer.caused_by) == ("order_rejected", "A-1", "e-1")
    assert answer.reasons == ("lines_missing /data/lines", "other")
    assert answer.time == datetime(2026, 11, 22, 10, 15, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"type": "x"}', b"\xff", b'{"type": "x", "data": {"reasons": [1]}}', b"[" * 100_000]
)
def test_what_is_no_answer_is_none(body: bytes) -> None:
    assert read_answer(body) is None
