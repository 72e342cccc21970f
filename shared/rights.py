"""What every holder of a personal part does when a person asks for something: rest, erasure, a copy, a correction.

A deed that touches the keyring is a call like one to an outside party: an intent, made outside any transaction, made again after a crash. Its
outcome is written down as a receipt that the service signs.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson

from shared.contracts.aggregate import Aggregate, Intent
from shared.contracts.errors import BrownPaperError, Refused, TryLater
from shared.contracts.person_events import (
    DataCopyOrdered,
    DataPieceSealed,
    ErasureOrdered,
    PartCorrection,
    PersonDeactivated,
    PersonEvent,
    PreferencesNoted,
    ReceiptKeyPublished,
    RequestReceipted,
    SignedReceipt,
)
from shared.contracts.storefront import part_to_json, read_part
from shared.contracts.values import OrderKey
from shared.custody.envelopes import Envelope, PartName
from shared.custody.permits import Choice
from shared.custody.persons import KeysDestroyed, PersonRows
from shared.custody.vault import Opened, Opening, PartToKeep
from shared.database import Database
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, settles
from shared.delivery.work import Delivery, IntentRow, Work
from shared.dependencies import Made
from shared.parts import PartHolder
from shared.policy import load
from shared.retention import held_among, take_turns
from shared.sealing import IntakeKey, seal_to_base64

_log = logging.getLogger("brownpaper.rights")
RIGHTS = "rights"  # the purpose, in the policy's word
ON_LEGAL_HOLD = "on_legal_hold"  # what became of a correction, in its receipt
DEACTIVATE, ERASE, COPY, NOTE = "deactivate_person", "erase_person", "copy_person", "note_choice"
_POLICY_VERSION = load().version


@dataclass(frozen=True, slots=True)
class KeptCorrection:
    """A corrected part in envelopes, by order number; or the codes that say why it cannot be used. Neither where the person is erased."""

    envelopes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Swept:
    """What an erasure found and left; `orders` are the person's, to look once more."""

    keys: KeysDestroyed
    before: dict[str, int]
    after: dict[str, int]
    orders: tuple[str, ...]


def _database(settings: Any) -> Database:
    return Database(settings.database_url, name="persons", most_connections=2)


class RightsHolder(PartHolder):
    """The base of the doors that hold a personal part: see the module. `rows` is what stands of persons in the service's own tables."""

    rows: ClassVar[PersonRows]
    person_database = Made(_database)

    # ── rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @hears(PersonDeactivated)
    def person_deactivated(self, event: PersonDeactivated, work: Work[Any]) -> None:
        _intend(DEACTIVATE, event, work)

    @performs(DEACTIVATE, party="keyring")
    def deactivate_person(self, intent: IntentRow) -> None:
        self.parts.persons.deactivate(intent.details["shop"], intent.details["customer_id"], datetime.now(UTC))

    @settles(DEACTIVATE)
    def person_rests(self, settlement: Settlement, work: Work[Any]) -> None:
        work.tell(self.receipt(settlement.intent.details, "deactivated", work.at))

    # ── choices ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @hears(PreferencesNoted)
    def preferences_noted(self, event: PreferencesNoted, work: Work[Any]) -> None:
        self.keep_preferences(event, work)
        _intend(NOTE, event, work)

    def keep_preferences(self, event: PreferencesNoted, work: Work[Any]) -> None:
        """What the service needs of it in its own tables: nothing, as a rule."""

    @performs(NOTE, party="keyring")
    def note_choice(self, intent: IntentRow) -> None:
        """Into the keyring, where it is decided who may open what."""
        event = PreferencesNoted.model_validate(intent.details)
        choice = Choice(event.chosen_at, event.policy_version, event.communication, event.policy_choice)
        self.parts.persons.note_choice(event.shop, event.customer_id, event.request, choice)

    @settles(NOTE)
    def choice_noted(self, settlement: Settlement, work: Work[Any]) -> None:
        work.tell(self.receipt(settlement.intent.details, "noted", work.at))

    # ── erasure ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @hears(ErasureOrdered)
    def erasure_ordered(self, event: ErasureOrdered, work: Work[Any]) -> None:
        _intend(ERASE, event, work)

    @performs(ERASE, party="keyring")
    def erase_person(self, intent: IntentRow) -> Swept | None:
        """Written down outside of every backup first, then keys, then rows. Safe to do again, also half done: then it finds less.

        None where the law keeps one of the person's orders: nothing is touched, and orders asks again when the last hold has ended
        (clause 53). A hold that comes while this is at work waits for it, and keeps what it finds.
        """
        shop, customer_id = intent.details["shop"], intent.details["customer_id"]
        now = datetime.now(UTC)
        with self.person_database.begin() as connection:
            take_turns(connection)
            if held_among(connection, shop, self.rows.orders_of(connection, shop, customer_id)):
                return None
            self.parts.keeper.remember_erased(shop, customer_id, now)
            destroyed = self.parts.persons.erase(shop, customer_id, now)
            orders = self.rows.orders_of(connection, shop, customer_id)  # from here on nothing of the person is taken in
            before = self.rows.counted(connection, shop, customer_id, orders)
            self.rows.sweep(connection, shop, customer_id, orders)
            after = self.rows.counted(connection, shop, customer_id, orders)
        # Counted again when all is done: what the receipt says of keys is then true of the rows' time too.
        destroyed = replace(destroyed, left=self.parts.persons.keys_left(shop, customer_id))
        return Swept(destroyed, before, after, tuple(orders))

    @settles(ERASE)
    def person_erased(self, settlement: Settlement, work: Work[Any]) -> None:
        """The receipt, once nothing is left: a message that was under way may have written a row behind the sweep."""
        swept, asked = settlement.outcome, settlement.intent.details
        if swept is None:
            _log.info("erasure_held")
            return
        after = self.rows.counted(work.store.connection, asked["shop"], asked["customer_id"], swept.orders)
        if any(after.values()) or any(swept.after.values()) or swept.keys.left:
            raise TryLater("rows_came_back")
        told = {
            "keys_destroyed": swept.keys.destroyed,
            "keys_left": swept.keys.left,
            "rows_before": swept.before,
            "rows_after": after,
            "last_key_gone_at": swept.keys.last_key_gone_at,
            "last_backup_gone_at": swept.keys.last_backup_gone_at,
        }
        work.tell(self.receipt(asked, "erased", work.at, **told))

    # ── a copy ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @hears(DataCopyOrdered)
    def data_copy_ordered(self, event: DataCopyOrdered, work: Work[Any]) -> None:
        _intend(COPY, event, work)

    @performs(COPY, party="keyring")
    def copy_person(self, intent: IntentRow) -> str:
        """Everything of the person's that this service has, and who opened it, sealed to the person's own key, in base64."""
        shop, customer_id = intent.details["shop"], intent.details["customer_id"]
        with self.person_database.begin() as connection:
            kept = self.rows.envelopes(connection, shop, customer_id)
            told = self.rows.told(connection, shop, customer_id)
        openings = [
            Opening(PartName(shop, customer_id, it.order_number, it.part or self.part), Envelope.of_json(it.envelope))
            for it in kept
        ]
        opened = self.parts.vault.open(openings, purpose=RIGHTS, at=datetime.now(UTC))
        piece = {
            "service": self.name,
            "policy_version": _POLICY_VERSION,
            "parts": [_shown(it.order_number, it.part or self.part, result) for it, result in zip(kept, opened, strict=True)],
            "rows": told,
            "chosen": self.parts.persons.chosen(shop, customer_id),
            "opened": self.parts.persons.opened(shop, customer_id),
        }
        return seal_to_base64(orjson.dumps(piece, option=orjson.OPT_UTC_Z), intent.details["reply_key"])

    @settles(COPY)
    def person_copied(self, settlement: Settlement, work: Work[Any]) -> None:
        piece, asked = settlement.outcome, settlement.intent.details
        receipt = self.receipt(asked, "copied", work.at, piece_sha256=digest_of(piece))
        work.tell(DataPieceSealed(**receipt.model_dump(), piece=piece))

    # ── corrections ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def keep_parts(self, deliveries: Sequence[Delivery]) -> None:
        corrections = [delivery for delivery in deliveries if isinstance(delivery.message, PartCorrection)]
        entrusted = [delivery for delivery in deliveries if not isinstance(delivery.message, PartCorrection)]
        if entrusted:
            super().keep_parts(entrusted)
        for delivery in corrections:
            delivery.kept = self._kept_correction(delivery.message)

    def correct(
        self, event: PartCorrection, work: Work[Any], replace_parts: Callable[[Mapping[str, dict[str, Any]]], Mapping[str, str]]
    ) -> None:
        """Have the parts replaced by `replace_parts`, which gives what became of each order, and sign for it.

        The part of an order that the law keeps stays as it is (decision 0062): what would take its place is not kept.
        """
        kept: KeptCorrection = work.kept
        held: Mapping[str, str] = {}
        if kept.envelopes:
            take_turns(work.store.connection)
            held = held_among(work.store.connection, event.shop, list(kept.envelopes))
        endings = replace_parts({number: envelope for number, envelope in kept.envelopes.items() if number not in held})
        self._note_correction(event, kept, {**endings, **dict.fromkeys(held, ON_LEGAL_HOLD)}, work)

    def _note_correction(self, event: PartCorrection, kept: KeptCorrection, endings: Mapping[str, str], work: Work[Any]) -> None:
        orders = [{"order_number": number, "ending": ending} for number, ending in endings.items()]
        told = event.model_dump(include={"shop", "kind", "request"})
        work.tell(self.receipt(told, "corrected", work.at, part=self.part, orders=orders, codes=list(kept.codes)))

    def _kept_correction(self, event: Any) -> KeptCorrection:
        try:
            plaintext = self.parts.keyring.unseal(getattr(event, self.part))
            part = read_part(self.part, plaintext, sealed_for_key=event.bound_to)
        except Refused as error:
            return KeptCorrection(codes=tuple(dict.fromkeys(fault.code for fault in error.faults)))
        # In the envelope it is each order's own part, as if it had come with the order.
        names = [PartName(event.shop, event.customer_id, order.order_number, self.part) for order in event.orders]
        parts = [
            PartToKeep(name, order.policy_version, part_to_json(part, order.order_number))
            for name, order in zip(names, event.orders, strict=True)
        ]
        taken = self.parts.vault.take_in(parts, datetime.now(UTC))
        return KeptCorrection(
            {name.order_number: envelope.as_json() for name, envelope in zip(names, taken, strict=True) if envelope is not None}
        )

    # ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def announce_intake_key(self, key: IntakeKey, work: Work[Any]) -> None:
        super().announce_intake_key(key, work)
        signer = self.parts.persons.signer
        work.tell(ReceiptKeyPublished(service=signer.service, key_id=signer.key_id, public_key=signer.public_key))

    def receipt(self, asked: Mapping[str, Any], deed: str, at: datetime, **told: Any) -> RequestReceipted:
        """The signed receipt of a deed for the request that `asked` names (`shop`, `kind`, `request`)."""
        named = {name: asked[name] for name in ("shop", "kind", "request")}
        signed: SignedReceipt = self.parts.persons.signer.sign(
            {**named, **told, "deed": deed, "at": at, "policy_version": _POLICY_VERSION}
        )
        return RequestReceipted(**named, deed=deed, signed=signed)


def digest_of(piece: str) -> str:
    """What a receipt says of a sealed piece."""
    return hashlib.sha256(base64.b64decode(piece)).hexdigest()


def _intend(kind: str, event: PersonEvent, work: Work[Any]) -> None:
    errand = Aggregate()
    errand.intend(Intent(kind, f"{event.shop} {event.kind} {event.request}", event.model_dump(mode="json")))
    work.store.recorder.remember(errand, OrderKey(event.shop, event.request))


def _shown(order_number: str, part: str, result: Opened | BrownPaperError) -> dict[str, Any]:
    if isinstance(result, Opened):
        return {"order_number": order_number, "part": part, "data": orjson.loads(result.plaintext)}
    return {"order_number": order_number, "part": part, "closed": getattr(result, "code", "closed")}
