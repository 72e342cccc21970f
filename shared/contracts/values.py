"""Values that refuse to be wrong: money, the key of an order, a part that was taken in."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self
from uuid import UUID

# ISO 4217 list one: currencies whose minor unit is not two digits. Codes without a minor unit of their own (gold, test
# codes, bond units) are not money a shop can take and are left out of `CURRENCIES`.
_MINOR_DIGITS_OTHER_THAN_TWO = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"], 0
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
_TWO_DIGITS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK "
    "DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK "
    "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON "
    "RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST "
    "XCD XCG YER ZAR ZMW ZWG"
)
CURRENCIES: dict[str, int] = {**dict.fromkeys(_TWO_DIGITS.split(), 2), **_MINOR_DIGITS_OTHER_THAN_TWO}
"""ISO 4217 code to the number of its minor digits."""

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,11})(?:\.([0-9]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of one currency; mixing currencies raises ValueError."""

    amount_minor: int
    currency: str

    @classmethod
    def parse(cls, amount: str, currency: str) -> Self:
        """Read a decimal string ("129.00", at most 12 digits before the point, exactly the currency's minor digits).

        Raises KeyError for an unknown currency and ValueError for anything else that is not such a string.
        """
        digits = CURRENCIES[currency]
        match = _AMOUNT.fullmatch(amount)
        if match is None or len(match[2] or "") != digits:
            raise ValueError("not an amount of this currency")
        return cls(int(match[1] + (match[2] or "")), currency)

    def __str__(self) -> str:
        """The decimal string that `parse` reads, without the currency."""
        digits = CURRENCIES[self.currency]
        sign, minor = ("-" if self.amount_minor < 0 else ""), str(abs(self.amount_minor)).rjust(digits + 1, "0")
        return f"{sign}{minor[:-digits]}.{minor[-digits:]}" if digits else f"{sign}{minor}"

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other), self.currency)

    def __mul__(self, quantity: int) -> Money:
        return Money(self.amount_minor * quantity, self.currency)

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError("two currencies in one sum")
        return other.amount_minor


class OrderKey(NamedTuple):
    """What an order is known by: the storefront's source URI and its order number."""

    shop: str
    order_number: str


@dataclass(frozen=True, slots=True)
class KeptPart:
    """What was taken in of a message's personal part: its envelope (JSON values) for the store, or the codes that say why it cannot be used."""

    ERASED: ClassVar[str] = "person_erased"

    envelope: dict[str, Any] | None
    codes: tuple[str, ...] = ()

    @property
    def is_of_nobody(self) -> bool:
        """The person was erased: nothing of the order is taken in any more."""
        return self.codes == (self.ERASED,)


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562, 5.7): 48 bits of the time in milliseconds, then random ones.

    What is new stands together at the end of an index, however large it grows; random ids touch a page of their own each.
    """
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    return UUID(int=number & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x7000 << 64) | (0x8000 << 48))
