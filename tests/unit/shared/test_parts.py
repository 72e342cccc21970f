"""A service's part reader: what a message brings is opened, checked and put into an envelope; what is at rest is opened for a purpose."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from nacl.public import PrivateKey

from shared.contracts.errors import Parked, TryLater
from shared.contracts.events import ContactEntrusted, Event, OrderLine, SealedBox
from shared.contracts.storefront import PART_FORMS, part_to_json
from shared.contracts.values import KeptPart, OrderKey
from shared.custody.envelopes import Envelope, EnvelopeBroken, close, open_
from shared.custody.vault import Opened, Opening, PartClosed, PartToKeep
from shared.delivery.work import Delivery
from shared.keyring import LIFETIME, OVERLAP
from shared.parts import ANNOUNCE_EVERY, PartReader
from shared.sealing import BoxUnopenable, IntakeKey, box_bytes, seal_to_base64, unseal
from tests.builders import AT, KEY, POLICY_VERSION, billing_entrusted, contact_entrusted, payment_authorised, recipient_entrusted
from tests.unit.contracts.storefront_samples import EXAMPLE

ONE_KEY = bytes(range(32))
OTHER = OrderKey(KEY.shop, "SH-2")


class Keyring:
    """Stands for a service's intake keys: one at a time, renewed when it is time. Boxes are real."""

    def __init__(self, service: str = "shipping") -> None:
        self._service = service
        self._made: list[tuple[IntakeKey, PrivateKey]] = []

    def current(self, at: datetime) -> IntakeKey:
        if not self._made or self._made[-1][0].expires_at - at < OVERLAP:
            private = PrivateKey.generate()
            public = base64.b64encode(bytes(private.public_key)).decode()
            key_id = f"{self._service}-{len(self._made)}"
            self._made.append((IntakeKey(self._service, key_id, public, at + LIFETIME), private))
        return self._made[-1][0]

    def unseal(self, part: SealedBox) -> bytes:
        private = next((private for key, private in self._made if key.key_id == part.key_id), None)
        if private is None:
            raise BoxUnopenable
        return unseal(box_bytes(part.box), private)


def sealed_to(keyring: Any, plaintext: bytes, at: datetime = AT) -> SealedBox:
    key = keyring.current(at)
    return SealedBox(sealed_for=key.service, key_id=key.key_id, box=seal_to_base64(plaintext, key.public_key))


class Vault:
    """Stands for the keyring's database: one key for all, and persons that were erased. Envelopes are real."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.erased: set[str] = set()
        self.is_away = False
        self.purposes: list[tuple[str, str, int]] = []
        self.of_fields: dict[str, object] = {}

    def take_in(self, parts: Sequence[PartToKeep], _at: datetime) -> list[Envelope | None]:
        if self.is_away:
            raise TryLater("keyring_unavailable")
        return [
            None
            if part.name.customer_id in self.erased
            else close(ONE_KEY, part.plaintext, self.service, part.name, part.policy_version, part.form)
            for part in parts
        ]

    def open(
        self,
        openings: Sequence[Opening],
        *,
        purpose: str,
        at: datetime,
        actor: str = "",
        **of_fields: object,
    ) -> list[Opened | PartClosed | EnvelopeBroken]:
        assert at.tzinfo is not None
        self.purposes.append((purpose, actor, len(openings)))
        self.of_fields = of_fields
        return [self._open(opening) for opening in openings]

    def erased_among(self, persons: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        return {person for person in persons if person[1] in self.erased}

    def _open(self, opening: Opening) -> Opened | PartClosed | EnvelopeBroken:
        if opening.name.customer_id in self.erased:
            return PartClosed("person_erased")
        try:
            plaintext = open_(ONE_KEY, opening.envelope, self.service, opening.name)
        except EnvelopeBroken as broken:
            return broken
        return Opened(plaintext, ONE_KEY, self.service, opening.name, opening.envelope.policy_version)


def a_reader(part: str = "contact", service: str = "notifications") -> tuple[PartReader, Vault]:
    vault: Any = Vault(service)
    keyring: Any = Keyring(service)
    nobody: Any = None
    return PartReader(part, keyring, vault, nobody, nobody), vault


def a_part(part: str = "contact", order_number: str = KEY.order_number) -> bytes:
    return part_to_json(PART_FORMS[part].model_validate(EXAMPLE["data"][part]), order_number)


def a_delivery(message: Event) -> Delivery:
    return Delivery("", message, lambda _ending: None)


def taken(reader: PartReader, *events: Event) -> list[KeptPart]:
    deliveries = [a_delivery(event) for event in events]
    reader.take_in(deliveries)
    return [delivery.kept for delivery in deliveries]


def a_contact(reader: PartReader, plaintext: bytes | None = None, key: OrderKey = KEY) -> ContactEntrusted:
    return contact_entrusted(key, contact=sealed_to(reader.keyring, plaintext or a_part(order_number=key.order_number)))


# ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_taken_in_is_opened_again_and_stands_nowhere_in_the_clear() -> None:
    reader, _ = a_reader()
    [kept] = taken(reader, a_contact(reader))
    assert kept.envelope is not None
    assert (kept.codes, kept.is_of_nobody) == ((), False)
    assert kept.envelope["policy_version"] == POLICY_VERSION
    assert "zoe" not in str(kept)
    opened = reader.open({KEY: ("c-1", kept.envelope)}, purpose="order_news")
    assert reader.read(opened[KEY], "contact_missing").email == "zoe@shop.example"


def test_a_part_of_another_order_is_not_used() -> None:
    reader, _ = a_reader()
    assert taken(reader, a_contact(reader, a_part(), OTHER)) == [KeptPart(None, ("sealed_for_another",))]


@pytest.mark.parametrize(
    ("plaintext", "codes"),
    [(b"canary", ("malformed_json",)), (b"[]", ("not_an_object",)), (b'{"for":"SH-1"}', ("missing",))],
)
def test_an_unsound_part_is_told_by_codes_each_once_and_spoils_no_other(plaintext: bytes, codes: tuple[str, ...]) -> None:
    reader, _ = a_reader()
    unsound, sound = taken(reader, a_contact(reader, plaintext), a_contact(reader, key=OTHER))
    assert unsound == KeptPart(None, codes)
    assert sound.envelope is not None


def test_a_box_that_nobody_here_can_open_is_told_by_its_code() -> None:
    reader, _ = a_reader()
    stranger = contact_entrusted(contact=sealed_to(Keyring(), a_part()))
    assert taken(reader, stranger) == [KeptPart(None, ("box_unopenable",))]


def test_an_engraving_for_a_line_that_the_order_has_not_is_unsound() -> None:
    reader, _ = a_reader("recipient", "shipping")
    box = sealed_to(reader.keyring, a_part("recipient"))
    engraved = sorted(line["line"] for line in EXAMPLE["data"]["recipient"]["personalisation"])

    def with_lines(*numbers: int) -> Event:
        lines = [OrderLine(line=number, sku="RNG", title="Ring", department="Rings", quantity=1) for number in numbers]
        return recipient_entrusted(recipient=box, lines=lines)

    sound, unsound = taken(reader, with_lines(*engraved), with_lines(max(engraved) + 1))
    assert sound.envelope is not None
    assert (unsound.envelope, unsound.codes) == (None, ("line_unknown",))


def test_of_a_person_who_was_erased_nothing_is_kept() -> None:
    reader, vault = a_reader()
    vault.erased.add("c-1")
    [kept] = taken(reader, a_contact(reader))
    assert (kept.envelope, kept.is_of_nobody) == (None, True)


def test_without_the_keyring_nothing_is_taken_in() -> None:
    reader, vault = a_reader()
    vault.is_away = True
    delivery = a_delivery(a_contact(reader))
    with pytest.raises(TryLater):
        reader.take_in([delivery])
    assert delivery.kept is None


def test_a_message_carries_the_part_of_this_service_or_none() -> None:
    reader, _ = a_reader("billing", "payments")
    assert reader.carries(billing_entrusted())
    assert reader.carries(billing_entrusted(billing=None)), "who was erased must not come back without it either"
    assert not reader.carries(a_contact(a_reader()[0]))
    assert not reader.carries(payment_authorised())


# ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_envelope_is_opened_or_says_why_not() -> None:
    reader, vault = a_reader()
    keys = [OrderKey(KEY.shop, f"SH-{number}") for number in range(5)]
    kept = dict(zip(keys, taken(reader, *(a_contact(reader, key=key) for key in keys)), strict=True))
    envelopes: dict[OrderKey, tuple[str, Any]] = {key: ("c-1", it.envelope) for key, it in kept.items()}
    envelopes[keys[1]] = ("c-1", {"sealed_for": "notifications", "key_id": "k", "box": "eA=="})  # what an older release kept
    envelopes[keys[2]] = ("c-1", None)
    envelopes[keys[3]] = ("c-1", kept[keys[4]].envelope)  # another order's
    opened = reader.open(envelopes, purpose="order_news", actor="somebody", to="mailbox", needs=("email",))
    assert list(envelopes) == sorted(opened)
    assert [type(opened[key]) for key in keys] == [Opened, EnvelopeBroken, EnvelopeBroken, EnvelopeBroken, Opened]
    assert vault.purposes == [("order_news", "somebody", 3)]
    assert vault.of_fields == {"to": "mailbox", "needs": ("email",)}
    vault.erased.add("c-1")
    [closed] = reader.open({KEY: envelopes[keys[4]]}, purpose="order_news").values()
    with pytest.raises(PartClosed, match=r"^person_erased$"):
        reader.read(closed, "contact_missing")


def test_what_is_not_there_is_told_by_the_word_of_who_asks() -> None:
    reader, _ = a_reader()
    with pytest.raises(Parked, match=r"^contact_missing$"):
        reader.read(None, "contact_missing")


def test_what_was_opened_does_not_show_itself_and_encloses_under_the_same_key() -> None:
    reader, _ = a_reader()
    [kept] = taken(reader, a_contact(reader))
    assert kept.envelope is not None
    opened = reader.open({KEY: ("c-1", kept.envelope)}, purpose="order_news")[KEY]
    assert isinstance(opened, Opened)
    assert "zoe" not in repr(opened)
    paper = opened.enclose(b"a paper", "label")
    assert open_(ONE_KEY, paper, "notifications", opened.name) == b"a paper"
    with pytest.raises(EnvelopeBroken):
        open_(ONE_KEY, replace(paper, form="part"), "notifications", opened.name)


# ── the intake key ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_is_announced_when_it_is_new_and_every_hour() -> None:
    reader, _ = a_reader()
    key = reader.due_for_announcement(AT)
    assert key is not None
    assert reader.due_for_announcement(AT) == key, "an announcement that failed is due again"
    reader.note_announced(key, AT)
    assert reader.due_for_announcement(AT + ANNOUNCE_EVERY - timedelta(seconds=1)) is None
    assert reader.due_for_announcement(AT + ANNOUNCE_EVERY) == key
    reader.note_announced(key, AT + LIFETIME - OVERLAP)
    newer = reader.due_for_announcement(AT + LIFETIME - OVERLAP + timedelta(seconds=1))
    assert newer is not None
    assert newer.key_id != key.key_id
