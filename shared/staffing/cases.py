"""A case: why a member of staff looks at one order, for how long. And a release to an authority, which takes two (clauses 46, 53, A-10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.contracts.values import OrderKey

REASONS = ("payment_trouble", "payment_dispute", "refund", "delivery_trouble", "buyer_asked", "return")
"""Why a case is opened: one of these words, for free text would be one more place with persons in it."""
PROPOSAL_LASTS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Case:
    """One member's, for one order, for a time."""

    case_id: str
    account: str
    key: OrderKey
    reason: str
    ticket: str | None
    opened_at: datetime
    expires_at: datetime

    def refusal(self, account: str, key: OrderKey, at: datetime) -> str | None:
        """Why it lets this member see nothing of this order now; None where it does."""
        if self.account != account:
            return "case_of_another"
        if self.key != key:
            return "case_of_another_order"
        if not self.opened_at <= at < self.expires_at:
            return "case_over"
        return None


@dataclass(frozen=True, slots=True)
class Release:
    """A part of an order, to be sealed to an authority's key. `dossier` is the authority's own number of what it asks."""

    release: str
    key: OrderKey
    part: str
    clause: str
    dossier: str
    authority_key: str
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None

    def refusal(self, account: str, at: datetime) -> str | None:
        """Why this member cannot approve it; None where they can, also for the second time."""
        if account == self.proposed_by:
            return "second_person_needed"
        if self.approved_by not in (None, account):
            return "release_approved_before"
        if at - self.proposed_at >= PROPOSAL_LASTS:
            return "release_too_old"
        return None

    def differing(self, key: OrderKey, part: str, clause: str, dossier: str, authority_key: str) -> tuple[str, ...]:
        """What of it somebody names otherwise than it was proposed; empty where they mean exactly this."""
        meant = {
            "source": (key.shop, self.key.shop),
            "order_number": (key.order_number, self.key.order_number),
            "part": (part, self.part),
            "clause": (clause, self.clause),
            "dossier": (dossier, self.dossier),
            "authority_key": (authority_key, self.authority_key),
        }
        return tuple(name for name, (said, proposed) in meant.items() if said != proposed)

    def approved(self, account: str, at: datetime) -> Release:
        """Approved by a second member; the first time stands. Raises ValueError where `refusal` says why not."""
        if self.refusal(account, at) is not None:
            raise ValueError("a release takes two members of staff")
        return self if self.approved_by else replace(self, approved_by=account, approved_at=at)

    @property
    def people(self) -> tuple[str, ...]:
        """Who agreed."""
        return tuple(it for it in (self.proposed_by, self.approved_by) if it)
