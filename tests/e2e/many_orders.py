"""Orders of every kind against a running stack, and what the databases and the sandboxes' books have to say of each."""

from __future__ import annotations

import base64
import copy
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from deploy.local.configuration import DEFAULTS
from services.notifications.difficulties import DIFFICULTIES
from services.notifications.letters import message_id
from services.shipping.domain import Shipment
from shared.cli.books import Books
from shared.cli.publisher import WindowedPublisher
from shared.cli.sandboxes import Sandboxes
from shared.cli.settings import Settings
from shared.contracts.values import OrderKey
from tests.component.events import order_placed
from tests.integration.facts import ask, rows
from tests.integration.scene import seal

SHOPS = ("https://www.astrojewelry.com", "https://another.example")
SERVICES = ("orders", "payments", "shipping", "notifications")
_SERVICE_OF = {"recipient": "shipping", "contact": "notifications", "billing": "payments"}
_BILLING = {
    "given_name": "Ana",
    "family_name": "Müller",
    "email": "ana@post.example",
    "address": {"line1": "12 Larimer St", "city": "Denver", "region": "CO", "postal_code": "80202", "country": "US"},
}
TWINS = 0.05
_MAIL_DOMAIN = DEFAULTS["MAIL_FROM"].partition("@")[2]
MAILS = ("delivery", "order_confirmation", "shipment")
ALL_MAILS = (*MAILS, *sorted(DIFFICULTIES))


@dataclass(frozen=True)
class Kind:
    """What sort of order, and how many of a hundred are of it. `unsound` is the part that its service cannot open."""

    name: str
    share: int
    provider: str = "paypal"
    declines: bool = False
    asks_for_more: bool = False
    unsound: str = ""


KINDS = (
    Kind("paypal", 78),
    Kind("2checkout", 10, "2checkout"),
    Kind("declined by paypal", 3, declines=True),
    Kind("declined by 2checkout", 1, "2checkout", declines=True),
    Kind("approved for another amount", 2, asks_for_more=True),
    Kind("unsound recipient", 2, unsound="recipient"),
    Kind("unsound contact", 3, unsound="contact"),
    Kind("unsound billing", 1, "2checkout", unsound="billing"),
)
A_RACE = "unsound contact"
"""A hold for an unsound contact races the label: whichever comes first decides, in one of two ways."""


@dataclass(frozen=True)
class Placed:
    """One order and its event, ready to publish."""

    key: OrderKey
    kind: Kind
    event: Mapping[str, Any]

    @property
    def money(self) -> tuple[Decimal, str]:
        return Decimal(self.event["data"]["total"]), self.event["data"]["currency"]

    @property
    def payment(self) -> tuple[str, str]:
        told = self.event["data"]["payment"]
        return told["provider"], told["reference"]

    def under_another_id(self, identity: str, **changes: Any) -> dict[str, Any]:
        """The same order in another event; with `changes` another order under the same number."""
        return {**self.event, "id": identity, "data": {**self.event["data"], **changes}}


@dataclass(frozen=True)
class Account:
    """What became of one order. Amounts that are exactly its total stand as `total`; `sent` are the mails that arrived, each once."""

    order: str
    payment: str
    shipment: str
    mails: tuple[tuple[str, str], ...]
    authorised: tuple[str, ...]
    captured: tuple[str, ...]
    labels: int
    sent: tuple[str, ...]


class Storefronts:
    """Two shops on one stack. `env` is the stack's."""

    def __init__(self, env: Mapping[str, str], random: Random) -> None:
        self.env, self._random = env, random
        self._keys = {key["service"]: key for key in ask("GET", f"{env['ORDERS_HTTP_URL']}/keys").json()}

    def make(self, numbers: Iterable[str], kinds: Sequence[Kind]) -> list[Placed]:
        """One approved, sealed order per number; some bear the same number in both shops."""
        made: list[tuple[OrderKey, Kind, dict[str, Any]]] = []
        is_twin = True
        for place, (number, kind) in enumerate(zip(numbers, kinds, strict=True)):
            is_twin = not is_twin and self._random.random() < TWINS
            key = OrderKey(SHOPS[place % 2], made[-1][0].order_number if is_twin else number)
            made.append((key, kind, self._data(key, kind, place)))
        self._approve([(kind, data) for _, kind, data in made])
        return [Placed(key, kind, self._event(key, kind, data, place)) for place, (key, kind, data) in enumerate(made)]

    def publish(self, events: Iterable[Mapping[str, Any]]) -> None:
        with WindowedPublisher(self.env["STOREFRONT_AMQP_URI"]) as publisher:
            for place, event in enumerate(events):
                publisher.publish(str(place), event["type"], json.dumps(event).encode())

    def _data(self, key: OrderKey, kind: Kind, place: int) -> dict[str, Any]:
        # Each order's total is another one, so that money in the wrong place shows.
        tax, total = (Decimal(amount) + Decimal(place) / 100 for amount in ("13.70", "187.65"))
        told = {"provider": kind.provider, "reference": "none-yet"}
        data: dict[str, Any] = order_placed(key.order_number, tax=str(tax), total=str(total), payment=told)["data"]
        return data | ({"billing": copy.deepcopy(_BILLING)} if kind.provider == "2checkout" else {})

    def _approve(self, orders: list[tuple[Kind, dict[str, Any]]]) -> None:
        """The buyers' part: PayPal orders that they approved, 2Checkout's tokens."""
        paypal = [(kind, data) for kind, data in orders if kind.provider == "paypal"]
        for start in range(0, len(paypal), 500):
            some = paypal[start : start + 500]
            wishes = [
                {
                    "reference_id": data["order_number"],
                    "amount": str(Decimal(data["total"]) + (1 if kind.asks_for_more else 0)),
                    "currency": data["currency"],
                    "decline": kind.declines,
                }
                for kind, data in some
            ]
            made = ask("POST", f"{self.env['PAYPAL_SANDBOX_URL']}/_sandbox/orders", wishes).json()["orders"]
            for (_, data), order in zip(some, made, strict=True):
                data["payment"]["reference"] = order["id"]
        for declines in (False, True):
            some = [data for kind, data in orders if kind.provider == "2checkout" and kind.declines is declines]
            wish = {"count": len(some), "decline": declines}
            tokens = ask("POST", f"{self.env['TWOCHECKOUT_SANDBOX_URL']}/_sandbox/tokens", wish).json()["tokens"] if some else []
            for data, token in zip(some, tokens, strict=True):
                data["payment"]["reference"] = token

    def _event(self, key: OrderKey, kind: Kind, data: dict[str, Any], place: int) -> dict[str, Any]:
        for part, service in _SERVICE_OF.items():
            if part in data:
                data[part] = seal(data[part], self._keys[service], bound_to=key.order_number)
                if part == kind.unsound:
                    data[part]["box"] = base64.b64encode(b"\xfb" * 90).decode()
        event = order_placed()
        return event | {"id": f"{event['id']}.{place}", "source": key.shop, "data": data}


def kinds_of(orders: int, random: Random) -> list[Kind]:
    """So many kinds, each by its share, in any order; none is left out."""
    kinds = [*KINDS, *random.choices(KINDS, [kind.share for kind in KINDS], k=orders - len(KINDS))]
    random.shuffle(kinds)
    return kinds


# ── what became of them ──────────────────────────────────────────────────────────────────────────────────────────────────────


def accounts(env: Mapping[str, str], placed: Iterable[Placed]) -> dict[OrderKey, Account | None]:
    """Of each order what became of it, None where a service does not know it yet. Asks the databases, then the parties."""
    states = {
        table: {OrderKey(*row[:2]): row[2] for row in rows(env[f"{service.upper()}_DATABASE_URL"], statement)}
        for service, table, statement in (
            ("orders", "orders", "select shop, order_number, state from orders"),
            ("payments", "payments", "select shop, order_number, state from payments"),
            ("shipping", "shipments", "select shop, order_number, state from shipments"),
            ("notifications", "mails", "select shop, order_number, mails from correspondences"),
        )
    }
    witnesses = _Witnesses(Sandboxes(Settings(env)).books(), _MAIL_DOMAIN)
    return {
        order.key: witnesses.account(order, *(known[order.key] for known in states.values()))
        if all(order.key in known for known in states.values())
        else None
        for order in placed
    }


class _Witnesses:
    """The sandboxes' books, by what an order is known by in them."""

    def __init__(self, books: Books, mail_domain: str) -> None:
        self._mail_domain = mail_domain
        self._payments = defaultdict(list)
        for payment in books.payments:
            self._payments[payment.provider, payment.reference].append(payment)
        self._labels = Counter(label.parcel for label in books.labels)
        self._mails = {mail.message_id: mail for mail in books.mails}

    def account(self, order: Placed, state: str, payment: str, shipment: str, mails: Mapping[str, str]) -> Account:
        paid = self._payments[order.payment]
        arrived = [self._mails.get(message_id(self._mail_domain, kind, order.key)) for kind in ALL_MAILS]
        return Account(
            state,
            payment,
            shipment,
            tuple(sorted(mails.items())),
            tuple(_amount(order, amount, it.currency) for it in paid for amount in it.authorised),
            tuple(_amount(order, amount, it.currency) for it in paid for amount in it.captured),
            self._labels[Shipment(key=order.key).parcel],
            tuple(mail.kind for mail in arrived if mail is not None),
        )


def _amount(order: Placed, amount: str, currency: str) -> str:
    return "total" if (Decimal(amount), currency) == order.money else f"{amount} {currency}"


def strangers(env: Mapping[str, str], placed: Sequence[Placed]) -> list[str]:
    """What the books hold that belongs to none of these orders."""
    books, keys = Sandboxes(Settings(env)).books(), [order.key for order in placed]
    known = {message_id(_MAIL_DOMAIN, kind, key) for key in keys for kind in ALL_MAILS}
    paid, parcels = {order.payment for order in placed}, {Shipment(key=key).parcel for key in keys}
    return [
        *(mail.message_id for mail in books.mails if mail.message_id not in known),
        *(label.parcel for label in books.labels if label.parcel not in parcels),
        *(
            payment.reference
            for payment in books.payments
            if (payment.authorised or payment.captured) and (payment.provider, payment.reference) not in paid
        ),
    ]


def unfinished(env: Mapping[str, str]) -> Counter[str]:
    """What the four services still have to do: messages that wait, events to publish, calls to make, shipments for staff or carrier."""
    left: Counter[str] = Counter()
    for service in SERVICES:
        url = env[f"{service.upper()}_DATABASE_URL"]
        [counts] = rows(
            url,
            "select (select count(*) from outbox), (select count(*) from intents), "
            "(select count(*) from held where state = 'later')",
        )
        left.update({f"{service}: {what}": count for what, count in zip(("outbox", "calls", "later"), counts, strict=True)})
    at_work = "select count(*) from shipments where state in ('to_pick', 'to_pack', 'to_hand_over', 'dispatched')"
    [(left["shipments at work"],)] = rows(env["SHIPPING_DATABASE_URL"], at_work)
    return +left


def parked(env: Mapping[str, str]) -> Counter[str]:
    """Why messages were parked, in all four services."""
    found: Counter[str] = Counter()
    for service in SERVICES:
        for (reason,) in rows(env[f"{service.upper()}_DATABASE_URL"], "select reason from held where state = 'parked'"):
            found[f"{service}: {reason}"] += 1
    return found
