"""Every order that a set yields is read by the intake's own reader: taken where a shop could fulfil it, else refused with why."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from shared.cli.order_sets.opening import open_set, sets_folder
from shared.cli.order_sets.wording import POLICY_VERSION
from shared.contracts.storefront import EventRefused, IntakeRules, OrderRejected, read_event

SHOP = "https://shop.example"
RULES = IntakeRules(
    frozenset({SHOP}), frozenset({POLICY_VERSION}), frozenset({"ground", "two_day", "overnight", "international"}), True, {}
)


@pytest.mark.parametrize("name", ["sample", "uk", "marketplace"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_intake_refuses_what_no_shop_could_fulfil_and_nothing_else(name: str, seed: int) -> None:
    if name != "sample" and sets_folder() is None:
        pytest.skip("the order sets do not lie beside the clone")
    refused: Counter[tuple[str, ...]] = Counter()
    wanted = 0
    for event in open_set(name, source=SHOP, orders=None if name == "sample" else 400, seed=seed).events:
        data = event["data"]
        wanted += not data["lines"] or Decimal(data["total"]) <= 0
        body = json.dumps(event, ensure_ascii=False).encode()
        try:
            read_event(
                body, routing_key="order_placed", content_type="application/cloudevents+json", rules=RULES, at=datetime.now(UTC)
            )
        except (EventRefused, OrderRejected) as refusal:
            refused[tuple(f"{fault.code} {fault.path}" for fault in refusal.faults)] += 1
    assert refused.total() == wanted, refused
    assert {path.split()[1] for codes in refused for path in codes} <= {"/data/lines", "/data/total"}
