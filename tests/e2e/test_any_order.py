"""Thousands of orders over a real broker whose post loses its way: the books say what they say of a run where nothing goes wrong.

Between the exchanges and the services' queues stands `shuffler.Shuffler`. Services are killed in mid-run, so that the broker delivers
again what they had not acknowledged; the sandboxes lose answers; staff and carrier are too early and tell things twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from deploy.local.broker import VIRTUAL_HOST, PrivateBroker
from deploy.local.configuration import SANDBOXES
from deploy.local.stack import Stack
from shared.cli.workers import Stillness, Workers
from shared.contracts.values import OrderKey
from shared.delivery import topology
from tests.e2e.many_orders import (
    A_RACE,
    KINDS,
    MAILS,
    SERVICES,
    SHOPS,
    Account,
    Placed,
    Storefronts,
    accounts,
    kinds_of,
    parked,
    strangers,
    unfinished,
)
from tests.e2e.shuffler import Shuffler
from tests.e2e.warehouse import Warehouse
from tests.fix_seed import VARIABLE
from tests.integration.facts import PATIENCE_SECONDS, ask
from tests.integration.scene import LONG_LADDER
from tests.integration.wire import Ear, Wire, event

EARLY, REPEATED, IMPOSTORS = 0.05, 0.03, 0.02
QUIET_SECONDS = 3.0
# What waits for its order is tried once a second, for as long as the whole run may take.
_SHORT = {
    "LATER_RUNGS_SECONDS": LONG_LADDER,
    "LEASE_SECONDS": "10",
    "CALL_SECONDS": "5",
    "STOREFRONT_SOURCES": ",".join(SHOPS),
}


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory, run_seed: int) -> Iterator[Stack]:
    """A stack of its own, whose sandboxes go wrong; payments are declined only where an order says so."""
    parties = {name for sandbox in SANDBOXES for name in (*sandbox.given, *sandbox.told)}
    environ = {name: value for name, value in os.environ.items() if name not in parties} | _SHORT
    wrong = {"seed": run_seed, "lose-answers": 0.02, "repeat-webhooks": 0.1, "decline": 0}
    arguments = [word for name, value in wrong.items() for word in (f"--{name}", str(value))]
    it = Stack(tmp_path_factory.mktemp("shuffled") / "run", environ=environ, fresh=True, sandbox_arguments=arguments)
    try:
        it.up()
        yield it
    finally:
        it.remove()


class Scene:
    """A stack at work, and when it has nothing left to do."""

    def __init__(self, stack: Stack, workers: Workers) -> None:
        self.stack, self.env, self.workers = stack, stack.env, workers
        self._wire = Wire(stack.env["ADMIN_AMQP_URI"])

    def comes_to_rest(
        self, warehouse: Warehouse, is_idle: Callable[[], bool] = lambda: True, *, may_wait: tuple[str, ...] = ()
    ) -> None:
        """Wait until nothing is left to do anywhere; AssertionError with what is left when nothing moves any more.

        `may_wait` names what is left to wait for what does not come yet.
        """
        still, quiet_since = Stillness(), time.monotonic()
        while True:
            self.workers.check()
            left = unfinished(self.env)
            waiting = {name: self._wire.waiting(name) for service in SERVICES for name in topology.queues_of(service)}
            outstanding = ask("GET", f"{self.env['CARRIER_SANDBOX_URL']}/_books/summary").json()["webhooks"]["outstanding"]
            if left.keys() - may_wait or any(waiting.values()) or outstanding or not is_idle():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= QUIET_SECONDS:
                if not self._is_anything_in_hand():
                    return
                quiet_since = time.monotonic()
            picture = (sorted(left.items()), sorted(waiting.items()), outstanding, warehouse.done, is_idle())
            assert still.seconds(picture) < PATIENCE_SECONDS, f"nothing moves any more: {left} {waiting} {outstanding}"
            time.sleep(0.1)

    def _is_anything_in_hand(self) -> bool:
        """Whether a service has taken a message and not acknowledged it: on a busy machine that can last, and no count of a queue shows it."""
        broker = self.stack.private.get("broker")
        if not isinstance(broker, PrivateBroker):
            return False  # one that was given has no tools here
        told = broker.control("list_queues", "--vhost", VIRTUAL_HOST, "--no-table-headers", "name", "messages_unacknowledged")
        of_services = {name for service in SERVICES for name in topology.queues_of(service)}
        return any(name in of_services and count != "0" for name, count in (line.split("\t") for line in told.splitlines()))


def what_a_plain_run_gives(
    scene: Scene, shops: Storefronts, random: Random
) -> tuple[list[Placed], dict[str, set[Account | None]]]:
    """Two orders of each kind, with nothing in the way, and what each kind comes to."""
    kinds = [kind for kind in KINDS for _ in range(2)]
    placed = shops.make((f"PLAIN-{place}" for place in range(len(kinds))), kinds)
    stop = threading.Event()
    crew = Workers(stop)
    warehouse = Warehouse(scene.env, random, placed, stop)
    crew.start("crew", warehouse.work)
    try:
        shops.publish(order.event for order in placed)
        scene.comes_to_rest(warehouse)
    finally:
        crew.end()
    found = accounts(scene.env, placed)
    given: dict[str, set[Account | None]] = {}
    for order in placed:
        given.setdefault(order.kind.name, set()).add(found[order.key])
    return placed, given


def say_what_will_be_true(stack: Stack, placed: Iterable[Placed]) -> None:
    """Payments' word on orders that have not come yet, under ids of its own: it will be said again when it is true."""
    said = [
        event(
            "payments",
            "payment_authorised",
            {
                "shop": order.key.shop,
                "order_number": order.key.order_number,
                "currency": order.money[1],
                "amount": str(order.money[0]),
            },
        )
        for order in placed
    ]
    Wire(stack.env["ADMIN_AMQP_URI"]).publish_all("payments.events", [("payment_authorised", it) for it in said])


def with_repeats(placed: Iterable[Placed], random: Random) -> Iterator[Mapping[str, Any]]:
    """The orders' events, and some orders once more in an event of another id."""
    for order in placed:
        yield order.event
        if random.random() < REPEATED:
            yield order.under_another_id(f"{order.event['id']}.again")


class Accidents:
    """Services that are killed, one after the other, while the orders are on their way."""

    def __init__(self, stack: Stack, services: Sequence[str], warehouse: Warehouse, orders: int, stop: threading.Event) -> None:
        self._stack, self._services, self._warehouse, self._orders, self._stop = stack, services, warehouse, orders, stop
        self.happened: list[str] = []

    def happen(self) -> None:
        for place, service in enumerate(self._services, 1):
            # The crew picks, packs, hands over and lets collect: four deeds for an order.
            while self._warehouse.done < 3 * self._orders * place / (len(self._services) + 1):
                if self._stop.wait(0.1):
                    return
            self._stack.kill(service)
            self._stack.restart(service)
            self.happened.append(service)


ONCE = ("shipment_dispatched", "shipment_delivered", "order_completed", "payment_declined", "order_cancelled", "order_held")
SOLD = Account("completed", "captured", "delivered", tuple((kind, "sent") for kind in MAILS), ("total",), ("total",), 1, MAILS)
TOLD = {
    "completed": {"shipment_dispatched", "shipment_delivered", "order_completed"},
    "payment_declined": {"payment_declined"},
    "cancelled": {"order_cancelled"},
    "held": {"order_held"},
}


def check_the_answers(stack: Stack, placed: Iterable[Placed], found: Mapping[OrderKey, Account | None]) -> None:
    """The storefronts were told each thing once, by the events' ids, and only what is so."""
    with Ear(stack.env["ADMIN_AMQP_URI"], queue=topology.ANSWERS_QUEUE) as ear:
        answers = {answer["id"]: answer for answer in ear.listen()}.values()
    told = Counter((it["type"], it["data"]["caused_by"]["source"], it["data"].get("order_number")) for it in answers)
    for order in placed:
        account = found[order.key]
        due = TOLD[account.order if account else ""] | ({"order_held"} if order.kind.unsound else set())
        assert {kind: told[kind, *order.key] for kind in ONCE} == {kind: int(kind in due) for kind in ONCE}, order.kind.name
        assert told["order_accepted", *order.key] >= 1


@pytest.mark.parametrize("orders", [300, pytest.param(2000, marks=pytest.mark.sweep)])
def test_the_books_say_what_a_plain_run_says(stack: Stack, orders: int, run_seed: int) -> None:
    def chance(what: str) -> Random:
        return Random(f"{run_seed} {what}")

    print(f"{VARIABLE}={run_seed}")
    stop = threading.Event()
    workers, random = Workers(stop), chance("orders")
    scene, shops = Scene(stack, workers), Storefronts(stack.env, random)
    plain, expected = what_a_plain_run_gives(scene, shops, chance("plain"))
    assert expected["paypal"] == expected["2checkout"] == {SOLD}
    # Where the label wins its race against the hold, the parcel goes its way, and nobody can be written to.
    expected[A_RACE].add(replace(SOLD, mails=tuple((kind, "owed") for kind in MAILS), sent=()))
    placed = shops.make((f"AO-{run_seed}-{place}" for place in range(orders)), kinds_of(orders, random))
    early = [order for order in placed if order.kind.name == "paypal" and random.random() < EARLY]
    impostors = random.sample(placed, round(IMPOSTORS * orders))
    warehouse = Warehouse(stack.env, chance("warehouse"), placed, stop)
    services = chance("accidents").sample(SERVICES, 1 if orders < 1000 else len(SERVICES))
    accidents = Accidents(stack, services, warehouse, orders, stop)
    shuffler = Shuffler(
        stack.env["ADMIN_AMQP_URI"],
        chance("shuffler"),
        early={order.key: "payment_authorised" for order in early},
        labelled=warehouse.labelled,
    )
    started = time.monotonic()
    try:
        with shuffler:
            say_what_will_be_true(stack, early)
            workers.start("crew", warehouse.work)
            at_work = [
                workers.start("storefront", lambda: shops.publish(with_repeats(placed, chance("storefront")))),
                workers.start("accidents", accidents.happen),
            ]

            def is_idle() -> bool:
                shuffler.check()
                return shuffler.is_idle and not any(thread.is_alive() for thread in at_work)

            scene.comes_to_rest(warehouse, is_idle, may_wait=("orders: later",))
            assert shuffler.holds_back, "what is late comes when the others have come to their end"
            shuffler.let_go()
            scene.comes_to_rest(warehouse, is_idle)
            seconds, taken, found = time.monotonic() - started, shuffler.seen["taken"], accounts(stack.env, placed)
            wrong = [
                (order.kind.name, order.key, found[order.key])
                for order in placed
                if found[order.key] not in expected[order.kind.name]
            ]
            assert wrong == []
            # What comes after the fact changes nothing, and nobody has anything to say to it.
            shuffler.send_again()
            shops.publish(order.under_another_id(f"x-{place}", customer_id="m-1") for place, order in enumerate(impostors))
            scene.comes_to_rest(warehouse, is_idle)
    finally:
        workers.end()
    print(f"{orders} orders in {seconds:.1f} s; {dict(shuffler.seen)}; killed: {accidents.happened}")
    assert accounts(stack.env, placed) == found
    assert strangers(stack.env, [*plain, *placed]) == []
    assert shuffler.seen["taken"] == taken + len(impostors)
    assert parked(stack.env) == {"orders: order_number_taken": len(impostors)}
    check_the_answers(stack, placed, found)
    # Else the post did not lose its way.
    assert accidents.happened == services
    for what in ("doubled", "kept for the end", "parts after the payment", "orders after their events", "sent again"):
        assert shuffler.seen[what] > 0, what
    assert "order_unknown" in (stack.folder / "logs" / "orders.log").read_text(), "an event that came before its order waited"
