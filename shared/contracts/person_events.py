"""Everything that can happen in the course of what a person asks for: correction, rest, erasure, a copy, preferences.

Orders orders it, the holders answer with receipts that they sign. A part travels sealed; a person is named by the shop's own id.
"""

from __future__ import annotations

from datetime import datetime

from shared.contracts.personal import (
    PersonalBillingCorrected,
    PersonalContactCorrected,
    PersonalCorrectedOrder,
    PersonalDataPieceSealed,
    PersonalPartCorrection,
    PersonalPersonEvent,
    PersonalPreferencesNoted,
    PersonalRecipientCorrected,
    PersonalRequestReceipted,
)
from shared.contracts.words import Event, OrderEvent, Word


class PersonEvent(Event, PersonalPersonEvent):
    """Something about one person, (`shop`, `customer_id`), for the request (`kind`, `request`) that it belongs to."""

    kind: str
    request: str


class CorrectedOrder(PersonalCorrectedOrder):
    """An open order that a corrected part is for, and the policy version under which its parts were collected."""

    policy_version: str


class PartCorrection(PersonEvent, PersonalPartCorrection):
    """A sound part in the place of what its holder has for these open orders. `bound_to` is what the box's member `for` must name."""

    exchange = "orders.parts"
    orders: list[CorrectedOrder]


# ── orders says ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class RecipientCorrected(PartCorrection, PersonalRecipientCorrected):
    """For shipping."""

    type = "recipient_corrected"


class ContactCorrected(PartCorrection, PersonalContactCorrected):
    """For notifications."""

    type = "contact_corrected"


class BillingCorrected(PartCorrection, PersonalBillingCorrected):
    """For payments."""

    type = "billing_corrected"


class PersonDeactivated(PersonEvent):
    """From now on nothing of the person is used but what an open order needs."""

    type = "person_deactivated"
    exchange = "orders.events"


class ErasureOrdered(PersonEvent):
    """The person's orders have come to their end: keys are destroyed, then rows are swept."""

    type = "erasure_ordered"
    exchange = "orders.events"


class DataCopyOrdered(PersonEvent):
    """Each holder seals what it has of the person to `reply_key` (an X25519 public key in base64)."""

    type = "data_copy_ordered"
    exchange = "orders.events"
    reply_key: str


class PreferencesNoted(PersonEvent, PersonalPreferencesNoted):
    """What the person chose at `chosen_at`; what was not chosen is null. Of two choices the later one counts."""

    type = "preferences_noted"
    exchange = "orders.events"
    chosen_at: datetime
    policy_version: str


# ── the holders say, each on its own exchange ────────────────────────────────────────────────────────────────────────────────


class SignedReceipt(Word):
    """What a holder has done, as canonical JSON, and its Ed25519 signature (base64) under the key `key_id`."""

    service: str
    receipt: str
    key_id: str
    signature: str


class RequestReceipted(Event, PersonalRequestReceipted):
    """A holder has done its deed for a request: `deactivated`, `erased`, `corrected`, `noted` or `copied`. Names no person."""

    type = "request_receipted"
    exchange = ""
    kind: str
    request: str
    deed: str
    signed: SignedReceipt


class DataPieceSealed(Event, PersonalDataPieceSealed):
    """A holder's piece of a person's copy: libsodium's sealed box to the person's own key, in base64."""

    type = "data_piece_sealed"
    exchange = ""
    kind: str
    request: str
    deed: str
    signed: SignedReceipt
    piece: str


class PartCorrected(OrderEvent):
    """A holder has a sound `part` for this order again; said before the receipt, in the order's own line of events."""

    type = "part_corrected"
    exchange = ""
    part: str


class ReceiptKeyPublished(Event):
    """The public half (base64 of 32 bytes) of the key that a holder signs its receipts with."""

    type = "receipt_key_published"
    exchange = ""
    service: str
    key_id: str
    public_key: str


PERSON_EVENTS: tuple[type[Event], ...] = (
    RecipientCorrected,
    ContactCorrected,
    BillingCorrected,
    PersonDeactivated,
    ErasureOrdered,
    DataCopyOrdered,
    PreferencesNoted,
    RequestReceipted,
    DataPieceSealed,
    PartCorrected,
    ReceiptKeyPublished,
)
