"""What a person entrusts to the shop beside orders: a friend to write to, a special request; and what came of it.

Orders passes each on and keeps nothing of it; a part travels sealed, a person is named by the shop's own id.
"""

from __future__ import annotations

from shared.contracts.personal import (
    PersonalFriendEntrusted,
    PersonalFriendInvited,
    PersonalRequestEntrusted,
    PersonalSpecialRequestAnswered,
)
from shared.contracts.words import Event, Word


class ReferredItem(Word):
    """An article of the catalogue, with its page in the shop."""

    title: str
    url: str


# ── orders says, to notifications ────────────────────────────────────────────────────────────────────────────────────────────


class FriendEntrusted(Event, PersonalFriendEntrusted):
    """A member recommends an article to a friend. `referral` is the id of the storefront's event; `friend` is bound to the customer's id."""

    type = "friend_entrusted"
    exchange = "orders.parts"
    policy_version: str
    item: ReferredItem


class RequestEntrusted(Event, PersonalRequestEntrusted):
    """A member asks the staff for something; `request` is bound to the customer's id."""

    type = "request_entrusted"
    exchange = "orders.parts"
    policy_version: str


# ── notifications says ───────────────────────────────────────────────────────────────────────────────────────────────────────


class FriendInvited(Event, PersonalFriendInvited):
    """The friend's mail server took the one mail. That none was sent, and why, is said to nobody: it would tell of the friend."""

    type = "friend_invited"
    exchange = "notifications.events"


class SpecialRequestAnswered(Event, PersonalSpecialRequestAnswered):
    """The person's mail server took the answer to a special request."""

    type = "special_request_answered"
    exchange = "notifications.events"


ERRAND_EVENTS: tuple[type[Event], ...] = (FriendEntrusted, RequestEntrusted, FriendInvited, SpecialRequestAnswered)
