"""What must hold of a world after each step, and what each order must have come to at the end."""

from __future__ import annotations

from collections import Counter

from services.orders.domain import State as OrderState
from shared.contracts.values import OrderKey
from shared.delivery.topology import SERVICES
from tests.unit.delivery.endings import counted, ending_of, events_of, plain
from tests.unit.delivery.plans import Plan
from tests.unit.delivery.ranks import states, went_back
from tests.unit.delivery.world import World


class Watch:
    """Watches one world. `rumoured` are orders of which something was said before it was true; `rivals` name one payment reference;
    `impostors` are the ids of events that named a number already taken. `seen` counts what happened."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rumoured: set[OrderKey] = set()
        self.rivals: list[OrderKey] = []
        self.impostors: list[str] = []
        self.seen: Counter[str] = Counter()
        self._states = states(world)

    def look(self) -> None:
        """Nothing is done twice, for another amount or out of turn; no state goes back; nothing is left to a person without need."""
        for key, plan in self._world.plans.items():
            self._check_deeds(key, plan)
        references = [deed.reference for deed in self._world.books.authorised]
        assert len(references) == len(set(references)), "a reference pays for one order"
        self._check_what_is_parked()
        now = states(self._world)
        back = went_back(self._states, now)
        assert not back, back
        self._states = now

    def _check_deeds(self, key: OrderKey, plan: Plan) -> None:
        books = self._world.books
        authorised, captured, labels = (books.of(deeds, key) for deeds in (books.authorised, books.captured, books.labels))
        assert [deed.money for deed in authorised] in ([], [plan.total]), "authorised once, for the order's total"
        assert [deed.money for deed in captured] in ([], [plan.total]), "captured once, what was authorised"
        assert len(labels) <= 1, "one label for the parcel"
        mails = books.of(books.mails, key)
        certain = Counter(deed.reference for deed in mails if not deed.in_doubt)
        assert max(certain.values(), default=0) <= 1, "a mail goes again only in doubt"
        assert len({(deed.reference, deed.key) for deed in mails}) == len({deed.reference for deed in mails}), (
            "under one Message-ID"
        )
        if key not in self.rumoured:
            assert len(captured) <= len(labels) <= len(authorised), "money first, then the label, then the capture"
            assert captured or self._states.get(("orders", tuple(key))) != OrderState.COMPLETED, "completed without the money"

    def _check_what_is_parked(self) -> None:
        databases = [self._world.databases[name] for name in SERVICES]
        parked = [row.reason for database in databases for row in database.rows("held").values() if row.state == "parked"]
        assert set(parked) <= {"order_number_taken"}, f"parked: {parked}"
        assert len(parked) <= len(self.impostors), "an order under a taken number is parked once"
        assert not any(database.rows("parked intents") for database in databases), "no call is left to a person"

    def compare(self) -> None:
        """Each order has come to what it comes to alone and in plain order. Call it when nothing is left to do."""
        for key in self._world.plans:
            self._compare(key)
        for row in self._world.databases["orders"].rows("answers").values():
            expected = "event_refused" if row["event_id"] in self.impostors else "order_accepted"
            assert row["kind"] == expected, "who comes second under a number is refused, whatever else comes twice"
        self.seen.update(self._world.endings)
        self.seen["called twice"] += sum(times > 1 for times in self._world.books.calls.values())

    def _compare(self, key: OrderKey) -> None:
        plan, ending, said = self._world.plans[key], ending_of(self._world, key), counted(events_of(self._world, key))
        alone = plain(plan)
        if key in self.rivals:
            other = self.rivals[key == self.rivals[0]]
            is_paid = bool(ending.authorised)
            assert is_paid != bool(ending_of(self._world, other).authorised), "one of the two is paid"
            alone = alone if is_paid else plain(plan, paid_before=True)
            self.seen["rivals"] += 1
        elif plan.is_a_race:
            # Held before its label, or labelled before its hold; in the first case its pick list may have been issued or not.
            held, labelled = alone, plain(plan, last="part_refused")
            assert ending in (held.ending, labelled.ending), f"{key.order_number}: {ending}"
            assert said <= held.said | labelled.said, f"{key.order_number}: said {said}"
            self.seen[f"race: {ending.order}"] += 1
            return
        assert ending == alone.ending, f"{key.order_number}: {ending}, alone {alone.ending}"
        assert said == alone.said, f"{key.order_number}: said {said - alone.said} too much, {alone.said - said} too little"
