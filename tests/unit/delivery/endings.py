"""How orders end: a world let run to its end in plain order, and what is compared of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from services.shipping.domain import State
from shared.contracts.values import Money, OrderKey
from shared.delivery.topology import SERVICES
from shared.delivery.work import OutboxRow
from tests.unit.delivery.plans import Plan
from tests.unit.delivery.ranks import states, went_back
from tests.unit.delivery.world import World

_MOST_ROUNDS = 500
_STAFF: dict[str, str] = {State.TO_PICK: "pick", State.TO_PACK: "pack", State.TO_HAND_OVER: "hand_over"}


@dataclass(frozen=True)
class Ending:
    """Money, labels, mails and states of one order, without times, and the storefront's answers beside `order_accepted`."""

    order: str
    reasons: tuple[str, ...]
    payment: str
    shipment: str
    mails: tuple[tuple[str, str], ...]
    authorised: tuple[Money, ...]
    captured: tuple[Money, ...]
    labels: int
    sent: frozenset[str]


@dataclass(frozen=True)
class PlainRun:
    """What an order comes to where nothing goes wrong, and every event that is said on the way."""

    ending: Ending
    events: tuple[OutboxRow, ...]

    @property
    def said(self) -> Counter[str]:
        return counted(self.events)


def counted(events: tuple[OutboxRow, ...]) -> Counter[str]:
    """How often each was said, but for the answers to `order_placed` itself: there are as many as it is sent."""
    at_once = {("storefront.answers", "order_accepted"), ("storefront.answers", "event_refused")}
    return Counter(row.type for row in events if (row.exchange, row.type) not in at_once)


def ending_of(world: World, key: OrderKey) -> Ending:
    def found(service: str, table: str) -> Any:
        return world.databases[service].rows(table).get(tuple(key))

    order, payment, shipment = found("orders", "orders"), found("payments", "payments"), found("shipping", "shipments")
    correspondence, books = found("notifications", "correspondences"), world.books
    return Ending(
        order["state"],
        tuple(sorted(f"{reason['code']} {reason['path']}" for reason in order["reasons"])),
        payment["state"],
        shipment["state"],
        tuple(sorted((correspondence["mails"] or {}).items())),
        tuple(deed.money for deed in books.of(books.authorised, key) if deed.money),
        tuple(deed.money for deed in books.of(books.captured, key) if deed.money),
        len(books.of(books.labels, key)),
        frozenset(deed.reference for deed in books.of(books.mails, key)),
    )


def events_of(world: World, key: OrderKey) -> tuple[OutboxRow, ...]:
    return tuple(row for row in world.said() if _about(row) == key)


def _about(row: OutboxRow) -> OrderKey:
    data = json.loads(row.body)["data"]
    shop = data["shop"] if "shop" in data else data["caused_by"]["source"]
    return OrderKey(shop, data["order_number"])


def settle_down(world: World, *, last: str = "") -> None:
    """Let everything come to its end, in plain order; letters of the type `last` only when nothing else is left to do."""
    before, is_busy = states(world), True
    for _ in range(_MOST_ROUNDS):
        is_busy = _a_round(world, lambda letter: letter.type != last) or _a_round(world, lambda _letter: True)
        after = states(world)
        back = went_back(before, after)
        assert not back, back
        before = after
        if not is_busy:
            break
    assert not is_busy, "it never comes to rest"
    left = [row.reason for service in SERVICES for row in world.held(service)]
    assert not left, f"these wait for ever: {left}"


def _a_round(world: World, is_due: Callable[[Any], bool]) -> bool:
    """Everything that can be done now, once; what the post and the calls bring first, then staff, then the carrier."""
    done_before = world.endings["done"]
    was_busy = False
    for service in SERVICES:
        for row in world.outbox(service):
            world.publish(service, row, is_confirmed=True)
            was_busy = True
        if letters := [letter for letter in world.post[service] if is_due(letter)]:
            world.deliver(service, letters)
            was_busy = True
        world.try_again(service, world.held(service))
        for intent in world.intents(service):
            world.call(service, intent.id)
    for answer in list(world.answers):
        world.settle(answer)
    if was_busy or world.endings["done"] > done_before:
        return True
    _staff_and_carrier(world)
    return world.endings["done"] > done_before


def staff_lists(world: World) -> list[tuple[str, OrderKey]]:
    """What the warehouse's lists show: a verb and the order that it may be done to."""
    shipments = world.databases["shipping"].rows("shipments").items()
    return [(_STAFF[shipment["state"]], OrderKey(*key)) for key, shipment in shipments if shipment["state"] in _STAFF]


def _staff_and_carrier(world: World) -> None:
    """Staff do what their lists show; when they have nothing to do, the carrier scans what is not delivered yet."""
    if lists := staff_lists(world):
        for verb, key in lists:
            world.ask_staff(verb, key)
        return
    for deed in world.books.labels:
        if world.plans[deed.about].is_scanned and deed.reference not in world.delivered:
            for code in ("IT", "DE"):
                world.scan(deed.reference, code)


@cache
def plain(plan: Plan, *, last: str = "", paid_before: bool = False) -> PlainRun:
    """This order alone, in plain order. `paid_before`: another order was paid with the same reference."""
    world = World()
    if paid_before:
        other = replace(plan, key=OrderKey(plan.key.shop, "SH-1" if plan.key.order_number != "SH-1" else "SH-2"))
        world.place(other, "e-other")
        settle_down(world)
    world.place(plan, "e-1")
    settle_down(world, last=last)
    return PlainRun(ending_of(world, plan.key), events_of(world, plan.key))
