"""What the buyer reads when an order runs into trouble that the buyer can mend (clause 11): what happened, and what to do.

They are service mails as those in `letters.py` are: no promotion, no link, no amount, and no field for an address, a payment or a
telephone number. What the trouble is about the shop's own page shows to whoever may see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from services.notifications.letters import Letter

__all__ = ["DIFFICULTY_LETTERS", "AddressDifficulty", "BillingDifficulty", "CancellationMail", "PaymentDifficulty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDifficulty(Letter):
    """The payment was not taken: another way to pay, or another order, helps."""

    kind: ClassVar[str] = "payment_difficulty"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressDifficulty(Letter):
    """The recipient part cannot be used: the order waits for a sound one."""

    kind: ClassVar[str] = "address_difficulty"


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingDifficulty(Letter):
    """The billing part cannot be used: the order waits for a sound one."""

    kind: ClassVar[str] = "billing_difficulty"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationMail(Letter):
    """The amount that was approved is not the order's: nothing was taken, the order is cancelled."""

    kind: ClassVar[str] = "cancellation"


DIFFICULTY_LETTERS: dict[str, type[Letter]] = {
    letter.kind: letter for letter in (PaymentDifficulty, AddressDifficulty, BillingDifficulty, CancellationMail)
}
