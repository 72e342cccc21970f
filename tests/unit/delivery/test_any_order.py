"""Many orders through the four doors, in whatever order, however often and with whatever losses: money, labels and mails come out the same.

A Hypothesis machine drives `world.World`. After each step nothing may have happened twice or gone backwards; at the end all is let
run out, and each order must have come to what it comes to alone and in plain order.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from shared.contracts.values import OrderKey
from shared.delivery.topology import HEARERS, SERVICES
from shared.delivery.work import OutboxRow
from tests.fix_seed import VARIABLE
from tests.unit.delivery.endings import plain, settle_down, staff_lists
from tests.unit.delivery.memory import Trouble, tables_in_memory
from tests.unit.delivery.plans import NUMBERS, SHOPS, Plan
from tests.unit.delivery.watching import Watch
from tests.unit.delivery.world import CLEANLY, How, Letter, World

MOST_ORDERS = 5
PICK = st.integers(0, 255)
HOWS = (
    *(CLEANLY, CLEANLY, CLEANLY),
    How(is_acknowledged=False),
    How(is_published=False),
    How(Trouble.LOST),
    How(Trouble.IN_DOUBT),
    How(Trouble.CONTENDED),
)
CALLS: tuple[dict[str, bool], ...] = ({}, {}, {"is_heard": False}, {"reaches": False}, {"dies": True})
VERBS = ("pick", "pack", "hand_over")
TYPES = sorted(event for events in HEARERS.values() for event, hearers in events.items() if hearers)
LATE = (*[""] * 5, *["part_refused"] * 5, *TYPES)
SCANS = ("AC", "IT", "AT", "DE", "UN")
KEYS = st.builds(OrderKey, st.sampled_from(tuple(SHOPS)), st.sampled_from(NUMBERS))
PROVIDERS = st.sampled_from(("paypal", "2checkout"))
_CONTACT, _RECIPIENT, _BILLING = (frozenset({part}) for part in ("contact", "recipient", "billing"))
# What is different of an order that is not sold straight away.
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"unsound": _CONTACT},
    {"unsound": _CONTACT},
    {"unsound": _RECIPIENT},
    {"unsound": _BILLING, "provider": "2checkout"},
    {"unsound": _RECIPIENT | _CONTACT},
    {"payment": "declined"},
    {"payment": "declined", "unsound": _CONTACT},
    {"payment": "amount_mismatch"},
    {"payment": "amount_mismatch", "unsound": _CONTACT},
    {"payment": "not_captured"},
    {"sells_label": False},
    {"takes_mail": False},
)
PLANS = st.builds(
    lambda key, provider, lines, way: Plan(**{"key": key, "provider": provider, "lines": lines, **way}),
    *(KEYS, PROVIDERS, st.integers(1, 3), st.sampled_from(WAYS)),
)


class AnyOrder(RuleBasedStateMachine):
    """A rule is one thing that may happen next; what it happens to is picked by number from what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.watch = Watch(self.world)

    # ── storefronts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.world.plans) < MOST_ORDERS)
    @rule(plan=PLANS, times=st.integers(1, 2), early=st.lists(PICK, max_size=3))
    def an_order_comes(self, plan: Plan, times: int, early: list[int]) -> None:
        """What is said `early` of it may arrive before it."""
        if plan.key in self.world.plans:
            return
        for _ in range(times):
            self.world.place(plan, self._event_id(plan.key))
        for which in early:
            self.an_event_is_said_under_another_id(len(self.world.plans) - 1, which)

    @precondition(lambda self: not self.watch.rivals)
    @rule(shop=st.sampled_from(tuple(SHOPS)), numbers=st.permutations(NUMBERS))
    def two_orders_name_the_same_payment(self, shop: str, numbers: list[str]) -> None:
        rivals = [Plan(OrderKey(shop, number), "2checkout", "R-shared") for number in numbers[:2]]
        if not any(plan.key in self.world.plans for plan in rivals):
            self.watch.rivals = [plan.key for plan in rivals]
            for plan in rivals:
                self.world.place(plan, self._event_id(plan.key))

    @precondition(lambda self: self.world.plans)
    @rule(pick=PICK, in_another_event=st.booleans())
    def a_storefront_repeats_an_order(self, pick: int, in_another_event: bool) -> None:
        plan = self._plan(pick)
        self.world.place(plan, self._event_id(plan.key) + ".again" * in_another_event)

    @precondition(lambda self: self._accepted())
    @rule(pick=PICK)
    def another_order_comes_under_a_taken_number(self, pick: int) -> None:
        plan = self.world.plans[_picked(self._accepted(), pick)]
        self.watch.impostors.append(f"impostor-{len(self.watch.impostors)}")
        self.world.place(plan, self.watch.impostors[-1], customer_id="c-another")

    # ── the post ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: any(self.world.post.values()))
    @rule(pick=PICK, more=st.lists(PICK, max_size=5), how=st.sampled_from(HOWS))
    def letters_are_delivered(self, pick: int, more: list[int], how: How, late: str = "") -> None:
        service, letter = _picked(self._letters(late), pick)
        letters = [letter]
        for another in more:
            rest = [it for name, it in self._letters(late) if name == service and it not in letters]
            letters += [_picked(rest, another)] if rest else []
        note(f"{', '.join(map(str, letters))}; {how}")
        self.world.deliver(service, letters, how)

    @precondition(lambda self: any(self.world.post.values()))
    @rule(pick=PICK)
    def a_letter_is_doubled(self, pick: int) -> None:
        service, letter = _picked(self._letters(), pick)
        self.world.post[service].append(replace(letter))

    @precondition(lambda self: self._held())
    @rule(pick=PICK, how=st.sampled_from(HOWS))
    def what_was_put_off_is_due(self, pick: int, how: How) -> None:
        service, row = _picked(self._held(), pick)
        note(f"{service} tries {row.type} again; {how}")
        self.world.try_again(service, [row], how)

    @precondition(lambda self: self._unpublished())
    @rule(pick=PICK, is_confirmed=st.booleans())
    def an_outbox_is_swept(self, pick: int, is_confirmed: bool) -> None:
        service, row = _picked(self._unpublished(), pick)
        self.world.publish(service, row, is_confirmed=is_confirmed)

    @precondition(lambda self: self.world.plans)
    @rule(pick=PICK, which=PICK)
    def an_event_is_said_under_another_id(self, pick: int, which: int) -> None:
        """True of this order in the end; said before it happened, before its order came, or once more long after."""
        plan = self._plan(pick)
        if plan.is_a_race or plan.key in self.watch.rivals:
            return
        # What the carrier refuses holds the order; said before, it would keep the carrier from being asked.
        untrue = set() if plan.sells_label else {"part_refused", "order_held"}
        events = [row for row in plain(plan).events if HEARERS.get(row.exchange, {}).get(row.type) and row.type not in untrue]
        row = _picked(events, which)
        self.watch.rumoured.add(plan.key)
        note(f"{row.type} of {plan.key}")
        identity = uuid4()
        body = json.dumps({**json.loads(row.body), "id": str(identity)})
        self.world.say(OutboxRow(identity, row.exchange, row.type, row.subject, body))

    # ── the outside ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self._intents())
    @rule(pick=PICK, how=st.sampled_from(CALLS))
    def a_call_is_made(self, pick: int, how: dict[str, bool]) -> None:
        service, intent = _picked(self._intents(), pick)
        note(f"{intent.kind} of {intent.about.order_number}")
        self.world.call(service, intent.id, **how)

    @precondition(lambda self: self.world.answers)
    @rule(pick=PICK, how=st.sampled_from(HOWS), once_more=st.booleans())
    def an_answer_is_written_down(self, pick: int, how: How, once_more: bool) -> None:
        self.world.settle(_picked(self.world.answers, pick), how, once_more=once_more)

    @precondition(lambda self: self.world.plans)
    @rule(pick=PICK, verb=st.sampled_from(VERBS), weight_grams=st.integers(100, 102), how=st.sampled_from(HOWS))
    def staff_act(self, pick: int, verb: str, weight_grams: int, how: How) -> None:
        self.world.ask_staff(verb, self._plan(pick).key, how, weight_grams=weight_grams)

    @precondition(lambda self: self._parcels())
    @rule(pick=PICK, code=st.sampled_from(SCANS), how=st.sampled_from(HOWS))
    def the_carrier_scans(self, pick: int, code: str, how: How) -> None:
        self.world.scan(_picked(self._parcels(), pick), code, how)

    # ── all of it ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.world.plans)
    @rule(chance=st.integers(0, 2**32 - 1), steps=st.integers(1, 120), late=st.sampled_from(LATE))
    def a_while_goes_by(self, chance: int, steps: int, late: str) -> None:
        """Many small steps at once, so that orders come far within one example; events of the type `late` stay on their way."""
        random = Random(chance)
        for _ in range(steps):
            _picked(list(self._steps(random, late)), random.randrange(256))()
            self.watch.look()

    def _steps(self, random: Random, late: str) -> Iterator[Callable[[], None]]:
        pick, how = random.randrange(256), random.choice(HOWS)
        if self._letters(late):
            more = [random.randrange(256) for _ in range(random.randrange(4))]
            yield from [lambda: self.letters_are_delivered(pick, more, how, late)] * 3
            yield lambda: self.a_letter_is_doubled(pick)
        if self._held():
            yield lambda: self.what_was_put_off_is_due(pick, how)
        if self._unpublished():
            yield lambda: self.an_outbox_is_swept(pick, random.random() < 0.7)
        if self._intents():
            yield lambda: self.a_call_is_made(pick, random.choice(CALLS))
        if self.world.answers:
            yield lambda: self.an_answer_is_written_down(pick, how, random.random() < 0.2)
        if self._parcels():
            yield lambda: self.the_carrier_scans(pick, random.choice(SCANS), how)
        if lists := staff_lists(self.world):
            verb, key = _picked(lists, pick)
            yield from [lambda: self.world.ask_staff(verb, key, how)] * 2
        yield lambda: self.staff_act(pick, random.choice(VERBS), 250, how)

    @invariant()
    def nothing_is_done_twice_or_goes_back(self) -> None:
        self.watch.look()

    def teardown(self) -> None:
        if sys.exception() is None:
            SEEN["done before the end"] += self.world.endings["done"]
            settle_down(self.world)
            self.watch.look()
            self.watch.compare()
            SEEN.update(self.watch.seen)

    # ── what there is to pick from ───────────────────────────────────────────────────────────────────────────────────────────

    def _plan(self, pick: int) -> Plan:
        return _picked(list(self.world.plans.values()), pick)

    def _letters(self, late: str = "") -> list[tuple[str, Letter]]:
        return [(name, letter) for name, letters in self.world.post.items() for letter in letters if letter.type != late]

    def _accepted(self) -> list[OrderKey]:
        return [key for key in self.world.plans if tuple(key) in self.world.databases["orders"].rows("orders")]

    def _held(self) -> list[tuple[str, Any]]:
        return [(name, row) for name in SERVICES for row in self.world.held(name)]

    def _unpublished(self) -> list[tuple[str, OutboxRow]]:
        return [(name, row) for name in SERVICES for row in self.world.outbox(name)]

    def _intents(self) -> list[tuple[str, Any]]:
        return [(name, intent) for name in SERVICES for intent in self.world.intents(name)]

    def _parcels(self) -> list[str]:
        return [deed.reference for deed in self.world.books.labels if self.world.plans[deed.about].is_scanned]

    @staticmethod
    def _event_id(key: OrderKey) -> str:
        return f"e-{key.order_number}"


def _picked(things: list[Any], pick: int) -> Any:
    return things[pick % len(things)]


SEEN: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _tables_in_memory() -> Iterator[None]:
    with tables_in_memory():
        yield


def test_money_labels_and_mails_come_out_the_same_in_any_order(run_seed: int) -> None:
    print(f"{VARIABLE}={run_seed}")
    SEEN.clear()
    # Who plays a run again wants to see the smallest course of things that fails; CI has no minutes for it.
    phases = (Phase.generate, Phase.shrink) if VARIABLE in os.environ else (Phase.generate,)
    budget = settings(
        max_examples=400,
        stateful_step_count=30,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],  # the machine may be busy
        phases=phases,
    )
    run_state_machine_as_test(seed(run_seed)(AnyOrder), settings=budget)
    # Else it would hold of a world in which nothing ever goes wrong.
    for what in ("repeated", "later", "refused", "called twice", "waits for its order", "waits no longer", "rivals"):
        assert SEEN[what] > 0, f"{what}: {SEEN}"
    assert SEEN["race: held"] + SEEN["race: completed"] > 0
    assert SEEN["done before the end"] > SEEN["done"] / 4
