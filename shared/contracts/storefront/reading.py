"""Reading an event of the storefront's: the one way in, for both doors.

Everything that is wrong with an event is found in one reading, so that the sender can mend it in one go. The parts are taken
out of `data` first: what is kept of an event, compared with another or shown never meets them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import ValidationError

from shared.contracts.errors import Fault
from shared.contracts.storefront import grammars
from shared.contracts.storefront import other_events as others
from shared.contracts.storefront.envelope import CONTENT_TYPES, Envelope, read_envelope
from shared.contracts.storefront.event_parts import PartsReader
from shared.contracts.storefront.forms import Form, form_faults
from shared.contracts.storefront.orders import OrderPlaced, order_faults
from shared.contracts.storefront.parts import SealedPart, card_faults
from shared.contracts.storefront.personal import PARTS_NEEDED, PARTS_OF_EVENT, ClearPart
from shared.contracts.storefront.refusals import REJECTIONS, EventRefused, OrderRejected
from shared.contracts.storefront.rules import IntakeRules

MAX_BODY_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class EventForm:
    """What one type of event holds besides its parts: the form of its `data`, and what else it must have or name."""

    data: type[Form]
    any_of: tuple[str, ...] = ()
    names_policy_version: bool = False
    names_payment: bool = False


EVENT_FORMS: Final[Mapping[str, EventForm]] = {
    "order_placed": EventForm(OrderPlaced, names_policy_version=True, names_payment=True),
    "order_cancellation_requested": EventForm(others.OrderCancellationRequested),
    "payment_replaced": EventForm(others.PaymentReplaced, names_payment=True),
    "return_requested": EventForm(others.ReturnRequested),
    "customer_corrected": EventForm(others.CustomerCorrected, any_of=PARTS_OF_EVENT["customer_corrected"]),
    "customer_deactivated": EventForm(others.CustomerDeactivated),
    "customer_erasure_requested": EventForm(others.CustomerErasureRequested),
    "customer_data_requested": EventForm(others.CustomerDataRequested),
    "preferences_changed": EventForm(
        others.PreferencesChanged, any_of=("communication", "policy_choice"), names_policy_version=True
    ),
    "friend_referred": EventForm(others.FriendReferred),
    "special_request_submitted": EventForm(others.SpecialRequestSubmitted),
}
"""Every event of the contract by its type."""


@dataclass(frozen=True, slots=True)
class StorefrontEvent:
    """A well-formed event. `data` holds nothing personal; `parts` holds the parts as they came, by name.

    `data_digest` is the SHA-256, in hexadecimal, of the canonical JSON (members sorted, no blanks) of `data` without the parts:
    two events about one order number are the same order where it is the same.
    """

    id: str
    source: str
    type: str
    time: datetime
    traceparent: str | None
    data: Form
    data_digest: str
    order_number: str | None
    customer_id: str | None
    parts: dict[str, SealedPart | ClearPart] = field(repr=False)

    @property
    def sealed_for_key(self) -> str | None:
        """What the member `for` inside this event's sealed parts must name: the order's number, else the customer's id."""
        return self.order_number if self.order_number is not None else self.customer_id


def read_event(
    body: bytes, *, routing_key: str | None, content_type: str | None, rules: IntakeRules, at: datetime
) -> StorefrontEvent:
    """Read one event as it arrived.

    `routing_key` is the one it was published with, None where it came over HTTPS; `at` is the time now, by which keys expire.
    Raises EventRefused with every fault where the event is not of the contract's form, and OrderRejected where it is but its
    order cannot be taken. Does no I/O and is safe to repeat.
    """
    if len(body) > MAX_BODY_BYTES:
        raise EventRefused([Fault("too_large")])
    faults: list[Fault] = []
    # The contract names two content types; none at all is not one of them.
    if content_type is None or grammars.media_type(content_type) not in CONTENT_TYPES:
        faults.append(Fault("content_type_unsupported"))
    event, malformed = _parse(body)
    if malformed:
        raise EventRefused([*faults, Fault("malformed_json")])
    if not isinstance(event, dict):
        raise EventRefused([*faults, Fault("not_an_object")])
    envelope, envelope_faults = read_envelope(event, routing_key=routing_key, sources=rules.sources, types=EVENT_FORMS.keys())
    faults += envelope_faults
    data = event.get("data")
    if not isinstance(data, dict):
        faults.append(Fault("wrong_type" if "data" in event else "missing", "/data"))
        raise EventRefused(faults, envelope.id, envelope.source, envelope.type)
    model: Form | None = None
    parts: dict[str, SealedPart | ClearPart] = {}
    rest: dict[str, Any] = data
    if envelope.type is not None:
        form = EVENT_FORMS[envelope.type]
        known = PARTS_OF_EVENT.get(envelope.type, ())
        rest = {member: value for member, value in data.items() if member not in known}
        model, data_faults = _read_data(envelope.type, form, rest, data, rules)
        parts, part_faults = _read_parts(envelope.type, data, PartsReader(rules, at, routing_key is not None, rest.get("lines")))
        faults += data_faults
        faults += part_faults
    if faults:
        raise _refusal(faults, envelope, data)
    return _event(envelope, model, rest, parts)


def _parse(body: bytes) -> tuple[Any, bool]:
    """What the body says, and whether it is malformed; apart, so that no error that holds the body is in the air afterwards."""
    try:
        return orjson.loads(body), False
    except orjson.JSONDecodeError:
        return None, True


def _read_data(
    type_: str, form: EventForm, rest: dict[str, Any], data: dict[str, Any], rules: IntakeRules
) -> tuple[Form | None, list[Fault]]:
    """Hold `data` without its parts against its form and the shop's lists."""
    model: Form | None = None
    faults: list[Fault] = []
    try:
        model = form.data.model_validate(rest)
    except ValidationError as error:
        faults = form_faults(error, rest, "/data")
    if type_ == "order_placed":
        faults += order_faults(rest, shipping_services=rules.shipping_services, form_is_sound=model is not None)
    else:
        faults += card_faults(rest, "/data")
    if form.any_of and data.keys().isdisjoint(form.any_of):
        faults.append(Fault("nothing_given", "/data"))
    if type_ == "return_requested":
        faults += _repeated_lines(rest)
    if type_ == "preferences_changed" and "policy_choice" in rest and "policy_version" not in rest:
        faults.append(Fault("missing", "/data/policy_version"))
    version = rest.get("policy_version")
    # Only where the form knows the member; elsewhere it is an unknown one already.
    if isinstance(version, str) and version not in rules.policy_versions and form.names_policy_version:
        faults.append(Fault("policy_version_unknown", "/data/policy_version"))
    return model, faults


def _read_parts(type_: str, data: dict[str, Any], reader: PartsReader) -> tuple[dict[str, SealedPart | ClearPart], list[Fault]]:
    """Read each part that the event may have; a billing part that goes with PayPal is looked at once more and dropped."""
    parts: dict[str, SealedPart | ClearPart] = {}
    faults: list[Fault] = []
    payment = data.get("payment")
    provider = payment.get("provider") if isinstance(payment, dict) and EVENT_FORMS[type_].names_payment else None
    for name in PARTS_OF_EVENT.get(type_, ()):
        if name not in data:
            if name in PARTS_NEEDED.get(type_, ()):
                faults.append(Fault("missing", f"/data/{name}"))
            elif name == "billing" and provider == "2checkout":
                faults.append(Fault("billing_missing", "/data/billing"))
        elif name == "billing" and provider == "paypal":
            faults += reader.look_before_dropping(name, data[name])
        else:
            part, part_faults = reader.read(name, data[name])
            faults += part_faults
            if part is not None:
                parts[name] = part
    return parts, faults


def _repeated_lines(data: dict[str, Any]) -> list[Fault]:
    lines = data.get("lines")
    if not isinstance(lines, list):
        return []
    numbers = [line.get("line") for line in lines if isinstance(line, dict) and type(line.get("line")) is int]
    return [Fault("line_numbers", "/data/lines")] if len(set(numbers)) < len(numbers) else []


def _refusal(faults: list[Fault], envelope: Envelope, data: dict[str, Any]) -> EventRefused | OrderRejected:
    number = data.get("order_number")
    order_number = number if isinstance(number, str) and grammars.ORDER_NUMBER.fullmatch(number) else None
    sound = envelope.type == "order_placed" and all(fault.code in REJECTIONS for fault in faults)
    kind = OrderRejected if sound else EventRefused
    return kind(faults, envelope.id, envelope.source, envelope.type, order_number)


def _event(
    envelope: Envelope, model: Form | None, rest: dict[str, Any], parts: dict[str, SealedPart | ClearPart]
) -> StorefrontEvent:
    if envelope.id is None or envelope.source is None or envelope.type is None or envelope.time is None or model is None:
        raise AssertionError("an event without a fault is whole")
    return StorefrontEvent(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        time=envelope.time,
        traceparent=envelope.traceparent,
        data=model,
        data_digest=hashlib.sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        order_number=rest.get("order_number"),
        customer_id=rest.get("customer_id"),
        parts=parts,
    )
