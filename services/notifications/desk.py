"""The desk: what members ask the staff for, revealed to whoever answers it, the answer by mail, and complaints as cases."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import orjson
from nameko.timer import timer

from services.notifications import inquiry_store
from services.notifications.domain import Handed, NotTaken
from services.notifications.entrusting import REQUEST, ErrandHolder, KeptErrand
from services.notifications.gateway import MAILBOX
from services.notifications.inquiries import ACKNOWLEDGEMENT, SEND_PERSONAL_MAIL, SpecialRequest
from services.notifications.letters import Letter, message_id, render
from services.notifications.personal_letters import ComplaintAcknowledgement, RequestReply
from shared import metrics
from shared.contracts.errand_events import RequestEntrusted
from shared.contracts.errors import BrownPaperError, Parked, TryLater
from shared.contracts.storefront import holds_card_number, read_part
from shared.custody.envelopes import Envelope, PartName
from shared.custody.vault import Opened, Opening
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, settles
from shared.delivery.work import IntentRow, Work
from shared.http_door import Answer, Request, StatusError
from shared.policy.uses import to_staff
from shared.staffing.desk import Seat
from shared.staffing.door import staffed
from shared.staffing.permits import Need

REPLY_PURPOSE = "reply"  # the purpose, in the policy's word
MOST_SHOWN = 1000
MOST_CHARACTERS = 20_000
_PART_FIELDS = ("text", "name", "email")
SEE_QUEUE = Need("see", "references", ("request_id",))
REVEAL, REPLY_TO = Need("reveal", REQUEST, _PART_FIELDS), Need("reply", REQUEST, _PART_FIELDS)
OWN_CASES = Need("reply", "references", ("request_id",))  # to say that a complaint was answered is for who owns the cases
_log = logging.getLogger("brownpaper.notifications")
Unit = Work[Any]


class RequestDesk(ErrandHolder):
    """What a request holds serves its answer and nothing else (clause 36). Each look at it is in the record, under the account that looked.

    A request is a case of its own: it names itself, so no other case is opened for it. Every answer of these doors is `no-store`.
    """

    @hears(RequestEntrusted)
    def request_entrusted(self, event: RequestEntrusted, work: Unit) -> None:
        kept: KeptErrand = work.kept
        if kept.envelope is not None:
            named = event.model_dump(include={"shop", "request_id", "customer_id"})
            inquiry_store.add(work.store.connection, SpecialRequest(**named, request=kept.envelope, received_at=work.at))

    # ── staff ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @staffed("GET", "/requests", SEE_QUEUE)
    def requests(self, request: Request, _seat: Seat) -> Answer:
        limit, also_ended = _limit(request), _is_all(request)
        with self.person_database.begin() as connection:
            items = inquiry_store.listed(connection, also_ended=also_ended, limit=limit)
        return Answer(200, {"items": items})

    @staffed("GET", "/requests/<request_id>", REVEAL)
    def request(self, request: Request, seat: Seat) -> Answer:
        it = self._known(request)
        [opened] = self._opened_for_answer(it, it.request, seat=seat)
        asked: Any = read_part(REQUEST, opened.plaintext, sealed_for_key=it.customer_id)
        shown = {
            "source": it.shop,
            "request_id": it.request_id,
            "state": it.state,
            "received_at": it.received_at,
            "is_complaint": it.complaint is not None,
            "text": asked.text,
            "name": asked.name,
            "email": asked.email,
        }
        return Answer(200, shown)

    @staffed("POST", "/requests/<request_id>/answer", REPLY_TO)
    def answer(self, request: Request, seat: Seat) -> Answer:
        """Staff's answer, sealed under the request's own key before it is written anywhere, and sent by mail. Only the first one stands."""
        text, it = _text(request), self._known(request)
        [opened] = self._opened_for_answer(it, it.request, seat=seat)
        reply = opened.enclose(orjson.dumps({"text": text}), "reply").as_json()
        return Answer(202, self._ask("note_reply", it, reply))

    @staffed("POST", "/requests/<request_id>/complaint", REPLY_TO)
    def complaint(self, request: Request, _seat: Seat) -> Answer:
        """The request is a complaint: its case, with the day by which it is answered. A repeat gets the same case."""
        return Answer(200, self._ask("open_complaint", self._known(request), None))

    @staffed("GET", "/complaints", SEE_QUEUE, OWN_CASES)
    def complaints(self, request: Request, _seat: Seat) -> Answer:
        limit, also_closed = _limit(request), _is_all(request)
        with self.person_database.begin() as connection:
            items = inquiry_store.complaints(connection, datetime.now(UTC), also_closed=also_closed, limit=limit)
        return Answer(200, {"items": items})

    @staffed("POST", "/complaints/<case_id>/close", OWN_CASES)
    def close_complaint(self, request: Request, _seat: Seat) -> Answer:
        """For a case that was answered otherwise than by mail. Safe to repeat."""
        ending = self.asks("note_closed", [(request.values["case_id"], None)])[0]
        if ending.kind != "done":
            _raise(ending)
        return Answer(200, {"case_id": request.values["case_id"]})

    # ── their asks, each in a transaction ────────────────────────────────────────────────────────────────────────────────────

    def note_reply(self, asked: tuple[str, str, dict[str, Any]], work: Unit) -> dict[str, Any]:
        it = _locked(asked, work)
        it.answer(asked[2])
        _save(it, work)
        return {"request_id": it.request_id, "state": it.state}

    def open_complaint(self, asked: tuple[str, str, None], work: Unit) -> dict[str, Any]:
        it = _locked(asked, work)
        case = it.complain(work.at, timedelta(days=self.settings.complaint_days))
        _save(it, work)
        return {"case_id": case.case_id, "owner": case.owner, "opened_at": case.opened_at, "due_at": case.due_at}

    def note_closed(self, case_id: str, work: Unit) -> None:
        if not inquiry_store.close_complaint(work.store.connection, case_id, work.at):
            raise StatusError(404, "complaint_unknown")

    # ── mails ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @performs(SEND_PERSONAL_MAIL)
    def send_personal_mail(self, intent: IntentRow) -> Handed | NotTaken:
        """The answer, or word that a complaint is a case. In doubt it goes again under the same Message-ID (decision 0013)."""
        asked = intent.details
        with self.person_database.begin() as connection:
            it = inquiry_store.request(connection, asked["shop"], asked["request_id"])
        if it is None:
            raise Parked("request_unknown")
        return self.hand_over(asked["kind"], render(self._letter(it, asked["kind"]), self.shop, datetime.now(UTC)))

    @settles(SEND_PERSONAL_MAIL)
    def personal_mail_answered(self, settlement: Settlement, work: Unit) -> None:
        asked, outcome = settlement.intent.details, settlement.outcome
        it = inquiry_store.request(work.store.connection, asked["shop"], asked["request_id"], locked=True)
        if it is not None:  # else the person was erased in the meantime
            it.note_mailed(outcome.kind, work.at, taken=isinstance(outcome, Handed))
            _save(it, work)

    @timer(interval=15, eager=True)  # type: ignore[untyped-decorator]
    def count_complaints(self) -> None:
        """How many cases are open and overdue, of all processes together."""
        try:
            with self.person_database.begin() as connection:
                counted = inquiry_store.count_complaints(connection, datetime.now(UTC))
        except BrownPaperError as error:
            _log.warning("complaints_not_counted", extra={"error": type(error).__name__})
            return
        for state, number in counted.items():
            metrics.complaints.labels(state).set(number)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _letter(self, it: SpecialRequest, kind: str) -> Letter:
        is_reply = kind != ACKNOWLEDGEMENT
        envelopes = [it.request, it.reply] if is_reply and it.reply else [it.request]
        opened = self._opened_for_answer(it, *envelopes)
        asked: Any = read_part(REQUEST, opened[0].plaintext, sealed_for_key=it.customer_id)
        common: dict[str, Any] = {
            "message_id": message_id(self.shop.domain, kind, it.about),
            "to_name": asked.name,
            "to_email": asked.email,
        }
        if is_reply:
            return RequestReply(**common, text=orjson.loads(opened[1].plaintext)["text"])
        if it.complaint is None:
            raise Parked("complaint_unknown")
        return ComplaintAcknowledgement(**common, case=it.complaint.case_id, due_on=f"{it.complaint.due_at:%Y-%m-%d}")

    def _opened_for_answer(self, it: SpecialRequest, *envelopes: dict[str, Any], seat: Seat | None = None) -> list[Opened]:
        """What is in these, opened to answer, by a member of staff or for a mail, and written down. Raises the reason why one stays closed."""
        name = PartName(it.shop, it.customer_id, it.request_id, REQUEST)
        openings = [Opening(name, Envelope.of_json(envelope)) for envelope in envelopes]
        actor, to = ("", MAILBOX) if seat is None else (seat.account, to_staff(seat.role, "reveal", has_case=False))
        results = self.parts.vault.open(openings, purpose=REPLY_PURPOSE, at=datetime.now(UTC), actor=actor, to=to)
        opened: list[Opened] = []
        for result in results:
            if isinstance(result, BrownPaperError):
                raise StatusError(409, result.code) if actor and isinstance(result, Parked) else result
            opened.append(result)
        return opened

    def _known(self, request: Request) -> SpecialRequest:
        """The request that the path names; `source` says of which shop, where it could be of several."""
        with self.person_database.begin() as connection:
            found = inquiry_store.named(connection, request.values["request_id"], request.query.get("source"))
        if not found:
            raise StatusError(404, "request_unknown")
        if len(found) > 1:
            raise StatusError(422, "missing", "/source")
        return found[0]

    def _ask(self, method: str, it: SpecialRequest, told: Any) -> Any:
        ending = self.asks(method, [((it.shop, it.request_id, told), None)])[0]
        if ending.kind != "done":
            _raise(ending)
        return ending.result


def _locked(asked: tuple[str, str, Any], work: Unit) -> SpecialRequest:
    it = inquiry_store.request(work.store.connection, asked[0], asked[1], locked=True)
    if it is None:
        raise StatusError(404, "request_unknown")
    return it


def _save(it: SpecialRequest, work: Unit) -> None:
    inquiry_store.save(work.store.connection, it)
    work.store.recorder.remember(it, it.about)


def _raise(ending: Any) -> NoReturn:
    if ending.kind == "refused":
        status = 404 if ending.code.endswith("_unknown") else 409
        raise StatusError(status, ending.code)
    raise TryLater(ending.code or "service_busy")


def _text(request: Request) -> str:
    asked = request.json()
    if not isinstance(asked, dict) or set(asked) != {"text"} or not isinstance(asked["text"], str):
        raise StatusError(422, "missing", "/text")
    text: str = asked["text"]
    if not text.strip() or len(text) > MOST_CHARACTERS:
        raise StatusError(422, "out_of_range", "/text")
    if holds_card_number(text):
        raise StatusError(422, "card_number", "/text")
    return text


def _limit(request: Request) -> int:
    limit = request.query.get("limit", "100")
    if not limit.isdecimal() or len(limit) > 4 or not 1 <= int(limit) <= MOST_SHOWN:
        raise StatusError(422, "out_of_range", "/limit")
    return int(limit)


def _is_all(request: Request) -> bool:
    state = request.query.get("state", "open")
    if state not in ("open", "all"):
        raise StatusError(422, "choice_unknown", "/state")
    return state == "all"
