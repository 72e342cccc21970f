"""What the shop tells everybody of whom it knows: a new version of the privacy policy, an announcement, a newsletter. No person is named."""

from __future__ import annotations

from datetime import datetime

from shared.contracts.words import Event


class PolicyPublished(Event):
    """A version of the policy that counts from its date; `widened` and `noticed` are sentences for people (clauses 57 and 60).

    `is_mailed`: where nothing widens, those who want mail are told by mail too (clause 61).
    """

    type = "policy_published"
    exchange = "orders.events"
    policy_version: str
    previous_version: str
    published_at: datetime
    widened: list[str]
    noticed: list[str]
    is_mailed: bool


class LetterAnnounced(Event):
    """A letter to everybody whom its `kind` (announcement or newsletter) may reach, in plain text; named by its own digest."""

    type = "letter_announced"
    exchange = "orders.events"
    announcement: str
    kind: str
    subject: str
    text: str
    announced_at: datetime


POLICY_EVENTS: tuple[type[Event], ...] = (PolicyPublished, LetterAnnounced)
