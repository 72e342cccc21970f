"""The made-up people: every personal field that can carry a marker carries one, and what cannot is named with the reason."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.policy import Policy
from tests.proof.markers import Mint

SHOP = "https://www.astrojewelry.com"

WITHOUT_MARKER = {
    "recipient.address.country": "one of 249 codes, which many share",
    "billing.address.country": "one of 249 codes, which many share",
    "recipient.personalisation.line": "the number of a line of the order",
    "preferences.communication": "one of three words",
    "preferences.policy_choice": "one of two words",
    "preferences.policy_version": "a version of the policy",
    "references.payment_reference": "a number of the provider's own",
    "references.parcel": "made by shipping, by a digest of the order's number",
    "references.tracking_number": "a number of the carrier's own",
    "purchase.amounts": "money adds up, and leaves no room",
    "purchase.placed_at": "a time",
}
"""Fields that nothing can be hidden in by which they would be known again."""


OF_AN_ORDER = frozenset({"recipient", "contact", "billing"})


@dataclass
class Person:
    """One made-up person with one order. `reaches` names the outside parties that the order's course leads to, `uses` the parts that
    are sent in their own place; `parts` are all of them in the clear. `spared` are places whose holding of this person is told
    elsewhere, with the reason.
    """

    name: str
    mint: Mint
    provider: str = "paypal"
    reaches: frozenset[str] = frozenset()
    uses: frozenset[str] = OF_AN_ORDER
    spared: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(init=False)
    customer_id: str = field(init=False)
    order_number: str = field(init=False)
    request_id: str = field(init=False)
    referral: str = field(init=False)

    def __post_init__(self) -> None:
        self.customer_id = f"m-{self._pseudonym('references.customer_id')}"
        self.order_number = f"PP-{self._pseudonym('references.order_number')}"
        # Both are chosen by the shop, which may put into them what stands for a person: an event's id is a referral's name.
        self.request_id = f"q-{self._pseudonym('references.request_id')}"
        self.referral = f"f-{self._pseudonym('references.referral')}"
        self._title = f"Ring of {self._pseudonym('purchase.lines')}"
        self.parts = {
            "recipient": {
                "name": f"Zoë {self._word('recipient.name')} d'Été",
                "address": self._address("recipient"),
                "personalisation": [{"line": 1, "text": f"♥ {self._word('recipient.personalisation.text')} & “Ö”"}],
                "gift_message": f"Für <{self._word('recipient.gift_message')}>\n100% = liebe Grüße 🎁",
            },
            "contact": {
                "name": f"Zoë {self._word('contact.name')} O’Neil",
                "email": f"zoe.{self._word('contact.email')}@post.example",
                "phone": f"+{self.mint.digits(self.name, 'contact.phone')}",
                "language": f"en-x-{self.mint.subtag(self.name, 'contact.language')}",
            },
            "billing": {
                "given_name": f"Zoë-{self._word('billing.given_name')}",
                "family_name": f"{self._word('billing.family_name')} Ñandú",
                "email": f"pay+{self._word('billing.email')}@post.example",
                "address": self._address("billing"),
                "tax_id": f"TX {self._word('billing.tax_id')}",
            },
            "friend": {
                "email": f"friend.{self._word('friend.email')}@post.example",
                "name": f"José {self._word('friend.name')}",
            },
            "request": {
                "text": f"Can you “{self._word('request.text')}” für mich?",
                "name": f"Zoë {self._word('request.name')}",
                "email": f"ask.{self._word('request.email')}@post.example",
            },
        }

        self._never = {kind: self._word(f"never.{kind}") for kind in ("password", "visitor", "about_a_person")}
        card = self.mint.digits(self.name, "never.card")
        self._never["card"] = next(number for filler in range(1000) if _passes_luhn(number := f"4{filler:03d}{card}"))

    def order(self, **data: Any) -> dict[str, Any]:
        """An `order_placed` with the parts in the clear; the payment has no reference yet."""
        whole: dict[str, Any] = {
            "order_number": self.order_number,
            "placed_at": "2026-11-22T10:14:58Z",
            "customer_id": self.customer_id,
            "policy_version": "2013-08-19",
            "currency": "USD",
            "lines": [
                {"line": 1, "sku": "BND-7", "title": self._title, "department": "Elvish", "quantity": 1, "unit_price": "129.00"}
            ],
            "discount": "0.00",
            "shipping_price": "7.95",
            "tax": "10.05",
            "total": "147.00",
            "shipping_service": "ground",
            "payment": {"provider": self.provider, "reference": f"none-{time.time_ns():x}"},
            "recipient": self.parts["recipient"],
            "contact": self.parts["contact"],
            **({"billing": self.parts["billing"]} if self.provider == "2checkout" else {}),
            **data,
        }
        return envelope("order_placed", whole)

    def never(self, kind: str) -> str:
        """A marker of what must not be here at all: a password, a card's number, a visitor's address …"""
        return self._never[kind]

    def _address(self, part: str) -> dict[str, str]:
        return {
            "line1": f"12 {self._word(f'{part}.address.line1')} Straße",
            "line2": f"Apt. {self._word(f'{part}.address.line2')}",
            "city": f"{self._word(f'{part}.address.city')} (Zürich)",
            "region": f"{self._word(f'{part}.address.region')}",
            "postal_code": f"{self._word(f'{part}.address.postal_code')}",
            "country": "US",
        }

    def _pseudonym(self, name: str) -> str:
        return self.mint.pseudonym(self.name, name)

    def _word(self, name: str) -> str:
        return self.mint.word(self.name, name)


def _passes_luhn(number: str) -> bool:
    digits = [int(sign) for sign in reversed(number)]
    return sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


def envelope(kind: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A CloudEvent of the shop's."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": SHOP,
        "type": kind,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": data,
        **more,
    }


def undecided(policy: Policy, mint: Mint) -> list[str]:
    """Fields of the policy of which nobody has said whether they carry a marker: the proof must not pass over them."""
    marked = {marker.field for marker in mint.made}
    known = {f"{part}.{name}" for part, its in policy.parts.items() for name in its.fields} | {
        f"never.{it}" for it in policy.never
    }
    return sorted(
        (known - marked - WITHOUT_MARKER.keys())
        | (marked - known)
        | (WITHOUT_MARKER.keys() - known)
        | (marked & WITHOUT_MARKER.keys())
    )
