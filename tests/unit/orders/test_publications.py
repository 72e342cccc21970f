"""What the shop publishes: a version is later, sound and another one; announcements are rare unless two of the staff send them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.orders import publication_store
from services.orders.publications import LetterToMany, Publication, announce, publish
from services.orders.publishing import PolicyForm, Publishing
from shared.contracts.errors import Refused
from shared.policy import POLICY_FILE, Policy, load
from shared.policy.loading import load_text
from tests.unit.policy.earlier import as_before

AT = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
TEXT = POLICY_FILE.read_text("utf-8")
WIDER = ("fields: [name, email, language], purpose: order_news, opens", "fields: *contact, purpose: order_news, opens")
OTHER_WORDS = ("Data is encrypted.", "All data is encrypted.")


def version(name: str, *changes: tuple[str, str]) -> Policy:
    text = TEXT.replace('version: "2013-08-19"', f'version: "{name}"')
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_text(text)


def test_a_widening_is_published_with_its_sentences() -> None:
    it = publish(load(), version("2027-01-01", WIDER), "text", said_by="officer.1", is_mailed=False, at=AT)
    assert (it.version, it.previous, it.said_by, it.published_at) == ("2027-01-01", "2013-08-19", "officer.1", AT)
    assert it.widened == ("Tell the buyer how the order stands. It uses phone of this: Who is told about the order.",)


def test_other_words_are_noticed_and_ask_nobody() -> None:
    it = publish(load(), version("2027-01-01", OTHER_WORDS), "text", said_by="officer.1", is_mailed=True, at=AT)
    assert (it.widened, it.noticed) == ((), ("Said in other words (clauses 42): All data is encrypted.",))


@pytest.mark.parametrize(
    ("name", "changes", "code"),
    [
        ("2013-08-19", (WIDER,), "version_not_later"),
        ("2012-01-01", (WIDER,), "version_not_later"),
        ("2026-11-30", (WIDER,), "version_not_later"),
        ("next", (WIDER,), "version_malformed"),
        ("2027-1-1", (WIDER,), "version_malformed"),
        ("2027-01-01", (), "policy_same"),
    ],
)
def test_what_is_no_later_sound_other_policy_is_refused(name: str, changes: tuple[tuple[str, str], ...], code: str) -> None:
    with pytest.raises(Refused) as refused:
        publish(load(), version(name, *changes), "text", said_by="officer.1", is_mailed=False, at=AT)
    assert [fault.code for fault in refused.value.faults] == [code]


def test_a_version_may_count_from_the_day_on_which_it_is_published() -> None:
    publish(load(), version("2026-12-01", WIDER), "text", said_by="officer.1", is_mailed=False, at=AT)


def letter(*by: str, kind: str = "announcement") -> LetterToMany:
    return LetterToMany(kind, "S", "T", by, AT)


def test_one_announcement_too_many_needs_a_second_one_of_the_staff() -> None:
    days = [AT - timedelta(days=day) for day in (1, 29)]
    for by in (("crew.1",), ("crew.1", "crew.1")):
        with pytest.raises(Refused) as refused:
            announce(letter(*by), days, 2)
        assert [fault.code for fault in refused.value.faults] == ["announcements_too_many"]
    announce(letter("crew.1", "crew.2"), days, 2)
    announce(letter("crew.1"), days, 3)
    announce(letter("crew.1"), [days[0], AT - timedelta(days=30)], 2)
    announce(letter("crew.1", kind="newsletter"), days, 2)


def test_a_letter_is_known_by_what_it_says() -> None:
    assert letter("crew.1").name == letter("crew.2").name
    assert letter("crew.1").name != letter("crew.1", kind="newsletter").name


def test_a_version_is_published_after_one_that_an_older_release_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Publication(
        "2026-11-01", load().version, as_before("2026-11-01"), (), (), False, "officer.1", AT - timedelta(days=40)
    )
    added: list[Publication] = []
    told: list[Any] = []
    monkeypatch.setattr(publication_store, "lock", lambda _: None)
    monkeypatch.setattr(publication_store, "last", lambda _: before)
    monkeypatch.setattr(publication_store, "add", lambda _, it: added.append(it))
    work: Any = SimpleNamespace(store=SimpleNamespace(connection=None), tell=told.append)
    asked = (version("2027-01-01"), PolicyForm(policy="text", by="officer.1"), AT)
    assert Publishing.publish_policy(None, asked, work).kind == "done"  # type: ignore[arg-type]
    assert [(it.previous, it.version) for it in added] == [("2026-11-01", "2027-01-01")]
    assert [it.previous_version for it in told] == ["2026-11-01"]
