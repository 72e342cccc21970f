"""Orders for the tests of any order: what each is, how its way goes, and its event as a storefront would send it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from shared.contracts.values import Money, OrderKey

SHOPS = {"https://shop.example": "EUR", "https://other.example": "USD"}
NUMBERS = ("SH-1", "SH-2", "SH-3")
PAYMENTS = ("taken", "declined", "amount_mismatch", "not_captured")
_SERVICE_OF = {"recipient": "shipping", "contact": "notifications", "billing": "payments"}
_ADDRESS = {"line1": "Lange Gasse 8", "city": "Wien", "postal_code": "1080", "country": "AT"}
_NAME = {"given_name": "Zoë", "family_name": "Nováková"}


@dataclass(frozen=True)
class Plan:
    """One order. `unsound` names the parts that their services will not be able to use."""

    key: OrderKey
    provider: str = "paypal"
    shared_reference: str = ""
    payment: str = "taken"
    unsound: frozenset[str] = frozenset()
    sells_label: bool = True
    takes_mail: bool = True
    lines: int = 1

    @property
    def total(self) -> Money:
        """Each order's is another one, so that money in the wrong place shows."""
        return Money(sum(self._prices_minor) + 100 * NUMBERS.index(self.key.order_number) + 490, SHOPS[self.key.shop])

    @property
    def _prices_minor(self) -> list[int]:
        return [1000 + line * (list(SHOPS).index(self.key.shop) + 1) for line in range(1, self.lines + 1)]

    @property
    def reference(self) -> str:
        """What the buyer approved, of this order alone unless it is shared."""
        return self.shared_reference or f"R-{list(SHOPS).index(self.key.shop)}-{self.key.order_number}"

    @property
    def is_paid(self) -> bool:
        return self.payment in ("taken", "not_captured") and "billing" not in self.unsound

    @property
    def is_a_race(self) -> bool:
        """A hold for an unsound contact races the label, and the end depends on which came first."""
        return self.is_paid and self.unsound == {"contact"}

    @property
    def is_scanned(self) -> bool:
        """Whether the carrier gets to see the parcel, if there comes to be one."""
        return self.payment == "taken"

    @property
    def email(self) -> str:
        return f"{self.key.order_number.lower()}@{self.key.shop.removeprefix('https://')}"

    def event(self, event_id: str, **changes: Any) -> bytes:
        """`order_placed`, every part sealed."""
        currency = self.total.currency
        tax = Money(100 * NUMBERS.index(self.key.order_number), currency)
        lines = [
            {
                "line": line,
                "sku": f"SKU-{line}",
                "title": f"Ring {line}",
                "department": "Rings",
                "quantity": 1,
                "unit_price": str(Money(price_minor, currency)),
            }
            for line, price_minor in enumerate(self._prices_minor, 1)
        ]
        data = {
            "order_number": self.key.order_number,
            "placed_at": "2026-03-06T09:00:00Z",
            "customer_id": f"c-{self.key.order_number}",
            "policy_version": "2025-11-01",
            "currency": currency,
            "lines": lines,
            "discount": str(Money(0, currency)),
            "shipping_price": str(Money(490, currency)),
            "tax": str(tax),
            "total": str(self.total),
            "shipping_service": "ground",
            "payment": {"provider": self.provider, "reference": self.reference},
            **{part: self._sealed(part) for part in self.parts},
        }
        envelope = {
            "specversion": "1.0",
            "id": event_id,
            "source": self.key.shop,
            "type": "order_placed",
            "time": "2026-03-06T09:00:01Z",
            "datacontenttype": "application/json",
        }
        return json.dumps({**envelope, "data": data | changes}).encode()

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(_SERVICE_OF) if self.provider == "2checkout" else ("recipient", "contact")

    def _sealed(self, part: str) -> dict[str, str]:
        clear = {
            "recipient": {"name": "Zoë Nováková", "address": _ADDRESS},
            "contact": {"name": "Zoë Nováková", "email": self.email, "language": "de"},
            "billing": {**_NAME, "email": self.email, "address": _ADDRESS},
        }[part]
        inside = json.dumps({**clear, "for": self.key.order_number}).encode().ljust(60)
        box = b"\xfb" * 90 if part in self.unsound else inside  # tests/unit/delivery/outside.py opens it without a key
        return {
            "sealed_for": _SERVICE_OF[part],
            "key_id": f"{_SERVICE_OF[part]}-2026-10",
            "box": base64.b64encode(box).decode(),
        }
