"""The door for friends: what members recommend, the one mail, and the way out that needs no login."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.notifications import friend_store
from services.notifications.entrusting import FRIEND, ErrandHolder, KeptErrand
from services.notifications.friends import (
    CLOSED,
    FORGET_FRIEND,
    GONE,
    IN_DOUBT,
    INVITATION,
    REFUSED,
    SEND_INVITATION,
    SENT,
    Invitation,
    way_out,
)
from services.notifications.gateway import MAILBOX, MailRefused
from services.notifications.letters import RenderedMail, message_id, render
from services.notifications.personal_letters import FriendInvitation
from shared.contracts.errand_events import FriendEntrusted
from shared.contracts.errors import BrownPaperError, Parked, TryLater, Unanswered
from shared.contracts.storefront import read_part
from shared.contracts.values import OrderKey
from shared.custody.envelopes import Envelope, PartName
from shared.custody.vault import Opening, PartClosed
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, settles
from shared.delivery.work import IntentRow, Work
from shared.http_door import Answer, Request, StatusError, serve

RECOMMENDATION = "recommendation"  # the purpose, in the policy's word
Unit = Work[Any]


class FriendDoor(ErrandHolder):
    """Writes to a friend once."""

    @hears(FriendEntrusted)
    def friend_entrusted(self, event: FriendEntrusted, work: Unit) -> None:
        take_friend(event, work.kept, work)

    @performs(SEND_INVITATION)
    def send_invitation(self, intent: IntentRow) -> str:
        """At most once: what is handed over is noted before, and what was noted is not handed over again (decision 0046)."""
        shop, referral = intent.details["shop"], intent.details["referral"]
        with self.person_database.begin() as connection:
            kept = friend_store.invitation(connection, shop, referral)
        if kept is None:
            return GONE
        if kept.begun_at is not None:
            return IN_DOUBT
        try:
            mail = self._written(shop, referral, kept)
        except PartClosed:
            return CLOSED
        except Parked as error:
            if error.code != "mail_address_unfit":
                raise
            return REFUSED
        with self.person_database.begin() as connection:
            if not friend_store.begin(connection, shop, referral, datetime.now(UTC)):
                return IN_DOUBT
        try:
            self.mailbox.send(mail.sender, mail.recipient, mail.message, smtputf8=mail.smtputf8)
        except MailRefused:
            return REFUSED
        except Unanswered:
            return IN_DOUBT
        except TryLater:
            with self.person_database.begin() as connection:
                friend_store.take_back(connection, shop, referral)
            raise
        return SENT

    @settles(SEND_INVITATION)
    def invitation_ended(self, settlement: Settlement, work: Unit) -> None:
        invitation = Invitation(**settlement.intent.details)
        invitation.end(settlement.outcome)
        _remember(invitation, work)

    @performs(FORGET_FRIEND, party="keyring")
    def forget_friend(self, intent: IntentRow) -> int:
        """Destroy the key of the friend's part; how many there were. Safe to repeat."""
        asked = intent.details
        destroyed: int = self.parts.vault.destroy([PartName(asked["shop"], asked["customer_id"], asked["referral"], FRIEND)])
        return destroyed

    @settles(FORGET_FRIEND)
    def friend_forgotten(self, settlement: Settlement, work: Unit) -> None:
        friend_store.drop(work.store.connection, settlement.intent.details["shop"], settlement.intent.details["referral"])

    @serve("POST", "/friends/opt-out")
    def opt_out(self, request: Request) -> Answer:
        """No login: whoever has the word was written to. Safe to repeat."""
        asked = request.json()
        word = asked.get("word") if isinstance(asked, dict) else None
        if not isinstance(word, str) or set(asked) != {"word"}:
            raise StatusError(422, "missing", "/word")
        mark = self.marks.read_word(word)
        if mark is None:
            raise StatusError(422, "word_wrong", "/word")
        if self.asks("note_opt_out", [(mark, None)])[0].kind != "done":
            raise TryLater("service_busy")
        return Answer(200, {"opted_out": True}, {"Cache-Control": "no-store"})

    def note_opt_out(self, mark: str, work: Unit) -> None:
        friend_store.opt_out(work.store.connection, mark, work.at)

    def _written(self, shop: str, referral: str, kept: friend_store.KeptInvitation) -> RenderedMail:
        page = self.settings.friend_opt_out_url
        if page is None:
            raise Parked("opt_out_page_unset")  # without a way out nobody is written to
        name = PartName(shop, kept.customer_id, referral, FRIEND)
        opening = Opening(name, Envelope.of_json(kept.friend))
        [opened] = self.parts.vault.open([opening], purpose=RECOMMENDATION, at=datetime.now(UTC), to=MAILBOX)
        if isinstance(opened, BrownPaperError):
            raise opened
        friend: Any = read_part(FRIEND, opened.plaintext, sealed_for_key=kept.customer_id)
        letter = FriendInvitation(
            message_id=message_id(self.shop.domain, INVITATION, OrderKey(shop, referral)),
            to_name=friend.name,
            to_email=friend.email,
            item_title=kept.item["title"],
            item_url=kept.item["url"],
            way_out=way_out(page, self.marks.word(self.marks.of(friend.email))),
        )
        return render(letter, self.shop, datetime.now(UTC))


def take_friend(event: FriendEntrusted, kept: KeptErrand, work: Unit) -> None:
    """A recommendation: an address that was never seen gets its mail, every other is forgotten at once."""
    if kept.envelope is None:
        return
    invitation = Invitation(shop=event.shop, referral=event.referral, customer_id=event.customer_id)
    if friend_store.remember(work.store.connection, kept.mark, work.at):
        friend_store.add(work.store.connection, invitation, kept.envelope, event.item.model_dump(), work.at)
        invitation.send()
    else:
        invitation.forget()
    _remember(invitation, work)


def _remember(invitation: Invitation, work: Unit) -> None:
    work.store.recorder.remember(invitation, OrderKey(invitation.shop, f"friend:{invitation.referral}"))
