"""What one order costs in durable hops: what each service is handed, what it says, what it does by itself.

One hop is one thing that is handled in a transaction: a message from a queue, the outcome of a call, an act of staff or a scan of the
carrier. A message's hop claims its inbox row, writes state, and writes what it says to the outbox; the relay publishes that with a confirm
and deletes the row. A call is written as an intent by the hop that decides it, and deleted by the hop that notes its outcome.

`COURSE` is the course of the bench's orders (one parcel, PayPal, one delivered webhook), from `order_placed` to the last mail. The floor
plays it as it stands here. A test holds it against the topology, and every measured run of the real services against their own counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.delivery import topology


@dataclass(frozen=True, slots=True)
class Hop:
    """What comes of one handled thing: (exchange, event) said, calls decided, acts of staff or carrier that it makes possible."""

    says: tuple[tuple[str, str], ...] = ()
    calls: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()


def _says(exchange: str, *events: str) -> tuple[tuple[str, str], ...]:
    return tuple((exchange, event) for event in events)


_ANSWERS = topology.ANSWERS_EXCHANGE

COURSE: dict[str, dict[str, Hop]] = {
    "orders": {
        "order_placed": Hop(
            _says("orders.parts", "billing_entrusted", "recipient_entrusted", "contact_entrusted")
            + _says("orders.events", "order_accepted")
            + _says(_ANSWERS, "order_accepted")
        ),
        "payment_authorised": Hop(),
        "pick_list_issued": Hop(),
        "parcel_packed": Hop(),
        "label_created": Hop(),
        "payment_captured": Hop(),
        "shipment_dispatched": Hop(_says(_ANSWERS, "shipment_dispatched")),
        "shipment_delivered": Hop(
            _says(_ANSWERS, "shipment_delivered") + _says("orders.events", "order_completed") + _says(_ANSWERS, "order_completed")
        ),
    },
    "payments": {
        "billing_entrusted": Hop(calls=("authorisation_answered",)),
        "authorisation_answered": Hop(_says("payments.events", "payment_authorised")),
        "label_created": Hop(calls=("capture_answered",)),
        "capture_answered": Hop(_says("payments.events", "payment_captured")),
    },
    "shipping": {
        "recipient_entrusted": Hop(),
        # The floor knows no joins: whichever of two facts comes last in reality, one of them leads on.
        "payment_authorised": Hop(_says("shipping.events", "pick_list_issued"), acts=("pick",)),
        "pick": Hop(acts=("pack",)),
        "pack": Hop(_says("shipping.events", "parcel_packed"), calls=("label_answered",)),
        "label_answered": Hop(_says("shipping.events", "label_created")),
        "payment_captured": Hop(acts=("hand_over",)),
        "hand_over": Hop(_says("shipping.events", "shipment_dispatched"), acts=("scanned",)),
        "scanned": Hop(_says("shipping.events", "shipment_delivered")),
    },
    "notifications": {
        "contact_entrusted": Hop(),
        "payment_authorised": Hop(calls=("mail_answered",)),
        "shipment_dispatched": Hop(calls=("mail_answered",)),
        "shipment_delivered": Hop(calls=("mail_answered",)),
        "mail_answered": Hop(_says("notifications.events", "mail_sent")),
    },
}


def heard(service: str) -> frozenset[str]:
    """The events that a service is handed once for each order."""
    local = {name for hop in COURSE[service].values() for name in (*hop.calls, *hop.acts)}
    return frozenset(COURSE[service]) - local


def times(service: str) -> dict[str, int]:
    """How often a service does each of its hops for one order: an event once, a call or an act as often as something leads to it."""
    led_to = [name for hop in COURSE[service].values() for name in (*hop.calls, *hop.acts)]
    return {name: 1 if name in heard(service) else led_to.count(name) for name in COURSE[service]}


def hops(service: str) -> int:
    """How many things a service handles for one order."""
    return sum(times(service).values())


def said(service: str) -> int:
    """How many events and answers a service publishes for one order."""
    return sum(count * len(COURSE[service][name].says) for name, count in times(service).items())


HOPS_PER_ORDER = sum(hops(service) for service in COURSE)
SAID_PER_ORDER = sum(said(service) for service in COURSE)
