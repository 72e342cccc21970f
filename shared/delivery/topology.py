"""Who hears what, once: exchanges, queues, bindings and what each broker user says and reads. Who may have which part is the policy's.

One step (`declare`) makes all of it as the broker's administrator before anybody publishes; a service only uses it. That the broker
holds exactly this topology is told by a marker exchange named after its digest (`marker`): a service that does not find its marker
does not start (decision 0004).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from shared.broker_address import connection_to, open_patiently
from shared.policy import load
from shared.policy.compile_broker import WiredQueue, Wiring, any_of, refuse_strangers

PARKED_EXCHANGE = "parked"
ANSWERS_EXCHANGE = "storefront.answers"
ANSWERS_QUEUE = "storefront.answers"
DROPPED_ANSWERS = "orders.dropped_answers"  # answers that nobody fetched in time, on their way out: orders counts them
INTAKE_EXCHANGE = "storefront.events"
INTAKE_QUEUE = "orders.intake"
INTAKE_OVER_HTTPS = "https"  # where a storefront event came from that no queue held
STOREFRONT_EVENTS = (
    "order_placed",
    "order_cancellation_requested",
    "payment_replaced",
    "return_requested",
    "customer_corrected",
    "customer_deactivated",
    "customer_erasure_requested",
    "customer_data_requested",
    "preferences_changed",
    "friend_referred",
    "special_request_submitted",
)
_TRIES = 10  # to reach the broker, some seconds between the last of them
DELIVERY_LIMIT = 20  # deliveries of one message that crashed its consumer, before the broker parks it

SERVICES = ("orders", "payments", "shipping", "notifications")

# What each holder of a personal part answers to what persons ask for.
_OF_HOLDERS: dict[str, tuple[str, ...]] = {
    "part_corrected": ("orders",),
    "request_receipted": ("orders",),
    "data_piece_sealed": ("orders",),
    "receipt_key_published": ("orders",),
}
HEARERS: dict[str, dict[str, tuple[str, ...]]] = {
    "orders.parts": {
        "recipient_entrusted": ("shipping",),
        "contact_entrusted": ("notifications",),
        "billing_entrusted": ("payments",),
        "recipient_corrected": ("shipping",),
        "contact_corrected": ("notifications",),
        "billing_corrected": ("payments",),
        "friend_entrusted": ("notifications",),
        "request_entrusted": ("notifications",),
    },
    "orders.events": {
        "order_accepted": (),
        "order_completed": (),
        "order_held": ("shipping", "notifications"),
        "order_released": ("shipping", "notifications"),
        "order_cancelled": ("shipping", "notifications"),
        "person_deactivated": ("payments", "shipping", "notifications"),
        "erasure_ordered": ("payments", "shipping", "notifications"),
        "data_copy_ordered": ("payments", "shipping", "notifications"),
        "preferences_noted": ("payments", "shipping", "notifications"),
        "policy_published": ("notifications",),
        "letter_announced": ("notifications",),
        "legal_hold_placed": ("payments", "shipping", "notifications"),
        "legal_hold_lifted": ("payments", "shipping", "notifications"),
    },
    "payments.events": {
        "payment_authorised": ("orders", "shipping", "notifications"),
        "payment_declined": ("orders", "notifications"),
        "payment_captured": ("orders", "shipping"),
        "payment_capture_failed": ("orders", "shipping"),
        "part_refused": ("orders",),
        "intake_key_published": ("orders",),
        **_OF_HOLDERS,
        "record_anchored": ("orders",),
        "incident_noticed": ("orders",),
        "data_released": ("orders",),
    },
    "shipping.events": {
        "pick_list_issued": ("orders",),
        "parcel_packed": ("orders",),
        "label_created": ("orders", "payments"),
        "shipment_dispatched": ("orders", "notifications"),
        "shipment_delivered": ("orders", "notifications"),
        "part_refused": ("orders",),
        "intake_key_published": ("orders",),
        **_OF_HOLDERS,
        "record_anchored": ("orders",),
        "incident_noticed": ("orders",),
        "data_released": ("orders",),
    },
    "notifications.events": {
        "mail_sent": (),
        "friend_invited": (),
        "special_request_answered": (),
        "part_refused": ("orders",),
        "intake_key_published": ("orders",),
        **_OF_HOLDERS,
        "record_anchored": ("orders",),
        "incident_noticed": ("orders",),
        "data_released": ("orders",),
    },
}
"""exchange → event → the services that hear it."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, its bindings (exchange, routing key) and its arguments."""

    name: str
    bindings: tuple[tuple[str, str], ...]
    arguments: dict[str, str | int] = field(default_factory=dict)


def events_queue(service: str) -> str:
    return f"{service}.events"


def parked_queue(service: str) -> str:
    return f"{service}.parked"


def queues_of(service: str) -> tuple[str, ...]:
    """The queues that a service works on.

    Its parked queue is not one of them: what is there has crashed its consumer, so it is taken out one at a time (`dead_letters.py`).
    """
    return (INTAKE_QUEUE, events_queue(service), DROPPED_ANSWERS) if service == "orders" else (events_queue(service),)


def readable_queues_of(service: str) -> tuple[str, ...]:
    """The queues that a service must be able to read."""
    return (*queues_of(service), parked_queue(service))


def has_hearers(exchange: str, event: str) -> bool:
    """Whether an event must find a queue: then it is published `mandatory`."""
    return exchange == ANSWERS_EXCHANGE or bool(HEARERS.get(exchange, {}).get(event))


def _working(name: str, service: str, bindings: tuple[tuple[str, str], ...]) -> Queue:
    # At-least-once dead-lettering needs reject-publish; both need a quorum queue.
    return Queue(
        name,
        bindings,
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": PARKED_EXCHANGE,
            "x-dead-letter-routing-key": service,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def _queues() -> tuple[Queue, ...]:
    queues = [_working(INTAKE_QUEUE, "orders", ((INTAKE_EXCHANGE, "#"),))]
    for service in SERVICES:
        heard = tuple(
            (exchange, event) for exchange, events in HEARERS.items() for event, hearers in events.items() if service in hearers
        )
        queues.append(_working(events_queue(service), service, heard))
        queues.append(Queue(parked_queue(service), ((PARKED_EXCHANGE, service),), {"x-queue-type": "quorum"}))
    # Kept seven days, the oldest go first when it is full: the storefront's contract.
    answers: dict[str, str | int] = {
        "x-queue-type": "quorum",
        "x-message-ttl": 7 * 24 * 3600 * 1000,
        "x-max-length-bytes": 1 << 30,
        "x-overflow": "drop-head",
        "x-dead-letter-exchange": PARKED_EXCHANGE,
        "x-dead-letter-routing-key": "answers",
    }
    queues.append(Queue(DROPPED_ANSWERS, ((PARKED_EXCHANGE, "answers"),), {"x-queue-type": "quorum"}))
    queues.append(Queue(ANSWERS_QUEUE, ((ANSWERS_EXCHANGE, "#"),), answers))
    return tuple(queues)


EXCHANGES: tuple[str, ...] = (INTAKE_EXCHANGE, ANSWERS_EXCHANGE, PARKED_EXCHANGE, *HEARERS)
QUEUES: tuple[Queue, ...] = _queues()


def own_exchanges(service: str) -> tuple[str, ...]:
    """The exchanges a service may publish to."""
    if service == "orders":
        return ("orders.parts", "orders.events", ANSWERS_EXCHANGE)
    return (f"{service}.events",)


def words_on(exchange: str) -> tuple[str, ...]:
    """What may be said on this exchange, as far as it is a closed list; a storefront may write any routing key, and is refused."""
    return STOREFRONT_EVENTS if exchange == INTAKE_EXCHANGE else tuple(HEARERS.get(exchange, ()))


def speaker_on(exchange: str) -> str | None:
    """The one service that may publish to this exchange; None where no service may."""
    return next((service for service in SERVICES if exchange in own_exchanges(service)), None)


def said_by(user: str) -> dict[str, str]:
    """Exchange → the routing keys that a user may publish to it, as an anchored expression."""
    if user == "storefront":
        return {
            INTAKE_EXCHANGE: "^.*$"
        }  # a routing key that is no event of the contract is refused with an answer, not by the broker
    return {
        exchange: "^[a-z_]+$" if exchange == ANSWERS_EXCHANGE else any_of(HEARERS[exchange]) for exchange in own_exchanges(user)
    }


def wiring() -> Wiring:
    """What the policy is compiled with into users, permissions and topic rows (`shared.policy.compile_broker`)."""
    users = (*SERVICES, "storefront")
    return Wiring(
        exchanges=dict.fromkeys(EXCHANGES, "topic"),
        hearers=HEARERS,
        queues={queue.name: WiredQueue(queue.bindings, queue.arguments) for queue in QUEUES},
        says={user: said_by(user) for user in users},
        reads={user: (ANSWERS_QUEUE,) if user == "storefront" else readable_queues_of(user) for user in users},
    )


def marker() -> str:
    """The name of the exchange that says: this broker holds this very topology."""
    shape = repr((EXCHANGES, [(queue.name, queue.bindings, sorted(queue.arguments.items())) for queue in QUEUES]))
    return "topology." + hashlib.sha256(shape.encode()).hexdigest()[:16]


def declare(connection_uri: str) -> None:
    """Declare exchanges, queues and bindings, and last the marker. Safe to repeat.

    Raises kombu's errors, BrokerUntrusted, and `WiringRefused` where a part would reach a service that the policy does not let hold it.
    """
    refuse_strangers(load(), wiring())
    with connection_to(connection_uri) as connection:
        open_patiently(connection, max_retries=_TRIES)
        channel = connection.default_channel
        for exchange in EXCHANGES:
            channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        for queue in QUEUES:
            channel.queue_declare(queue.name, durable=True, auto_delete=False, arguments=dict(queue.arguments))
            for exchange, routing_key in queue.bindings:
                channel.queue_bind(queue.name, exchange, routing_key)
        channel.exchange_declare(marker(), "fanout", durable=True, auto_delete=False)
