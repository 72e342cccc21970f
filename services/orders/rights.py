"""The door of orders for what persons ask for: receipts in, exports and certificates out, and a look at what is open every few seconds."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nameko.timer import timer

from services.orders import persons, request_handlers
from services.orders.intake import Answered
from services.orders.request_handlers import Desk
from services.orders.request_store import RequestReads, RequestStore
from services.orders.requests import FINAL, Request, RequestKey, State
from services.orders.settings import OrdersSettings
from services.orders.staff import FOLLOW_RIGHTS, OrdersDesk
from shared.contracts.errors import BrownPaperError, Fault, TryLater
from shared.contracts.person_events import DataPieceSealed, PartCorrected, ReceiptKeyPublished, RequestReceipted
from shared.contracts.storefront import StorefrontEvent
from shared.custody.journal import ErasureJournal
from shared.custody.persons import PersonNames
from shared.database import Database
from shared.delivery.entrypoints import hears
from shared.delivery.work import Ending, Work
from shared.dependencies import Made
from shared.http_door import Answer, StatusError, serve
from shared.http_door import Request as HttpRequest
from shared.policy import load
from shared.sealing import seal_to_base64
from shared.staffing.desk import Seat
from shared.staffing.door import staffed

_log = logging.getLogger("brownpaper.orders")
Unit = Work[RequestStore]
MOST_SHOWN = 1000


def _desk(settings: OrdersSettings) -> Desk:
    names = PersonNames.read("orders", Path(settings.persons_key_file))
    journal = ErasureJournal(Path(settings.erasure_journal)) if settings.erasure_journal else None
    if journal is not None:
        persons.replay(journal, Database(settings.database_url, name="orders.erased", most_connections=1), names.digest)

    def remember(person: str, at: datetime) -> None:
        try:
            if journal is not None:
                journal.append(person, at)
        except OSError:
            raise TryLater("erasure_journal_unavailable") from None

    return Desk(
        names,
        load(),
        seal_to_base64,
        timedelta(days=settings.erasure_waits_days),
        timedelta(seconds=settings.tell_again_seconds),
        timedelta(days=settings.export_days),
        remember,
    )


def _reads(settings: OrdersSettings) -> RequestReads:
    return RequestReads(Database(settings.database_url, name="orders.requests", most_connections=2))


class RightsDoor(OrdersDesk):
    """What persons ask for, as orders takes it, follows it and answers it."""

    desk = Made(_desk)
    request_reads = Made(_reads)

    # ── the storefront ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def take_request(self, event: StorefrontEvent, work: Unit) -> Ending:
        return ending_of(request_handlers.take_request(event, work.store, self.desk, work.at))

    @serve("GET", "/exports/<request>", token="storefront_token")
    def export(self, request: HttpRequest) -> Answer:
        pieces = self.request_reads.export(request.values["request"], datetime.now(UTC))
        source = request.query.get("source")
        shops = {piece["source"] for piece in pieces if source in (None, piece["source"])}
        if len(shops) > 1:
            raise StatusError(422, "missing", "/source")
        if not shops:
            raise StatusError(404, "export_unknown")
        chosen = [piece for piece in pieces if piece["source"] in shops]
        shown = {
            "source": chosen[0]["source"],
            "request_id": request.values["request"],
            "available_until": chosen[0]["available_until"],
            "pieces": [{"service": piece["service"], "box": piece["box"]} for piece in chosen],
        }
        return Answer(200, shown, {"Cache-Control": "no-store"})

    # ── holders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @hears(ReceiptKeyPublished)
    def receipt_key_published(self, event: ReceiptKeyPublished, work: Unit) -> None:
        work.store.keep_receipt_key(event, work.at)

    @hears(RequestReceipted)
    def request_receipted(self, event: RequestReceipted, work: Unit) -> None:
        request_handlers.note_receipt(event, work.store, self.desk, work.at)

    @hears(DataPieceSealed)
    def data_piece_sealed(self, event: DataPieceSealed, work: Unit) -> None:
        request_handlers.note_receipt(event, work.store, self.desk, work.at)

    @hears(PartCorrected)
    def part_corrected(self, event: PartCorrected, work: Unit) -> None:
        request_handlers.note_part_corrected(event, work.store, work.at)

    # ── what is open ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @staffed("GET", "/requests", FOLLOW_RIGHTS)
    def requests(self, request: HttpRequest, _seat: Seat) -> Answer:
        limit, state = request.query.get("limit", "100"), request.query.get("state", "open")
        if not limit.isdecimal() or len(limit) > 4 or not 1 <= int(limit) <= MOST_SHOWN:
            raise StatusError(422, "out_of_range", "/limit")
        if state not in ("open", "all"):
            raise StatusError(422, "choice_unknown", "/state")
        found = self.request_reads.requests(also_ended=state == "all", limit=int(limit))
        return Answer(200, {"items": [_shown(one) for one in found]}, {"Cache-Control": "no-store"})

    @staffed("GET", "/certificates/<request>", FOLLOW_RIGHTS)
    def certificate(self, request: HttpRequest, _seat: Seat) -> Answer:
        found = self.request_reads.certificates(request.values["request"])
        if not found:
            raise StatusError(404, "request_unknown")
        return Answer(200, {"items": found}, {"Cache-Control": "no-store"})

    @serve("GET", "/receipt_keys")
    def published_receipt_keys(self, _request: HttpRequest) -> Answer:
        """The keys by which a certificate is proved, for whoever keeps them elsewhere."""
        signer = self.desk.names.signer
        own = {"service": signer.service, "key_id": signer.key_id, "public_key": signer.public_key}
        return Answer(200, [*self.request_reads.receipt_keys(), own], {"Cache-Control": "no-store"})

    @timer(interval=2)  # type: ignore[untyped-decorator]
    def review_requests(self) -> None:
        """Look at every open request: what was interrupted goes on from where its row stands."""
        now = datetime.now(UTC)
        try:
            asks = [(key, None) for key in self.request_reads.open_keys()]
            if asks:
                self.asks("review_request", asks)
            if self.request_reads.has_old_pieces(now):
                self.asks("drop_old_exports", [(now, None)])
        except BrownPaperError as error:
            _log.warning("requests_not_reviewed", extra={"error": type(error).__name__})

    def review_request(self, key: RequestKey, work: Unit) -> None:
        request_handlers.review(key, work.store, self.desk, work.at)

    def drop_old_exports(self, at: datetime, work: Unit) -> None:
        work.store.drop_old_pieces(at)


def ending_of(answered: Answered, *, is_repeat: bool = False) -> Ending:
    """How a storefront's event ended: what is refused for what it names is refused like any other fault.

    It is kept for a person once, however often it comes.
    """
    if answered.kind != "event_refused":
        return Ending("done", result=answered)
    faults = tuple(Fault(reason.code, reason.path) for reason in answered.reasons)
    return Ending("repeated" if is_repeat else "refused", faults[0].code, faults, answered)


def _shown(request: Request) -> dict[str, Any]:
    """A request as staff see it: the person is not named, its orders are."""
    waits_for: dict[str, Any] = {}
    if request.state is State.WAITING_FOR_ORDERS:
        waits_for = {"orders": list(request.orders)}
    elif request.state is State.ON_LEGAL_HOLD:
        waits_for = {"legal_hold": request.legal_holds}
    elif request.state not in FINAL:
        waits_for = {"deed": request.deed, "services": request.waits_for}
    return {
        "source": request.key.shop,
        "kind": request.key.kind,
        "request": request.key.request,
        "state": request.state,
        "received_at": request.received_at,
        "closed_at": request.closed_at,
        "waits_for": waits_for,
        "answered": {deed: sorted(by) for deed, by in request.receipts.items()},
        "reasons": [reason.model_dump() for reason in request.reasons],
    }
