"""A friend to whom a member recommends an article: one mail by itself, once in a life, with a way out (clauses 33 to 35).

Nothing of the friend is kept but a mark, a keyed hash of the address without what tells two spellings of it apart. It is set when the
recommendation comes, so that of two members, two deliveries and two tries one is written to. A mail in doubt does not go again (decision 0046).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import idna

from shared.contracts.aggregate import Aggregate, Intent
from shared.contracts.errand_events import FriendInvited

SEND_INVITATION = "send_invitation"
FORGET_FRIEND = "forget_friend"
INVITATION = "friend_invitation"

SENT, REFUSED, IN_DOUBT, CLOSED, GONE = "sent", "refused", "in_doubt", "closed", "gone"
"""How the one mail ends: taken; never to be taken; nobody knows; not to be opened any more; nothing is left of it."""

_MARK_BYTES = 16


@dataclass(kw_only=True)
class Invitation(Aggregate):
    """One recommendation. `referral` is the storefront's event; it is remembered only until the mail has ended, however it did."""

    shop: str
    referral: str
    customer_id: str

    def send(self) -> None:
        """The address is new: it gets its mail."""
        self.intend(Intent(SEND_INVITATION, f"{self.shop} {self.referral}", self._named()))

    def forget(self) -> None:
        """Name and address are destroyed: the key first, then the row."""
        self.intend(Intent(FORGET_FRIEND, f"{self.shop} {self.referral}", self._named()))

    def end(self, outcome: str) -> None:
        """The mail has ended. Only that it was sent is said."""
        if outcome == SENT:
            self.say(FriendInvited(shop=self.shop, referral=self.referral))
        self.forget()

    def _named(self) -> dict[str, Any]:
        return {"shop": self.shop, "referral": self.referral, "customer_id": self.customer_id}


class FriendMarks:
    """The marks under which addresses are remembered, and the words by which a friend refuses further mail.

    `secret` is this service's own.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, address: str) -> str:
        """The mark of an address: 32 hexadecimal digits, the same for every spelling that reaches the same mailbox."""
        return self._digest(b"address", normalised(address).encode()).hex()

    def word(self, mark: str) -> str:
        """The word for the link of the way out: it names the mark, is signed, and tells nothing of the friend to whoever lacks our key."""
        named = bytes.fromhex(mark)
        return base64.urlsafe_b64encode(named + self._digest(b"way out", named)).decode().rstrip("=")

    def read_word(self, word: str) -> str | None:
        """The mark that the word names; None for a word that we did not sign."""
        try:
            signed = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        named, signature = signed[:_MARK_BYTES], signed[_MARK_BYTES:]
        return named.hex() if hmac.compare_digest(signature, self._digest(b"way out", named)) else None

    def _digest(self, use: bytes, text: bytes) -> bytes:
        return hmac.new(self._secret, use + b"\0" + text, hashlib.sha256).digest()[:_MARK_BYTES]


def normalised(address: str) -> str:
    """The address without what tells two spellings of one mailbox apart: case, quotes, what follows a `+`, the domain's form.

    It errs to the side of silence: who could be the same is not written to twice.
    """
    local, _, domain = address.rpartition("@")
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = local[1:-1].replace("\\", "")
    local = _folded(local)
    local = local.partition("+")[0] or local
    try:
        domain = idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        domain = _folded(domain)
    return f"{local}@{domain.lower()}"


def way_out(page: str, word: str) -> str:
    """The link that a friend follows to refuse further mail, on the shop's own page."""
    return f"{page}?{urlencode({'word': word})}"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
