"""The door of shipping: what it hears, what staff and the carrier do, what it asks of the carrier."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from services.shipping import handlers, staff
from services.shipping.commands import (
    HandedOverForm,
    HandOver,
    NoteTracking,
    Pack,
    PackedForm,
    Pick,
    PickedForm,
    TrackingForm,
)
from services.shipping.domain import BUY_LABEL, BoughtLabel, NoLabel
from services.shipping.gateway import BuyLabel, Carrier, LabelRefused, Sender, ShipEngine
from services.shipping.paper import PickLine, PickList, render_pick_list
from services.shipping.persons import ShippingPersons
from services.shipping.retention import CLEARINGS, ShippingRetention
from services.shipping.settings import ShippingSettings
from services.shipping.store import ShippingReads, ShippingStore
from shared.contracts.errors import BrownPaperError
from shared.contracts.events import (
    OrderCancelled,
    OrderHeld,
    OrderReleased,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    RecipientEntrusted,
)
from shared.contracts.person_events import RecipientCorrected
from shared.contracts.values import OrderKey
from shared.custody.vault import Opened
from shared.database import Database
from shared.delivery.batch import Reading
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, prepares, settles, takes_in
from shared.delivery.reading import faults_of
from shared.delivery.work import IntentRow, RawMessage, Work
from shared.dependencies import Made, settings_themselves
from shared.http_client import HttpClient
from shared.http_door import Answer, Request, StatusError, serve
from shared.policy.uses import to_staff
from shared.rights import RightsHolder
from shared.staffing.desk import Seat
from shared.staffing.door import staffed
from shared.staffing.permits import Need
from shared.staffing.releases import Releasing

WEBHOOK = "webhook"  # where a message came from that no queue held
FILL_ORDER, CARRIER = "fill_order", "carrier"  # the purpose and to whom, in the policy's words
LABEL_PAPER = "label"
LINES = Need("see", "purchase", ("lines", "placed_at"))
NUMBERS = Need("see", "references", ("order_number", "parcel", "tracking_number"))
PRINT_LINES = Need("print", "purchase", ("lines", "placed_at"))
PRINT_NUMBERS = Need("print", "references", ("order_number",))
ADDRESS = ("name", *(f"address.{name}" for name in ("line1", "line2", "city", "region", "postal_code", "country")))
PRINT_LABEL = Need("print", "recipient", ADDRESS)
ENGRAVE = Need("see", "recipient", ("personalisation.line", "personalisation.text", "gift_message"))
PDF = {"Content-Type": "application/pdf"}
Unit = Work[ShippingStore]


def _carrier(settings: ShippingSettings) -> Carrier:
    http = HttpClient(
        settings.carrier_base_url,
        timeout_seconds=(4.0, settings.party_timeout_seconds),
        pool_size=settings.calls_in_flight,
        ca_file=settings.carrier_ca_file,
    )
    sender = Sender(
        settings.ship_from_name,
        settings.ship_from_phone,
        settings.ship_from_line1,
        settings.ship_from_city,
        settings.ship_from_region,
        settings.ship_from_postal_code,
        settings.ship_from_country,
        settings.ship_from_company,
    )
    return ShipEngine(http, api_key=settings.carrier_api_key.get_secret_value(), carrier_id=settings.carrier_id, sender=sender)


def _reads(settings: ShippingSettings) -> ShippingReads:
    return ShippingReads(Database(settings.database_url, name="shipping.reads"))


class ShippingService(RightsHolder, Releasing):
    """Turns paid orders into parcels at their door."""

    name = "shipping"
    part = "recipient"
    Store = ShippingStore
    rows = ShippingPersons()
    retained = ShippingRetention()
    clearings = CLEARINGS
    carrier = Made(_carrier)
    reads = Made(_reads)
    settings = Made(settings_themselves)

    # ── colleagues ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    @hears(RecipientEntrusted)
    def recipient_entrusted(self, event: RecipientEntrusted, work: Unit) -> None:
        handlers.take_recipient(event, work.kept, work.store, work.at)

    @hears(PaymentAuthorised)
    def payment_authorised(self, event: PaymentAuthorised, work: Unit) -> None:
        handlers.note_paid(event, work.store, work.at)

    @hears(PaymentCaptured)
    def payment_captured(self, event: PaymentCaptured, work: Unit) -> None:
        handlers.note_captured(event, work.store, work.at)

    @hears(PaymentCaptureFailed)
    def payment_capture_failed(self, event: PaymentCaptureFailed, work: Unit) -> None:
        handlers.note_capture_failed(event, work.store, work.at)

    @hears(OrderHeld)
    def order_held(self, event: OrderHeld, work: Unit) -> None:
        handlers.hold(event, work.store, work.at)

    @hears(OrderReleased)
    def order_released(self, event: OrderReleased, work: Unit) -> None:
        handlers.release(event, work.store)

    @hears(RecipientCorrected)
    def recipient_corrected(self, event: RecipientCorrected, work: Unit) -> None:
        self.correct(event, work, lambda envelopes: handlers.correct_recipient(event, envelopes, work.store, work.at))

    @hears(OrderCancelled)
    def order_cancelled(self, event: OrderCancelled, work: Unit) -> None:
        handlers.cancel(event, work.store, work.at)

    # ── staff ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @staffed("GET", "/work", LINES, NUMBERS, token="staff_token")
    def work_waiting(self, request: Request, _seat: Seat) -> Answer:
        state, limit = request.query.get("state", ""), request.query.get("limit", "100")
        if state not in ("to_pick", "to_pack", "to_hand_over"):
            raise StatusError(422, "choice_unknown", "/state")
        if not limit.isdecimal() or len(limit) > 4 or not 1 <= int(limit) <= 1000:
            raise StatusError(422, "out_of_range", "/limit")
        items = self.reads.work(state, int(limit))
        return Answer(200, {"items": [_shown(item, with_parcel=state == "to_hand_over") for item in items]})

    @staffed("POST", "/picked", NUMBERS, token="staff_token")
    def picked(self, request: Request, _seat: Seat) -> Answer:
        return staff.each(
            request,
            PickedForm,
            "pick_list",
            self.reads.keys_of,
            lambda known: self.asks("pick", [(Pick(key), key) for _, key in known]),
        )

    @staffed("POST", "/packed", NUMBERS, token="staff_token")
    def packed(self, request: Request, _seat: Seat) -> Answer:
        def ask(known: list[Any]) -> Any:
            return self.asks("pack", [(Pack(key, **item.model_dump(exclude={"pick_list"})), key) for item, key in known])

        return staff.each(request, PackedForm, "pick_list", self.reads.keys_of, ask)

    @staffed("POST", "/handed_over", NUMBERS, token="staff_token")
    def handed_over(self, request: Request, _seat: Seat) -> Answer:
        return staff.each(
            request,
            HandedOverForm,
            "parcel",
            self.reads.keys_of,
            lambda known: self.asks("hand_over", [(HandOver(key), key) for _, key in known]),
        )

    @staffed("GET", "/pick_lists/<pick_list>.pdf", PRINT_LINES, PRINT_NUMBERS, token="staff_token")
    def pick_list_paper(self, request: Request, _seat: Seat) -> Answer:
        found = self.reads.pick_list(request.values["pick_list"])
        if found is None:
            raise StatusError(404, "pick_list_unknown")
        item, issued_at = found
        lines = tuple(PickLine(**line) for line in item.lines)
        paper = PickList(item.pick_list, item.order_number, issued_at, item.shipping_service, lines)
        return Answer(200, render_pick_list(paper), PDF)

    @staffed("GET", "/pick_lists/<pick_list>/texts", ENGRAVE)
    def texts_to_engrave(self, request: Request, seat: Seat) -> Answer:
        """What is engraved or written for the recipient, to whoever packs it: while it is packed, and nothing else of the part."""
        found = self.reads.to_engrave(request.values["pick_list"])
        if found is None:
            raise StatusError(404, "pick_list_not_to_pack")
        key, *kept = found
        to = to_staff(seat.role, ENGRAVE.action, has_case=False)
        opened = self.parts.open({key: tuple(kept)}, purpose=FILL_ORDER, actor=seat.account, to=to)[key]
        if isinstance(opened, BrownPaperError):
            raise StatusError(409, getattr(opened, "code", "part_closed"))
        part = orjson.loads(opened.plaintext)
        shown = {"personalisation": part.get("personalisation") or [], "gift_message": part.get("gift_message")}
        return Answer(200, {"pick_list": request.values["pick_list"], **shown})

    @staffed("GET", "/labels/<parcel>.pdf", PRINT_LABEL)
    def label_paper(self, request: Request, seat: Seat) -> Answer:
        found = self.reads.label(request.values["parcel"])
        if found is None:
            raise StatusError(404, "label_unknown")
        key, customer_id, envelope = found
        to = to_staff(seat.role, "print", has_case=False)
        opened = self.parts.open({key: (customer_id, envelope)}, purpose=FILL_ORDER, actor=seat.account, to=to)[key]
        if isinstance(opened, BrownPaperError):
            raise StatusError(404, "label_paper_closed")
        if not opened.plaintext:
            raise StatusError(404, "label_paper_missing")
        return Answer(200, opened.plaintext, PDF)

    def kept_part(self, key: OrderKey) -> tuple[str, dict[str, Any]] | None:
        """What an authority may be given of an order (`shared.staffing.releases`)."""
        kept: tuple[str, dict[str, Any]] | None = self.reads.recipients([key]).get(key)
        return kept

    def pick(self, command: Pick, work: Unit) -> None:
        handlers.pick(command, work.store, work.at)

    def pack(self, command: Pack, work: Unit) -> None:
        handlers.pack(command, work.store, work.at)

    def hand_over(self, command: HandOver, work: Unit) -> None:
        handlers.hand_over(command, work.store, work.at)

    # ── the carrier ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @prepares(BUY_LABEL)
    def open_recipients(self, intents: Sequence[IntentRow]) -> Mapping[OrderKey, Opened | BrownPaperError]:
        opened: Mapping[OrderKey, Opened | BrownPaperError] = self.parts.open(
            self.reads.recipients([intent.about for intent in intents]), purpose=FILL_ORDER, to=CARRIER
        )
        return opened

    @performs(BUY_LABEL)
    def ask_for_label(self, intent: IntentRow) -> BoughtLabel | NoLabel:
        recipient = self.parts.read(intent.brought, "recipient_missing")
        call = dict(intent.details)
        service = call.pop("shipping_service")
        ask = BuyLabel(intent.key, self.settings.shipping_services.get(service, service), recipient=recipient, **call)
        answer = self.carrier.buy_label(ask, in_doubt=intent.in_doubt)
        if isinstance(answer, LabelRefused):
            return NoLabel(answer.codes)
        paper = intent.brought.enclose(answer.pdf, LABEL_PAPER).as_json()
        return BoughtLabel(answer.label_id, answer.carrier, answer.tracking_number, answer.tracking_url, paper)

    @settles(BUY_LABEL)
    def label_answered(self, settlement: Settlement, work: Unit) -> None:
        handlers.note_label(settlement.intent.about, settlement.outcome, work.store, work.at)

    @serve("POST", "/webhooks/carrier/<secret>")
    def carrier_webhook(self, request: Request) -> Answer:
        if not hmac.compare_digest(request.values["secret"].encode(), self.settings.carrier_webhook_secret.encode()):
            raise StatusError(404, "not_found")
        try:
            scan = TrackingForm.model_validate(request.json())
        except ValidationError as error:
            raise StatusError(422, faults_of(error)[0].code, faults_of(error)[0].path) from None
        # What the webhook holds beside these two is dropped here, unread (clause 16).
        body = orjson.dumps({"tracking_number": scan.data.tracking_number, "status_code": scan.data.status_code})
        self.messages(RawMessage(WEBHOOK, body))
        return Answer(200, {"status": "taken"})

    @takes_in(WEBHOOK)
    def read_scan(self, raw: RawMessage) -> Reading:
        return Reading("scanned", NoteTracking(**orjson.loads(raw.body)), type="scanned", sealed=True)

    def scanned(self, command: NoteTracking, work: Unit) -> None:
        handlers.note_tracking(command, work.store, work.at)


def _shown(item: Any, *, with_parcel: bool) -> dict[str, Any]:
    return {
        "pick_list": item.pick_list,
        "parcel": item.parcel if with_parcel else None,
        "order_number": item.order_number,
        "shipping_service": item.shipping_service,
        "placed_at": item.placed_at,
        "tracking_number": item.tracking_number if with_parcel else None,
        "lines": item.lines,
    }
