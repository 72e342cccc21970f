"""The sandboxes' own books held against what was published: what disagrees is named with its orders.

The books are the witnesses here, the services are not asked: who charged twice would not know it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from shared.cli.tally import Course

MAILS_OF_AN_ORDER = ("order_confirmation", "shipment", "delivery")
"""The kinds of mail that every completed order's buyer gets; the last two once for each parcel."""
_MAILS_OF_A_PARCEL = frozenset({"shipment", "delivery"})
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Payment:
    """One order at a payment company: amounts as decimal strings, `refunded` what went back."""

    provider: str
    reference: str
    currency: str
    authorised: tuple[str, ...] = ()
    captured: tuple[str, ...] = ()
    refunded: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Label:
    tracking_number: str
    parcel: str
    voided: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    order_number: str
    kind: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Books:
    """What the four sandboxes have written down; `folders` is where to look at papers and mails."""

    payments: Sequence[Payment] = ()
    labels: Sequence[Label] = ()
    mails: Sequence[Mail] = ()
    folders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One kind of disagreement and the orders (or, where no order is known, references) that it concerns."""

    what: str
    orders: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(self.orders[:_NAMED])
        more = f" and {len(self.orders) - _NAMED} more" if len(self.orders) > _NAMED else ""
        return f"{self.what}: {len(self.orders)} ({named}{more})"


def compare(courses: Iterable[Course], books: Books) -> list[Disagreement]:
    """Everything in which the books differ from what these orders should have left in them; empty when they agree.

    An order that completed was authorised once and captured once, both for its exact total, has one label per parcel and one
    mail of each kind. One that was refused left nothing, one that was declined took nothing, one that was cancelled kept nothing.
    A mail sent again under the same Message-ID is the same mail.
    """
    found: dict[str, list[str]] = defaultdict(list)
    orders = list(courses)
    _compare_payments(orders, books.payments, found)
    _compare_labels(orders, books.labels, found)
    _compare_mails(orders, books.mails, found)
    return [Disagreement(what, tuple(numbers)) for what, numbers in found.items()]


def mails_sent_again(books: Books) -> int:
    """How many mails went more than once under one Message-ID (after a crash in doubt): deliveries beyond the first."""
    return sum(times - 1 for times in Counter(mail.message_id for mail in books.mails).values())


def _compare_payments(orders: Sequence[Course], payments: Sequence[Payment], found: dict[str, list[str]]) -> None:
    by_reference: dict[tuple[str, str], list[Payment]] = defaultdict(list)
    for payment in payments:
        by_reference[payment.provider, payment.reference].append(payment)
    for order in orders:
        own = by_reference.pop((order.provider, order.reference), [])
        authorised = [(amount, payment.currency) for payment in own for amount in payment.authorised]
        captured = [(amount, payment.currency) for payment in own for amount in payment.captured]
        kept = sum((Decimal(amount) for amount, _ in captured), Decimal(0)) - sum(payment.refunded for payment in own)
        if order.end == "completed":
            _once(order, "authorised", authorised, found)
            _once(order, "captured", captured, found)
            if any(payment.refunded for payment in own):
                found["refunded though completed"].append(order.order_number)
        elif order.end in {"refused", "declined"}:
            if authorised:
                found[f"authorised though {order.end}"].append(order.order_number)
            if captured:
                found[f"captured though {order.end}"].append(order.order_number)
        elif order.end == "cancelled" and kept != 0:
            found["money kept though cancelled"].append(order.order_number)
    for (provider, reference), strangers in by_reference.items():
        if any(payment.authorised or payment.captured for payment in strangers):
            found[f"paid at {provider} without an order of this run"].append(reference)


def _once(order: Course, verb: str, amounts: Sequence[tuple[str, str]], found: dict[str, list[str]]) -> None:
    if not amounts:
        found[f"not {verb}"].append(order.order_number)
    elif len(amounts) > 1:
        found[f"{verb} more than once"].append(order.order_number)
    elif (Decimal(amounts[0][0]), amounts[0][1]) != (Decimal(order.total), order.currency):
        found[f"{verb} for another amount than the total"].append(order.order_number)


def _compare_labels(orders: Sequence[Course], labels: Sequence[Label], found: dict[str, list[str]]) -> None:
    live = [label for label in labels if not label.voided]
    per_tracking = Counter(label.tracking_number for label in live)
    parcel_of = {label.tracking_number: label.parcel for label in live}
    per_parcel = Counter(label.parcel for label in live)
    known: set[str] = set()
    for order in orders:
        known |= order.trackings
        if order.end == "completed" and not order.trackings:
            found["completed without a parcel"].append(order.order_number)
        if any(per_tracking[tracking] == 0 for tracking in order.trackings):
            found["dispatched without a label in the carrier's books"].append(order.order_number)
        if any(
            per_tracking[tracking] > 1 or per_parcel[parcel_of[tracking]] > 1
            for tracking in order.trackings
            if tracking in parcel_of
        ):
            found["more than one label for a parcel"].append(order.order_number)
    own_parcels = {parcel_of[tracking] for tracking in known if tracking in parcel_of}
    strangers = [
        label.tracking_number for label in live if label.tracking_number not in known and label.parcel not in own_parcels
    ]
    if strangers:
        found["labels that belong to no dispatched parcel"].extend(strangers)


def _compare_mails(orders: Sequence[Course], mails: Sequence[Mail], found: dict[str, list[str]]) -> None:
    distinct: dict[tuple[str, str], set[str]] = defaultdict(set)
    for mail in mails:
        distinct[mail.order_number, mail.kind].add(mail.message_id)
    kinds: dict[str, set[str]] = defaultdict(set)
    for number, kind in distinct:
        kinds[number].add(kind)
    per_number = Counter(order.order_number for order in orders)
    for order in orders:
        number = order.order_number
        if order.end == "refused":
            # A refused event may bear the number of another order, which stands and has its mails.
            if kinds[number] and per_number[number] == 1:
                found["mailed though refused"].append(number)
            continue
        parcels = max(1, len(order.trackings))
        for kind in sorted(kinds[number] | (set(MAILS_OF_AN_ORDER) if order.end == "completed" else set())):
            times, wanted = len(distinct[number, kind]), parcels if kind in _MAILS_OF_A_PARCEL else 1
            if times > wanted:
                found[f"mail {kind} sent more than once"].append(number)
            elif times < wanted and order.end == "completed":
                found[f"mail {kind} missing"].append(number)
    strangers = sorted(kinds.keys() - {order.order_number for order in orders})
    if strangers:
        found["mails without an order of this run"].extend(strangers)


# -- the sandboxes' answers to GET /_books, read into the above ---------------------------------------------------------------


def read_paypal(books: Mapping[str, Any]) -> list[Payment]:
    return [
        Payment(
            "paypal",
            order_id,
            order["currency"],
            tuple(authorisation["amount"] for authorisation in order["authorisations"]),
            tuple(capture["amount"] for capture in order["captures"]),
            sum((Decimal(capture["refunded"]) for capture in order["captures"]), Decimal(0)),
        )
        for order_id, order in books["orders"].items()
    ]


def read_twocheckout(books: Mapping[str, Any]) -> list[Payment]:
    """2Checkout has no capture of its own: the charge is taken when the delivery is confirmed."""
    return [
        Payment(
            "2checkout",
            str(order["token"]),
            order["currency"],
            () if order["declined"] else (order["amount"],),
            (order["amount"],) * int(order["deliveries_confirmed"]),
            Decimal(order["refunded"]),
        )
        for order in books["orders"].values()
    ]


def read_mailbox(books: Mapping[str, Any]) -> list[Mail]:
    """One entry per arrival: a mail that came twice under its Message-ID stands here twice."""
    return [
        Mail(mail["order"], mail["kind"], message_id) for message_id, mail in books["mails"].items() for _ in range(mail["times"])
    ]


def read_carrier(books: Mapping[str, Any]) -> list[Label]:
    return [
        Label(
            str(label["tracking_number"]), str(label["external_shipment_id"] or label["tracking_number"]), bool(label["voided"])
        )
        for label in books["labels"].values()
    ]
