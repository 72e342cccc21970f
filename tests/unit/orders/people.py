"""A small orders service for persons' requests: its store in a dict, and holders that sign as the real ones do."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from services.orders.domain import Order
from services.orders.domain import State as OrderState
from services.orders.request_handlers import Desk, note_receipt, review, take_request
from services.orders.requests import Kind, Request, RequestKey
from shared.contracts.person_events import DataPieceSealed, RequestReceipted
from shared.contracts.storefront import StorefrontEvent
from shared.contracts.values import OrderKey
from shared.custody.persons import PersonNames
from shared.custody.receipts import Signer
from shared.policy import load
from tests.builders import AT, an_order
from tests.fakes import FakeOrders
from tests.unit.contracts.storefront_samples import SOURCE, read

POLICY = load()
HOLDERS = ("notifications", "payments", "shipping")
WAITS, AGAIN, LASTS = timedelta(days=45), timedelta(minutes=10), timedelta(days=7)
CUSTOMER = "c-1"


class FakeRequests(FakeOrders):
    """As `RequestStore`; everything of it is taken back where a handler fails."""

    def request(self, key: RequestKey) -> Request | None:
        request: Request | None = self._get(("request", key))
        return request

    def save_request(self, request: Request) -> None:
        self._save(("request", request.key), request, OrderKey(request.key.shop, ""))

    def is_anybody_gone(self) -> bool:
        return any(name[0] == "person" and state != "deactivated" for name, state in self._kept.items())

    def person_state(self, person: str) -> str:
        return str(self._kept.get(("person", person), "active"))

    def set_person(self, person: str, state: str, at: datetime) -> None:  # noqa: ARG002 - as the real one
        if self.person_state(person) != "erased":
            self._kept[("person", person)] = state

    def orders_of(self, customer_id: str, shop: str = SOURCE) -> list[Order]:
        orders = [item for item in self._kept.values() if isinstance(item, Order)]
        return [order for order in orders if (order.customer_id, order.key.shop) == (customer_id, shop)]

    def open_orders(self, shop: str, customer_id: str) -> list[Order]:
        return [self.the_order(one.key) for one in self.orders_of(customer_id, shop) if one.is_open]

    def legal_holds(self, shop: str, customer_id: str) -> dict[str, str]:
        theirs = {one.key.order_number for one in self.orders_of(customer_id, shop)}
        return {
            name[1]: clause for name, clause in self._kept.items() if name[0] == "legal hold" and clause and name[1] in theirs
        }

    def hold(self, order_number: str, clause: str | None) -> None:
        self._kept["legal hold", order_number] = clause

    def note_preferences(self, event: Any) -> None:
        self._kept.setdefault(("choice", event.request), event)

    def receipt_keys(self) -> list[dict[str, str]]:
        return [key for name, key in self._kept.items() if name[0] == "receipt key"]

    def keep_receipt_key(self, signer: Signer) -> None:
        self._kept["receipt key", signer.key_id] = public_key_of(signer)

    def keep_piece(self, shop: str, request: str, service: str, piece: str, until: datetime) -> None:  # noqa: ARG002
        self._kept.setdefault(("piece", shop, request, service), piece)

    def lengthen_pieces(self, shop: str, request: str, until: datetime) -> None:
        self._kept["pieces", shop, request] = until

    def pieces(self) -> set[str]:
        return {name[3] for name in self._kept if name[0] == "piece"}

    def counted(self, shop: str, customer_id: str) -> dict[str, int]:
        return {"orders": len(self.orders_of(customer_id, shop))}

    def sweep(self, shop: str, customer_id: str, person: str) -> None:  # noqa: ARG002
        for one in self.orders_of(customer_id, shop):
            nobodys = self.the_order(one.key)
            nobodys.customer_id = ""
            self._kept[("order", one.key)] = nobodys

    def rows_about(self, shop: str, customer_id: str) -> dict[str, list[dict[str, Any]]]:
        return {"orders": [{"order_number": one.key.order_number} for one in self.orders_of(customer_id, shop)]}


class Bureau:
    """Orders with its desk, and the holders that it tells. `at` is the time."""

    def __init__(self) -> None:
        self.store = FakeRequests()
        self.at = AT
        self.remembered: list[str] = []
        names = PersonNames("orders", b"\x01" * 32)
        self.desk = Desk(names, POLICY, _seal, WAITS, AGAIN, LASTS, lambda person, _at: self.remembered.append(person))
        self.signers = {service: Signer(service, hashlib.sha256(service.encode()).digest()) for service in HOLDERS}
        for signer in self.signers.values():
            self.store.keep_receipt_key(signer)

    def public_keys(self) -> list[dict[str, str]]:
        """The public keys of everybody who signs, as somebody has kept them elsewhere."""
        return [public_key_of(signer) for signer in (*self.signers.values(), self.desk.names.signer)]

    def take(self, event: StorefrontEvent) -> str:
        with self.store.handling():
            return take_request(event, self.store, self.desk, self.at).kind

    def note(self, event: RequestReceipted | DataPieceSealed) -> None:
        with self.store.handling():
            note_receipt(event, self.store, self.desk, self.at)

    def look(self, request: Request) -> None:
        with self.store.handling():
            review(request.key, self.store, self.desk, self.at)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [data for said, data in self.store.said if said == kind]

    def request(self, kind: Kind, name: str = "r-1", shop: str = SOURCE) -> Request:
        found = self.store.request(RequestKey(shop, kind, name))
        assert found is not None
        return found

    def has_order(self, number: str = "SH-1", *, state: str = "accepted", customer_id: str = CUSTOMER) -> Order:
        order = an_order(OrderKey(SOURCE, number), customer_id=customer_id)
        order.state = OrderState(state)
        self.store.save(order)
        return order

    def receipt(self, service: str, request: Request, deed: str | None = None, **told: Any) -> RequestReceipted:
        """What this holder answers now; `told` replaces members."""
        named = {"shop": request.key.shop, "kind": request.key.kind, "request": request.key.request, "deed": deed or request.deed}
        body: dict[str, Any] = {**named, "at": self.at, "policy_version": POLICY.version}
        if named["deed"] == "erased":
            gone_at = self.at + timedelta(days=14)
            body |= {"keys_destroyed": 1, "keys_left": 0, "rows_before": {"rows": 2}, "rows_after": {"rows": 0}}
            body |= {"last_key_gone_at": gone_at, "last_backup_gone_at": gone_at}
        if named["deed"] == "corrected":
            part = next(part for part in request.holders[service])
            body |= {"part": part, "orders": [], "codes": []}
        return RequestReceipted(**named, signed=self.signers[service].sign({**body, **told}))

    def piece(self, service: str, request: Request) -> DataPieceSealed:
        piece = base64.b64encode(f"what {service} has".encode()).decode()
        digest = hashlib.sha256(base64.b64decode(piece)).hexdigest()
        return DataPieceSealed(**self.receipt(service, request, piece_sha256=digest).model_dump(), piece=piece)


def public_key_of(signer: Signer) -> dict[str, str]:
    return {"service": signer.service, "key_id": signer.key_id, "public_key": signer.public_key}


def _seal(plaintext: bytes, key: str) -> str:
    if key == REFUSED_KEY:
        raise ValueError
    return base64.b64encode(b"sealed " + plaintext).decode()


REPLY_KEY = base64.b64encode(b"\x09" * 32).decode()
REFUSED_KEY = base64.b64encode(bytes(32)).decode()


def asks(kind: str, event_id: str | None = None, **data: Any) -> StorefrontEvent:
    """A storefront's event about a person, as the door reads it."""
    whole = {
        "specversion": "1.0",
        "id": event_id or str(uuid.uuid4()),
        "source": SOURCE,
        "type": kind,
        "time": datetime(2026, 3, 6, 8, 59, tzinfo=UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": {"customer_id": CUSTOMER, **data},
    }
    return read(json.loads(json.dumps(whole)))


def certificate_of(bureau: Bureau, pause: timedelta = timedelta(seconds=1), **told: Any) -> dict[str, Any]:
    """The certificate of an erasure that went through, with `pause` between its receipts; `told` replaces members of them."""
    bureau.take(asks("customer_erasure_requested", request_id="r-1"))
    for deed in ("deactivated", "erased"):
        for service in HOLDERS:
            bureau.note(bureau.receipt(service, bureau.request(Kind.ERASURE), deed, **told))
            bureau.at += pause
    certificate = bureau.request(Kind.ERASURE).certificate
    assert certificate is not None
    return certificate
