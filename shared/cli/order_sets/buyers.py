"""Invented buyers for orders that have none: the same seed and customer always give the same person, who is nobody.

E-mail addresses end in `.example` (RFC 2606), telephone numbers come from ranges kept for fiction, and a Brazilian tax id has
the shape of a CPF with check digits that no issued one has.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from shared.cli.order_sets.places import BRAZILIAN_STATES, PLACES, City, Place

_GIFT_MESSAGES = (
    "Happy birthday!\nSee you in spring.",
    "For the long way.",
    "Alles Gute zum Hochzeitstag 💍",
    "С днём рождения!",
    "おめでとうございます",
    "Feliz aniversário, com carinho",
)
_PERSONALISATIONS = ("A & J 2026", "forever", "Mellon", "ἀγάπη", "No. 7", "Für immer")
_TWO_CHECKOUT_SHARE = 0.2
_GIFT_SHARE = 0.15
_REGION_NEEDED_FOR_BILLING = frozenset({"US", "TR", "IN", "RO"})


@dataclass(frozen=True, slots=True)
class Buyer:
    """What an order says of its buyer: the three parts (`billing` only with 2Checkout) and the payment provider."""

    recipient: dict[str, Any]
    contact: dict[str, Any]
    billing: dict[str, Any] | None
    provider: str


class Buyers:
    """Invents the buyer of an order. Deterministic: nothing but `seed` and the arguments decides."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, *, customer_id: str, order: str, country: str, state: str | None = None, lines: int = 0) -> Buyer:
        """The buyer of `order`: the person follows from the customer, the way of paying and the gift from the order.

        `country` is ISO 3166-1; one that we know no names for gets an English-speaking buyer. `state` chooses
        the city in Brazil. `lines` bounds which line may be personalised.
        """
        chance = random.Random(f"{self._seed}/{customer_id}/{country}/{state}")
        place = PLACES.get(country) or PLACES["GB"]
        given, family = chance.choice(place.given_names), chance.choice(place.family_names)
        name = f"{family} {given}" if place.family_first else f"{given} {family}"
        city = BRAZILIAN_STATES[state] if country == "BR" and state in BRAZILIAN_STATES else chance.choice(place.cities)
        address = _address(chance, place, country, city)
        email = f"buyer-{chance.getrandbits(40):010x}@{chance.choice(('mail', 'post', 'inbox'))}.example"
        contact = {"name": name, "email": email, "language": place.language}
        phone = _phone(chance, place)
        if phone:
            contact["phone"] = phone

        choice = random.Random(f"{self._seed}/{order}")
        recipient: dict[str, Any] = {"name": name, "address": address}
        if choice.random() < _GIFT_SHARE:
            recipient["gift_message"] = choice.choice(_GIFT_MESSAGES)
        if lines and choice.random() < _GIFT_SHARE:
            recipient["personalisation"] = [{"line": choice.randint(1, lines), "text": choice.choice(_PERSONALISATIONS)}]
        # 2Checkout asks for a postcode always and for a region in four countries; where a country has none, PayPal pays.
        payable = "postal_code" in address and ("region" in address or country not in _REGION_NEEDED_FOR_BILLING)
        if not payable or choice.random() >= _TWO_CHECKOUT_SHARE:
            return Buyer(recipient, contact, None, "paypal")
        billing: dict[str, Any] = {"given_name": given, "family_name": family, "email": email, "address": dict(address)}
        if country == "BR":
            billing["tax_id"] = _tax_id(chance)
        return Buyer(recipient, contact, billing, "2checkout")


def _address(chance: random.Random, place: Place, country: str, city: City) -> dict[str, str]:
    street, number = chance.choice(place.streets), chance.randint(1, 199)
    name, region, postal_code = city
    address = {"line1": f"{number} {street}" if place.number_first else f"{street} {number}", "city": name, "country": country}
    if region:
        address["region"] = region
    if postal_code:
        address["postal_code"] = postal_code
    if chance.random() < 0.2:
        address["line2"] = f"{chance.choice('ABCDEFG')}{chance.randint(1, 40)}"
    return address


def _phone(chance: random.Random, place: Place) -> str | None:
    if place.phone is None:
        return None
    return "".join(str(chance.randint(0, 9)) if sign == "#" else sign for sign in place.phone)


def _tax_id(chance: random.Random) -> str:
    """Eleven digits in the shape of a CPF whose last check digit is one off: valid to look at, issued to nobody."""
    digits = [chance.randint(0, 9) for _ in range(9)]
    for length in (9, 10):
        remainder = sum(digit * weight for digit, weight in zip(digits, range(length + 1, 1, -1), strict=True)) * 10 % 11
        digits.append(remainder % 10)
    digits[-1] = (digits[-1] + 1) % 10
    text = "".join(map(str, digits))
    return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"
