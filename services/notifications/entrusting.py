"""What persons entrust beside orders, a friend's address or a special request: checked, and put into an envelope before the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.notifications import friend_store
from services.notifications.friends import FriendMarks
from services.notifications.mailing import MailWriter
from shared.contracts.errand_events import FriendEntrusted, RequestEntrusted
from shared.contracts.errors import Parked, Refused
from shared.contracts.storefront import read_part
from shared.custody.envelopes import PartName
from shared.custody.vault import PartToKeep
from shared.delivery.work import Delivery

FRIEND, REQUEST = "friend", "request"
_PART: dict[type[Any], str] = {FriendEntrusted: FRIEND, RequestEntrusted: REQUEST}
_Sound = tuple[Delivery, PartToKeep, str]
_MARKS_KEY = "friends"  # the name of the keyring's own key for the marks of friends


@dataclass(frozen=True, slots=True)
class KeptErrand:
    """The part in its envelope, and the mark of a friend's address; without an envelope nothing is to be kept.

    Then the person is erased, or the friend is remembered already.
    """

    envelope: dict[str, Any] | None
    mark: str = field(default="", repr=False)


class ErrandHolder(MailWriter):
    """The base of the doors for such errands: takes their parts in beside those of orders."""

    @property
    def marks(self) -> FriendMarks:
        """Raises TryLater where the keyring does not answer."""
        return FriendMarks(self.parts.vault.secret(_MARKS_KEY))

    def carries_part(self, delivery: Delivery) -> bool:
        return type(delivery.message) in _PART or super().carries_part(delivery)

    def keep_parts(self, deliveries: Sequence[Delivery]) -> None:
        others = [delivery for delivery in deliveries if type(delivery.message) not in _PART]
        if others:
            super().keep_parts(others)
        self._take_in([delivery for delivery in deliveries if type(delivery.message) in _PART])

    def _take_in(self, deliveries: Sequence[Delivery]) -> None:
        sound: list[_Sound] = []
        for delivery in deliveries:
            event, part = delivery.message, _PART[type(delivery.message)]
            try:
                plaintext = self.parts.keyring.unseal(getattr(event, part))
                read: Any = read_part(part, plaintext, sealed_for_key=event.customer_id)
            except Refused as error:
                # Nobody can mend it here, and nobody is told of a friend: a person looks at what the sender's shop did wrong.
                delivery.message = Parked(f"{part}_invalid", error.faults)
            else:
                mark = self.marks.of(read.email) if part == FRIEND else ""
                sound.append((delivery, PartToKeep(name_of(event), event.policy_version, plaintext), mark))
        sound = self._without_remembered(sound)
        envelopes = self.parts.vault.take_in([part for _, part, _ in sound], datetime.now(UTC))
        for (delivery, _, mark), envelope in zip(sound, envelopes, strict=True):
            delivery.kept = KeptErrand(envelope.as_json() if envelope is not None else None, mark)

    def _without_remembered(self, sound: list[_Sound]) -> list[_Sound]:
        """A repeat, or another member, names a friend who had their mail: a key that it got would be of nothing, and nobody's to destroy.

        One that it got before, from a process that died before its commit, goes here. Where its invitation stands, that has the key still.
        """
        marks = [mark for _, _, mark in sound if mark]
        if not marks:
            return sound
        with self.person_database.begin() as connection:
            remembered = friend_store.remembered_among(connection, marks)
            # After that: an invitation is written with its mark, so none to a friend of these can still come.
            known = [part.name for _, part, mark in sound if mark in remembered]
            standing = friend_store.standing_among(connection, [(it.shop, it.order_number) for it in known])
        self.parts.vault.destroy([it for it in known if (it.shop, it.order_number) not in standing])
        for delivery, _, mark in sound:
            if mark in remembered:
                delivery.kept = KeptErrand(None, mark)
        return [it for it in sound if it[2] not in remembered]


def name_of(event: FriendEntrusted | RequestEntrusted) -> PartName:
    """Where the errand's part is kept: under whoever entrusted it, so that it goes when that person is erased."""
    item = event.referral if isinstance(event, FriendEntrusted) else event.request_id
    return PartName(event.shop, event.customer_id, item, _PART[type(event)])
