"""The life of a shipment, from what is known of an order to the parcel at its door.

    waiting ──paid and recipient known──▶ to_pick ──▶ to_pack ──packed──▶ labelling ──▶ labelled ──captured──▶ to_hand_over
                                                                             └──▶ label_refused                     │
       delivered ◀── dispatched ◀── handed over by staff, or first scanned by the carrier ◀───────────────────────┘

Facts come in any order and more than once; the state is worked out from the facts (`_settle_state`), so that the result is the same.
A hold or a cancellation stops what is not packed yet; what is packed gets its label and goes on.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from shared.contracts.aggregate import Aggregate, Intent
from shared.contracts.errors import Fault, Refused, TryLater
from shared.contracts.events import LabelCreated, ParcelPacked, PartRefused, PickListIssued, ShipmentDelivered, ShipmentDispatched
from shared.contracts.person_events import PartCorrected
from shared.contracts.values import OrderKey

BUY_LABEL = "buy_label"

# ShipEngine's tracking codes that say the carrier has the parcel, and the one that says it arrived.
SCANNED = frozenset({"AC", "IT", "AT", "SP", "DE"})
DELIVERED = "DE"


class State(StrEnum):
    WAITING = "waiting"
    REFUSED = "refused"
    HELD = "held"
    CANCELLED = "cancelled"
    TO_PICK = "to_pick"
    TO_PACK = "to_pack"
    LABELLING = "labelling"
    LABEL_REFUSED = "label_refused"
    LABELLED = "labelled"
    TO_HAND_OVER = "to_hand_over"
    DISPATCHED = "dispatched"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Package:
    """A packed parcel's weight and outer size."""

    weight_grams: int
    length_mm: int
    width_mm: int
    height_mm: int


@dataclass(frozen=True, slots=True)
class Entrusted:
    """What an order brings once: `recipient` is the part in its envelope, None where it cannot be used; the lines are without a price."""

    customer_id: str
    lines: tuple[dict[str, Any], ...]
    recipient: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class BoughtLabel:
    """A label that is paid for; its PDF shows an address: `paper` is its envelope, under the recipient's key."""

    label_id: str
    carrier: str
    tracking_number: str
    tracking_url: str | None
    paper: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NoLabel:
    """The carrier sells no label for this parcel; the codes are its own."""

    codes: tuple[str, ...]


@lru_cache(maxsize=4096)
def _name(prefix: str, key: OrderKey) -> str:
    # Base 32 of a digest: letters and digits that a person can read out, 60 bits, the same for ever for the same order.
    digest = hashlib.sha256(f"{key.shop} {key.order_number}".encode()).digest()
    return f"{prefix}-{base64.b32encode(digest)[:12].decode()}"


def pick_list_of(parcel: str) -> str:
    """The pick list that was packed into this parcel; of a word that names no parcel, one that names no pick list."""
    return f"PL{parcel.removeprefix('PC').rpartition('-')[0]}" if parcel.startswith("PC-") else ""


@dataclass(kw_only=True)
class Shipment(Aggregate):
    """`entrusted` is there only on the object that has just taken it on: it is written once and read by those who need it.

    Where `is_kept` is false the recipient is let go: no label is noted any more.
    """

    key: OrderKey
    state: State = State.WAITING
    placed_at: datetime | None = None
    shipping_service: str = ""
    entrusted: Entrusted | None = None
    package: Package | None = None
    label_id: str | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    reason: str | None = None
    facts: dict[str, datetime] | None = None
    is_kept: bool = True

    @property
    def pick_list(self) -> str:
        return _name("PL", self.key)

    @property
    def parcel(self) -> str:
        return f"{_name('PC', self.key)}-1"

    # ── what colleagues say ──────────────────────────────────────────────────────────────────────────────────────────────────

    def entrust(
        self,
        *,
        customer_id: str,
        placed_at: datetime,
        shipping_service: str,
        lines: tuple[dict[str, Any], ...],
        recipient: dict[str, Any],
        at: datetime,
    ) -> None:
        """The recipient is known."""
        if not self._note("entrusted", at):
            return
        self.has_come = True
        self.placed_at, self.shipping_service = placed_at, shipping_service
        self.entrusted = Entrusted(customer_id, lines, recipient)
        self._settle_state(at)

    def refuse_recipient(
        self,
        codes: tuple[str, ...],
        at: datetime,
        *,
        customer_id: str = "",
        placed_at: datetime | None = None,
        shipping_service: str = "",
        lines: tuple[dict[str, Any], ...] = (),
    ) -> None:
        """The recipient part cannot be used and is not kept; the rest is, so that a corrected one can take its place."""
        if not self._note("entrusted", at):
            return
        self.has_come = True
        self.placed_at, self.shipping_service = placed_at, shipping_service
        self.entrusted = Entrusted(customer_id, lines, None)
        self.state, self.reason = State.REFUSED, "recipient_invalid"
        self.say(PartRefused(**self._named(), part="recipient", codes=list(codes)))

    def correct_recipient(self, at: datetime) -> str:
        """A sound recipient takes the place of the old one; what became of it: `replaced`, `label_stands` or `order_ended`.

        Raises TryLater where the order is not known yet, and while its label is being bought: with which address cannot be told before.
        """
        if not self._has("entrusted"):
            raise TryLater("recipient_unknown", awaits=self.key)
        if self._has("labelled"):
            return "label_stands"
        if self._has("cancelled"):
            return "order_ended"
        if self._has("packed") and not self._has("label_refused"):
            raise TryLater("label_under_way")
        self.say(PartCorrected(**self._named(), part="recipient"))
        if self.state is State.REFUSED:
            self.state, self.reason = State.WAITING, None
        if self._has("label_refused") and self.package is not None:
            self.facts = {fact: time for fact, time in (self.facts or {}).items() if fact != "label_refused"}
            self.reason = None
            self._buy_label(self.package)
        self._settle_state(at)
        return "replaced"

    def note_paid(self, at: datetime) -> None:
        self._note("paid", at)
        self._settle_state(at)

    def note_captured(self, at: datetime) -> None:
        self._note("captured", at)
        self._settle_state(at)

    def note_capture_failed(self, at: datetime) -> None:
        """Without the money the parcel stays; a person decides."""
        self._note("capture_failed", at)

    def hold(self, at: datetime) -> None:
        """`at` is when orders held it: of a hold and a release the later one counts, in whatever order they are heard."""
        self._note_latest("held", at)
        self._settle_state(at)

    def release(self, at: datetime) -> None:
        """`at` is when orders released it."""
        self._note_latest("released", at)
        self._settle_state(at)

    def cancel(self, at: datetime) -> None:
        self._note("cancelled", at)
        self._settle_state(at)

    # ── what staff do ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def pick(self, at: datetime) -> None:
        """All lines are picked. A repeat is harmless; raises Refused where there is nothing to pick."""
        if self._has("picked"):
            return
        self._require(State.TO_PICK)
        self._note("picked", at)
        self._settle_state(at)

    def pack(self, package: Package, at: datetime) -> None:
        """The parcel is packed: its label is bought. A repeat is harmless, also with another weight."""
        if self._has("packed"):
            return
        self._require(State.TO_PACK)
        self.package = package
        self._note("packed", at)
        self.say(ParcelPacked(**self._named(), parcel=self.parcel))
        self._buy_label(package)
        self._settle_state(at)

    def hand_over(self, at: datetime) -> None:
        """The carrier has the parcel from our hands. A repeat is harmless, also after the carrier's first scan."""
        if self._has("dispatched"):
            return
        self._require(State.TO_HAND_OVER)
        self._dispatch(at)

    # ── what the carrier says ────────────────────────────────────────────────────────────────────────────────────────────────

    def note_label(self, label: BoughtLabel, at: datetime) -> bool:
        """The label is paid for. Whether it is news: a parcel has one label, and its paper is kept once; none where the recipient is let go."""
        if not self.is_kept or not self._note("labelled", at):
            return False
        self.label_id, self.carrier = label.label_id, label.carrier
        self.tracking_number, self.tracking_url = label.tracking_number, label.tracking_url
        self.say(LabelCreated(**self._named(), parcel=self.parcel, carrier=label.carrier, tracking_number=label.tracking_number))
        self._settle_state(at)
        return True

    def note_no_label(self, codes: tuple[str, ...], at: datetime) -> None:
        """The carrier sells none for this parcel: a person must look at the address or the parcel."""
        if not self._note("label_refused", at):
            return
        self.reason = "label_refused"
        self.say(PartRefused(**self._named(), part="recipient", codes=[f"carrier_{code}" for code in codes]))
        self._settle_state(at)

    def note_tracking(self, status_code: str, at: datetime) -> None:
        """The carrier's scan. What is not known here, or says less than what is known, changes nothing."""
        if status_code in SCANNED:
            self._dispatch(at)
        if status_code == DELIVERED and self._note("delivered", at):
            self.say(ShipmentDelivered(**self._named(), parcel=self.parcel))
            self._settle_state(at)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _buy_label(self, package: Package) -> None:
        details = {
            "shipping_service": self.shipping_service,
            "weight_grams": package.weight_grams,
            "length_mm": package.length_mm,
            "width_mm": package.width_mm,
            "height_mm": package.height_mm,
        }
        self.intend(Intent(BUY_LABEL, self.parcel, details))

    def _dispatch(self, at: datetime) -> None:
        if not self._note("dispatched", at):
            return
        self.say(
            ShipmentDispatched(
                **self._named(),
                parcel=self.parcel,
                carrier=str(self.carrier),
                tracking_number=str(self.tracking_number),
                tracking_url=self.tracking_url,
            )
        )
        self._settle_state(at)

    def _settle_state(self, at: datetime) -> None:
        """Work out the state from the facts; the first time that the shipment may be picked, its pick list is issued."""
        if self.state is State.REFUSED:
            return
        has = self._has
        if has("labelled"):
            reached = [(State.DELIVERED, "delivered"), (State.DISPATCHED, "dispatched"), (State.TO_HAND_OVER, "captured")]
            self.state = next((state for state, fact in reached if has(fact)), State.LABELLED)
        elif has("cancelled"):
            self.state = State.CANCELLED
        elif has("label_refused"):
            self.state = State.LABEL_REFUSED
        elif has("packed"):
            self.state = State.LABELLING
        elif self._is_held:
            self.state = State.HELD
        elif has("picked"):
            self.state = State.TO_PACK
        elif has("entrusted") and has("paid"):
            self.state = State.TO_PICK
            if self._note("pick_list_issued", at):
                self.say(PickListIssued(**self._named(), pick_list=self.pick_list))
        else:
            self.state = State.WAITING

    @property
    def _is_held(self) -> bool:
        facts = self.facts or {}
        return "held" in facts and ("released" not in facts or facts["released"] < facts["held"])

    def _note_latest(self, fact: str, at: datetime) -> None:
        known = (self.facts or {}).get(fact)
        self.facts = {**(self.facts or {}), fact: at if known is None else max(known, at)}

    def _require(self, state: State) -> None:
        if self.state is not state:
            raise Refused([Fault(f"shipment_{self.state}")])

    def _has(self, fact: str) -> bool:
        return fact in (self.facts or {})

    def _note(self, fact: str, at: datetime) -> bool:
        """Note a fact with its time; False where it was known."""
        if self._has(fact):
            return False
        self.facts = {**(self.facts or {}), fact: at}
        return True

    def _named(self) -> dict[str, str]:
        return {"shop": self.key.shop, "order_number": self.key.order_number}
