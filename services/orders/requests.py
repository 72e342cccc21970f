"""What a person asks for, from its record to its end.

    received ──────────────────────▶ under_way ──every holder's receipt──▶ closed
       │  (an erasure, once all holders           │
       ▼   have frozen the person)                ▼
    waiting_for_orders ──all ended──▶ …        refused (the part was unsound; an order did not end in time)

Instead of being under way an erasure is on_legal_hold while an order of the person's must stay because the law says so: it waits without a
limit, and goes on when the last hold ends (clause 53, addendum A-10). What a holder destroyed before the hold came stays destroyed.

The holders are those that the policy names, noted when the request comes. A request closes when each of them has answered with a signed
receipt, and says until then what it waits for. Receipts may come in any order and more than once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from shared.contracts.aggregate import Aggregate
from shared.contracts.events import Answer, Event, Reason, SealedBox
from shared.contracts.person_events import (
    BillingCorrected,
    ContactCorrected,
    CorrectedOrder,
    DataCopyOrdered,
    ErasureOrdered,
    PartCorrection,
    PersonDeactivated,
    PreferencesNoted,
    RecipientCorrected,
    SignedReceipt,
)
from shared.policy import holders

ORDERS = "orders"


class Kind(StrEnum):
    CORRECTION = holders.CORRECTION
    DEACTIVATION = holders.DEACTIVATION
    ERASURE = holders.ERASURE
    COPY = holders.COPY
    PREFERENCES = holders.PREFERENCES


class State(StrEnum):
    RECEIVED = "received"
    WAITING_FOR_ORDERS = "waiting_for_orders"
    ON_LEGAL_HOLD = "on_legal_hold"
    UNDER_WAY = "under_way"
    CLOSED = "closed"
    REFUSED = "refused"


FINAL = frozenset({State.CLOSED, State.REFUSED})
FROZEN = "deactivated"
DEEDS: Mapping[Kind, str] = {
    Kind.CORRECTION: "corrected",
    Kind.DEACTIVATION: FROZEN,
    Kind.ERASURE: "erased",
    Kind.COPY: "copied",
    Kind.PREFERENCES: "noted",
}
"""What each holder does for a request of this kind, and says in its receipt."""
_CORRECTIONS: Mapping[str, type[PartCorrection]] = {
    "recipient": RecipientCorrected,
    "contact": ContactCorrected,
    "billing": BillingCorrected,
}


class RequestKey(NamedTuple):
    """A request by the storefront it came from, its kind, and its name: `request_id`, or the event's id where it has none."""

    shop: str
    kind: str
    request: str


@dataclass(kw_only=True)
class Request(Aggregate):
    """`person` is the digest under which orders remembers the person; `customer_id` is gone once the person is.

    `asked` is what the storefront asked for beside that, and of an erasure the policy version that named its holders; `receipts` are deed →
    service → receipt, `holders` service → the parts for which it must answer; `legal_holds` the orders that it waits for, each with the clause
    that keeps it.
    """

    key: RequestKey
    event_id: str
    person: str
    customer_id: str | None
    holders: dict[str, list[str]]
    asked: dict[str, Any] = field(default_factory=dict)
    state: State = State.RECEIVED
    receipts: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    orders: tuple[str, ...] = ()
    legal_holds: dict[str, str] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    certificate: dict[str, Any] | None = None
    received_at: datetime
    told_at: datetime
    closed_at: datetime | None = None

    # ── what it waits for ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def deed(self) -> str:
        """What the holders are to do now."""
        return FROZEN if self.state is State.RECEIVED else DEEDS[Kind(self.key.kind)]

    @property
    def waits_for(self) -> list[str]:
        """The services whose receipt is missing; nobody once it is over, nor while orders must end."""
        if self.state in FINAL or self.state in (State.WAITING_FOR_ORDERS, State.ON_LEGAL_HOLD):
            return []
        expected = holders.freezing(self.holders) if self.state is State.RECEIVED else self.holders
        return sorted(set(expected) - set(self.receipts.get(self.deed, {})))

    # ── its course ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, orders: Sequence[CorrectedOrder] = (), boxes: Mapping[str, SealedBox] | None = None) -> None:
        """Tell the holders, for the first time. `orders` and `boxes` are a correction's."""
        if self.key.kind != Kind.ERASURE:
            self.state = State.UNDER_WAY
        self.orders = tuple(order.order_number for order in orders)
        for part, box in (boxes or {}).items():
            told = {"bound_to": self.asked["bound_to"], "orders": list(orders), part: box}
            self.say(_CORRECTIONS[part](**self._named(), **told))
        if self.key.kind != Kind.CORRECTION:
            self._tell()

    def tell_again(self, at: datetime, every: timedelta) -> None:
        """Say once more what a holder has not answered in all this time: a repeat is harmless. A correction's boxes are not kept for it."""
        if self.key.kind == Kind.CORRECTION or not set(self.waits_for) - {ORDERS} or at - self.told_at < every:
            return
        self.told_at = at
        self._tell()

    def note_receipt(self, deed: str, signed: SignedReceipt) -> bool:
        """A holder's receipt; whether it is news. The first one stands."""
        known = self.receipts.get(deed, {})
        if signed.service in known or self.state in FINAL:
            return False
        self.receipts = {**self.receipts, deed: {**known, signed.service: signed.model_dump()}}
        return True

    def note_holds(self, legal_holds: Mapping[str, str], at: datetime) -> None:
        """Which of the person's orders the law keeps, each with its clause. The erasure stands still, or goes on where it was.

        Holders that have not erased yet are told again: each of them left the order alone by itself while it was held.
        """
        if self.key.kind != Kind.ERASURE or self.state not in (State.UNDER_WAY, State.ON_LEGAL_HOLD):
            return
        self.legal_holds = dict(legal_holds)
        if legal_holds:
            self.state = State.ON_LEGAL_HOLD
        elif self.state is State.ON_LEGAL_HOLD:
            self.state, self.told_at = State.UNDER_WAY, at
            if set(self.waits_for) - {ORDERS}:
                self._tell()

    def note_orders(
        self, open_orders: Sequence[str], at: datetime, limit: timedelta, legal_holds: Mapping[str, str] | None = None
    ) -> None:
        """Which of the person's orders have not ended. The erasure goes on when none is left; after its time it is refused with that reason.

        Where all have ended and the law keeps one, it waits for that.
        """
        if self.key.kind != Kind.ERASURE or self.state not in (State.RECEIVED, State.WAITING_FOR_ORDERS) or self.waits_for:
            return
        self.state, self.orders = State.WAITING_FOR_ORDERS, tuple(sorted(open_orders))
        if not open_orders and legal_holds:
            self.state, self.legal_holds = State.ON_LEGAL_HOLD, dict(legal_holds)
        elif not open_orders:
            self.state, self.told_at = State.UNDER_WAY, at
            self._tell()
        elif at - self.received_at >= limit:
            self.refuse([Reason(code="order_under_way", path="/data/customer_id")], at)

    def refuse(self, reasons: Sequence[Reason], at: datetime) -> None:
        """It ends without having been done, and the storefront hears why."""
        if self.state in FINAL:
            return
        self.state, self.reasons, self.closed_at = State.REFUSED, tuple(reasons), at
        self.tell_ending()

    def close(self, at: datetime, certificate: dict[str, Any] | None = None) -> None:
        """Every holder has answered. Raises ValueError where one has not: nothing closes without its receipts."""
        if self.state in FINAL:
            return
        if self.waits_for or self.state is not State.UNDER_WAY:
            raise ValueError("a request closes when all its holders have answered")
        self.state, self.closed_at, self.certificate = State.CLOSED, at, certificate
        if self.key.kind == Kind.ERASURE:
            self.customer_id = None
        self.tell_ending()

    def tell_ending(self) -> None:
        """Tell the storefront what came of it, for the first time or again; nothing where the contract has no word for it."""
        data: dict[str, Any] = {"caused_by": {"source": self.key.shop, "id": self.event_id}}
        if self.state is State.REFUSED:
            self.say(Answer(answer="event_refused", data=data | {"reasons": [reason.model_dump() for reason in self.reasons]}))
        elif self.state is State.CLOSED and self.key.kind == Kind.ERASURE:
            receipts = list(self.receipts[DEEDS[Kind.ERASURE]].values())
            told = {name: (self.certificate or {})[name] for name in ("unreadable_by_us_since", "unreadable_by_anybody_from")}
            self.say(Answer(answer="customer_erased", data=data | {"request_id": self.key.request, "receipts": receipts, **told}))
        elif self.state is State.CLOSED and self.key.kind == Kind.COPY:
            until = self.asked.get("available_until")
            self.say(Answer(answer="customer_data_ready", data=data | {"request_id": self.key.request, "available_until": until}))

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self) -> None:
        named = self._named()
        told: Event
        match (self.key.kind, self.state):
            case (Kind.ERASURE, State.UNDER_WAY):
                told = ErasureOrdered(**named)
            case (Kind.ERASURE | Kind.DEACTIVATION, _):
                told = PersonDeactivated(**named)
            case (Kind.COPY, _):
                told = DataCopyOrdered(**named, reply_key=self.asked["reply_key"])
            case _:
                told = PreferencesNoted(**named, **self.asked)
        self.say(told)

    def _named(self) -> dict[str, Any]:
        return {**self.key._asdict(), "customer_id": self.customer_id}
