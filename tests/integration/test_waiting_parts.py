"""What waits for something that does not come goes in its time: a friend whose mail never goes, a request that nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.fix_servers import DatabaseUrl
from tests.integration.custody_bench import AT, SHOP, Custody, a_master_file
from tests.integration.facts import rows

# isort: split
from services.notifications import friend_store, inquiry_store
from services.notifications.friends import SEND_INVITATION, Invitation
from services.notifications.inquiries import SEND_PERSONAL_MAIL, SpecialRequest
from services.notifications.retention import WAITING, NotificationsRetention
from shared.contracts.values import OrderKey
from shared.custody.envelopes import Envelope, PartName
from shared.database import Database
from shared.delivery import tables
from shared.delivery.work import IntentRow
from shared.policy import load
from shared.policy.waiting import waiting_days
from shared.retention import Retention, clearings_of

PATIENCE = timedelta(minutes=20)
MONTH, HALF_A_YEAR, SECOND = timedelta(days=30), timedelta(days=180), timedelta(seconds=1)
PURPOSES = {"friend": "recommendation", "request": "reply"}
Wish = tuple[PartName, Envelope]


class _Power(Exception):
    """Goes out."""


class Waiting:
    """Notifications with invitations whose mail does not go and requests that nobody answers."""

    def __init__(self, url: str, custody: Custody) -> None:
        self.url, self.custody, self.data, self.rows = url, custody, Database(url, name="test"), NotificationsRetention()

    def retention(self) -> Retention:
        clearings = clearings_of(load(), "notifications", WAITING, days_of=waiting_days)
        return Retention("notifications", self.data, self.custody.vault, self.rows, clearings)

    def invite(self, number: str, came_at: datetime) -> Wish:
        name, envelope = self._kept(number, "friend", SEND_INVITATION, "referral")
        with self.data.begin() as connection:
            invitation = Invitation(shop=SHOP, referral=number, customer_id="c-1")
            friend_store.add(connection, invitation, envelope.as_json(), {"title": "Ring", "url": SHOP}, came_at)
        return name, envelope

    def ask(self, number: str, came_at: datetime) -> Wish:
        name, envelope = self._kept(number, "request", SEND_PERSONAL_MAIL, "request_id")
        told = {"shop": SHOP, "request_id": number, "customer_id": "c-1"}
        request = SpecialRequest(**told, request=envelope.as_json(), received_at=came_at)
        with self.data.begin() as connection:
            inquiry_store.add(connection, request)
            request.complain(came_at, timedelta(days=30))
            inquiry_store.save(connection, request)
        return name, envelope

    def _kept(self, number: str, part: str, kind: str, named: str) -> Wish:
        """The part in its envelope, and a call that is not settled."""
        name = PartName(SHOP, "c-1", number, part)
        details = {"shop": SHOP, "customer_id": "c-1", named: number}
        with self.data.begin() as connection:
            tables.write_intents(connection, [IntentRow(uuid4(), kind, OrderKey(SHOP, number), number, details)], AT, AT)
        return name, self.custody.keep(name)[0]

    def endings(self, *wishes: Wish) -> list[str]:
        return [self.custody.endings([wish], PURPOSES[wish[0].part])[0] for wish in wishes]

    def left(self, table: str, column: str) -> list[str | None]:
        return [value for (value,) in rows(self.url, f"select {column} from {table} order by {column}")]

    def clearing(self, name: str) -> tuple[object, ...]:
        (row,) = rows(self.url, "select done, due, held, oldest_due_at from retention_clearings where clearing = %s", name)
        return row


@pytest.fixture
def waiting(database_url: DatabaseUrl, keyring_database_url: DatabaseUrl, tmp_path: Path) -> Iterator[Waiting]:
    custody = Custody(keyring_database_url("notifications"), a_master_file(tmp_path), "notifications")
    it = Waiting(database_url("notifications"), custody)
    yield it
    it.data.close()
    custody.close()


def test_a_friend_whose_mail_never_goes_and_a_request_nobody_answers_go_too(waiting: Waiting) -> None:
    friends = [waiting.invite("F-1", AT - MONTH), waiting.invite("F-2", AT - MONTH + SECOND)]
    requests = [waiting.ask("R-1", AT - HALF_A_YEAR), waiting.ask("R-2", AT - HALF_A_YEAR + SECOND)]
    assert waiting.retention().run(AT, patience=PATIENCE) == 2
    assert waiting.endings(*friends, *requests) == ["key_destroyed", "opened", "key_destroyed", "opened"]
    assert waiting.left("invitations", "referral") == ["F-2"]
    assert waiting.left("special_requests", "request_id") == ["R-2"]
    assert waiting.left("intents", "order_number") == ["F-2", "R-2"], "no call names the person any more"
    assert waiting.left("complaints", "request_id") == ["R-2", None], "the case stands on, of nobody's request"
    assert waiting.clearing("invitations") == waiting.clearing("unanswered") == (1, 0, 0, None)
    assert waiting.retention().run(AT, patience=PATIENCE) == 0, "twice is as once"


@pytest.mark.parametrize("point", ["destroy", "let_go"])
def test_a_run_that_died_midway_is_finished_by_the_next(waiting: Waiting, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    wishes = [waiting.invite("F-1", AT - MONTH), waiting.ask("R-1", AT - HALF_A_YEAR)]

    def out(*_: object, **__: object) -> None:
        raise _Power

    dying = waiting.retention()
    monkeypatch.setattr(waiting.custody.vault if point == "destroy" else waiting.rows, point, out)
    with pytest.raises(_Power):
        dying.run(AT, patience=PATIENCE)
    monkeypatch.undo()
    assert waiting.retention().run(AT, patience=PATIENCE) == 2
    assert waiting.endings(*wishes) == ["key_destroyed"] * 2
    assert waiting.left("invitations", "referral") == waiting.left("special_requests", "request_id") == []


def test_what_waits_and_cannot_go_is_overdue(waiting: Waiting) -> None:
    waiting.invite("F-1", AT - MONTH)
    with psycopg.connect(waiting.url) as connection:
        connection.execute("select 1 from invitations for update")
        assert waiting.retention().run(AT + timedelta(hours=2), patience=PATIENCE) == 0
    assert waiting.clearing("invitations") == (0, 1, 0, AT)
