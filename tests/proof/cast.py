"""Who plays: people whose orders go well, people whom an outside party refuses, and people whose data comes in wrong places."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.proof.markers import Mint
from tests.proof.people import OF_AN_ORDER, Person

_DELIVERED = frozenset({"carrier", "mailbox"})
WRITTEN_BY_THE_SHOP = "the shop itself wrote it to the broker in the clear; it goes no further"


@dataclass
class Cast:
    """Everybody of one run, by name. The smaller cast has one of each kind that has a course of its own."""

    mint: Mint
    is_small: bool = False
    people: dict[str, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("amqp-paypal", "https-paypal", "dropped-billing", "database-error"):
            self._add(name, reaches=_DELIVERED)
        for name in ("amqp-2checkout", "https-2checkout"):
            self._add(name, provider="2checkout", reaches=_DELIVERED | {"twocheckout"})
        for name in ("leaving", "staying"):
            self._add(name, provider="2checkout", reaches=_DELIVERED | {"twocheckout"}, uses=OF_AN_ORDER | {"friend", "request"})
        # Whose payment is declined is told so by mail (clause 11): a difficulty that the buyer can mend.
        self._add("refused-by-2checkout", provider="2checkout", reaches=frozenset({"twocheckout", "mailbox"}))
        self._add("refused-by-the-carrier", reaches=_DELIVERED)
        self._add("refused-by-the-mailbox", reaches=frozenset({"carrier"}))
        for name in HELD:  # their contact is sound, and the payment is authorised: they are written to
            self._add(name, reaches=frozenset({"mailbox"}))
        for name in HOSTILE:
            self._add(name)
        self._add("clear-over-amqp", spared={"broker_files": WRITTEN_BY_THE_SHOP, "queues": WRITTEN_BY_THE_SHOP})
        unfit = self.people["refused-by-the-mailbox"].parts["contact"]
        unfit["email"] = f'"zoe {unfit["email"].partition("@")[0]}"@post.example'

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def _add(self, name: str, **more: object) -> None:
        self.people[name] = Person(name, self.mint, **more)  # type: ignore[arg-type]


SOUND_OVER_AMQP = ("amqp-paypal", "amqp-2checkout", "leaving")
SOUND_OVER_HTTPS = ("https-paypal", "https-2checkout", "staying", "dropped-billing")
HELD = ("box-for-another-service", "box-of-another-order")
HOSTILE = (
    "broken-json-in-a-box",
    "unknown-members-in-a-box",
    "broken-json",
    "unknown-members",
    "wrong-types",
    "card-number",
    "too-large",
    "in-the-query",
    "in-headers",
    "in-the-path",
    "wrong-token",
    "dead-letter",
    "webhook",
)
