"""One whole stack for the run, and a shop with a warehouse crew that plays against it."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.stack import Stack
from shared.cli.crew import Crew
from tests.component.events import order_placed
from tests.e2e.day import CALM, Day
from tests.e2e.faults import _run, run
from tests.integration.facts import PATIENCE_SECONDS, ask, rows, wait_for
from tests.integration.wire import Wire


class Shop:
    """The storefront of the running stack, and its crew."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.env = stack, stack.env
        self.wire = Wire(stack.env["STOREFRONT_AMQP_URI"])
        self.answers = self.wire.ear(queue="storefront.answers")

    def approved(self, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """An order whose payment its buyer approved."""
        event = event or order_placed()
        data = event["data"]
        wish = {"reference_id": data["order_number"], "amount": data["total"], "currency": data["currency"], "decline": False}
        made = ask("POST", f"{self.env['PAYPAL_SANDBOX_URL']}/_sandbox/orders", [wish]).json()
        data["payment"] = {"provider": "paypal", "reference": made["orders"][0]["id"]}
        return event

    def post(self, body: bytes) -> tuple[int, bytes]:
        """`POST /events` with nothing but the standard library."""
        request = urllib.request.Request(
            f"{self.env['ORDERS_HTTP_URL']}/events",
            data=body,
            headers={"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {self.env['STOREFRONT_TOKEN']}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def completes(self, order_number: str) -> None:
        """Have the crew work until the storefront has heard that this order is completed."""
        stop = threading.Event()
        crew = Crew(self.env, stop=stop, pause_seconds=0.2)
        worker = threading.Thread(target=lambda: crew.work(follow=True), daemon=True)
        worker.start()
        try:
            self.answers.hear("order_completed", order_number)
        finally:
            stop.set()
            worker.join(timeout=30)

    def settled(self) -> None:
        """Wait until no service has anything left to publish, to call or to try again."""
        statement = """
            select (select count(*) from outbox) + (select count(*) from intents where parked is null)
                + (select count(*) from held where state = 'later')
        """
        for service in ("ORDERS", "PAYMENTS", "SHIPPING", "NOTIFICATIONS"):
            database = self.env[f"{service}_DATABASE_URL"]
            wait_for(lambda database=database: rows(database, statement) == [(0,)], f"{service} to have nothing left to do")

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in Path(self.stack.folder).rglob("*.log"))

    def pids(self) -> dict[str, int | None]:
        return {name: pid for name, pid, _ in self.stack.status()}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole stack, up."""
    it = Stack(tmp_path_factory.mktemp("e2e") / "run", fresh=True, sandbox_arguments=("--seed", "7", "--decline", "0"))
    try:
        it.up()
        yield it
    finally:
        it.remove()


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Shop]:
    it = Shop(stack)
    yield it
    it.answers.close()


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole stack, up, with several of every server: three brokers that are one, and a standby for each database server."""
    it = Stack(tmp_path_factory.mktemp("clustered") / "run", fresh=True, sandbox_arguments=CALM, clustered=True)
    try:
        it.up()
        yield it
    finally:
        it.remove()


@pytest.fixture(scope="module")
def day(clustered: Stack) -> Iterator[Day]:
    """A shop's day against it."""
    with Day(clustered) as it:
        yield it


__all__ = ["_run", "run", "shop", "stack"]
