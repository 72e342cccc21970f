"""The mailbox's books and files, and its control door."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.chance import Switches
from deploy.sandbox.journal import Journal
from deploy.sandbox.mailbox.rendering import as_page
from deploy.sandbox.mailbox.spool import Spool
from deploy.sandbox.party import Answer, Ask, Party

_KINDS = (
    *("order_confirmation", "shipment", "delivery", "policy_change", "policy_notice", "announcement", "newsletter"),
    *("payment_difficulty", "address_difficulty", "billing_difficulty", "cancellation"),
    *("friend_invitation", "request_reply", "complaint_acknowledgement"),
)
_QUIET_SECONDS = 1.0
_SECONDS_OF_UNFOLDING = 0.05
_SECONDS_OF_UNFOLDING_AT_END = 1.0


@dataclass(slots=True)
class _Mail:
    number: int
    kind: str
    order: str
    times: int = 1

    @property
    def stem(self) -> str:
        """What its files are called."""
        return f"{self.number}-{self.kind}"


class Mailbox(Party):
    """Every mail that arrives: at once in `<books>/mails/spool`, when it is quiet as `<number>-<kind>.eml`, `.html` and `.txt`.

    The number counts from 1. File names and books hold no personal datum; the mails do, so their folder is its owner's alone.
    `rendered_mails` bounds how many get an `.html` and a `.txt` (`GET /_sandbox/mails/<number>` shows any mail).
    """

    name = "mailbox"

    def __init__(self, switches: Switches, journal: Journal, *, rendered_mails: int = 1000) -> None:
        super().__init__(switches, journal)
        self._spool = Spool(journal.folder / "mails", rendered_mails=rendered_mails)
        self._mails: dict[str, _Mail] = {}
        self._kinds: dict[str, int] = {}
        self._repeats = 0
        self._number = 0
        self._last_arrival = 0.0

    def take(self, mail: bytes) -> bool:
        """Keep one mail and say whether the answer is to be lost. A second mail of one Message-ID counts as a repeat only."""
        self.requests += 1
        self._last_arrival = time.monotonic()
        head = mail[: mail.find(b"\r\n\r\n") + 2] if b"\r\n\r\n" in mail else mail
        folded = b"\r\n" + head
        lowered = folded.lower()
        kind = _header(folded, lowered, b"x-brown-paper-kind")
        kind = kind if kind in _KINDS else "other"
        order = _header(folded, lowered, b"x-brown-paper-order")
        message_id = _header(folded, lowered, b"message-id")
        known = self._mails.get(message_id) if message_id else None
        if known is not None:
            known.times += 1
            self._repeats += 1
            self.journal.note("repeat", number=known.number, kind=known.kind, order=known.order)
        else:
            self._keep(mail, kind, order, message_id)
        lost = self.chance.loses_answer("DATA", kind, order or message_id)
        self.lost_answers += lost
        return lost

    def _keep(self, mail: bytes, kind: str, order: str, message_id: str) -> None:
        self._number += 1
        kept = _Mail(self._number, kind, order)
        self._mails[message_id or f"(without id) {self._number}"] = kept
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        self._spool.keep(kept.stem, mail)
        self.journal.note("mail", number=kept.number, kind=kind, order=order, message_id=message_id)

    def tick(self) -> None:
        super().tick()
        self._spool.flush()
        if time.monotonic() - self._last_arrival > _QUIET_SECONDS:
            self._spool.unfold(_SECONDS_OF_UNFOLDING)

    def finish(self) -> None:
        """Make the files that are left, for a second at most: the end is not to wait for them. The spool has every mail."""
        self._spool.unfold(_SECONDS_OF_UNFOLDING_AT_END)
        self._spool.flush()

    def provider(self, ask: Ask) -> Answer:
        del ask
        return Answer(404)  # by HTTP there is nothing but the control door

    def control(self, ask: Ask, action: str) -> Answer | None:
        match ask.method, *action.split("/"):
            case "GET", "mails", number if number.isdecimal():
                for kept in self._mails.values():
                    if kept.number == int(number):
                        return Answer(200, as_page(self._spool.read(kept.stem)), "text/html; charset=utf-8")
        return None

    def books(self) -> dict[str, Any]:
        mails = {
            message_id: {"number": kept.number, "kind": kept.kind, "order": kept.order, "times": kept.times}
            for message_id, kept in self._mails.items()
        }
        return {"mails": mails, "kinds": self._kinds, "repeats": self._repeats}

    def summary(self) -> dict[str, Any]:
        return {"mails": len(self._mails), "kinds": self._kinds, "repeats": self._repeats}

    def forget(self) -> None:
        self._spool.empty()
        self._mails.clear()
        self._kinds.clear()
        self._repeats = 0


def _header(head: bytes, lowered: bytes, name: bytes) -> str:
    """The first header of this name; `lowered` is `head` in lower case. A folded value is joined."""
    start = lowered.find(b"\r\n" + name + b":")
    if start < 0:
        return ""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    while end >= 0 and head[end + 2 : end + 3] in {b" ", b"\t"}:
        end = head.find(b"\r\n", end + 2)
    value = head[start : end if end >= 0 else None]
    return b" ".join(value.split()).decode("utf-8", "replace")[:250]
