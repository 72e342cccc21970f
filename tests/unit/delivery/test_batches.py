"""What a batch does with messages that cannot be read just now; nothing here reaches a database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from shared.contracts.errors import TryLater
from shared.database import Database, DatabaseUnavailable
from shared.delivery.batch import Batches, Reading
from shared.delivery.confirmed import Confirmed
from shared.delivery.ladder import Ladder
from shared.delivery.work import Delivery, Ending, RawMessage, Store


def batches() -> Batches:
    no_database = cast(Database, object())
    lease = timedelta(seconds=1)
    return Batches(
        no_database, Store, "orders", Ladder(), writer=uuid4(), publish_lease=lease, call_lease=lease, confirmed=Confirmed()
    )


def delivery() -> Delivery:
    return Delivery("", None, lambda _ending: None, raw=RawMessage("orders.intake", b"{}"))


def failing(error: Exception) -> Any:
    def read(_raw: RawMessage) -> Reading:
        raise error

    return read


def test_a_database_that_is_lost_while_reading_leaves_the_message_to_be_read_again() -> None:
    message = delivery()
    with pytest.raises(DatabaseUnavailable):
        batches().run(object(), failing(DatabaseUnavailable()), [message])
    assert message.message is None


def test_a_message_that_cannot_be_read_yet_is_given_back_untouched() -> None:
    message = delivery()
    outcomes = batches().run(object(), failing(TryLater("intake_key_missing")), [message])
    assert [unread for outcome in outcomes for unread in outcome.unread] == [message]
    assert not any(outcome.endings for outcome in outcomes)
    assert message.message is None


def test_an_ask_that_cannot_be_read_yet_ends_at_once() -> None:
    """Who asked asks again; nobody offers it again meanwhile."""
    message = delivery()
    message.is_asked = True
    outcomes = batches().run(object(), failing(TryLater("intake_key_missing")), [message])
    assert [(it, ending) for outcome in outcomes for it, ending in outcome.endings] == [
        (message, Ending("later", "intake_key_missing"))
    ]
    assert not any(outcome.unread for outcome in outcomes)
