"""What is parked and what becomes of it, in a running service: replayed after mending, discarded, come again, given up by the broker."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from shared.delivery import parked, topology
from shared.delivery.parked import Verdict, Wanted
from tests.integration.facts import wait_for
from tests.integration.scene import Scene, Service, new_number
from tests.integration.wire import Ear, Event, event

QUEUE = "payments.events"
PARKED_QUEUE = "payments.parked"
SHOP = "https://shop.example"


@pytest.fixture
def running(probe: Service) -> Service:
    """The probe, up (again), with nothing held, as it is before it is mended."""
    _release(probe, is_mended=False)
    probe.rows("delete from held")
    probe.rows("delete from intents")
    return probe


@pytest.fixture
def ear(scene: Scene) -> Iterator[Ear]:
    with scene.wire.ear("payments.events") as it:
        yield it


def _release(probe: Service, *, is_mended: bool) -> None:
    """The probe in this release, started if it does not run in it."""
    wanted = "1" if is_mended else "0"
    if probe.environment.get("PROBE_MENDED") != wanted and probe.program.pid is not None:
        probe.stop()
    probe.environment["PROBE_MENDED"] = wanted
    probe.start()


def label(number: str, *, written_at: datetime | None = None) -> Event:
    data = {"shop": SHOP, "order_number": number, "parcel": "p", "carrier": "c", "tracking_number": "t"}
    said = event("shipping", "label_created", data)
    return said if written_at is None else {**said, "time": written_at.isoformat()}


def say(scene: Scene, *events: Event) -> None:
    scene.wire.publish_all("shipping.events", [("label_created", it) for it in events])


def the_parked(probe: Service, *wanted: str) -> list[tuple[Any, ...]]:
    """These columns of all that is parked."""
    return probe.rows(f"select {', '.join(wanted)} from held where state = 'parked' order by first_at")


def claims(probe: Service, identity: str) -> int:
    return int(probe.rows("select count(*) from inbox where id = %s", identity)[0][0])


def replay(probe: Service, **wanted: Any) -> int:
    with psycopg.connect(probe.database_url, autocommit=True) as connection, connection.transaction():
        return len(parked.replay(connection, [it.id for it in parked.find(connection, Wanted(**wanted), 1000)]))


def say_and_park(probe: Service, scene: Scene, said: Event) -> None:
    say(scene, said)
    wait_for(lambda: probe.rows("select 1 from held where event_id = %s and state = 'parked'", said["id"]), "the parked row")


def marked_as_handled(scene: Scene, probe: Service, ear: Ear) -> None:
    """Wait until all that was said before is through."""
    last = label(new_number("PLAIN-LAST"))
    say(scene, last)
    ear.hear("payment_captured", last["data"]["order_number"])
    probe.settled()


def give_up(scene: Scene, *events: Event) -> None:
    """Do to these what consumers that crash do, until the broker gives them up. No service may run."""
    before = scene.wire.waiting(PARKED_QUEUE)
    say(scene, *events)
    scene.wire.reject_to_the_end(QUEUE, lambda: scene.wire.waiting(PARKED_QUEUE) == before + len(events))
    wait_for(lambda: scene.wire.waiting(QUEUE) == 0, "the queue to be empty")


# ── replay ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "reason"), [("MEND", "probe_parked"), ("SQL", "database_22012")])
def test_a_parked_message_keeps_its_claim_and_is_done_once_after_mending(
    kind: str, reason: str, running: Service, scene: Scene, ear: Ear
) -> None:
    said = label(new_number(kind))
    number = said["data"]["order_number"]
    say_and_park(running, scene, said)
    assert the_parked(running, "reason", "event_id", "shop", "body is not null") == [(reason, said["id"], SHOP, True)]
    assert claims(running, said["id"]) == 1
    say(scene, said, said)  # it comes again: a repeat, also while it is parked
    marked_as_handled(scene, running, ear)
    assert the_parked(running, "tries", "order_number") == [(1, number)]
    assert replay(running, type="label_created") == 1
    wait_for(lambda: the_parked(running, "replays", "tries") == [(1, 1)], "it to be tried in vain and parked again")
    assert ear.all("payment_captured", number) == []
    _release(running, is_mended=True)
    assert replay(running, order_number=number) == 1
    ear.hear("payment_captured", number)
    running.settled()
    assert running.rows("select 1 from held") == []
    say(scene, said)  # and it comes again after it is done
    marked_as_handled(scene, running, ear)
    assert len(ear.all("payment_captured", number)) == 1


def test_replays_at_the_same_time_in_two_processes_do_it_once(running: Service, scene: Scene, ear: Ear) -> None:
    said = [label(new_number("MEND")) for _ in range(20)]
    for it in said:
        say_and_park(running, scene, it)
    _release(running, is_mended=True)
    second = Service("payments", "tests.integration.probe", scene.folder / "second", {**running.environment})
    second.environment["HTTP_ADDRESS"] = "127.0.0.1:0"
    second.begin()
    try:
        wait_for(lambda: '"started"' in (second.log() if second.program.log.exists() else ""), "the second process")
        with ThreadPoolExecutor(6) as pool:
            numbers = list(pool.map(lambda _: replay(running), range(6)))
        assert sum(numbers) == len(said)
        for it in said:
            ear.hear("payment_captured", it["data"]["order_number"])
        running.settled()
        assert all(len(ear.all("payment_captured", it["data"]["order_number"])) == 1 for it in said)
    finally:
        second.kill()


def test_a_parked_call_is_replayed_in_doubt_and_settled_once(running: Service, scene: Scene, ear: Ear) -> None:
    number = new_number("BALK")
    say(scene, label(number))
    query = "select parked, tries, created_at <= last_at, replays from intents where order_number = %s"
    wait_for(lambda: running.rows(query, number) == [("probe_balked", 1, True, 0)], "the call to be parked")
    _release(running, is_mended=True)
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: replay(running, kind="call"), range(4))) == 1
    assert ear.hear("payment_captured", number)["data"]["amount"] == "in doubt"
    running.settled()
    assert len(ear.all("payment_captured", number)) == 1
    assert running.rows("select 1 from intents") == []


# ── discard ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_discarded_is_written_down_and_a_repeat_of_it_changes_nothing(running: Service, scene: Scene, ear: Ear) -> None:
    said = label(new_number("MEND"))
    number = said["data"]["order_number"]
    say_and_park(running, scene, said)
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        [thing] = parked.find(connection, Wanted(), 10)
        assert parked.discard(connection, "payments", [thing.id], Verdict("done_by_hand", "T-7", "s.17")) == {thing.id}
        assert parked.discard(connection, "payments", [thing.id], Verdict("done_by_hand", "T-7", "s.17")) == set()
        [record] = parked.discards(connection, None, None, 10)
    assert (record.id, record.service, record.kind, record.queue) == (thing.id, "payments", "message", QUEUE)
    assert (record.source, record.event_id, record.type) == ("shipping", said["id"], "label_created")
    assert (record.shop, record.order_number, record.parked_for, record.tries) == (SHOP, number, "probe_parked", 1)
    assert (record.first_at, record.last_at) == (thing.first_at, thing.last_at)
    assert (record.reason, record.ticket, record.discarded_by) == ("done_by_hand", "T-7", "s.17")
    _release(running, is_mended=True)
    say(scene, said)
    marked_as_handled(scene, running, ear)
    assert ear.all("payment_captured", number) == []
    assert claims(running, said["id"]) == 1


# ── given up by the broker ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dead_letter_is_taken_in_with_its_claim_and_done_once_when_replayed(running: Service, scene: Scene, ear: Ear) -> None:
    marked_as_handled(scene, running, ear)
    running.stop()
    said = label(new_number("PLAIN"))
    give_up(scene, said)
    running.start()
    columns = ("reason", "queue", "source", "event_id", "type", "order_number", "tries", "body is not null", "headers")
    [row] = wait_for(lambda: the_parked(running, *columns), "the dead letter")
    number = said["data"]["order_number"]
    assert row[:8] == (
        "delivery_limit_reached", QUEUE, "shipping", said["id"], "label_created", number, topology.DELIVERY_LIMIT + 1, True,
    )  # fmt: skip
    death = row[8]["death"]
    assert (row[8]["exchange"], row[8]["routing_key"]) == ("shipping.events", "label_created")
    assert (death["reason"], death["queue"], death["count"]) == ("delivery_limit", QUEUE, 1)
    assert datetime.fromisoformat(death["first_at"]) > datetime.now(UTC) - timedelta(hours=1)
    wait_for(lambda: scene.wire.waiting(PARKED_QUEUE) == 0, "the parked queue to be empty")
    say(scene, said)  # a copy of it is a repeat
    marked_as_handled(scene, running, ear)
    assert ear.all("payment_captured", number) == []
    assert replay(running) == 1
    ear.hear("payment_captured", number)
    running.settled()
    assert len(ear.all("payment_captured", number)) == 1


def test_a_dead_letter_that_was_handled_before_is_a_repeat(running: Service, scene: Scene, ear: Ear) -> None:
    said = label(new_number("PLAIN"))
    say(scene, said)
    ear.hear("payment_captured", said["data"]["order_number"])
    marked_as_handled(scene, running, ear)
    running.stop()
    never = label(new_number("PLAIN"))
    give_up(scene, said, never)
    running.start()
    wait_for(lambda: the_parked(running, "event_id") == [(never["id"],)], "the one that was not handled")
    wait_for(lambda: scene.wire.waiting(PARKED_QUEUE) == 0, "the parked queue to be empty")
    marked_as_handled(scene, running, ear)
    assert the_parked(running, "event_id") == [(never["id"],)]
    assert len(ear.all("payment_captured", said["data"]["order_number"])) == 1


def test_a_dead_letter_that_cannot_be_read_is_parked_without_its_body(running: Service, scene: Scene) -> None:
    running.stop()
    broken = {**label(new_number("PLAIN")), "data": {"name": "Quentin Quarterman"}}
    give_up(scene, broken)
    running.start()
    [(reason, body, faults)] = wait_for(lambda: the_parked(running, "reason", "body", "faults"), "the dead letter")
    assert (reason, body) == ("delivery_limit_reached", None)
    assert faults[0] == {"code": "malformed_event", "path": ""}
    assert "Quentin" not in str(running.rows("select held::text from held")) + running.log()
    assert replay(running) == 0


def test_what_kills_its_reader_is_parked_unread_and_done_once_after_mending(running: Service, scene: Scene, ear: Ear) -> None:
    running.stop()
    deadly, harmless = label(new_number("KILL")), label(new_number("PLAIN"))
    give_up(scene, deadly)
    for _ in range(2):
        running.begin()
        wait_for(lambda: running.program.pid is None, "the deadly one to kill its reader")
        assert running.rows("select 1 from held") == []
    running.start()
    [(reason, source, identity, body, faults)] = wait_for(
        lambda: the_parked(running, "reason", "source", "event_id", "body", "faults"), "the dead letter"
    )
    assert (reason, source, identity) == ("delivery_limit_reached", "shipping", deadly["id"])
    assert faults == [{"code": "not_read", "path": ""}]
    assert json.loads(body) == deadly
    assert claims(running, deadly["id"]) == 1
    say(scene, harmless)
    ear.hear("payment_captured", harmless["data"]["order_number"])
    _release(running, is_mended=True)
    assert replay(running) == 1
    ear.hear("payment_captured", deadly["data"]["order_number"])
    running.settled()
    assert len(ear.all("payment_captured", deadly["data"]["order_number"])) == 1


def test_a_replayed_message_that_kills_its_reader_is_parked_again_in_the_end(running: Service, scene: Scene) -> None:
    running.stop()
    identity = uuid.uuid4()
    deadly = label(new_number("KILL"))
    running.rows(
        """
        insert into held (id, state, queue, source, event_id, type, reason, body, length, headers, tries, first_at, last_at, due_at, takes)
        values (%s, 'later', 'payments.events', 'shipping', %s, 'label_created', 'x', %s, 10, '{}', 0, now(), now(), now(), 19)
        """,
        identity,
        deadly["id"],
        json.dumps(deadly),
    )
    running.begin()
    wait_for(lambda: running.program.pid is None, "it to kill its reader once more")
    running.start()
    wait_for(lambda: the_parked(running, "id", "reason") == [(identity, "delivery_limit_reached")], "it to be parked")
    assert '"message_deadly"' in running.log()


def test_what_somebody_puts_straight_into_the_parked_queue_is_shown_and_not_done(
    running: Service, scene: Scene, ear: Ear
) -> None:
    said = label(new_number("PLAIN"))
    scene.wire.publish(topology.PARKED_EXCHANGE, "payments", said)
    wait_for(lambda: the_parked(running, "reason", "body") == [("origin_unknown", None)], "the parked row")
    marked_as_handled(scene, running, ear)
    assert ear.all("payment_captured", said["data"]["order_number"]) == []


# ── the horizon ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("days", "reason"), [(-31, "too_old"), (2, "time_ahead")])
def test_what_is_not_of_this_time_is_parked_and_a_person_may_have_it_done(
    days: int, reason: str, running: Service, scene: Scene, ear: Ear
) -> None:
    said = label(new_number("PLAIN"), written_at=datetime.now(UTC) + timedelta(days=days))
    number = said["data"]["order_number"]
    say_and_park(running, scene, said)
    assert the_parked(running, "reason", "faults", "order_number") == [(reason, [{"code": reason, "path": "/time"}], number)]
    say(scene, said)
    marked_as_handled(scene, running, ear)
    assert len(the_parked(running, "id")) == 1
    assert ear.all("payment_captured", number) == []
    assert replay(running, reason=reason) == 1
    ear.hear("payment_captured", number)
    running.settled()
    assert len(ear.all("payment_captured", number)) == 1


def test_the_inbox_is_cleared_and_no_repeat_gets_through(running: Service, scene: Scene, ear: Ear) -> None:
    """Time passes for three claims and for the messages that they are of, as the database sees it."""
    now = datetime.now(UTC)
    forgotten, remembered, held = label(new_number("PLAIN")), label(new_number("PLAIN")), label(new_number("MEND"))
    say(scene, forgotten, remembered)
    say_and_park(running, scene, held)
    for it in (forgotten, remembered):
        ear.hear("payment_captured", it["data"]["order_number"])
    running.settled()
    age = "update inbox set received_at = now() - %s * interval '1 day' where id = %s"
    ages = {forgotten["id"]: 33, remembered["id"]: 31, held["id"]: 33}
    for identity, days in ages.items():
        running.rows(age, days, identity)
    wait_for(lambda: claims(running, forgotten["id"]) == 0, "the janitor to forget the claim")
    wait_for(lambda: running.metric("brownpaper_inbox_cleared_total") >= 1, "the metric of it")
    assert (claims(running, remembered["id"]), claims(running, held["id"])) == (1, 1)
    again = [{**it, "time": (now - timedelta(days=ages[it["id"]])).isoformat()} for it in (forgotten, remembered, held)]
    say(scene, *again)
    marked_as_handled(scene, running, ear)
    # Whose claim stands is a repeat, whatever its age; whose claim is gone is too old.
    parked_now = set(the_parked(running, "event_id", "reason"))
    assert parked_now == {(forgotten["id"], "too_old"), (held["id"], "probe_parked")}
    for it in (forgotten, remembered):
        assert len(ear.all("payment_captured", it["data"]["order_number"])) == 1


# ── what stands ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_metrics_tell_what_stands_in_the_tables(running: Service, scene: Scene) -> None:
    say_and_park(running, scene, label(new_number("MEND")))
    say(scene, label(new_number("BALK")))
    running.rows(
        """
        insert into outbox (id, exchange, type, subject, body, leased_until, created_at)
        values (gen_random_uuid(), 'payments.events', 'mail_sent', '', '{}', now() + interval '1 day', now() - interval '1 hour')
        """
    )
    running.rows("analyze inbox")
    try:
        wait_for(lambda: running.metric("brownpaper_held", state="parked") == 1, "the parked message to be counted")
        wait_for(lambda: running.metric("brownpaper_open_calls", state="parked") == 1, "the parked call to be counted")
        # What was counted before may have been as many, and others.
        wait_for(lambda: 3600 <= running.metric("brownpaper_outbox_oldest_seconds") < 7200, "the event to be the oldest")
        wait_for(lambda: running.metric("brownpaper_outbox_rows") == 1, "the event to be counted")
        # They may have been counted before the database looked how long the inbox is.
        wait_for(lambda: running.metric("brownpaper_inbox_rows") >= 1, "the claims to be counted")
    finally:
        running.rows("delete from outbox")
