"""A letter to many: who is taken up next, and when it is over. Plain rules; time is an argument.

A campaign goes through all persons in the order of their ids, some at a time. What was collected behind its back is found by the next pass:
passes follow each other until one has begun after `until` and come to its end. Nobody is taken up twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from shared.contracts.policy_events import LetterAnnounced, PolicyPublished

SEND_LETTER = "send_letter"
SENDING = "sending"
POLICY_CHANGE, POLICY_NOTICE = "policy_change", "policy_notice"
PASS_EVERY = timedelta(hours=1)
_BEFORE_ANYBODY = ("", "")


class Person(NamedTuple):
    """A person by the order whose contact is used: the newest one that is kept."""

    shop: str
    customer_id: str
    order_number: str


@dataclass(kw_only=True)
class Campaign:
    """`told` is what the letter says; `collected_before` the version before which something of a person must have come, where that counts."""

    name: str
    kind: str
    told: dict[str, Any]
    collected_before: str | None
    until: datetime
    begun_at: datetime
    pass_begun_at: datetime
    due_at: datetime
    cursor: tuple[str, str] = _BEFORE_ANYBODY
    done_at: datetime | None = None

    @classmethod
    def of_policy(cls, event: PolicyPublished, at: datetime) -> Campaign | None:
        """What a published version asks for: everybody where something widens, those who want mail where the shop wants that, else nobody.

        It looks for people until the day after the version's own: until then data may still come in under the one before.
        """
        kind = POLICY_CHANGE if event.widened else POLICY_NOTICE if event.is_mailed and event.noticed else None
        if kind is None:
            return None
        until = datetime.combine(date.fromisoformat(event.policy_version), time(), UTC) + timedelta(days=1)
        told = {"version": event.policy_version, "sentences": event.widened or event.noticed}
        return cls._begun(f"{kind} {event.policy_version}", kind, told, event.policy_version, until, at)

    @classmethod
    def of_letter(cls, event: LetterAnnounced, at: datetime) -> Campaign:
        """An announcement or a newsletter goes once through everybody."""
        told = {"subject": event.subject, "text": event.text}
        return cls._begun(f"{event.kind} {event.announcement}", event.kind, told, None, at, at)

    @classmethod
    def _begun(
        cls, name: str, kind: str, told: dict[str, Any], collected_before: str | None, until: datetime, at: datetime
    ) -> Campaign:
        return cls(
            name=name,
            kind=kind,
            told=told,
            collected_before=collected_before,
            until=until,
            begun_at=at,
            pass_begun_at=at,
            due_at=at,
        )

    def step(self, taken_up: Sequence[Person], at: datetime, pause: timedelta) -> None:
        """Note whom this step took up; nobody means that the pass has come to its end."""
        if taken_up:
            self.cursor, self.due_at = taken_up[-1][:2], at + pause
        elif self.pass_begun_at >= self.until:
            self.cursor, self.done_at = _BEFORE_ANYBODY, at
        else:
            self.cursor = _BEFORE_ANYBODY
            self.due_at = self.pass_begun_at = at + PASS_EVERY
