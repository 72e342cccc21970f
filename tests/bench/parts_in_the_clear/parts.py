"""Personal parts as a system without privacy would have them: kept in the clear, opened by nobody, written down nowhere.

What stands in a box cannot be read without opening it, which is a part of what is measured: every order brings the same buyer here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.contracts.errors import BrownPaperError
from shared.contracts.values import KeptPart, OrderKey
from shared.custody.envelopes import PartName
from shared.delivery.work import Delivery
from shared.parts import PartReader, Parts
from tests.bench.workload import order_data

_BUYER = order_data("B-1", "memory", datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Paper:
    """A label's paper, in the clear."""

    paper: bytes

    def as_json(self) -> dict[str, Any]:
        return {"paper": base64.b64encode(self.paper).decode()}


@dataclass(frozen=True, slots=True)
class InTheClear:
    """Stands where an opened part would."""

    name: PartName
    plaintext: bytes
    person_state: str = "active"

    def enclose(self, paper: bytes, _form: str) -> Paper:
        return Paper(paper)


class PartReaderInTheClear(PartReader):
    """The same verbs, and no key."""

    def take_in(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if getattr(delivery.message, self.part) is not None:
                delivery.kept = KeptPart({"for": delivery.message.order_number, **_BUYER[self.part]})

    def open(
        self, envelopes: Mapping[OrderKey, tuple[str, dict[str, Any]]], **_wish: object
    ) -> dict[OrderKey, Any | BrownPaperError]:
        return {
            key: InTheClear(PartName(key.shop, customer_id, key.order_number, self.part), orjson.dumps(kept))
            for key, (customer_id, kept) in envelopes.items()
        }


class PartsInTheClear(Parts):
    """Injects that reader; announcing keys and keeping watch go on, as they cost no order anything."""

    def setup(self) -> None:
        super().setup()
        it = self._reader
        self._reader = PartReaderInTheClear(it.part, it.keyring, it.vault, it.persons, it.keeper)
