"""The life of an order's payment.

    expected ──entrust──▶ authorising ──▶ authorised ──label──▶ capturing ──▶ captured
                 │             └──▶ declined                       └──▶ capture_failed
                 ├──▶ refused (its billing part is unsound) ──corrected──▶ authorising
                 └──▶ declined (its reference pays for another order)

`expected` is a payment whose label was heard of before its own part: events of one order come in any order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.contracts.aggregate import Aggregate, Intent
from shared.contracts.errors import TryLater
from shared.contracts.events import PartRefused, PaymentAuthorised, PaymentCaptured, PaymentCaptureFailed, PaymentDeclined
from shared.contracts.person_events import PartCorrected
from shared.contracts.values import Money, OrderKey

NOTHING = Money(0, "USD")  # before its own part is known
AUTHORISE = "authorise_payment"
CAPTURE = "capture_payment"


class State(StrEnum):
    EXPECTED = "expected"
    AUTHORISING = "authorising"
    AUTHORISED = "authorised"
    DECLINED = "declined"
    CAPTURING = "capturing"
    CAPTURED = "captured"
    CAPTURE_FAILED = "capture_failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Authorised:
    """The money is held; `authorisation_reference` is what a capture names."""

    authorisation_reference: str


@dataclass(frozen=True, slots=True)
class Declined:
    """No money is held and none will be by asking again with the same reference.

    `reason` is one of: `declined`, `amount_mismatch`, `not_approved`, `not_one_purchase_unit`, `wrong_intent`,
    `reference_unknown`, `token_expired`, `authorisation_voided`, `billing_invalid`.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is taken; `capture_reference` is what a refund will name."""

    capture_reference: str


@dataclass(frozen=True, slots=True)
class CaptureFailed:
    """The money was not taken and will not be by asking again.

    `reason` is one of: `declined`, `amount_mismatch`, `authorisation_unknown`, `authorisation_expired`, `authorisation_voided`.
    """

    reason: str


@dataclass(kw_only=True)
class Payment(Aggregate):
    """`billing` is the part in its envelope; it is dropped as soon as the provider has answered."""

    key: OrderKey
    state: State = State.EXPECTED
    customer_id: str = ""
    provider: str = ""
    reference: str = ""
    money: Money = NOTHING
    billing: dict[str, Any] | None = None
    is_labelled: bool = False
    authorisation_reference: str | None = None
    capture_reference: str | None = None
    reason: str | None = None
    entrusted_at: datetime | None = None
    settled_at: datetime | None = None

    @property
    def is_refused(self) -> bool:
        """Whether it waits for a sound billing part."""
        return self.state is State.REFUSED

    def entrust(
        self, *, customer_id: str, provider: str, reference: str, money: Money, billing: dict[str, Any] | None, at: datetime
    ) -> None:
        """Take on the payment and have it authorised; a repeat changes nothing."""
        if self.state is not State.EXPECTED:
            return
        self.has_come = True
        self.customer_id, self.provider, self.reference, self.money = customer_id, provider, reference, money
        self.billing, self.entrusted_at, self.state = billing, at, State.AUTHORISING
        self.intend(Intent(AUTHORISE, self._call_key("a"), {**self._call(), "reference": reference}))

    def refuse_billing(
        self, codes: tuple[str, ...], *, customer_id: str = "", provider: str = "", reference: str = "", money: Money = NOTHING
    ) -> None:
        """The billing part cannot be used: nothing is asked of the provider, and the part is destroyed. A corrected one may take its place."""
        if self.state is not State.EXPECTED:
            return
        self.has_come = True
        self.customer_id, self.provider, self.reference, self.money = customer_id, provider, reference, money
        self.state, self.billing, self.reason = State.REFUSED, None, "billing_invalid"
        self.say(PartRefused(shop=self.key.shop, order_number=self.key.order_number, part="billing", codes=list(codes)))

    def correct_billing(self, billing: dict[str, Any], at: datetime, *, reference_is_free: bool = True) -> str:
        """A sound billing part; what became of it: `replaced`, or `not_held` where the provider has answered and nothing is kept, and where
        its reference pays for another order by now.

        Raises TryLater where the order is not known yet, and while the provider is being asked: with which part cannot be told before.
        """
        if self.state is State.EXPECTED:
            raise TryLater("billing_unknown", awaits=self.key)
        if self.state is State.AUTHORISING:
            raise TryLater("payment_under_way")
        if self.state is not State.REFUSED:
            return "not_held"
        if not reference_is_free:
            self.state, self.reason, self.settled_at = State.DECLINED, "reference_used", at
            self.say(PaymentDeclined(**self._named(), reason="reference_used"))
            return "not_held"
        self.billing, self.reason, self.entrusted_at, self.state = billing, None, at, State.AUTHORISING
        self.say(PartCorrected(**self._named(), part="billing"))
        self.intend(Intent(AUTHORISE, self._call_key("a"), {**self._call(), "reference": self.reference}))
        return "replaced"

    def refuse_reference(self, at: datetime) -> None:
        """Another order is paid with this very reference: nothing is asked of the provider."""
        if self.state is not State.EXPECTED:
            return
        self.has_come = True
        self.state, self.reason, self.settled_at = State.DECLINED, "reference_used", at
        self.say(PaymentDeclined(**self._named(), reason="reference_used"))

    def note_authorised(self, authorisation_reference: str, at: datetime) -> None:
        if self.state is not State.AUTHORISING:
            return
        self.state, self.billing = State.AUTHORISED, None
        self.authorisation_reference, self.settled_at = authorisation_reference, at
        self.say(PaymentAuthorised(**self._named(), currency=self.money.currency, amount=str(self.money)))
        if self.is_labelled:
            self._capture()

    def note_declined(self, reason: str, at: datetime) -> None:
        if self.state is not State.AUTHORISING:
            return
        self.state, self.billing, self.reason, self.settled_at = State.DECLINED, None, reason, at
        self.say(PaymentDeclined(**self._named(), reason=reason))

    def note_label(self) -> None:
        """The label is bought, so the parcel will leave: capture, as soon as there is something to capture."""
        if self.is_labelled:
            return
        self.is_labelled = True
        if self.state is State.AUTHORISED:
            self._capture()

    def note_captured(self, capture_reference: str, at: datetime) -> None:
        if self.state is not State.CAPTURING:
            return
        self.state, self.capture_reference, self.settled_at = State.CAPTURED, capture_reference, at
        self.say(PaymentCaptured(**self._named(), currency=self.money.currency, amount=str(self.money)))

    def note_capture_failed(self, reason: str, at: datetime) -> None:
        if self.state is not State.CAPTURING:
            return
        self.state, self.reason, self.settled_at = State.CAPTURE_FAILED, reason, at
        self.say(PaymentCaptureFailed(**self._named(), reason=reason))

    def _capture(self) -> None:
        self.state = State.CAPTURING
        self.intend(
            Intent(CAPTURE, self._call_key("c"), {**self._call(), "authorisation_reference": self.authorisation_reference})
        )

    def _call(self) -> dict[str, Any]:
        return {"provider": self.provider, "currency": self.money.currency, "amount_minor": self.money.amount_minor}

    def _named(self) -> dict[str, str]:
        return {"shop": self.key.shop, "order_number": self.key.order_number}

    def _call_key(self, deed: str) -> str:
        """At most 80 characters, the same for ever for this order, this payment and this deed; a replaced payment gets another."""
        digest = hashlib.sha256(f"{self.key.shop} {self.key.order_number} {self.reference}".encode()).hexdigest()[:12]
        return f"{self.key.order_number}.{digest}.{deed}"
