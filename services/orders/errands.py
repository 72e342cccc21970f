"""What a person entrusts to the shop beside orders, a friend to write to or a special request: passed on sealed, and kept nowhere.

The contract names no answer for them: over HTTPS they are accepted, on the queue nothing is said, for what becomes of a friend's mail
would tell the sender of the friend.
"""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from services.orders.intake import NOTED, Answered, reasons_of
from shared.contracts.errand_events import FriendEntrusted, ReferredItem, RequestEntrusted
from shared.contracts.errors import Fault
from shared.contracts.events import Event, SealedBox
from shared.contracts.storefront import StorefrontEvent

KINDS = frozenset({"friend_referred", "special_request_submitted"})
"""The storefront's events that are such errands."""
LINK_UNFIT = Fault("link_unfit", "/data/item/url")


class Answers(Protocol):
    """What the handlers need of the store."""

    def answered(self, source: str, event_id: str) -> Answered | None: ...

    def save_answer(self, answered: Answered) -> None: ...

    def tell(self, event: Event) -> None: ...


def pass_on(event: StorefrontEvent, store: Answers, policy_version: str) -> Answered:
    """Hand an errand to notifications, once; a repeat gets the same answer again.

    What an older release deferred is done when it is replayed.
    """
    before = store.answered(event.source, event.id)
    if before is not None and before.kind != "event_deferred":
        before.answer()
        store.save_answer(before)
        return before
    faults = () if event.type != "friend_referred" or is_plain_link(_url(event), event.source) else (LINK_UNFIT,)
    answered = Answered(
        source=event.source, event_id=event.id, kind="event_refused" if faults else NOTED, reasons=reasons_of(faults)
    )
    if not faults:
        store.tell(_entrusted(event, policy_version))
    answered.answer()
    store.save_answer(answered)
    return answered


def is_plain_link(url: str, shop: str) -> bool:
    """Whether this is a page of the shop's own, over https where the shop is, that can hold nothing of a person (clauses 33 and 40).

    Its path alone names the article: a query, a fragment or an @ could name somebody.
    """
    try:
        link, ours = urlsplit(url), urlsplit(shop)
        same = (link.scheme.lower(), (link.hostname or "").lower(), link.port) == (
            *(ours.scheme.lower(), (ours.hostname or "").lower()),
            ours.port,
        )
    except ValueError:
        return False
    return same and not any(sign in url for sign in "?#") and "@" not in unquote(unquote(url))


def _url(event: StorefrontEvent) -> str:
    data: Any = event.data
    return str(data.item.url)


def _entrusted(event: StorefrontEvent, policy_version: str) -> Event:
    data: Any = event.data
    named = {"shop": event.source, "customer_id": data.customer_id, "policy_version": policy_version}
    boxes: dict[str, Any] = {part: SealedBox(**sealed.as_dict()) for part, sealed in event.parts.items()}  # type: ignore[union-attr]
    if event.type == "friend_referred":
        item = ReferredItem(title=data.item.title, url=data.item.url)
        return FriendEntrusted(**named, **boxes, referral=event.id, item=item)
    return RequestEntrusted(**named, **boxes, request_id=data.request_id)
