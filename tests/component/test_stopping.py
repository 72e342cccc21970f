"""A service that is told to stop while a server of its own is away, with work in hand: it ends within its time limit, by itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.component.events import order_placed
from tests.component.test_orders_component import publish_key
from tests.integration.facts import wait_for
from tests.integration.proxies import Proxy, Way
from tests.integration.scene import SHOP, IntakeKey, Scene, Service, new_number

LIMIT_SECONDS, GRACE_SECONDS = 10, 5


class Line(Proxy):
    """A way to a server that can be cut: nobody answers at its address any more. Or muted: it takes everything, and passes nothing on."""

    def __init__(self, url: str) -> None:
        self._ways: list[_MutableWay] = []
        self.is_mute: Callable[[bytes], bool] = lambda _data: False
        super().__init__(url)

    def cut(self) -> None:
        self.close()
        for way in self._ways:
            way.break_off()

    def mute(self) -> None:
        self.is_mute = lambda _data: True

    def _way(self, client: object, server: object) -> Way:
        self._ways.append(_MutableWay(client, server, self))  # type: ignore[arg-type]
        return self._ways[-1]


class _MutableWay(Way):
    def __init__(self, client: object, server: object, line: Line) -> None:
        super().__init__(client, server)  # type: ignore[arg-type]
        self._line, self._was_muted = line, False

    def _hand_to_server(self, data: bytes) -> None:
        self._was_muted |= self._line.is_mute(data)
        if not self._was_muted:
            super()._hand_to_server(data)

    def _hand_to_client(self, data: bytes) -> None:
        if not (self._was_muted or self._line.is_mute(b"")):
            super()._hand_to_client(data)


@pytest.fixture
def line_of() -> Iterator[Callable[[Service, str], Line]]:
    lines = []

    def lead_through(service: Service, setting: str) -> Line:
        lines.append(Line(service.environment[setting]))
        service.environment[setting] = lines[-1].url
        return lines[-1]

    yield lead_through
    for line in lines:
        line.cut()


@pytest.mark.parametrize("way", ["cut", "mute"])
@pytest.mark.parametrize("server", ["AMQP_URI", "DATABASE_URL"])
def test_it_stops_in_time_while_a_server_is_away(
    server: str, way: str, scene: Scene, line_of: Callable[[Service, str], Line]
) -> None:
    # What is cut off is known to be away: it ends at once. Who says nothing may answer yet, until the time is up.
    limit, patience = (LIMIT_SECONDS, LIMIT_SECONDS) if way == "cut" else (2, 2 + GRACE_SECONDS)
    service = scene.service("orders", STOP_TIMEOUT_SECONDS=str(limit))
    line = line_of(service, server)
    service.start()
    for holder in ("payments", "shipping", "notifications"):
        publish_key(scene, IntakeKey(holder))
    wait_for(lambda: len(service.ask("GET", "/keys").json()) == 3, "the three keys on the board")
    getattr(line, way)()
    try:
        give_work(scene, service, server, way)
        service.program.stop(signal.SIGTERM, patience)
        assert service.program.exit_status == 0
        assert service.log().rstrip().endswith('"message":"stopped"}')
    finally:
        service.kill()


def give_work(scene: Scene, service: Service, server: str, way: str) -> None:
    """An ask and a message for which the database is wanted, and so what the ask has said for the broker."""

    def ask() -> int:
        try:
            return service.ask("POST", "/events", order_placed(), token=service.environment["STOREFRONT_TOKEN"]).status
        except OSError:
            return 0

    if server == "AMQP_URI":
        assert ask() == 202
        return
    early = {"shop": SHOP, "order_number": new_number(), "currency": "USD", "amount": "1.00"}
    scene.wire.say("payments", "payment_authorised", early)
    threading.Thread(target=ask, daemon=True).start()
    if way == "cut":
        wait_for(lambda: service.log().count('"database_unavailable"') > 2, "it to find its database away")
    else:
        wait_for(lambda: scene.wire.waiting("orders.events") == 0, "it to take the message")


def test_a_service_that_hangs_as_it_starts_ends_when_it_is_told_to(scene: Scene, line_of: Callable[[Service, str], Line]) -> None:
    """Its keyring's database takes a connection, and answers no statement."""
    service = scene.service("payments", STOP_TIMEOUT_SECONDS="1")
    line = line_of(service, "KEYRING_DATABASE_URL")
    begun = threading.Event()

    def is_mute(data: bytes) -> bool:
        if b"BEGIN" in data:
            begun.set()
        return begun.is_set()

    line.is_mute = is_mute
    service.begin()
    wait_for(begun.is_set, "it to ask its keyring")
    try:
        service.program.stop(signal.SIGTERM, 60)
        assert service.program.exit_status == -signal.SIGALRM
    finally:
        service.kill()
