"""One run of the demo against a shop that is played here: its end, its verdict, its kills, and that nothing runs on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.local.processes import StartError
from shared.cli import demo as demo_command
from shared.cli import play
from shared.cli.answers import Answer
from shared.cli.books import MAILS_OF_AN_ORDER, Books, Label, Mail, Payment
from shared.cli.order_sets.opening import OrderSet, open_set
from shared.cli.play import Demo
from shared.cli.progress import Picture
from shared.cli.sandboxes import SETTINGS
from shared.cli.tally import Course
from shared.cli.terminal import NotDone
from shared.cli.workers import Workers


class FakeStack:
    env = dict.fromkeys(
        ("STOREFRONT_AMQP_URI", "ORDERS_HTTP_URL", "SHIPPING_HTTP_URL", "STAFF_TOKEN", *SETTINGS.values()), "http://127.0.0.1:9"
    )

    def __init__(self, fails: BaseException | None = None) -> None:
        self.told: list[str] = []
        self.fails = fails

    def up(self, progress: Callable[[str], None]) -> None:
        del progress
        self.told.append("up")
        if self.fails:
            raise self.fails

    def down(self) -> None:
        self.told.append("down")

    def kill(self, service: str) -> None:
        self.told.append(f"kill {service}")

    def restart(self, service: str) -> None:
        self.told.append(f"restart {service}")


class PlayedShop:
    """Everything behind the demo's seams in one: answers follow publishing, the books follow the answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, silent: int = 0, charges_twice: int = 0) -> None:
        self.silent, self.charges_twice = silent, charges_twice
        self.events: list[dict[str, Any]] = []
        self.more = threading.Event()
        monkeypatch.setattr(play, "Storefront", self.storefront)
        monkeypatch.setattr(play, "Crew", lambda *_args, **_options: self)
        monkeypatch.setattr(play, "Sandboxes", lambda *_args, **_options: self)
        monkeypatch.setattr(play, "consume", self.consume)
        monkeypatch.setattr(play, "_LOOK_EVERY_SECONDS", 0.001)
        monkeypatch.setattr(play, "_DOWN_SECONDS", 0)
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    # the storefront
    def storefront(
        self, _settings: Mapping[str, str], *, on_published: Callable[[dict[str, Any]], None], **_options: Any
    ) -> PlayedShop:
        self.on_published = on_published
        return self

    def publish(self, events: Any) -> int:
        for event in events:
            event["data"]["payment"]["reference"] = f"P-{event['data']['order_number']}"
            self.on_published(event)
            self.events.append(event)
        self.more.set()
        return len(self.events)

    # the crew
    def work(self, *, follow: bool) -> None:
        assert follow

    # the answers
    def consume(self, _uri: str, handle: Callable[[Answer], None], *, stop: threading.Event, **_options: Any) -> None:
        assert self.more.wait(10)
        for place, event in enumerate(self.events):
            types = ["order_accepted", "shipment_dispatched", "shipment_delivered", "order_completed"]
            for type_ in types[:1] if place < self.silent else types:
                number = event["data"]["order_number"]
                data = {"tracking_number": f"1Z-{number}"} if type_ == "shipment_dispatched" else {}
                handle(Answer(type_, datetime.now(UTC), number, event["source"], event["id"], (), data))
        stop.wait(10)

    # the sandboxes
    def counts(self) -> Counter[str]:
        return Counter()

    def books(self) -> Books:
        payments, labels, mails = [], [], []
        for place, event in enumerate(self.events):
            data = event["data"]
            number, total = data["order_number"], data["total"]
            captured = (total,) * (2 if place < self.charges_twice else 1)
            payments.append(Payment(data["payment"]["provider"], f"P-{number}", data["currency"], (total,), captured))
            labels.append(Label(f"1Z-{number}", f"parcel-{number}"))
            mails += [Mail(number, kind, f"<{kind}-{number}>") for kind in MAILS_OF_AN_ORDER]
        return Books(payments, labels, mails)


def demo(stack: FakeStack, *, kill: tuple[str, ...] = (), orders: int = 20, still_seconds: float = 10) -> Demo:
    order_set: OrderSet = open_set("sample", source="https://shop.example", orders=orders, run="aaaa")
    return Demo(
        stack,
        order_set,
        papers=Path("nowhere"),
        picture=Picture(Console(quiet=True)),
        kill=kill,
        nothing_moves_seconds=still_seconds,
        settled_seconds=0,
    )


def test_a_run_in_which_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    PlayedShop(monkeypatch)
    outcome = demo(FakeStack()).play(20)
    assert outcome.good
    assert outcome.ends == {"completed": 20}
    assert outcome.mails == {"order_confirmation": 20, "shipment": 20, "delivery": 20}
    assert (outcome.authorised, outcome.captured, outcome.labels) == (20, 20, 20)


def test_a_double_charge_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    PlayedShop(monkeypatch, charges_twice=1)
    outcome = demo(FakeStack()).play(20)
    assert not outcome.good
    assert [str(found) for found in outcome.disagreements] == ["captured more than once: 1 (AJ-100001-aaaa)"]


def test_when_nothing_moves_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    PlayedShop(monkeypatch, silent=2)
    outcome = demo(FakeStack(), still_seconds=0).play(20)
    assert not outcome.good
    assert outcome.missing[0] == "Nothing has moved for 0 s."


def test_an_order_without_an_end_is_named_with_its_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    run = demo(FakeStack())
    event = {"id": "e", "data": {"order_number": "A-1"}}
    run._tally.published(event, datetime.now(UTC))
    run._tally.heard(Answer("order_accepted", datetime.now(UTC), "A-1", None, "e", (), {}))
    assert run._missing(still_publishing=False)[-1] == "1 order(s) have no end; the last answer was order_accepted: A-1."


def test_services_are_killed_in_mid_run_one_after_the_other_and_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "_DOWN_SECONDS", 0)
    stack = FakeStack()
    run = demo(stack, kill=("payments", "shipping"))
    workers = Workers(run._stop)
    for accepted, dispatched in ((0, 0), (10, 0), (10, 1), (20, 5), (20, 20)):
        run._kill_in_mid_run(workers, Counter(accepted=accepted, dispatched=dispatched, published=20), 20)
    workers.end()
    assert [told for told in stack.told if told.startswith("kill")] == ["kill payments", "kill shipping"]
    assert sorted(told for told in stack.told if told.startswith("restart")) == ["restart payments", "restart shipping"]


def test_what_a_thread_dies_of_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = PlayedShop(monkeypatch)

    def broken(_events: Any) -> int:
        raise NotDone("No keys.")

    monkeypatch.setattr(shop, "publish", broken)
    shop.more.set()
    with pytest.raises(NotDone, match="No keys"):
        demo(FakeStack()).play(20)


@pytest.mark.parametrize("fails", [KeyboardInterrupt(), StartError("the broker"), RuntimeError()])
def test_whatever_happens_the_stack_is_taken_down(fails: BaseException) -> None:
    stack = FakeStack(fails)
    wanted = NotDone if isinstance(fails, StartError) else type(fails)
    with pytest.raises(wanted), demo_command.running(stack, Picture(Console(quiet=True))):
        pytest.fail("it did not come up")
    assert stack.told == ["up", "down"]


def test_an_order_that_was_declined_and_then_cancelled_is_cancelled() -> None:
    at = datetime.now(UTC)
    heard = {"payment_declined": at, "order_cancelled": at}
    assert Course("A", "e", "1.00", "GBP", "paypal", "P", at, heard).end == "cancelled"
