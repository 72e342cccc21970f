"""The outside parties as small books: payment companies, a carrier and a mail server that know no idempotency of their own.

Whoever asks twice without being in doubt gets it twice; whoever is in doubt finds what was done under the same key. So a call that
the pipes repeat without need shows in the books as a second deed.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from types import SimpleNamespace
from typing import Any, cast

from services.notifications.gateway import MailRefused
from services.notifications.letters import Shop
from services.notifications.store import NotificationsReads
from services.payments.gateway import Authorised, AuthorisePayment, Captured, CaptureFailed, CapturePayment, Declined
from services.payments.store import PaymentsReads
from services.shipping.domain import Shipment
from services.shipping.gateway import BuyLabel, Label, LabelRefused
from services.shipping.store import ShippingReads
from shared.contracts.events import SealedBox
from shared.contracts.values import Money, OrderKey
from shared.custody.envelopes import Envelope, close, open_
from shared.custody.vault import Opened, Opening, PartToKeep
from shared.parts import PartReader
from shared.sealing import BoxUnopenable
from tests.unit.delivery.doors import DOORS
from tests.unit.delivery.plans import SHOPS, Plan


@dataclass(frozen=True)
class Deed:
    """One thing that was done outside for an order: `key` is the caller's name for it."""

    about: OrderKey
    key: str
    money: Money | None = None
    reference: str = ""
    in_doubt: bool = False


@dataclass
class Books:
    """What the parties did. `plans` says what each order's way is; `calls` counts what was asked under each key."""

    plans: dict[OrderKey, Plan]
    authorised: list[Deed] = field(default_factory=list)
    captured: list[Deed] = field(default_factory=list)
    labels: list[Deed] = field(default_factory=list)
    mails: list[Deed] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    # ── a payment company ────────────────────────────────────────────────────────────────────────────────────────────────────

    def authorise(self, ask: AuthorisePayment, *, in_doubt: bool) -> Authorised | Declined:
        self.calls[ask.key] += 1
        about, money = OrderKey(ask.shop, ask.order_number), Money(ask.amount_minor, ask.currency)
        payment = self.plans[about].payment
        if payment in ("declined", "amount_mismatch"):
            return Declined(payment)
        if not (in_doubt and self._has(self.authorised, ask.key)):
            self.authorised.append(Deed(about, ask.key, money, ask.reference))
        return Authorised(f"AUTH {ask.key}")

    def capture(self, ask: CapturePayment, *, in_doubt: bool) -> Captured | CaptureFailed:
        self.calls[ask.key] += 1
        about, money = OrderKey(ask.shop, ask.order_number), Money(ask.amount_minor, ask.currency)
        assert f"AUTH {self._authorised(about).key}" == ask.authorisation_reference
        if self.plans[about].payment == "not_captured":
            return CaptureFailed("authorisation_expired")
        if not (in_doubt and self._has(self.captured, ask.key)):
            self.captured.append(Deed(about, ask.key, money))
        return Captured(f"CAP {ask.key}")

    def _authorised(self, about: OrderKey) -> Deed:
        return next(deed for deed in self.authorised if deed.about == about)

    # ── the carrier ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def buy_label(self, ask: BuyLabel, *, in_doubt: bool) -> Label | LabelRefused:
        self.calls[ask.parcel] += 1
        about = next(key for key in self.plans if Shipment(key=key).parcel == ask.parcel)
        if not self.plans[about].sells_label:
            return LabelRefused(("invalid_address",))
        if not (in_doubt and self._has(self.labels, ask.parcel)):
            self.labels.append(Deed(about, ask.parcel, reference=f"1Z.{ask.parcel}.{len(self.of(self.labels, about))}"))
        number = self.of(self.labels, about)[-1].reference
        return Label(f"se.{number}", number, None, "ups", b"%PDF")

    # ── the mail server ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, _sender: str, recipient: str, message: bytes, *, smtputf8: bool, in_doubt: bool) -> None:
        assert not smtputf8, "these addresses are plain"
        mail = message_from_bytes(message)
        about = next(key for key, plan in self.plans.items() if plan.email == recipient)
        self.calls[mail["Message-ID"]] += 1
        if not self.plans[about].takes_mail:
            raise MailRefused("mailbox_unknown")
        self.mails.append(Deed(about, mail["Message-ID"], reference=mail["X-Brown-Paper-Kind"], in_doubt=in_doubt))

    # ── looking into them ────────────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def of(deeds: list[Deed], about: OrderKey) -> list[Deed]:
        return [deed for deed in deeds if deed.about == about]

    @staticmethod
    def _has(deeds: list[Deed], key: str) -> bool:
        return any(deed.key == key for deed in deeds)


class OpenBoxes:
    """A keyring without keys: a box holds its part in the clear, or what is no part at all."""

    @staticmethod
    def unseal(part: SealedBox) -> bytes:
        inside = base64.b64decode(part.box)
        if not inside.startswith(b"{"):
            raise BoxUnopenable
        return inside

    @staticmethod
    def seal(plaintext: bytes, _at: datetime) -> tuple[str, bytes]:
        return "shipping-2026-10", plaintext


class OpenVault:
    """Stands for a service's keyring database: one key for all and nobody erased. Envelopes are real."""

    def __init__(self, service: str) -> None:
        self.service = service

    def take_in(self, parts: Sequence[PartToKeep], _at: datetime) -> list[Envelope]:
        return [close(ONE_KEY, it.plaintext, self.service, it.name, it.policy_version, it.form) for it in parts]

    def open(self, openings: Sequence[Opening], **_how: object) -> list[Opened]:
        return [
            Opened(open_(ONE_KEY, it.envelope, self.service, it.name), ONE_KEY, self.service, it.name, it.envelope.policy_version)
            for it in openings
        ]

    @staticmethod
    def erased_among(_persons: object) -> set[tuple[str, str]]:
        return set()


ONE_KEY = bytes(range(32))
PARTS = {"payments": "billing", "shipping": "recipient", "notifications": "contact"}


def doors(books: Books, databases: Mapping[str, Any]) -> dict[str, Any]:
    """The four doors, their real methods, with these parties behind them, and their reads on these databases."""
    found: dict[str, Any] = {name: door() for name, door in DOORS.items()}
    nobody: Any = None
    for name, part in PARTS.items():
        boxes, vault = cast(Any, OpenBoxes()), cast(Any, OpenVault(name))
        found[name].parts = PartReader(part, boxes, vault, nobody, nobody)
    keys = {(name, f"{name}-2026-10"): datetime.now(UTC) + timedelta(days=7) for name in DOORS}
    found["orders"].settings = SimpleNamespace(
        storefront_sources=frozenset(SHOPS),
        policy_versions=frozenset({"2025-11-01"}),
        shipping_services={"ground": "ups_ground"},
        accept_clear_parts_over_amqp=False,
    )
    found["orders"].keys = SimpleNamespace(
        expiries=lambda _at: keys, expiries_as_of=lambda _at: keys, look_again=lambda _at: False
    )
    found["orders"].known_versions = SimpleNamespace(at=lambda _at: frozenset({"2025-11-01"}), look_again=lambda _at: False)
    found["orders"].desk = None  # nobody asks for a right here
    found["payments"].reads = PaymentsReads(databases["payments"])
    found["shipping"].reads = ShippingReads(databases["shipping"])
    found["notifications"].reads = NotificationsReads(databases["notifications"])
    found["payments"].providers = {"paypal": books, "2checkout": books}
    found["shipping"].carrier = books
    found["shipping"].settings = found["orders"].settings
    found["notifications"].shop = Shop("The shop", "orders@shop.example")
    return found
