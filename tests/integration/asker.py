"""A service that asks its database things over HTTP: `python -m tests.integration.asker`. It stands in for payments.

`GET /…` runs the case of this name and answers with what it saw.
"""

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import eventlet
from eventlet.event import Event as Happening

from shared.database import Database, DatabaseUnavailable
from shared.delivery.entrypoints import Door
from shared.http_door import Answer, Request, serve
from shared.settings import DeliverySettings
from tests.integration.probe import NoShelves

SLEEP = "select pg_sleep(1)"
BIG = 8 * 1024 * 1024


@contextmanager
def ticking() -> Iterator[list[int]]:
    """How often another greenthread ran meanwhile."""
    ticks: list[int] = []

    def tick() -> None:
        while True:
            eventlet.sleep(0.01)
            ticks.append(1)

    ticker = eventlet.spawn(tick)
    try:
        yield ticks
    finally:
        ticker.kill()


def one_connection(database: Database) -> Database:
    """On the same server, a pool of one, so that the next one gets what the last one gave back."""
    return Database(database._url, name="asker", most_connections=1)


def a_pid(connection: Any) -> int:
    return int(connection.execute("select pg_backend_pid()").fetchone()[0])


class State:
    """Of the whole process: what a request under way shows to the test."""

    def __init__(self) -> None:
        self.pid, self.go = 0, Happening()
        self.ticks: list[int] = []


class Asker(Door):
    name = "payments"
    Store = NoShelves
    state = State()

    @serve("GET", "/sleeps")
    def sleeps(self, _request: Request) -> Answer:
        seen = {}
        for name in ("begin", "together", "single"):
            with ticking() as ticks, getattr(self.engine.database, name)() as connection:
                connection.execute(SLEEP)
            seen[name] = len(ticks)
        return Answer(200, seen)

    @serve("GET", "/big/<lend>")
    def big(self, request: Request) -> Answer:
        """A statement and an answer that are longer than any socket's buffer; the test sees to it that the server does not read at first."""
        text = "ü" * (BIG // 2)
        self.state.pid, self.state.go = 0, Happening()
        with getattr(self.engine.database, request.values["lend"])() as connection, ticking() as self.state.ticks:
            self.state.pid = a_pid(connection)
            self.state.go.wait()
            self.state.ticks.clear()
            [(length, answer)] = connection.execute("select octet_length(%s::text), %s::text", (text, text)).fetchall()
        self.state.pid = 0  # the next test waits for its own
        return Answer(200, {"length": length, "same": answer == text})

    @serve("GET", "/state")
    def show_state(self, _request: Request) -> Answer:
        return Answer(200, {"pid": self.state.pid, "ticks": len(self.state.ticks)})

    @serve("POST", "/go")
    def go(self, _request: Request) -> Answer:
        self.state.go.send(None)
        return Answer(200, {})

    @serve("GET", "/killed")
    def killed(self, _request: Request) -> Answer:
        """A worker that is ended in the middle of a statement, within a transaction and without.

        The statement has no limit of its own, and the second worker writes the row that the first had begun to write.
        """
        seen = {}
        for name in ("begin", "together", "single"):
            database = one_connection(self.engine.database)
            lend = getattr(database, name)
            pids: list[int] = []

            def work(lend: Any = lend, pids: list[int] = pids, writes: bool = name != "single") -> None:
                with lend() as connection:
                    pids.append(a_pid(connection))
                    connection.execute("set statement_timeout = 0")
                    if writes:
                        connection.execute("insert into inbox values ('asker', 'killed', now())")
                    connection.execute("select pg_sleep(60)").fetchall()

            worker = eventlet.spawn(work)
            while not pids or not self._sleeps(pids[0]):
                if worker.dead:
                    worker.wait()  # raises what it died of
                eventlet.sleep(0.01)
            worker.kill()
            with database.begin() as connection:
                [(answer,)] = connection.execute("select 'mine'").fetchall()
                pids.append(a_pid(connection))
            with database.begin() as connection:
                [(written,)] = connection.execute("select count(*) from inbox where source = 'asker'").fetchall()
                pids.append(a_pid(connection))
            database.close()
            seen[name] = {"answer": answer, "written": written, "pids": pids}
        return Answer(200, seen)

    @serve("GET", "/lost/<lend>")
    def lost(self, request: Request) -> Answer:
        """The server goes away in the middle of a statement (the test sees to it), and comes back."""
        database = one_connection(self.engine.database)
        seen: dict[str, Any] = {"end": "none"}
        try:
            with getattr(database, request.values["lend"])() as connection:
                self.state.pid = a_pid(connection)
                connection.execute("select pg_sleep(60)")
        except DatabaseUnavailable:
            seen["end"] = "unavailable"
        while "back" not in seen:
            try:
                with database.single() as connection:
                    seen["back"] = connection.execute("select 'yes'").fetchall()[0][0]
            except DatabaseUnavailable:
                eventlet.sleep(0.1)
        database.close()
        return Answer(200, seen)

    def _sleeps(self, pid: int) -> bool:
        with self.engine.database.single() as connection:
            found = connection.execute(
                "select 1 from pg_stat_activity where pid = %s and state = 'active' and query = 'select pg_sleep(60)'", (pid,)
            )
            return found.fetchone() is not None


if __name__ == "__main__":
    runtime.run(Asker, DeliverySettings)
