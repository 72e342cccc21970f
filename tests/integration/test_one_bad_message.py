"""One message whose part, statement or names are bad, in a batch with others: it ends as what was wrong, and its neighbours are done."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from shared.contracts.errors import Parked, TryLater
from shared.contracts.values import OrderKey
from shared.custody.master import MasterKeyGone
from shared.database import Contended, Database
from shared.delivery.batch import Batches, Reading
from shared.delivery.confirmed import Confirmed
from shared.delivery.ladder import Ladder
from shared.delivery.work import Delivery, RawMessage, Work
from tests.integration.conftest import DatabaseOf
from tests.integration.test_batches_and_outbox import NothingKept

LEASE = timedelta(seconds=30)
BAD = "bad"


@pytest.fixture
def database(database_of: DatabaseOf) -> Database:
    return database_of("payments")


@pytest.fixture
def batches(database: Database) -> Batches:
    leases = {"publish_lease": LEASE, "call_lease": LEASE}
    return Batches(database, NothingKept, "payments", Ladder(), writer=uuid.uuid4(), confirmed=Confirmed(), **leases)


class Holder:
    """A door whose messages carry parts, and fail with the bad one as they are told to."""

    def __init__(
        self,
        *,
        keeping: Callable[[Sequence[Delivery]], None] = lambda _deliveries: None,
        handling: Callable[[Work[NothingKept]], None] = lambda _work: None,
    ) -> None:
        self.keep_parts, self._handling = keeping, handling

    def carries_part(self, delivery: Delivery) -> bool:
        return delivery.message != "plain"

    def handle(self, message: str, work: Work[NothingKept]) -> None:
        if message == BAD:
            self._handling(work)


def read(raw: RawMessage) -> Reading:
    word = raw.body.decode()
    identity = str(uuid.uuid4())
    return Reading(
        "handle", word, OrderKey("shop", word), ("shipping", identity), None, "shipping", identity, "label_created", True
    )


def messages() -> list[Delivery]:
    return [Delivery("", None, lambda _ending: None, raw=RawMessage("payments.events", it.encode())) for it in ("a", BAD, "b")]


def endings(batches: Batches, door: Any, deliveries: Sequence[Delivery], reader: Any = read) -> list[tuple[str, str]]:
    found = {id(it): ending for outcome in batches.run(door, reader, deliveries) for it, ending in outcome.endings}
    return [(found[id(it)].kind, found[id(it)].code) for it in deliveries]


def held(database: Database, *columns: str) -> list[tuple[Any, ...]]:
    with database.single() as connection:
        return connection.execute(f"select {', '.join(columns)} from held order by order_number").fetchall()


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (psycopg.DataError("a text cannot contain NUL"), "parked", "database_error"),
        (MasterKeyGone(), "parked", "unexpected_MasterKeyGone"),
        (KeyError("data"), "parked", "unexpected_KeyError"),
        (Parked("envelope_broken"), "parked", "envelope_broken"),
        (Contended(), "later", "contended"),
    ],
)
def test_a_part_that_cannot_be_taken_in_is_its_own_message_s_fault(
    error: Exception, state: str, code: str, batches: Batches, database: Database
) -> None:
    def keep(deliveries: Sequence[Delivery]) -> None:
        if any(it.message == BAD for it in deliveries):
            raise error

    assert endings(batches, Holder(keeping=keep), messages()) == [("done", ""), (state, code), ("done", "")]
    assert held(database, "state", "reason", "body", "order_number") == [(state, code, BAD, BAD)]


def test_while_the_keys_are_out_of_reach_what_carries_a_part_is_kept_and_the_rest_goes_on(
    batches: Batches, database: Database
) -> None:
    """Neither acknowledged nor kept, six hundred of them would stop the queue."""

    def keep(_deliveries: Sequence[Delivery]) -> None:
        raise TryLater("database_unavailable")

    deliveries = messages()
    deliveries.append(Delivery("", None, lambda _ending: None, raw=RawMessage("payments.events", b"plain")))
    assert endings(batches, Holder(keeping=keep), deliveries) == [("later", "database_unavailable")] * 3 + [("done", "")]
    assert held(database, "state", "order_number", "body") == [("later", it, it) for it in ("a", "b", BAD)]
    [again] = (Delivery("", None, lambda _: None, held_id=it, raw=RawMessage("q", b"a")) for (it,) in held(database, "id")[:1])
    assert endings(batches, Holder(), [again]) == [("done", "")]
    assert held(database, "order_number") == [("b",), (BAD,)]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("select * from no_such_table", "database_42p01"),
        ("select no_such_column from held", "database_42703"),
        ("select pg_read_file('/etc/hostname')", "database_42501"),
        ("set local statement_timeout = 50; select pg_sleep(60)", "database_57014"),
    ],
)
def test_a_statement_that_the_server_does_not_take_yet_waits_alone(
    statement: str, code: str, batches: Batches, database: Database
) -> None:
    def execute(work: Work[NothingKept]) -> None:
        for each in statement.split("; "):
            work.store.connection.execute(each).fetchone() if each.startswith("select") else work.store.connection.execute(each)

    assert endings(batches, Holder(handling=execute), messages()) == [("done", ""), ("later", code), ("done", "")]
    assert held(database, "state", "reason", "body") == [("later", code, BAD)]


def test_names_that_no_table_takes_park_their_message_without_them(batches: Batches, database: Database) -> None:
    def read_badly(raw: RawMessage) -> Reading:
        reading = read(raw)
        return reading._replace(id="\ud800", type="\ud800", message=Parked("given")) if raw.body.decode() == BAD else reading

    found = endings(batches, Holder(), messages(), read_badly)
    assert found == [("done", ""), ("parked", "unexpected_UnicodeEncodeError"), ("done", "")]
    assert held(database, "state", "event_id", "type", "body", "length") == [("parked", None, None, None, len(BAD))]
