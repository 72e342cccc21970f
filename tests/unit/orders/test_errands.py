"""What persons entrust beside orders: passed on once and sealed, refused where a link could name somebody, and kept nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders import errands
from services.orders.errands import is_plain_link, pass_on
from services.orders.intake import NOTED, Answered
from shared.contracts.events import Event
from shared.contracts.storefront import SealedPart, StorefrontEvent
from shared.contracts.storefront import read_event as read_any
from tests.unit.contracts.storefront_samples import AT, RULES, SOURCE, other, sealed

SHOP = "https://www.astrojewelry.com"
VERSION = "2013-08-19"


class Told:
    """A store in memory."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answered] = {}
        self.said: list[Event] = []

    def answered(self, source: str, event_id: str) -> Answered | None:
        return self.answers.get((source, event_id))

    def save_answer(self, answered: Answered) -> None:
        self.said += answered.events
        answered.events = []
        self.answers[answered.source, answered.event_id] = answered

    def tell(self, event: Event) -> None:
        self.said.append(event)


def read(kind: str, **data: Any) -> StorefrontEvent:
    part = "friend" if kind == "friend_referred" else "request"
    event = other(kind, **{part: sealed(part), **data})
    if kind == "friend_referred" and "item" not in data:
        event["data"]["item"]["url"] = f"{event['source']}/ring"
    return read_any(json.dumps(event).encode(), routing_key=kind, content_type="application/json", rules=RULES, at=AT)


@pytest.mark.parametrize("kind", sorted(errands.KINDS))
def test_an_errand_is_passed_on_once_and_nothing_is_answered(kind: str) -> None:
    store, event = Told(), read(kind)
    assert [pass_on(event, store, VERSION).kind for _ in range(3)] == [NOTED] * 3
    [said] = store.said
    part = next(iter(event.parts))
    assert said.type == {"friend": "friend_entrusted", "request": "request_entrusted"}[part]
    assert said.exchange == "orders.parts"
    box = getattr(said, part)
    assert isinstance(event.parts[part], SealedPart)
    assert box.model_dump() == event.parts[part].as_dict()  # type: ignore[union-attr]
    assert said.model_dump(include={"shop", "customer_id", "policy_version"}) == {
        "shop": event.source,
        "customer_id": event.customer_id,
        "policy_version": VERSION,
    }


@pytest.mark.parametrize("kind", sorted(errands.KINDS))
def test_what_an_older_release_deferred_is_done_when_it_comes_again(kind: str) -> None:
    store, event = Told(), read(kind)
    store.answers[event.source, event.id] = Answered(source=event.source, event_id=event.id, kind="event_deferred")
    assert [pass_on(event, store, VERSION).kind for _ in range(2)] == [NOTED] * 2
    assert len(store.said) == 1


GOOD = (f"{SHOP}/ring", f"{SHOP}/rings/elvish-band-7.html", "https://WWW.AstroJewelry.com/ring", f"{SHOP}/%C3%A9toile")
BAD = (
    "https://elsewhere.example/ring",
    "http://www.astrojewelry.com/ring",
    "https://www.astrojewelry.com:8443/ring",
    "https://www.astrojewelry.com.elsewhere.example/ring",
    f"{SHOP}/ring?from=ana",
    f"{SHOP}/ring?",
    f"{SHOP}/ring#ana",
    f"{SHOP}/share/ana@post.example",
    f"{SHOP}/share/ana%40post.example",
    f"{SHOP}/share/ana%2540post.example",
    "https://ana@www.astrojewelry.com/ring",
    "https://[www.astrojewelry.com/ring",
)


def test_only_a_plain_page_of_the_shop_is_recommended() -> None:
    assert [url for url in GOOD if not errands.is_plain_link(url, SHOP)] == []
    assert [url for url in BAD if errands.is_plain_link(url, SHOP)] == []


def test_a_link_that_could_name_somebody_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "is_plain_link", lambda url, shop: url.startswith(shop))
    with pytest.raises(AssertionError):
        test_only_a_plain_page_of_the_shop_is_recommended()


@given(st.text(max_size=40), st.sampled_from(["?", "#", "@", "%40"]), st.text(max_size=40))
def test_whatever_stands_around_it_a_sign_that_could_name_somebody_refuses_the_link(before: str, sign: str, after: str) -> None:
    assert not is_plain_link(f"{SHOP}/{before}{sign}{after}", SHOP)


@pytest.mark.parametrize("url", BAD[:6])
def test_an_unfit_link_refuses_the_event_and_passes_nothing_on(url: str) -> None:
    store = Told()
    item = {"title": "Ring", "url": url.replace(SHOP, SOURCE)}
    refused = pass_on(read("friend_referred", item=item), store, VERSION)
    assert (refused.kind, [(it.code, it.path) for it in refused.reasons]) == ("event_refused", [("link_unfit", "/data/item/url")])
    assert [event.type for event in store.said] == ["answer"]
