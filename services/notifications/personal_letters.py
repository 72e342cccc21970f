"""What a friend reads to whom a member recommended an article, and what whoever asked the staff for something reads.

The invitation does not name the member, whom this service knows by a number alone, and of the friend it has the name in its greeting.
It shows the way out in its text and in its headers (clauses 34 and 35). None of the three has to do with an order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from services.notifications.letters import Letter
from services.notifications.links import harmless
from services.notifications.mail_format import one_line

__all__ = ["ComplaintAcknowledgement", "FriendInvitation", "RequestReply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FriendInvitation(Letter):
    """One article of the shop. `item_url` is left out where it holds a word of the friend; `way_out` is always shown."""

    kind: ClassVar[str] = "friend_invitation"

    item_title: str
    item_url: str
    way_out: str = field(repr=False)

    def values(self) -> dict[str, Any]:
        return {
            "item_title": one_line(self.item_title) or "an article",
            "item_url": harmless(self.item_url, self.to_name),
            "way_out": self.way_out,
        }

    def more_headers(self) -> tuple[str, ...]:
        return (f"List-Unsubscribe: <{self.way_out}>",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReply(Letter):
    """What the staff answer. `text` as it was written; an empty line parts two paragraphs."""

    kind: ClassVar[str] = "request_reply"

    text: str = field(repr=False)

    def values(self) -> dict[str, Any]:
        paragraphs = (one_line(paragraph) for paragraph in self.text.replace("\r\n", "\n").split("\n\n"))
        return {"paragraphs": [{"text": paragraph} for paragraph in paragraphs if paragraph]}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplaintAcknowledgement(Letter):
    """The complaint is a case, with its number and the day by which it is answered (clause 2)."""

    kind: ClassVar[str] = "complaint_acknowledgement"

    case: str
    due_on: str

    def values(self) -> dict[str, Any]:
        return {"case": one_line(self.case), "due_on": one_line(self.due_on)}
