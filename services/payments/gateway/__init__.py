"""What payments asks of a payment company, and what it gets back: the same words for each of them.

Both calls are performed from a durable intent. `key` never changes between the tries of one intent (at most 100 characters,
2Checkout's limit); `in_doubt` says that an earlier try may have reached the company, so that it is looked up before it is
asked again. What is answered is final; whatever waiting may change is raised: TryLater (nothing has happened, a doubt that was
there stays) or Unanswered (in doubt from now on); Parked is for a person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from services.payments.domain import Authorised, Captured, CaptureFailed, Declined


class BillingAddress(Protocol):
    """The address of the contract's `billing` part."""

    @property
    def line1(self) -> str: ...
    @property
    def line2(self) -> str | None: ...
    @property
    def city(self) -> str: ...
    @property
    def region(self) -> str | None: ...
    @property
    def postal_code(self) -> str | None: ...
    @property
    def country(self) -> str: ...


class Billing(Protocol):
    """The contract's `billing` part, or any object with the same attributes."""

    @property
    def given_name(self) -> str: ...
    @property
    def family_name(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def address(self) -> BillingAddress: ...
    @property
    def tax_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class AuthorisePayment:
    """Hold the order's total. `reference` is the storefront's `payment.reference`: a PayPal order, a 2Checkout token."""

    shop: str
    order_number: str
    currency: str
    amount_minor: int
    provider: str
    reference: str
    key: str
    billing: Billing | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CapturePayment:
    """Take exactly what was authorised, once."""

    shop: str
    order_number: str
    currency: str
    amount_minor: int
    provider: str
    authorisation_reference: str
    key: str


class PaymentProvider(Protocol):
    """One payment company."""

    def authorise(self, ask: AuthorisePayment, *, in_doubt: bool) -> Authorised | Declined:
        """Hold the money, or say why not. Safe to repeat with the same key if `in_doubt` is told truly."""

    def capture(self, ask: CapturePayment, *, in_doubt: bool) -> Captured | CaptureFailed:
        """Take the held money, or say why not. Safe to repeat with the same key if `in_doubt` is told truly."""


__all__ = [
    "AuthorisePayment",
    "Authorised",
    "Billing",
    "BillingAddress",
    "CaptureFailed",
    "CapturePayment",
    "Captured",
    "Declined",
    "PaymentProvider",
]
