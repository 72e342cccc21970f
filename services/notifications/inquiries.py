"""What a member asks the staff for, and what a complaint becomes: a case with a number, an owner and a clock (clauses 2 and 36).

    open ──answered by staff──▶ answering ──taken by the mail server──▶ answered
                                     └──never to be taken──────────────▶ refused

A complaint is a special request that a member of staff calls one; it is acknowledged by mail, and closed by the request's answer.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.contracts.aggregate import Aggregate, Intent
from shared.contracts.errand_events import SpecialRequestAnswered
from shared.contracts.errors import Fault, Refused
from shared.contracts.values import OrderKey

SEND_PERSONAL_MAIL = "send_personal_mail"
REPLY, ACKNOWLEDGEMENT = "request_reply", "complaint_acknowledgement"
OPEN, ANSWERING, ANSWERED, REFUSED = "open", "answering", "answered", "refused"
OWNER = "privacy_officer"  # the role of the policy that sees that complaints are heard


@dataclass(kw_only=True)
class Complaint:
    """A case. It names no person: the request that it is about is named by its id, until the person is erased."""

    case_id: str
    opened_at: datetime
    due_at: datetime
    owner: str = OWNER
    acknowledged_at: datetime | None = None
    closed_at: datetime | None = None

    def is_overdue(self, at: datetime) -> bool:
        """Whether it should have been answered by then."""
        return self.closed_at is None and self.due_at <= at


@dataclass(kw_only=True)
class SpecialRequest(Aggregate):
    """A member's request; `request` and `reply` are in envelopes under one key."""

    shop: str
    request_id: str
    customer_id: str
    request: dict[str, Any]
    received_at: datetime
    reply: dict[str, Any] | None = None
    state: str = OPEN
    ended_at: datetime | None = None
    complaint: Complaint | None = None

    @property
    def about(self) -> OrderKey:
        """Under which its calls stand: no order's number has a colon."""
        return OrderKey(self.shop, f"request:{self.request_id}")

    def answer(self, reply: dict[str, Any]) -> None:
        """Staff have written an answer: it goes by mail. Raises Refused where there is one already."""
        if self.state != OPEN:
            raise Refused([Fault("request_answered")])
        self.reply, self.state = reply, ANSWERING
        self._mail(REPLY)

    def complain(self, at: datetime, lasts: timedelta) -> Complaint:
        """The request is a complaint: its case, opened once. Raises Refused where it has been answered already."""
        if self.complaint is None:
            if self.state != OPEN:
                raise Refused([Fault("request_answered")])
            self.complaint = Complaint(case_id=f"C-{secrets.token_hex(5)}", opened_at=at, due_at=at + lasts)
            self._mail(ACKNOWLEDGEMENT)
        return self.complaint

    def note_mailed(self, kind: str, at: datetime, *, taken: bool) -> None:
        """What the person's mail server said to a mail. A complaint that is answered by mail is closed; one that cannot be is not."""
        if kind == ACKNOWLEDGEMENT:
            if self.complaint is not None and taken:
                self.complaint.acknowledged_at = self.complaint.acknowledged_at or at
        elif self.state == ANSWERING:
            self.state, self.ended_at = ANSWERED if taken else REFUSED, at
            if taken:
                self.say(SpecialRequestAnswered(shop=self.shop, request_id=self.request_id))
                if self.complaint is not None:
                    self.complaint.closed_at = at

    def _mail(self, kind: str) -> None:
        named = {"shop": self.shop, "request_id": self.request_id, "customer_id": self.customer_id, "kind": kind}
        self.intend(Intent(SEND_PERSONAL_MAIL, f"{self.shop} {self.request_id} {kind}", named))
