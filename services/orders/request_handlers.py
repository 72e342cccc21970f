"""One short function per message of a person's request: load, one verb of the domain, save."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson

from services.orders.domain import Order
from services.orders.intake import NOTED, Answered, reasons_of
from services.orders.requests import DEEDS, FINAL, FROZEN, ORDERS, Kind, Request, RequestKey, State
from shared.contracts.errors import Fault, Parked, TryLater
from shared.contracts.events import Reason, SealedBox
from shared.contracts.person_events import CorrectedOrder, DataPieceSealed, PartCorrected, PreferencesNoted, RequestReceipted
from shared.contracts.storefront import StorefrontEvent
from shared.contracts.values import OrderKey
from shared.custody.certificates import certify
from shared.custody.persons import PersonNames
from shared.custody.receipts import read_receipt
from shared.policy import Policy
from shared.policy.holders import answering

KINDS = {
    "customer_corrected": Kind.CORRECTION,
    "customer_deactivated": Kind.DEACTIVATION,
    "customer_erasure_requested": Kind.ERASURE,
    "customer_data_requested": Kind.COPY,
    "preferences_changed": Kind.PREFERENCES,
}
"""The storefront's events that are a person's requests."""
GONE = frozenset({"leaving", "erased"})
ERASURE_REQUESTED = "erasure_requested"


class Requests(Protocol):
    """What the handlers need of the store."""

    def request(self, key: RequestKey) -> Request | None: ...

    def save_request(self, request: Request) -> None: ...

    def order(self, key: OrderKey) -> Order | None: ...

    def save(self, order: Order) -> None: ...

    def answered(self, source: str, event_id: str) -> Answered | None: ...

    def save_answer(self, answered: Answered) -> None: ...

    def is_anybody_gone(self) -> bool: ...

    def person_state(self, person: str) -> str: ...

    def set_person(self, person: str, state: str, at: datetime) -> None: ...

    def open_orders(self, shop: str, customer_id: str) -> list[Order]: ...

    def legal_holds(self, shop: str, customer_id: str) -> dict[str, str]: ...

    def note_preferences(self, event: PreferencesNoted) -> None: ...

    def receipt_keys(self) -> list[dict[str, str]]: ...

    def keep_piece(self, shop: str, request: str, service: str, piece: str, until: datetime) -> None: ...

    def lengthen_pieces(self, shop: str, request: str, until: datetime) -> None: ...

    def counted(self, shop: str, customer_id: str) -> dict[str, int]: ...

    def sweep(self, shop: str, customer_id: str, person: str) -> None: ...

    def rows_about(self, shop: str, customer_id: str) -> dict[str, list[dict[str, Any]]]: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What the handlers need besides: how persons are remembered, the policy, how long things may take, and `seal(plaintext, key)`.

    `remember(person, at)` writes an erased person's digest down outside of every backup, and raises TryLater where it cannot.
    """

    names: PersonNames
    policy: Policy
    seal: Callable[[bytes, str], str]
    erasure_waits: timedelta
    tell_again: timedelta
    export_lasts: timedelta
    remember: Callable[[str, datetime], None]


def refuse_the_gone(event: StorefrontEvent, store: Requests, desk: Desk) -> Answered | None:
    """An order of somebody who was erased, or asked to be, is refused: it would collect the person anew. None for everybody else."""
    if not store.is_anybody_gone() or store.answered(event.source, event.id) is not None:
        return None
    if store.person_state(desk.names.digest(event.source, str(event.customer_id))) not in GONE:
        return None
    return _answered(event, "event_refused", store, (Fault("customer_erased", "/data/customer_id"),))


def take_request(event: StorefrontEvent, store: Requests, desk: Desk, at: datetime) -> Answered:
    """A person's request is recorded and its holders are told. A repeat hears once more what came of it."""
    data: Any = event.data
    kind = KINDS[event.type]
    key = RequestKey(event.source, kind, getattr(data, "request_id", event.id))
    person = desk.names.digest(event.source, data.customer_id)
    known = store.request(key)
    before = store.answered(event.source, event.id)
    if before is not None and (known is not None or before.kind != "event_deferred"):
        before.answer()
        store.save_answer(before)
        return _told_again(known, before, store)
    if known is not None:
        if known.person != person:
            return _answered(event, "event_refused", store, (Fault("request_id_taken", "/data/request_id"),))
        return _told_again(known, _answered(event, NOTED, store), store)
    if store.person_state(person) == "erased" and kind is not Kind.ERASURE:
        return _answered(event, "event_refused", store, (Fault("customer_erased", "/data/customer_id"),))
    request = Request(
        key=key,
        event_id=event.id,
        person=person,
        customer_id=data.customer_id,
        holders=answering(desk.policy, kind, event.parts),
        received_at=at,
        told_at=at,
    )
    fault = _BEGIN[kind](request, event, store, desk, at)
    if fault is not None:
        return _answered(event, "event_refused", store, (fault,))
    _advance(request, store, desk, at)
    return _answered(event, NOTED, store)


def note_receipt(event: RequestReceipted | DataPieceSealed, store: Requests, desk: Desk, at: datetime) -> None:
    """A holder has done its deed. What is not signed by a key that it announced, or about something else, is a person's to look at."""
    request = store.request(RequestKey(event.shop, event.kind, event.request))
    if request is None:
        raise Parked("request_unknown")
    signed = event.signed
    keys = {(key["service"], key["key_id"]): key["public_key"] for key in store.receipt_keys()}
    if (signed.service, signed.key_id) not in keys:
        raise TryLater("receipt_key_unknown")
    told = read_receipt(signed, keys[signed.service, signed.key_id])
    named = {"shop": event.shop, "kind": event.kind, "request": event.request, "deed": event.deed}
    deeds = {DEEDS[Kind(request.key.kind)], FROZEN if request.key.kind == Kind.ERASURE else ""}
    if {name: told.get(name) for name in named} != named or signed.service not in request.holders or event.deed not in deeds:
        raise Parked("receipt_unexpected")
    if isinstance(event, DataPieceSealed):
        if hashlib.sha256(base64.b64decode(event.piece)).hexdigest() != told.get("piece_sha256"):
            raise Parked("receipt_unexpected")
        if request.state not in FINAL:
            store.keep_piece(event.shop, event.request, signed.service, event.piece, at + desk.export_lasts)
    if request.note_receipt(event.deed, signed):
        _advance(request, store, desk, at)


def review(key: RequestKey, store: Requests, desk: Desk, at: datetime) -> None:
    """Look at an open request once more: its orders may have ended, a holder may have to be told again."""
    request = store.request(key)
    if request is None or request.state in FINAL:
        return
    request.tell_again(at, desk.tell_again)
    _advance(request, store, desk, at)


def note_part_corrected(event: PartCorrected, store: Requests, at: datetime) -> None:
    """A service has a sound part of the order again: the last one ends the hold."""
    order = store.order(event.about())
    if order is None:
        raise TryLater("order_unknown")
    order.note_part_corrected(event.part, at)
    store.save(order)


# ── how each begins ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _begin_correction(request: Request, event: StorefrontEvent, store: Requests, _desk: Desk, _at: datetime) -> Fault | None:
    orders = store.open_orders(event.source, str(request.customer_id))
    if event.order_number is not None:
        named = store.order(OrderKey(event.source, event.order_number))
        if named is None or named.customer_id != request.customer_id:
            return Fault("order_unknown", "/data/order_number")
        orders = [order for order in orders if order.key == named.key]
    if not orders:
        request.holders = {}  # nobody holds anything that this could take the place of
    request.asked = {"bound_to": event.sealed_for_key}
    boxes = {part: SealedBox(**sealed.as_dict()) for part, sealed in event.parts.items()} if orders else {}  # type: ignore[union-attr]
    request.begin([CorrectedOrder(order_number=it.key.order_number, policy_version=it.policy_version) for it in orders], boxes)
    return None


def _begin_deactivation(request: Request, _event: StorefrontEvent, store: Requests, desk: Desk, at: datetime) -> None:
    store.set_person(request.person, "deactivated", at)
    request.begin()
    _note_own(request, desk, at)


def _begin_erasure(request: Request, _event: StorefrontEvent, store: Requests, desk: Desk, at: datetime) -> None:
    store.set_person(request.person, "leaving", at)
    request.asked = {"policy_version": desk.policy.version}  # its holders are this version's, however long it takes
    request.begin()


def _begin_copy(request: Request, event: StorefrontEvent, store: Requests, desk: Desk, at: datetime) -> Fault | None:
    reply_key = getattr(event.data, "reply_key", "")
    rows = store.rows_about(event.source, str(request.customer_id))
    piece = {"service": ORDERS, "policy_version": desk.policy.version, "parts": [], "rows": rows, "opened": []}
    try:
        sealed = desk.seal(orjson.dumps(piece, option=orjson.OPT_UTC_Z), reply_key)
    except Exception:  # 32 bytes that are no key: what the library says of them is no matter
        return Fault("reply_key_malformed", "/data/reply_key")
    store.keep_piece(event.source, request.key.request, ORDERS, sealed, at + desk.export_lasts)
    request.asked = {"reply_key": reply_key}
    request.begin()
    _note_own(request, desk, at, piece_sha256=hashlib.sha256(base64.b64decode(sealed)).hexdigest())
    return None


def _begin_preferences(request: Request, event: StorefrontEvent, store: Requests, desk: Desk, at: datetime) -> None:
    data: Any = event.data
    request.asked = {
        "chosen_at": event.time.isoformat(),
        "policy_version": data.policy_version or desk.policy.version,
        "communication": data.communication,
        "policy_choice": data.policy_choice,
    }
    store.note_preferences(PreferencesNoted(**request.key._asdict(), customer_id=data.customer_id, **request.asked))
    request.begin()
    _note_own(request, desk, at)


_BEGIN: dict[Kind, Callable[[Request, StorefrontEvent, Requests, Desk, datetime], Fault | None]] = {
    Kind.CORRECTION: _begin_correction,
    Kind.DEACTIVATION: _begin_deactivation,
    Kind.ERASURE: _begin_erasure,
    Kind.COPY: _begin_copy,
    Kind.PREFERENCES: _begin_preferences,
}


# ── how each goes on ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _advance(request: Request, store: Requests, desk: Desk, at: datetime) -> None:
    """Take a request as far as it can go by now, and save it."""
    if request.key.kind == Kind.ERASURE and request.state not in FINAL and request.customer_id is not None:
        legal_holds = store.legal_holds(request.key.shop, request.customer_id)
        request.note_holds(legal_holds, at)
        if request.state in (State.RECEIVED, State.WAITING_FOR_ORDERS) and not request.waits_for:
            _look_at_orders(request, legal_holds, store, desk, at)
    if request.state is State.UNDER_WAY:
        if request.key.kind == Kind.ERASURE and request.waits_for == [ORDERS]:
            _finish_erasure(request, store, desk, at)
        elif not request.waits_for:
            _finish(request, store, desk, at)
    store.save_request(request)


def _look_at_orders(request: Request, legal_holds: dict[str, str], store: Requests, desk: Desk, at: datetime) -> None:
    orders = store.open_orders(request.key.shop, str(request.customer_id))
    for order in orders:
        if order.is_unpaid_for_good:
            order.cancel_unpaid(ERASURE_REQUESTED, at)
            store.save(order)
    request.note_orders([order.key.order_number for order in orders if order.is_open], at, desk.erasure_waits, legal_holds)
    if request.state is State.REFUSED:
        store.set_person(request.person, "deactivated", at)  # what holders froze stays so: the person has left


def _finish_erasure(request: Request, store: Requests, desk: Desk, at: datetime) -> None:
    """Every other holder has erased: orders sweeps its own rows, signs for it, and the certificate is made."""
    shop, customer_id = request.key.shop, str(request.customer_id)
    desk.remember(request.person, at)
    before = store.counted(shop, customer_id)
    store.sweep(shop, customer_id, request.person)
    store.set_person(request.person, "erased", at)
    after = store.counted(shop, customer_id)
    _note_own(request, desk, at, keys_destroyed=0, keys_left=0, rows_before=before, rows_after=after)
    told = {
        "request": request.key.request,
        "kind": request.key.kind,
        "shop": shop,
        "policy_version": request.asked.get("policy_version", desk.policy.version),
        "holders": request.holders,
        "received_at": request.received_at,
        "erased_at": at,
    }
    signer = desk.names.signer
    keys = [*store.receipt_keys(), {"service": ORDERS, "key_id": signer.key_id, "public_key": signer.public_key}]
    signing = {signed["key_id"] for deed in request.receipts.values() for signed in deed.values()}
    certificate = certify(
        told,
        list(request.receipts[FROZEN].values()),
        list(request.receipts[request.deed].values()),
        [key for key in keys if key["key_id"] in signing],
        signer,
    )
    request.close(at, certificate)


def _finish(request: Request, store: Requests, desk: Desk, at: datetime) -> None:
    reasons = _faults_of_parts(request) if request.key.kind == Kind.CORRECTION else []
    if reasons:
        request.refuse(reasons, at)
        return
    if request.key.kind == Kind.COPY:
        until = at + desk.export_lasts
        request.asked = {**request.asked, "available_until": until.isoformat()}
        store.lengthen_pieces(request.key.shop, request.key.request, until)
    request.close(at)


def _faults_of_parts(request: Request) -> Sequence[Reason]:
    """What the holders found wrong with the parts of a correction: the part, and each code."""
    reasons = []
    for signed in request.receipts.get(request.deed, {}).values():
        told = orjson.loads(signed["receipt"])
        if told["codes"]:
            path = f"/data/{told['part']}"
            reasons += [Reason(code=code, path=path) for code in (f"{told['part']}_invalid", *told["codes"])]
    return reasons


def _note_own(request: Request, desk: Desk, at: datetime, **told: Any) -> None:
    """Orders' own receipt."""
    deed = DEEDS[Kind(request.key.kind)]
    named = {**request.key._asdict(), "deed": deed, "at": at, "policy_version": desk.policy.version}
    request.note_receipt(deed, desk.names.signer.sign({**named, **told}))


def _told_again(known: Request | None, answered: Answered, store: Requests) -> Answered:
    if known is not None:
        known.tell_ending()
        store.save_request(known)
    return answered


def _answered(event: StorefrontEvent, kind: str, store: Requests, faults: tuple[Fault, ...] = ()) -> Answered:
    answered = Answered(
        source=event.source, event_id=event.id, kind=kind, order_number=event.order_number, reasons=reasons_of(faults)
    )
    answered.answer()
    store.save_answer(answered)
    return answered
