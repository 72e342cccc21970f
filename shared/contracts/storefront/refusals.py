"""How an event or a part of it is refused: the codes, and the errors that carry them.

An answer to the storefront names every fault as a code and a JSON pointer (RFC 6901). Neither ever holds a value, nor a
member's name that the sender made up unless it is plain (`unknown_member_pointer`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from shared.contracts.errors import Fault, Refused

CODES: Final[dict[str, str]] = {
    "malformed_json": "The text is not JSON by RFC 8259 in UTF-8, or is nested too deeply.",
    "too_large": "The body is larger than 512 KiB.",
    "not_an_object": "The text is JSON, but not an object.",
    "content_type_unsupported": "The content type is neither application/cloudevents+json nor application/json in UTF-8.",
    "datacontenttype_unsupported": "The event says that its data is something else than application/json.",
    "missing": "A required member is missing.",
    "unknown_member": "The contract does not name this member here, so it may not be kept.",
    "wrong_type": "The value is of another JSON type than the contract says; null is not a way to leave a member out.",
    "source_unknown": "This source is none of the configured storefronts.",
    "type_unknown": "The contract knows no event of this type.",
    "type_mismatch": "The event's type differs from the routing key that it was published with.",
    "specversion_unsupported": "The event is not of CloudEvents 1.0.",
    "grammar": "The text holds characters that this member may not hold.",
    "too_long": "The text or the list is longer than the contract allows.",
    "too_short": "The text or the list is shorter than the contract allows.",
    "out_of_range": "The number or the amount is outside of what the contract allows.",
    "choice_unknown": "The value is none of those that the contract lists.",
    "control_character": "The text holds a control character below U+0020.",
    "amount_format": "The amount is not a decimal string with exactly the currency's minor digits.",
    "currency_unknown": "The currency is not a code of ISO 4217 that a shop can take.",
    "total_mismatch": "The total is not the exact sum of lines, discount, shipping price and tax.",
    "line_numbers": "The lines are not numbered from 1 without gap or repeat, or one is named twice.",
    "line_unknown": "A personalisation names a line that the order does not have.",
    "card_number": "The text holds what looks like a payment card's number.",
    "part_in_clear": "A personal part came over AMQP in the clear.",
    "key_unknown": "The sealing key is not one of this service's.",
    "key_expired": "The sealing key has expired.",
    "sealed_for_wrong_service": "The part is sealed for a service that does not get this part.",
    "sealed_for_another": "The sealed part belongs to another order or customer.",
    "box_malformed": "The box is not base64, or shorter than a sealed box can be.",
    "reply_key_malformed": "The reply key is not 32 bytes in base64.",
    "billing_missing": "A payment through this provider needs a billing part.",
    "policy_version_unknown": "The policy version is not one that the shop has published.",
    "shipping_service_unknown": "The shipping service is not one that the shop offers.",
    "country_unknown": "The country is not a code of ISO 3166-1 alpha-2.",
    "region_missing": "Billing in this country needs a region.",
    "postal_code_missing": "Billing needs a postal code.",
    "tax_id_missing": "Billing in this country needs a tax id.",
    "email_malformed": "The text is not an e-mail address by RFC 5321 with RFC 6531.",
    "language_malformed": "The text is not a well-formed language tag of BCP 47.",
    "time_malformed": "The text is not a time-stamp of RFC 3339 with its zone.",
    "nothing_given": "None of the members of which at least one is needed was sent.",
    "too_many_faults": "There are more faults than an answer names; these are the first.",
}
"""Every code that a fault of the storefront's contract may have, and what it says."""

REJECTIONS: Final = frozenset({"total_mismatch", "policy_version_unknown", "shipping_service_unknown"})
"""The codes that reject a well-formed order instead of refusing the event."""

MAX_FAULTS: Final = 1_000
"""So many faults one answer names at most: what refuses a hostile body must not be larger than the body."""

_PLAIN_MEMBER = re.compile(r"[a-z][a-z_]{0,39}", re.ASCII)


def unknown_member_pointer(parent: str, member: object) -> str:
    """The pointer to a member that the contract does not name: its name where that is plain, else `*`."""
    plain = isinstance(member, str) and _PLAIN_MEMBER.fullmatch(member) is not None
    return f"{parent}/{member if plain else '*'}"


def each_once(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """The faults in their order without repeats, cut after `MAX_FAULTS` with a last one that says so."""
    unique = tuple(dict.fromkeys(faults))
    return unique if len(unique) <= MAX_FAULTS else (*unique[:MAX_FAULTS], Fault("too_many_faults"))


class _EventNotTaken(Refused):
    """What both ways of not taking an event have: the faults, and what is known for sure of the event.

    `id`, `source`, `type` and `order_number` are None unless each passed its own grammar, so that an answer can be addressed
    without repeating anything the sender made up.
    """

    def __init__(
        self,
        faults: Iterable[Fault],
        id: str | None = None,
        source: str | None = None,
        type: str | None = None,
        order_number: str | None = None,
    ) -> None:
        super().__init__(each_once(faults))
        self.id = id
        self.source = source
        self.type = type
        self.order_number = order_number


class EventRefused(_EventNotTaken):
    """The event is not of the contract's form; `faults` names everything that is wrong with it."""


class OrderRejected(_EventNotTaken):
    """The event is well formed, but the order in it cannot be taken (`REJECTIONS`)."""


class PartRefused(Refused):
    """An opened part is not what the contract says; the pointers start at the part, not at the event."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__(each_once(faults))
