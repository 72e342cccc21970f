"""Which trouble of an order is told to its buyer: what the buyer can mend, and nothing else (clause 11).

    payment_declined              → payment_difficulty      another way to pay, or another order
    order_held, a recipient       → address_difficulty      a sound recipient part
    order_held, a billing part    → billing_difficulty      a sound billing part
    order_cancelled, the amount   → cancellation            order anew

Not told: a contact part that cannot be used (there is nobody to write to, the storefront hears of it), a payment of another amount as such
(the order is cancelled for it, and that is told), an order that is cancelled because its person is being erased, and what only staff can mend
(a capture that failed, a label that cannot be bought).
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.contracts.words import Reason

PAYMENT_DIFFICULTY = "payment_difficulty"
ADDRESS_DIFFICULTY = "address_difficulty"
BILLING_DIFFICULTY = "billing_difficulty"
CANCELLATION = "cancellation"

OF_A_HOLD = {"/data/recipient": ADDRESS_DIFFICULTY, "/data/billing": BILLING_DIFFICULTY}
DIFFICULTIES = frozenset({PAYMENT_DIFFICULTY, *OF_A_HOLD.values(), CANCELLATION})
"""The kinds of mail of the policy's class `difficulty`."""
AMOUNT_MISMATCH = "amount_mismatch"


def of_a_decline(reason: str) -> str | None:
    """The mail that a declined payment leads to, if any."""
    return None if reason == AMOUNT_MISMATCH else PAYMENT_DIFFICULTY


def of_a_hold(reasons: Iterable[Reason]) -> tuple[str, ...]:
    """The mails that a hold leads to: one for each part that the buyer can correct."""
    return tuple(dict.fromkeys(OF_A_HOLD[reason.path] for reason in reasons if reason.path in OF_A_HOLD))


def of_a_cancellation(reasons: Iterable[Reason]) -> str | None:
    """The mail that a cancellation leads to, if any."""
    return CANCELLATION if any(reason.code == AMOUNT_MISMATCH for reason in reasons) else None
