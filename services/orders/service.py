"""The door of orders: what storefronts send, what colleagues tell, what staff may look up."""

from __future__ import annotations

from datetime import UTC, datetime

from services.orders import errands, handlers
from services.orders.incident_door import IncidentDoor
from services.orders.intake import NOTED, Answered, NotTaken
from services.orders.keyboard import KeyBoard
from services.orders.oversight import Oversight
from services.orders.parts import seal_clear_parts, sealed_body
from services.orders.publishing import Publishing
from services.orders.reporting import Reporting
from services.orders.request_handlers import KINDS, refuse_the_gone
from services.orders.request_store import RequestStore
from services.orders.rights import RightsDoor, ending_of
from services.orders.settings import OrdersSettings
from services.orders.staff import FOLLOW_ORDER
from services.orders.store import OrdersReads
from services.orders.watch import Watch, show_stuck
from shared import metrics
from shared.contracts.errors import TryLater
from shared.contracts.events import (
    IntakeKeyPublished,
    LabelCreated,
    ParcelPacked,
    PartRefused,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PickListIssued,
    ShipmentDelivered,
    ShipmentDispatched,
)
from shared.contracts.storefront import EventRefused, IntakeRules, OrderRejected, StorefrontEvent, read_event
from shared.contracts.values import OrderKey
from shared.database import Database
from shared.delivery.batch import Reading
from shared.delivery.entrypoints import hears, takes_in
from shared.delivery.topology import DROPPED_ANSWERS, INTAKE_OVER_HTTPS, INTAKE_QUEUE
from shared.delivery.work import Ending, RawMessage, Work
from shared.dependencies import Made, settings_themselves
from shared.http_door import Answer, Request, StatusError, is_json, serve
from shared.sealing import IntakeKey
from shared.staffing.desk import Seat
from shared.staffing.door import staffed

Unit = Work[RequestStore]
# What takes each of the storefront's events; every other is deferred.
_METHODS = {"order_placed": "place_order"} | dict.fromkeys(KINDS, "take_request") | dict.fromkeys(errands.KINDS, "pass_on")


def _keys(settings: OrdersSettings) -> KeyBoard:
    return KeyBoard(OrdersReads(Database(settings.database_url, name="orders.keys")))


def _reads(settings: OrdersSettings) -> OrdersReads:
    return OrdersReads(Database(settings.database_url, name="orders.reads"))


class OrdersService(RightsDoor, Oversight, IncidentDoor, Reporting, Publishing):
    """Takes orders in and knows where each stands."""

    name = "orders"
    Store = RequestStore
    keys = Made(_keys)
    reads = Made(_reads)
    watch = Watch()
    settings = Made(settings_themselves)

    # ── storefronts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @takes_in(INTAKE_QUEUE, INTAKE_OVER_HTTPS)
    def read_intake(self, raw: RawMessage) -> Reading:
        """One event of a storefront, its parts sealed; or what is wrong with it.

        What is tried again counts as of the time when it came first: its sealing keys may have expired since, and it is answered once.
        """
        at = raw.received_at or datetime.now(UTC)
        is_again = raw.received_at is not None
        is_https = raw.queue == INTAKE_OVER_HTTPS
        rules = IntakeRules(
            self.settings.storefront_sources,
            self.known_versions.at(datetime.now(UTC)),
            frozenset(self.settings.shipping_services),
            self.settings.accept_clear_parts_over_amqp,
            self.keys.expiries_as_of(at) if is_again else self.keys.expiries(at),
        )
        # What is held for replay comes without a routing key of its own: its type was checked when it came first.
        routing_key = None if is_https else raw.routing_key
        try:
            event = read_event(raw.body, routing_key=routing_key, content_type=raw.content_type, rules=rules, at=at)
        except (EventRefused, OrderRejected) as error:
            if any(fault.code == "key_unknown" for fault in error.faults) and self.keys.look_again(at):
                return self.read_intake(raw)
            if any(fault.code == "policy_version_unknown" for fault in error.faults) and self.known_versions.look_again(at):
                return self.read_intake(raw)
            kind = "order_rejected" if isinstance(error, OrderRejected) else "event_refused"
            refusal = NotTaken(kind, error.faults, error.source, error.id, error.type, error.order_number)
            method = "refuse_again" if is_again else "refuse"
            about = OrderKey(error.source, error.order_number) if error.source and error.order_number else None
            return Reading(method, refusal, about, source=error.source, id=error.id, type=error.type)
        sealed = seal_clear_parts(event, lambda service, plaintext: self.keys.seal(service, plaintext, at))
        about = OrderKey(event.source, event.order_number) if event.order_number else None
        method = _METHODS.get(event.type, "defer")
        if is_again and method in ("place_order", "defer", "pass_on"):  # the others know by themselves what they did
            method = f"{method}_again"
        return Reading(
            method,
            sealed,
            about,
            traceparent=event.traceparent,
            source=event.source,
            id=event.id,
            type=event.type,
            sealed=True,
            body=sealed_body(raw.body, sealed.parts),
        )

    def place_order(self, event: StorefrontEvent, work: Unit) -> Ending:
        is_repeat = work.store.answered(event.source, event.id) is not None
        refused = refuse_the_gone(event, work.store, self.desk)
        return ending_of(refused or handlers.place_order(event, work.store, work.at), is_repeat=is_repeat)

    def defer(self, event: StorefrontEvent, work: Unit) -> Ending:
        is_repeat = work.store.answered(event.source, event.id) is not None
        answered = handlers.defer(event, work.store)
        return Ending("repeated", result=answered) if is_repeat else Ending("parked", "event_deferred", result=answered)

    def pass_on(self, event: StorefrontEvent, work: Unit) -> Ending:
        is_repeat = work.store.answered(event.source, event.id) is not None
        refused = refuse_the_gone(event, work.store, self.desk)
        return ending_of(refused or errands.pass_on(event, work.store, self.desk.policy.version), is_repeat=is_repeat)

    def refuse(self, refusal: NotTaken, work: Unit) -> Ending:
        known = refusal.source and refusal.id and work.store.answered(refusal.source, refusal.id)
        answered = handlers.refuse(refusal, work.store)
        return Ending("repeated" if known else "refused", refusal.faults[0].code, refusal.faults, result=answered)

    def place_order_again(self, event: StorefrontEvent, work: Unit) -> Ending:
        """An order that was refused for its number and is replayed is kept on, without a second answer."""
        answered = work.store.answered(event.source, event.id)
        if answered is None or answered.kind != "event_refused":
            return self.place_order(event, work)
        return ending_of(answered, is_repeat=False)

    def pass_on_again(self, event: StorefrontEvent, work: Unit) -> Ending:
        """As `place_order_again`, of what is passed on to a colleague."""
        answered = work.store.answered(event.source, event.id)
        if answered is None or answered.kind != "event_refused":
            return self.pass_on(event, work)
        return ending_of(answered, is_repeat=False)

    def defer_again(self, event: StorefrontEvent, work: Unit) -> Ending:
        """What was deferred and is replayed in a release that does not do it yet either is kept on, without a second answer."""
        if work.store.answered(event.source, event.id) is None:
            return self.defer(event, work)
        return Ending("parked", "event_deferred")

    def refuse_again(self, refusal: NotTaken, work: Unit) -> Ending:
        """What was answered before and is replayed, but cannot be read any more, is kept on, without a second answer."""
        if not (refusal.source and refusal.id and work.store.answered(refusal.source, refusal.id)):
            return self.refuse(refusal, work)
        return Ending("refused", refusal.faults[0].code, refusal.faults)

    @takes_in(DROPPED_ANSWERS)
    def read_dropped_answer(self, _raw: RawMessage) -> Reading:
        return Reading("count_dropped_answer", "dropped", type="count_dropped_answer")

    def count_dropped_answer(self, _dropped: str, _work: Unit) -> None:
        """An answer that was too old, or for which there was no room: the oldest go first, and it is counted."""
        metrics.dropped_answers.inc()

    @serve("POST", "/events", token="storefront_token")
    def events(self, request: Request) -> Answer:
        if not is_json(request.content_type):
            raise StatusError(415, "content_type_unsupported")
        raw = RawMessage(INTAKE_OVER_HTTPS, request.body, content_type=request.content_type)
        return _https_answer(self.messages(raw))

    @serve("GET", "/keys")
    def published_keys(self, _request: Request) -> Answer:
        keys = self.keys.current(datetime.now(UTC))
        shown = [
            {"service": key.service, "key_id": key.key_id, "public_key": key.public_key, "expires_at": key.expires_at}
            for key in keys
        ]
        return Answer(200, shown, {"Cache-Control": "max-age=300"})

    # ── colleagues ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    @hears(PaymentAuthorised)
    def payment_authorised(self, event: PaymentAuthorised, work: Unit) -> None:
        handlers.note(event, work.store, work.at)

    @hears(PaymentDeclined)
    def payment_declined(self, event: PaymentDeclined, work: Unit) -> None:
        handlers.note_declined(event, work.store, work.at)

    @hears(PaymentCaptured)
    def payment_captured(self, event: PaymentCaptured, work: Unit) -> None:
        handlers.note(event, work.store, work.at)

    @hears(PaymentCaptureFailed)
    def payment_capture_failed(self, event: PaymentCaptureFailed, work: Unit) -> None:
        handlers.note(event, work.store, work.at)

    @hears(PickListIssued)
    def pick_list_issued(self, event: PickListIssued, work: Unit) -> None:
        handlers.note(event, work.store, work.at)

    @hears(ParcelPacked)
    def parcel_packed(self, event: ParcelPacked, work: Unit) -> None:
        handlers.note(event, work.store, work.at)

    @hears(LabelCreated)
    def label_created(self, event: LabelCreated, work: Unit) -> None:
        handlers.note(event, work.store, work.at)

    @hears(ShipmentDispatched)
    def shipment_dispatched(self, event: ShipmentDispatched, work: Unit) -> None:
        told = {"carrier": event.carrier, "tracking_number": event.tracking_number, "tracking_url": event.tracking_url}
        handlers.note(event, work.store, work.at, **told)

    @hears(ShipmentDelivered)
    def shipment_delivered(self, event: ShipmentDelivered, work: Unit) -> None:
        handlers.note(event, work.store, work.at)

    @hears(PartRefused)
    def part_refused(self, event: PartRefused, work: Unit) -> None:
        handlers.note_part_refused(event, work.store, work.at)

    @hears(IntakeKeyPublished)
    def intake_key_published(self, event: IntakeKeyPublished, work: Unit) -> None:
        work.store.keep_intake_key(IntakeKey(event.service, event.key_id, event.public_key, event.expires_at), work.at)
        self.keys.forget()

    # ── staff ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @staffed("GET", "/orders/<order_number>", FOLLOW_ORDER, token="staff_token")
    def order(self, request: Request, _seat: Seat) -> Answer:
        sources = self.settings.storefront_sources
        source = request.query.get("source") or (next(iter(sources)) if len(sources) == 1 else None)
        if source is None:
            raise StatusError(422, "missing", "/source")
        order = self.reads.order(OrderKey(source, request.values["order_number"]))
        if order is None:
            raise StatusError(404, "order_unknown")
        shown = {
            "source": order.key.shop,
            "order_number": order.key.order_number,
            "state": order.state,
            "placed_at": order.placed_at,
            "reasons": [reason.model_dump() for reason in order.reasons],
            "facts": order.facts,
        }
        return Answer(200, shown)

    @serve("GET", "/stuck", token="staff_token")
    def stuck(self, request: Request) -> Answer:
        return Answer(200, show_stuck(self.watch, request.query, datetime.now(UTC)))


def _https_answer(ending: Ending) -> Answer:
    """202 for what is taken or kept, 422 with every fault for what is not; a repeat gets the first answer's."""
    answered: Answered | None = ending.result
    reasons = [reason.model_dump() for reason in answered.reasons] if answered else [fault.as_dict() for fault in ending.faults]
    kind = answered.kind if answered else "event_refused"
    if answered is None and not reasons:
        raise TryLater(ending.code or "service_busy")  # not the storefront's fault: a key or the database is missing
    if kind in ("event_refused", "order_rejected") or answered is None:
        status = 413 if reasons and reasons[0]["code"] == "too_large" else 422
        title = reasons[0]["code"] if reasons else kind
        body = {"title": title, "status": status, "answer": kind, "reasons": reasons}
        return Answer(status, body, {"Content-Type": "application/problem+json"})
    caused_by = {"source": answered.source, "id": answered.event_id}
    told = None if kind == NOTED else kind
    return Answer(202, {"accepted": True, "answer": told, "caused_by": caused_by, "order_number": answered.order_number})
