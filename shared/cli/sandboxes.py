"""The control side of our four sandboxes: their books, whole or in counts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from shared.cli import books as written
from shared.cli.books import Books
from shared.cli.doors import Door
from shared.cli.terminal import NotDone

SETTINGS = {
    "paypal": "PAYPAL_SANDBOX_URL",
    "2checkout": "TWOCHECKOUT_SANDBOX_URL",
    "carrier": "CARRIER_SANDBOX_URL",
    "mailbox": "MAILBOX_SANDBOX_URL",
}


class Sandboxes:
    """Reads the four sandboxes' books; safe to repeat. Raises NotDone where one does not answer as it should."""

    def __init__(self, settings: Mapping[str, str], *, stop: threading.Event | None = None) -> None:
        self._doors = {
            name: Door(f"The {name} sandbox", settings[setting], stop=stop, patience_seconds=10, timeout_seconds=30)
            for name, setting in SETTINGS.items()
        }

    def counts(self) -> Counter[str]:
        """What happened so far, in counts: authorised, captured, declined, labelled, mails."""
        summary = {name: door.get_json("/_books/summary") for name, door in self._doors.items()}
        try:
            return Counter(
                {
                    "authorised": summary["paypal"]["authorised"] + summary["2checkout"]["authorised"],
                    "captured": summary["paypal"]["captured"] + summary["2checkout"]["captured"],
                    "labelled": summary["carrier"]["labels"],
                    "mails": summary["mailbox"]["mails"],
                }
            )
        except (KeyError, TypeError):
            raise NotDone("A sandbox's summary has not the counts that it should have.") from None

    def books(self) -> Books:
        """Everything that the four have written down."""
        whole: dict[str, Any] = {name: door.get_json("/_books") for name, door in self._doors.items()}
        try:
            return Books(
                payments=[*written.read_paypal(whole["paypal"]), *written.read_twocheckout(whole["2checkout"])],
                labels=written.read_carrier(whole["carrier"]),
                mails=written.read_mailbox(whole["mailbox"]),
            )
        except (KeyError, TypeError, ArithmeticError):
            raise NotDone("A sandbox's books have not the entries that they should have.") from None
