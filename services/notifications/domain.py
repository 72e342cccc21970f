"""What an order's customer is owed in mails, and got.

Each kind is owed when its fact is heard and the contact is known, whichever comes first, and sent once:

    order_confirmation ← payment authorised      shipment ← dispatched      delivery ← delivered

and of trouble what `difficulties.py` says, also once: the one about a cancellation also when the order is cancelled, and no mail about a hold
that is over.

A mail's state: owed → sending → sent, refused by the customer's mail server, or withheld by the gate (`gate.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.notifications.difficulties import CANCELLATION, DIFFICULTIES
from shared.contracts.aggregate import Aggregate, Intent
from shared.contracts.errors import TryLater
from shared.contracts.events import MailSent, PartRefused
from shared.contracts.person_events import PartCorrected
from shared.contracts.values import OrderKey

SEND_MAIL = "send_mail"
SEND_DIFFICULTY_MAIL = "send_difficulty_mail"

ORDER_CONFIRMATION = "order_confirmation"
SHIPMENT = "shipment"
DELIVERY = "delivery"

OWED, SENDING, SENT, REFUSED, WITHHELD = "owed", "sending", "sent", "refused", "withheld"


@dataclass(frozen=True, slots=True)
class Handed:
    """The customer's mail server took the mail."""

    kind: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The customer's mail server will never take it; `code` says why, without an address."""

    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """It may not be sent to this person now; `code` says why."""

    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class Entrusted:
    """What an order brings once: `contact` is the part in its envelope, None where unusable; `order` is what the confirmation tells."""

    customer_id: str
    order: dict[str, Any]
    contact: dict[str, Any] | None


@dataclass(kw_only=True)
class Correspondence(Aggregate):
    """`entrusted` is there only on the object that has just taken it on: it is written once and read by those who need it.

    Where `is_kept` is false the contact is let go: nothing is owed any more, and no tracking is noted.
    """

    key: OrderKey
    is_entrusted: bool = False
    entrusted: Entrusted | None = None
    contact_refused: bool = False
    is_cancelled: bool = False
    tracking: dict[str, Any] | None = None
    mails: dict[str, str] | None = None
    ended_at: datetime | None = None
    held: dict[str, str] | None = None
    released_at: datetime | None = None
    is_kept: bool = True

    def entrust(self, *, customer_id: str, order: dict[str, Any], contact: dict[str, Any]) -> None:
        """The contact is known: what is owed is sent."""
        if self.is_entrusted or self.contact_refused:
            return
        self.has_come = True
        self.is_entrusted, self.entrusted = True, Entrusted(customer_id, order, contact)
        self._send_owed()

    def refuse_contact(self, codes: tuple[str, ...], *, customer_id: str = "", order: dict[str, Any] | None = None) -> None:
        """The contact part cannot be used and is not kept, and nothing can be sent until a corrected one takes its place."""
        if self.is_entrusted or self.contact_refused:
            return
        self.has_come = True
        self.contact_refused, self.entrusted = True, Entrusted(customer_id, order or {}, None)
        self.say(PartRefused(shop=self.key.shop, order_number=self.key.order_number, part="contact", codes=list(codes)))

    def correct_contact(self) -> str:
        """A sound contact takes the place of the old one: `replaced`. Raises TryLater where the order is not known yet."""
        if not (self.is_entrusted or self.contact_refused):
            raise TryLater("contact_unknown", awaits=self.key)
        self.say(PartCorrected(shop=self.key.shop, order_number=self.key.order_number, part="contact"))
        self.is_entrusted, self.contact_refused = True, False
        self._send_owed()
        return "replaced"

    def owe_confirmation(self) -> None:
        self._owe(ORDER_CONFIRMATION)

    def owe_shipment(self, *, carrier: str, tracking_number: str, tracking_url: str | None) -> None:
        if self.tracking is None and self.is_kept:
            self.tracking = {"carrier": carrier, "tracking_number": tracking_number, "tracking_url": tracking_url}
        self._owe(SHIPMENT)

    def owe_delivery(self, at: datetime) -> None:
        self._end(at)
        self._owe(DELIVERY)

    def owe_word_of(self, difficulty: str) -> None:
        """The order is in a trouble that the buyer can mend."""
        self._owe(difficulty)

    def hold(self, difficulties: Sequence[str], held_at: datetime) -> None:
        """The order waits for sound parts; a hold that is known to be over is no trouble any more."""
        if self.released_at is not None and held_at <= self.released_at:
            return
        self.held = {**(self.held or {}), **dict.fromkeys(difficulties, held_at.isoformat())}
        for difficulty in difficulties:
            self._owe(difficulty)

    def release(self, released_at: datetime) -> None:
        """The hold is over: what could not be told yet need not be told."""
        self.released_at = max(released_at, self.released_at or released_at)
        over = {kind for kind, at in (self.held or {}).items() if datetime.fromisoformat(at) <= self.released_at}
        self.mails = {kind: state for kind, state in self._mails.items() if not (kind in over and state == OWED)}

    def cancel(self, at: datetime, difficulty: str | None = None) -> None:
        """Nothing more is owed but word of the cancellation itself, where the buyer did not ask for it; what is being sent is sent."""
        self._end(at)
        if difficulty is not None:
            self._owe(difficulty)
        self.is_cancelled = True

    def note(self, outcome: Handed | NotTaken | Withheld) -> None:
        """What the customer's mail server said, or the gate before it was asked."""
        if self._mails.get(outcome.kind) != SENDING:
            return
        match outcome:
            case Handed():
                self._mark(outcome.kind, SENT)
                self.say(MailSent(shop=self.key.shop, order_number=self.key.order_number, kind=outcome.kind))
            case NotTaken():
                self._mark(outcome.kind, REFUSED)
            case Withheld():
                self._mark(outcome.kind, WITHHELD)

    @property
    def _mails(self) -> dict[str, str]:
        return self.mails or {}

    def _end(self, at: datetime) -> None:
        """The order came to an end; of two the last one counts."""
        self.ended_at = at if self.ended_at is None else max(at, self.ended_at)

    def _owe(self, kind: str) -> None:
        if kind in self._mails or self.is_cancelled or not self.is_kept:
            return
        self._mark(kind, OWED)
        self._send_owed()

    def _send_owed(self) -> None:
        if not self.is_entrusted:
            return
        for kind in (kind for kind, state in self._mails.items() if state == OWED):
            if self.is_cancelled and kind != CANCELLATION:
                continue
            details: dict[str, Any] = {"kind": kind}
            if kind == SHIPMENT:
                details["tracking"] = self.tracking
            call = SEND_DIFFICULTY_MAIL if kind in DIFFICULTIES else SEND_MAIL
            self.intend(Intent(call, f"{self.key.shop} {self.key.order_number} {kind}", details))
            self._mark(kind, SENDING)

    def _mark(self, kind: str, state: str) -> None:
        self.mails = {**self._mails, kind: state}
